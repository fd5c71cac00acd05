/*
 * worker/responses.c
 *	  A turn's first phase: apply the responses that came since the last turn.
 *
 * Runs in a worker, in the turn's transaction, as the workflows' owner.  It
 * changes runs in memory only, and each response wholly or not at all.  It must
 * never free a response that is not applied.
 */
#include "postgres.h"

#include "engine/attempt.h"
#include "engine/outcome.h"
#include "store/xact.h"
#include "worker/turn.h"

static DfRun *
run_of(const DfHttpResult *result)
{
	return ((DfFlight *) (uintptr_t) result->cookie)->run;
}

/* all of it or nothing: after an error the run is what it was */
static void
apply_result(DfHttpResult *result)
{
	DfFlight *flight = (DfFlight *) (uintptr_t) result->cookie;
	DfRun *run = flight->run;
	DfStep *step = flight->step;
	DfRun run_before = *run;
	DfStep step_before = *step;
	int attempts = list_length(df_turn_attempts);

	df_worker.current = run;
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
	run->worker.answered = true;
	df_turn_list_add(run);
	df_worker.current = NULL;
	result->cookie = 0;
}

/* what came for runs that are set aside is left for later */
void
df_apply_responses(void)
{
	ListCell *lc;

	foreach (lc, df_worker.results)
		if (!run_of(lfirst(lc))->worker.deferred)
			apply_result(lfirst(lc));
}

void
df_free_responses(void)
{
	ListCell *lc;

	foreach (lc, df_worker.results)
	{
		DfHttpResult *result = lfirst(lc);

		if (result->cookie != 0)
			continue;
		df_http_free(result);
		df_worker.results = foreach_delete_current(df_worker.results, lc);
	}
}

bool
df_turn_has_results(void)
{
	ListCell *lc;

	foreach (lc, df_worker.results)
		if (!run_of(lfirst(lc))->worker.deferred)
			return true;
	return false;
}

/* an answer that the failed turn did not come to; false: later */
static bool
apply_alone(DfHttpResult *result)
{
	DfRun *run = run_of(result);
	volatile bool later = false;

	PG_TRY();
	{
		df_xact_begin();
		MemoryContextSwitchTo(df_worker.turn_cxt);
		apply_result(result);
		df_xact_commit();
	}
	PG_CATCH();
	{
		later = df_turn_failed() && !run->broken;
	}
	PG_END_TRY();
	MemoryContextSwitchTo(df_worker.turn_cxt);
	return !later;
}

void
df_apply_rest(void)
{
	ListCell *lc;

	foreach (lc, df_worker.results)
	{
		DfHttpResult *result = lfirst(lc);
		DfRun *run;

		if (result->cookie == 0 || run_of(result)->worker.deferred)
			continue;
		run = run_of(result);
		/* of a broken run nothing but the counts is changed */
		if (!run->broken && !apply_alone(result))
			return;
		if (run->broken && result->cookie != 0)
			apply_result(result);
	}
}
