/*
 * worker/dispatch.c
 *	  From steps to requests, and from results to replies.
 *
 * Runs in a worker.  df_dispatch() runs in the recording transaction: it marks
 * what is about to leave as sent, so that the intent is committed first;
 * df_depart() runs after the commit, with no transaction open, and is the only
 * place where bytes start to leave.  Credentials are read here, handed to the
 * HTTP room, and wiped.
 */
#include "postgres.h"

#include "engine/outcome.h"
#include "engine/outgoing.h"
#include "engine/run_failure.h"
#include "engine/step_kind.h"
#include "engine/transition.h"
#include "guc.h"
#include "http/url.h"
#include "shared/clock.h"
#include "shared/encoding.h"
#include "shared/json.h"
#include "shared/metrics.h"
#include "shared/trouble.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"
#include "worker/secrets.h"
#include "worker/token.h"
#include "worker/trace.h"

static void
policy_of(const DfSystem *system, DfSystemPolicy *policy)
{
	bool gone = system == NULL;

	if (gone)
		system = df_system_presets();
	policy->retry = system->retry;
	policy->settle_ms = system->settle_ms;
	policy->key_trusted = system->idempotency_trusted && system->idempotency_header != NULL;
	policy->key_ttl_ms = system->idempotency_ttl_ms;
	if (gone)
	{
		/* nobody can say now; it is judged again when the step is to leave */
		policy->key_trusted = true;
		policy->key_ttl_ms = INT64CONST(366) * 24 * 3600 * 1000;
	}
}

static char *
secret(DfDeparture *departure, const char *value)
{
	char *copy;

	if (value == NULL)
		return NULL;
	copy = pstrdup(value);
	departure->secrets = lappend(departure->secrets, copy);
	return copy;
}

static void
add_step_headers(const DfStep *step, const char **headers, int *n)
{
	JsonbIterator *it;
	JsonbValue value;
	JsonbIteratorToken token;
	char *name = NULL;

	if (step->headers == NULL)
		return;
	it = JsonbIteratorInit(&step->headers->root);
	while ((token = JsonbIteratorNext(&it, &value, true)) != WJB_DONE)
	{
		if (token == WJB_KEY)
			name = pnstrdup(value.val.string.val, value.val.string.len);
		else if (token == WJB_VALUE && value.type == jbvString)
			headers[(*n)++] =
				psprintf("%s: %s", name,
						 df_text_to_utf8(pnstrdup(value.val.string.val, value.val.string.len)));
	}
}

static const char *const *
request_headers(DfDeparture *departure, const DfSystem *system, const DfStep *step,
				const DfOutgoing *out)
{
	int extra = step->headers != NULL ? JB_ROOT_COUNT(step->headers) : 0;
	const char *trace = df_trace_header(departure->flight->run, step);
	const char **headers = palloc(sizeof(char *) * (system->nheaders + extra + 4));
	int n = 0;

	for (int i = 0; i < system->nheaders; i++)
		headers[n++] = secret(departure, system->headers[i]);
	if (out->content_type != NULL)
		headers[n++] = psprintf("Content-Type: %s", out->content_type);
	if (trace != NULL)
		headers[n++] = trace;
	if (step->phase != DF_PHASE_UNDO)
		add_step_headers(step, headers, &n);
	/* the last of a name counts: nothing takes the place of the key */
	if (out->idempotency_key != NULL && system->idempotency_header != NULL)
		headers[n++] =
			psprintf("%s: %s", system->idempotency_header, df_text_to_utf8(out->idempotency_key));
	headers[n] = NULL;
	return headers;
}

