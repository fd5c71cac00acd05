/*
 * worker/deferred.c
 *	  After the turn's transaction failed: records its runs one by one; a run that
 *	  cannot be written now is tried again later.
 *
 * Runs in a worker, in transactions of its own, outside of the turn's.  A deferred
 * run stays in memory with all changes that must be written, and nothing is done
 * with it until it is recorded.  Never send a request of such a run.
 */
#include "postgres.h"

#include "engine/run_life.h"
#include "shared/clock.h"
#include "shared/trouble.h"
#include "store/xact.h"
#include "worker/turn.h"

/* after so many transient failures in a row the other runs of the turn are deferred untried */
#define MAX_FAILURES_IN_A_ROW 3
/* lock_timeout after the first failure, and for later tries */
#define DEFERRED_LOCK_MS 10

static DfTrouble lock_trouble = {"record runs, because another session locks rows they need"};

/* the run's memory gets all that is to be written of it */
static void
defer_run(DfRun *run)
{
	MemoryContext old;
	ListCell *lc;

	/* next time, try it after the others */
	dlist_delete(&run->worker.node);
	dlist_push_tail(&df_worker.runs, &run->worker.node);
	if (run->life == DF_LIFE_DEFERRED)
		return;
	old = MemoryContextSwitchTo(run->cxt);
	foreach (lc, df_attempts_of(run))
	{
		DfAttempt *attempt = palloc(sizeof(DfAttempt));

		*attempt = *(DfAttempt *) lfirst(lc);
		attempt->error = pstrdup(attempt->error);
		run->worker.deferred_attempts = lappend(run->worker.deferred_attempts, attempt);
	}
	MemoryContextSwitchTo(old);
	df_turn_list_remove(run);
	df_run_set_life(run, DF_LIFE_DEFERRED);
	df_worker.ndeferred++;
}

/* the run is recorded now, or never will be */
static void
end_deferral(DfRun *run)
{
	df_turn_list_remove(run);
	if (run->life != DF_LIFE_DEFERRED)
		return;
	df_run_end_deferral(run);
	run->worker.deferred_attempts = NIL;
	df_worker.ndeferred--;
	/* read what the inbox got for it meanwhile */
	df_worker.check_tables = true;
}

/*
 * The run need not be deferred: nothing has happened to it that its row does not
 * say, so it can be released and claimed again when the lock is gone.
 */
static bool
can_be_claimed_again(const DfRun *run)
{
	int in_flight = run->worker.in_flight;
	ListCell *lc;

	if (!df_failed_for_lock() || run->worker.response_applied || run->life == DF_LIFE_DEFERRED)
		return false;
	foreach (lc, df_worker.departures)
		if (((DfDeparture *) lfirst(lc))->flight != NULL &&
			((DfDeparture *) lfirst(lc))->flight->run == run)
			in_flight--;
	return in_flight == 0;
}

/* a run that can never be written is broken; one that cannot be written now is deferred */
void
df_record_one_by_one(List *runs)
{
	int failures = 0;
	ListCell *lc;

	foreach (lc, runs)
	{
		DfRun *run = lfirst(lc);
		DfRecorded recorded = DF_RECORD_LATER;
		List *attempts;

		if (failures < MAX_FAILURES_IN_A_ROW)
		{
			attempts = run->life == DF_LIFE_DEFERRED ? run->worker.deferred_attempts
													 : df_attempts_of(run);
			recorded = df_try_record(list_make1(run), attempts);
			failures = recorded == DF_RECORD_LATER ? failures + 1 : 0;
		}
		if (recorded == DF_RECORDED)
		{
			end_deferral(run);
			df_after_commit(list_make1(run));
		}
		else if (recorded == DF_RECORD_NEVER ||
				 (failures < MAX_FAILURES_IN_A_ROW && can_be_claimed_again(run)))
		{
			end_deferral(run);
			df_break_run(run);
		}
		else
		{
			defer_run(run);
			df_xact_lock_timeout(DEFERRED_LOCK_MS);
		}
	}
	df_xact_lock_timeout(0);
}

/* another try, first in one transaction for all of them */
void
df_record_deferred(void)
{
	List *runs = NIL;
	List *attempts = NIL;
	dlist_iter iter;
	ListCell *lc;

	dlist_foreach (iter, &df_worker.runs)
	{
		DfRun *run = dlist_container(DfRun, worker.node, iter.cur);

		if (run->life != DF_LIFE_DEFERRED)
			continue;
		runs = lappend(runs, run);
		attempts = list_concat(attempts, run->worker.deferred_attempts);
	}
	df_xact_lock_timeout(DEFERRED_LOCK_MS);
	if (df_try_record(runs, attempts) != DF_RECORDED)
	{
		df_record_one_by_one(runs);
		return;
	}
	df_xact_lock_timeout(0);
	foreach (lc, runs)
		end_deferral(lfirst(lc));
	df_after_commit(runs);
}

TimestampTz
df_deferred_due(void)
{
	if (df_worker.ndeferred == 0)
		return DF_NEVER;
	return lock_trouble.failures > 0 ? lock_trouble.retry_at : df_now();
}

bool
df_deferred_waits(void)
{
	return df_worker.ndeferred == 0 || df_trouble_waits(&lock_trouble, df_now());
}

/* the turn's error if it is about a lock, else NULL */
void
df_deferred_note_error(ErrorData *error)
{
	if (error != NULL && df_worker.ndeferred > 0)
		df_trouble_note(&lock_trouble, error);
	else if (df_worker.ndeferred == 0)
		df_trouble_over(&lock_trouble);
}
