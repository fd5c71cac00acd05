/*
 * worker/flight.c
 *	  Requests in flight: they are sent after the commit, and their responses change
 *	  their steps.
 *
 * Runs in a worker.  df_depart() is the only place that starts to send bytes: after
 * the commit, with no transaction open.  df_arrive() runs in the transaction of a
 * later turn.  Never send a request whose intent is not committed.
 */
#include "postgres.h"

#include "engine/departure.h"
#include "engine/outcome.h"
#include "engine/read_body.h"
#include "engine/step_kind.h"
#include "worker/secrets.h"
#include "worker/token.h"
#include "worker/token_response.h"
#include "worker/trace.h"
#include "worker/turn.h"

static void
wipe_secrets(DfDeparture *departure)
{
	ListCell *lc;

	foreach (lc, departure->secrets)
		explicit_bzero(lfirst(lc), strlen(lfirst(lc)));
}

void
df_depart(void)
{
	ListCell *lc;

	foreach (lc, df_worker.departures)
	{
		DfDeparture *departure = lfirst(lc);

		if (departure->flight != NULL)
			df_http_submit(&departure->request);
		else
			df_secrets_forget(departure->hidden);
		wipe_secrets(departure);
	}
	df_worker.departures = NIL;
	df_token_depart(true);
}

/* it is in flight no longer */
static void
land(DfFlight *flight)
{
	df_place_give_back(&flight->place);
	df_step_lands(flight->run, flight->step);
	df_worker.in_flight--;
}

/* the request is not sent, and its step is as it was before; df_depart() frees the rest */
static void
withdraw(DfDeparture *departure)
{
	DfFlight *flight = departure->flight;

	departure->flight = NULL;
	flight->secrets = NULL;
	land(flight);
	if (flight->step->engine.phase == DF_PHASE_PROBE)
		flight->step->engine.to_send = true;
	else
		df_step_unsend(flight->run, flight->step);
	flight->run->engine.advance = true;
}

void
df_departures_withdraw(void)
{
	ListCell *lc;

	foreach (lc, df_worker.departures)
	{
		DfDeparture *departure = lfirst(lc);

		if (departure->flight != NULL && departure->flight->run->life == DF_LIFE_DEFERRED)
			withdraw(departure);
	}
	df_token_depart(false);
}

List *
df_departures_take_back(void)
{
	List *runs = NIL;
	ListCell *lc;

	foreach (lc, df_worker.departures)
	{
		DfDeparture *departure = lfirst(lc);
		DfRun *run;

		if (departure->flight != NULL)
		{
			run = departure->flight->run;
			withdraw(departure);
			runs = lappend(runs, run);
		}
		df_secrets_forget(departure->hidden);
		wipe_secrets(departure);
	}
	df_worker.departures = NIL;
	df_token_depart(false);
	return runs;
}

/* our secrets are UTF-8, and would not be found in another charset */
static void
show_body(const DfFlight *flight, DfResponse *response)
{
	char *utf8 = df_response_utf8(response);
	const char *body = utf8 != NULL ? utf8 : response->body;

	response->shown_len = utf8 != NULL ? strlen(utf8) : response->body_len;
	response->shown = df_secrets_redact(flight->secrets, body, &response->shown_len);
	if (response->shown == NULL)
		response->shown = utf8;
}

/*
 * Everything that is kept of a response, except the body that the step asked for,
 * shows none of the secrets that were sent with the request.
 */
static void
hide_secrets(const DfFlight *flight, const DfHttpResult *result, DfResponse *response)
{
	size_t headers_len = result->headers != NULL ? strlen(result->headers) : 0;
	size_t error_len = strlen(result->error);

	response->headers = df_secrets_redact(flight->secrets, result->headers, &headers_len);
	if (response->headers == NULL)
		response->headers = result->headers;
	response->error = df_secrets_redact(flight->secrets, result->error, &error_len);
	if (response->error == NULL)
		response->error = result->error;
	if (flight->secrets != NULL)
		show_body(flight, response);
}

/* to its step, and to the state of the system */
static void
apply_response_to_step(DfFlight *flight, const DfHttpResult *result, const DfSystem *system)
{
	DfRun *run = flight->run;
	DfStep *step = flight->step;
	DfResponse response;
	DfMeaning meaning;

	memset(&response, 0, sizeof(response));
	response.fate = result->fate;
	response.status = result->status;
	response.body = result->body;
	response.body_len = result->body_len;
	response.form = result->form;
	response.head_complete = result->head_complete;
	response.content_type = result->content_type;
	response.retry_after_ms = result->retry_after_ms;
	response.took_us = result->took_us;
	hide_secrets(flight, result, &response);
	if (result->fate == DF_FATE_STARVED)
	{
		df_shortage_met(run, step, result->error);
		return;
	}
	df_shortage_over();
	if (df_token_refused(flight, result))
	{
		df_step_unsend(run, step);
		return;
	}
	df_trace_attempt(run, step, &response);
	/* the list that it left with may be gone: that of the system as it is now counts */
	flight->policy.answers = system != NULL ? system->answers : NULL;
	df_count_step_pauses(run, step, &flight->policy);
	meaning = df_step_response(run, step, &response, &flight->policy);
	if (df_step_ops(step)->http_status != NULL)
		response.status = df_step_ops(step)->http_status(&response, meaning);
	df_system_answered(flight->place.use, &response, meaning, system);
}

/* after an error the flight is what it was, so that the response can be applied again */
void
df_arrive(DfHttpResult *result)
{
	DfFlight *flight = (DfFlight *) (uintptr_t) result->cookie;
	char *why = NULL;

	/* a broken run is loaded again, and the response then counts as lost */
	if (flight->run->life != DF_LIFE_BROKEN)
		apply_response_to_step(flight, result, df_system_get(flight->step->system, &why));
	df_secrets_forget(flight->secrets);
	flight->secrets = NULL;
	land(flight);
}