static void
fill_request(DfDeparture *departure, const DfSystem *system, const DfStep *step,
			 const DfOutgoing *out)
{
	DfHttpRequest *request = &departure->request;
	const char *token = df_token_take(departure->flight, system);

	departure->hidden = departure->flight->secrets = df_secrets_of(system, token);

	request->method = out->method;
	request->body = out->body;
	request->body_len = out->body != NULL ? strlen(out->body) : 0;
	request->headers = request_headers(departure, system, step, out);
	request->username = secret(departure, system->username);
	request->password = secret(departure, system->password);
	request->bearer_token = secret(departure, token != NULL ? token : system->bearer_token);
	request->ca_file = system->ca_file != NULL ? pstrdup(system->ca_file) : NULL;
	request->client_cert = system->client_cert != NULL ? pstrdup(system->client_cert) : NULL;
	request->client_key = system->client_key != NULL ? pstrdup(system->client_key) : NULL;
	request->connect_timeout_ms = system->connect_timeout_ms;
	request->timeout_ms = out->timeout_ms > 0 ? (int) Min(out->timeout_ms, INT_MAX)
											  : system->timeout_ms;
	request->max_body = system->max_body > 0 ? system->max_body : df_max_body;
	request->follow_redirects = system->follow_redirects;
	request->allow_private = system->allow_private;
	request->private_origins = system->private_origins != NULL ? pstrdup(system->private_origins)
															   : NULL;
	request->mail_from = out->mail_from;
	request->mail_to = (const char *const *) out->mail_to;
	request->mail_in_clear = system->mail_in_clear;
}

/* it cannot leave: as if the system had refused it, without any byte sent */
static void
refuse(DfRun *run, DfStep *step, const char *why)
{
	DfResponse response;
	DfSystemPolicy policy;

	step->to_send = false;
	memset(&response, 0, sizeof(response));
	response.fate = DF_FATE_REFUSED;
	response.retry_after_ms = -1;
	response.error = why;
	policy_of(NULL, &policy);
	if (step->phase == DF_PHASE_DO && step->state == DF_STEP_PENDING)
		df_step_transition(run, step, DF_STEP_SEND);
	else if (step->phase == DF_PHASE_UNDO)
		df_undo_transition(run, step, DF_UNDO_SENT);
	(void) df_step_response(run, step, &response, &policy);
}

/* false: it stays here, in doubt or accepted */
static bool
may_leave(DfRun *run, DfStep *step, const DfSystem *system)
{
	DfSystemPolicy policy;

	policy_of(system, &policy);
	return df_step_may_leave(run, step, &policy, step->base_hash == system->url_hash);
}

/* the url may have been changed since the step was called */
static char *
url_for(const DfStep *step, const DfSystem *system, const DfOutgoing *out, const char **problem)
{
	if (system->mail == (out->mail_from != NULL))
		return system->mail ? pstrdup(system->url) : df_url_join(system->url, out->path, problem);
	*problem =
		psprintf("the url of system \"%s\" is now %s", step->system,
				 system->mail ? "that of a mail server" : "not that of a mail server any more");
	return NULL;
}

/* marks the step as sent and makes its request ready */
static void
prepare(DfRun *run, DfStep *step, DfSystem *system, DfPlace *place)
{
	DfDeparture *departure = palloc0(sizeof(DfDeparture));
	DfFlight *flight;
	DfOutgoing out;
	char *why = NULL;
	const char *problem = NULL;
	char *url = NULL;

	if (df_step_outgoing(run, step, &out, system->form, &why))
		url = url_for(step, system, &out, &problem);
	if (url == NULL)
	{
		df_place_give_back(place);
		refuse(run, step, problem != NULL ? problem : why);
		return;
	}
	flight = MemoryContextAllocZero(run->cxt, sizeof(DfFlight));
	flight->run = run;
	flight->step = step;
	policy_of(system, &flight->policy);
	departure->flight = flight;
	departure->request.cookie = (uint64) (uintptr_t) flight;
	departure->request.url = url;
	fill_request(departure, system, step, &out);

	if (step->phase == DF_PHASE_DO)
		df_step_transition(run, step, DF_STEP_SEND);
	else if (step->phase == DF_PHASE_UNDO)
		df_undo_transition(run, step, DF_UNDO_SENT);
	step->to_send = false;
	step->in_flight = true;
	step->attempt_at = df_now();
	run->worker.in_flight++;
	df_worker.in_flight++;
	df_worker.departures = lappend(df_worker.departures, departure);
	flight->place = *place;
	place->use = NULL;
	if (departure->request.body_len > 0)
		df_metric_add(DF_METRIC_SENT_BYTES, step->system, NULL, NULL, departure->request.body_len);
}

/* an error costs one run, not the place as well */
static void
prepare_or_give_back(DfRun *run, DfStep *step, DfSystem *system, DfPlace *place)
{
	PG_TRY();
	{
		prepare(run, step, system, place);
	}
	PG_CATCH();
	{
		df_place_give_back(place);
		PG_RE_THROW();
	}
	PG_END_TRY();
}

