/*
 * worker/responses.c
 *	  First phase of a turn: apply the responses that came since the last turn.
 *
 * Runs in a worker, in the turn's transaction, as the role that owns the workflows.
 * Changes runs in memory only; a response is applied completely or not at all.
 * Never free a response that has not been applied.
 */
#include "postgres.h"

#include "engine/attempt.h"
#include "store/xact.h"
#include "worker/turn.h"

static DfRun *
run_of(const DfHttpResult *result)
{
	return ((DfFlight *) (uintptr_t) result->cookie)->run;
}

/* after an error the run and the step are what they were */
static void
apply_response(DfHttpResult *result)
{
	DfFlight *flight = (DfFlight *) (uintptr_t) result->cookie;
	DfRun *run = flight->run;
	DfStep *step = flight->step;
	DfRun run_before = *run;
	DfStep step_before = *step;
	int attempts = list_length(df_turn_attempts);

	df_blame_begin(run);
	PG_TRY();
	{
		df_arrive(result);
	}
	PG_CATCH();
	{
		*run = run_before;
		*step = step_before;
		df_turn_attempts = list_truncate(df_turn_attempts, attempts);
		PG_RE_THROW();
	}
	PG_END_TRY();
	run->worker.response_applied = true;
	df_turn_list_add(run);
	df_blame_end();
	result->cookie = 0;
}

/* responses for deferred runs wait until the run is recorded */
void
df_apply_responses(void)
{
	ListCell *lc;

	foreach (lc, df_worker.responses)
		if (run_of(lfirst(lc))->life != DF_LIFE_DEFERRED)
			apply_response(lfirst(lc));
}

void
df_free_responses(void)
{
	ListCell *lc;

	foreach (lc, df_worker.responses)
	{
		DfHttpResult *result = lfirst(lc);

		if (result->cookie != 0)
			continue;
		df_http_free(result);
		df_worker.responses = foreach_delete_current(df_worker.responses, lc);
	}
}

bool
df_have_responses(void)
{
	ListCell *lc;

	foreach (lc, df_worker.responses)
		if (run_of(lfirst(lc))->life != DF_LIFE_DEFERRED)
			return true;
	return false;
}

/* one that the failed turn did not reach, in a transaction of its own; false: try later */
static bool
apply_alone(DfHttpResult *result)
{
	DfRun *run = run_of(result);
	volatile bool later = false;

	PG_TRY();
	{
		df_xact_begin();
		MemoryContextSwitchTo(df_turn_cxt);
		apply_response(result);
		df_xact_commit();
	}
	PG_CATCH();
	{
		later = df_turn_failed() && run->life != DF_LIFE_BROKEN;
	}
	PG_END_TRY();
	MemoryContextSwitchTo(df_turn_cxt);
	return !later;
}

void
df_apply_rest(void)
{
	ListCell *lc;

	foreach (lc, df_worker.responses)
	{
		DfHttpResult *result = lfirst(lc);
		DfRun *run;

		if (result->cookie == 0 || run_of(result)->life == DF_LIFE_DEFERRED)
			continue;
		run = run_of(result);
		/* for a broken run this only frees its place and counts it as landed */
		if (run->life != DF_LIFE_BROKEN && !apply_alone(result))
			return;
		if (run->life == DF_LIFE_BROKEN && result->cookie != 0)
			apply_response(result);
	}
}
