/*
 * worker/dispatch.c
 *	  End of a turn's third phase: which steps are sent now, and their requests.
 *
 * Runs in a worker, in the turn's transaction, as the role that owns the workflows.
 * It marks steps as sent, so that the intent is committed before the request is sent.
 * Never send a byte here.
 */
#include "postgres.h"

#include "engine/departure.h"
#include "engine/outcome.h"
#include "engine/outgoing.h"
#include "fdw/policy.h"
#include "guc.h"
#include "shared/clock.h"
#include "shared/json.h"
#include "shared/metrics.h"
#include "worker/token.h"

/* how soon a step whose system is paused tries again */
#define PAUSE_LEAST_US (2 * USECS_PER_SEC)
#define PAUSE_MOST_US (120 * USECS_PER_SEC)

/*
 * If the worker itself can send no more now, the step waits in memory for one of its
 * requests to end, unless its system is held.
 */
static DfEntrance
take_place(DfPlace *place, const DfSystem *system, const DfRun *run, const DfStep *step,
		   TimestampTz *until)
{
	DfSystemUse *use = df_system_use(system);

	*until = DF_NEVER;
	if (df_shortage_waits(until))
		return DF_ENTRANCE_HELD;
	if (df_worker.in_flight >= Min(df_max_in_flight, df_worker.request_limit))
		return df_system_is_held(use, system, until) ? DF_ENTRANCE_HELD : DF_ENTRANCE_FULL;
	/* a run with a request in flight stays in memory anyway */
	return df_place_take(place, use, system,
						 step->engine.urgent             ? DF_PATIENCE_URGENT
							 : run->worker.in_flight > 0 ? DF_PATIENCE_MEMORY
														 : DF_PATIENCE_TABLE,
						 until);
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

	if (df_step_outgoing(run, step, &out, system->body.encoding == DF_ENCODING_FORM, &why))
		url = df_request_url(step, system, &out, &problem);
	if (url == NULL)
	{
		df_place_give_back(place);
		df_step_refuse(run, step, problem != NULL ? problem : why);
		return;
	}
	flight = MemoryContextAllocZero(run->cxt, sizeof(DfFlight));
	flight->run = run;
	flight->step = step;
	df_policy_of(system, &flight->policy);
	/* ALTER SERVER may take the system out of the cache before the response comes */
	if (flight->policy.key_header != NULL)
		flight->policy.key_header = MemoryContextStrdup(run->cxt, flight->policy.key_header);
	departure->flight = flight;
	departure->request.cookie = (uint64) (uintptr_t) flight;
	departure->request.url = url;
	df_build_request(departure, system, step, &out);

	df_step_leaves(run, step, system);
	df_worker.in_flight++;
	df_worker.departures = lappend(df_worker.departures, departure);
	flight->place = *place;
	place->use = NULL;
	if (departure->request.body_len > 0)
		df_metric_add(DF_METRIC_SENT_BYTES, step->system, NULL, NULL, departure->request.body_len);
}

/* give the place back if an error comes */
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

/*
 * When to look again whether a system is still paused, which nobody tells: the later, the longer
 * the pause.
 */
static TimestampTz
pause_ends(const DfStep *step, const DfSystem *system)
{
	TimestampTz since = step->row.held_since;
	int64 held = since != DF_NEVER ? Max(0, df_now() - since) : 0;

	return df_system_looks_again(df_system_use(system), system,
								 Min(Max(held / 8, PAUSE_LEAST_US), PAUSE_MOST_US));
}

static const char *
pause_words(const DfSystem *system)
{
	Jsonb *paused = df_json_parse(system->paused, strlen(system->paused), CurrentMemoryContext);
	char *by = df_json_get_text(paused, "by");
	char *note = df_json_get_text(paused, "note");

	return psprintf("system \"%s\" is paused%s%s%s%s", system->name, by != NULL ? " by " : "",
					by != NULL ? by : "", note != NULL ? ": " : "", note != NULL ? note : "");
}

static const char *
held_words(const DfSystem *system)
{
	TimestampTz until;

	return df_shortage_waits(&until) ? DF_SHORTAGE_WORDS
									 : df_system_why_held(df_system_use(system), system);
}

/* false: its system, or this worker, can take no more requests now */
static bool
dispatch_step(DfRun *run, DfStep *step)
{
	char *why = NULL;
	DfSystem *system = df_system_get(step->system, &why);
	DfPlace place = {NULL};
	TimestampTz until;

	if (system == NULL)
	{
		df_step_has_no_system(run, step, why);
		return true;
	}
	if (system->paused != NULL)
	{
		df_step_wait_held(run, step, pause_words(system), pause_ends(step, system));
		return true;
	}
	if (!df_step_may_go(run, step, system) || !df_token_ready(run, step, system))
		return true;
	switch (take_place(&place, system, run, step, &until))
	{
		case DF_ENTRANCE_FULL:
			/* it is still to_send: when a request ends it is tried again */
			if (step->engine.urgent)
				step->engine.not_before = until;
			return false;
		case DF_ENTRANCE_LATER:
			/* wait in the table, so that other runs have the memory */
			step->engine.to_send = false;
			step->row.wake_at = until;
			run->engine.advance = true;
			return true;
		case DF_ENTRANCE_HELD:
			df_step_wait_held(run, step, held_words(system), until);
			return true;
		case DF_ENTRANCE_OPEN:
			break;
	}
	prepare_or_give_back(run, step, system, &place);
	return true;
}

/* once a system is full, its other steps are not tried: there may be a thousand */
void
df_dispatch(DfRun *run, bool urgent)
{
	const char *full = NULL;

	for (int i = 0; i < run->nsteps; i++)
	{
		DfStep *step = run->steps[i];

		if (urgent && !step->engine.urgent)
			continue;
		step->engine.not_before = DF_NEVER;
		if (!step->engine.to_send ||
			(full != NULL && run->worker.in_flight > 0 && strcmp(step->system, full) == 0))
			continue;
		if (!dispatch_step(run, step))
			full = step->system;
	}
}