/* ---- descriptors, memory, threads: ours, nobody else's -------------------- */

/* what there is too little of is looked for again so often */
#define GROW_US USECS_PER_SEC

static DfTrouble shortage = {"send requests"};
static TimestampTz places_changed = DF_NEVER;

static void
set_places(int places)
{
	df_worker.places = Max(places, 1);
	places_changed = df_now();
	df_http_limit(df_worker.places);
}

/*
 * The request could not leave for want of something here.  That uses no attempt
 * and is no news of the system: it leaves when there is a place, and no more
 * leave at a time than do at present.
 */
static void
starved(DfRun *run, DfStep *step, const char *why)
{
	ErrorData error;

	memset(&error, 0, sizeof(error));
	error.sqlerrcode = ERRCODE_INSUFFICIENT_RESOURCES;
	error.message = pstrdup(why);
	error.hint = "Give the server more open files (ulimit -n, LimitNOFILE) or memory, or lower "
				 "dataflows.max_in_flight.";
	if (!df_trouble_waits(&shortage, df_now()))
		df_trouble_note(&shortage, &error);
	set_places(Min(df_worker.places, df_worker.in_flight - 1));
	df_step_unsend(run, step);
	step->wake_at = shortage.retry_at;
}

/* a request has left: there may be more places again */
static void
not_starved(void)
{
	TimestampTz now = df_now();

	if (!df_trouble_waits(&shortage, now))
		df_trouble_over(&shortage);
	if (df_worker.places >= df_worker.most_places || now - places_changed < GROW_US)
		return;
	set_places(Min(df_worker.most_places, df_worker.places + 1 + df_worker.places / 8));
}

/*
 * A worker that has no room for another request keeps who waits for one of its
 * own to end, but not those of a system that lets nobody in.
 */
static DfEntrance
take_place(DfPlace *place, const DfSystem *system, const DfRun *run, const DfStep *step,
		   TimestampTz *until)
{
	DfSystemUse *use = df_system_use(system);

	*until = DF_NEVER;
	if (df_worker.in_flight == 0 && df_trouble_waits(&shortage, df_now()))
	{
		*until = shortage.retry_at;
		return DF_ENTRANCE_LATER;
	}
	if (df_worker.in_flight >= Min(df_max_in_flight, df_worker.places))
		return df_system_is_held(use, system, until) ? DF_ENTRANCE_LATER : DF_ENTRANCE_FULL;
	/* a run with a request on the wire stays in memory in any case */
	return df_place_take(place, use, system,
						 step->urgent                    ? DF_PATIENCE_URGENT
							 : run->worker.in_flight > 0 ? DF_PATIENCE_MEMORY
														 : DF_PATIENCE_TABLE,
						 until);
}

/* false: its system, or the worker, has no place for it now */
static bool
dispatch_step(DfRun *run, DfStep *step)
{
	char *why = NULL;
	DfSystem *system = df_system_get(step->system, &why);
	DfPlace place = {NULL};
	TimestampTz until;

	if (system == NULL)
	{
		step->to_send = false;
		df_run_get_stuck(run, ERRCODE_UNDEFINED_OBJECT,
						 psprintf("step \"%s\" cannot call system \"%s\": %s", step->name,
								  step->system, why),
						 "Mend the server or its user mapping, or grant USAGE on it, then call "
						 "dataflows.retry(run).");
		run->engine.advance = true;
		return true;
	}
	if (!may_leave(run, step, system) || !df_token_ready(run, step, system))
		return true;
	switch (take_place(&place, system, run, step, &until))
	{
		case DF_ENTRANCE_FULL:
			/* it stays to_send: a finished request makes room */
			if (step->urgent)
				step->not_before = until;
			return false;
		case DF_ENTRANCE_LATER:
			/* wait in the table, not here: others are to have the place */
			step->to_send = false;
			step->wake_at = until;
			step->dirty = true;
			run->engine.advance = true;
			return true;
		case DF_ENTRANCE_OPEN:
			break;
	}
	prepare_or_give_back(run, step, system, &place);
	return true;
}

/*
 * All of a run's steps that are to be sent and for which there is room, or those
 * that are urgent.  Of a thousand that wait for one system not each is to find
 * out that it is full.
 */
void
df_dispatch(DfRun *run, bool urgent)
{
	const char *full = NULL;

	for (int i = 0; i < run->nsteps; i++)
	{
		DfStep *step = run->steps[i];

		if (urgent && !step->urgent)
			continue;
		step->not_before = DF_NEVER;
		if (!step->to_send ||
			(full != NULL && run->worker.in_flight > 0 && strcmp(step->system, full) == 0))
			continue;
		if (!dispatch_step(run, step))
			full = step->system;
	}
}

static void
wipe_secrets(DfDeparture *departure)
{
	ListCell *lc;

	foreach (lc, departure->secrets)
		explicit_bzero(lfirst(lc), strlen(lfirst(lc)));
}

/* after the commit: the bytes leave */
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

static void
land(DfFlight *flight)
{
	df_place_give_back(&flight->place);
	flight->run->worker.in_flight--;
	df_worker.in_flight--;
	flight->step->in_flight = false;
}

/* it does not leave: its step is what it was; df_depart() forgets the rest */
static void
withdraw(DfDeparture *departure)
{
	DfFlight *flight = departure->flight;

	departure->flight = NULL;
	flight->secrets = NULL;
	land(flight);
	if (flight->step->phase == DF_PHASE_PROBE)
		flight->step->to_send = true;
	else
		df_step_unsend(flight->run, flight->step);
	flight->run->engine.advance = true;
}

/* nothing leaves for runs that could not be recorded */
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
}

/* after the commit, instead of df_depart() */
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

/*
 * What is kept of an answer beside the body that a step asked for shows none of
 * the secrets that the request took along.
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
	response->shown_len = result->body_len;
	response->shown = df_secrets_redact(flight->secrets, result->body, &response->shown_len);
}

/* what the answer does to its step, and what it says about the system */
static void
apply_answer(DfFlight *flight, const DfHttpResult *result, const DfSystem *system)
{
	DfRun *run = flight->run;
	DfStep *step = flight->step;
	DfResponse response;
	DfMeaning meaning;

	memset(&response, 0, sizeof(response));
	hide_secrets(flight, result, &response);
	if (result->fate == DF_FATE_STARVED)
	{
		starved(run, step, result->error);
		return;
	}
	not_starved();
	if (df_token_refused(flight, result))
	{
		df_step_unsend(run, step);
		return;
	}
	response.fate = result->fate;
	response.status = result->status;
	response.body = result->body;
	response.body_len = result->body_len;
	response.content_type = result->content_type;
	response.retry_after_ms = result->retry_after_ms;
	response.took_us = result->took_us;
	df_trace_attempt(run, step, &response);
	meaning = df_step_response(run, step, &response, &flight->policy);
	if (df_step_ops(step)->http_status != NULL)
		response.status = df_step_ops(step)->http_status(&response, meaning);
	df_system_answered(flight->place.use, &response, meaning, system);
}

/*
 * A result of the HTTP room, in the recording transaction.  After an error the
 * flight is what it was, so that it can arrive once more.
 */
void
df_arrive(DfHttpResult *result)
{
	DfFlight *flight = (DfFlight *) (uintptr_t) result->cookie;
	char *why = NULL;

	/* of a broken run, whoever claims it next takes the answer for lost */
	if (flight->run->life != DF_LIFE_BROKEN)
		apply_answer(flight, result, df_system_get(flight->step->system, &why));
	df_secrets_forget(flight->secrets);
	flight->secrets = NULL;
	land(flight);
}

/* what was on the wire when its worker died: nobody knows how it ended */
void
df_recover_lost(DfRun *run)
{
	DfResponse response;
	DfSystemPolicy policy;
	char *why = NULL;

	memset(&response, 0, sizeof(response));
	response.fate = DF_FATE_LOST;
	response.retry_after_ms = -1;
	response.error = "the engine was stopped before the answer was recorded";
	for (int i = 0; i < run->nsteps; i++)
	{
		DfStep *step = run->steps[i];

		if (step->state != DF_STEP_SENT && step->undo_state != DF_UNDO_SENT)
			continue;
		if (!df_step_ops(step)->sends_requests)
			continue; /* what was asked of a child run stands in its inbox */
		policy_of(df_system_get(step->system, &why), &policy);
		step->phase = step->state == DF_STEP_SENT ? DF_PHASE_DO : DF_PHASE_UNDO;
		(void) df_step_response(run, step, &response, &policy);
	}
}
