/*
 * worker/deferred.c
 *	  A turn's second try: runs are recorded one by one, and those that cannot be
 *	  written now are recorded later.
 *
 * Runs in a worker, in transactions of its own, after the turn's was lost.  It
 * must never let a request leave for a run that is not recorded.
 */
#include "postgres.h"

#include "shared/clock.h"
#include "shared/trouble.h"
#include "store/xact.h"
#include "worker/turn.h"

/* runs are recorded one by one until so many in a row have failed */
#define ALONE_FAILURES 3
/* after the first of them, and when it is tried again, locks are waited for no longer than this */
#define ASIDE_LOCK_MS 10

static DfTrouble lock_trouble = {"record runs, since somebody has locked what they need"};

/* all that there is to write of it goes into its own memory */
static void
set_aside(DfRun *run)
{
	MemoryContext old;
	ListCell *lc;

	/* the next time, the others come first */
	dlist_delete(&run->worker.node);
	dlist_push_tail(&df_worker.runs, &run->worker.node);
	if (run->worker.deferred)
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
	df_worker.touched = list_delete_ptr(df_worker.touched, run);
	run->worker.on_turn_list = false;
	run->worker.deferred = true;
	df_worker.aside++;
}

/* it is recorded, or never will be */
static void
take_in(DfRun *run)
{
	df_worker.touched = list_delete_ptr(df_worker.touched, run);
	if (!run->worker.deferred)
		return;
	run->worker.deferred = false;
	run->worker.deferred_attempts = NIL;
	df_worker.aside--;
	/* what came for it meanwhile */
	df_worker.look = true;
}

/*
 * somebody's lock keeps it from being written, but its row knows all that matters, and when to
 * try again
 */
static bool
has_nothing_to_lose(const DfRun *run)
{
	int in_flight = run->worker.in_flight;
	ListCell *lc;

	if (!df_failed_for_lock() || run->worker.answered || run->worker.deferred)
		return false;
	foreach (lc, df_worker.departures)
		if (((DfDeparture *) lfirst(lc))->flight != NULL &&
			((DfDeparture *) lfirst(lc))->flight->run == run)
			in_flight--;
	return in_flight == 0;
}

/*
 * Each by itself: one that cannot be written is broken, one that cannot be written
 * now is set aside.  After a few of these in a row the rest is not tried.
 */
void
df_record_one_by_one(List *runs)
{
	int failures = 0;
	ListCell *lc;

	foreach (lc, runs)
	{
		DfRun *run = lfirst(lc);
		DfRecorded recorded = DF_RECORD_LATER;

		if (failures < ALONE_FAILURES)
		{
			recorded = df_try_record(list_make1(run),
									 run->worker.deferred ? run->worker.deferred_attempts
														  : df_attempts_of(run));
			failures = recorded == DF_RECORD_LATER ? failures + 1 : 0;
		}
		if (recorded == DF_RECORDED)
		{
			take_in(run);
			df_after_commit(list_make1(run));
		}
		else if (recorded == DF_RECORD_NEVER ||
				 (failures < ALONE_FAILURES && has_nothing_to_lose(run)))
		{
			take_in(run);
			df_break_run(run);
		}
		else
		{
			set_aside(run);
			df_xact_lock_timeout(ASIDE_LOCK_MS);
		}
	}
	df_xact_lock_timeout(0);
}

/* those that were set aside are tried again */
void
df_record_aside(void)
{
	List *runs = NIL;
	List *attempts = NIL;
	dlist_iter iter;
	ListCell *lc;

	dlist_foreach (iter, &df_worker.runs)
	{
		DfRun *run = dlist_container(DfRun, worker.node, iter.cur);

		if (!run->worker.deferred)
			continue;
		runs = lappend(runs, run);
		attempts = list_concat(attempts, run->worker.deferred_attempts);
	}
	df_xact_lock_timeout(ASIDE_LOCK_MS);
	if (df_try_record(runs, attempts) != DF_RECORDED)
	{
		df_record_one_by_one(runs);
		return;
	}
	df_xact_lock_timeout(0);
	foreach (lc, runs)
		take_in(lfirst(lc));
	df_after_commit(runs);
}

TimestampTz
df_turn_aside_due(void)
{
	if (df_worker.aside == 0)
		return DF_NEVER;
	return lock_trouble.failures > 0 ? lock_trouble.retry_at : df_now();
}

bool
df_aside_waits(void)
{
	return df_worker.aside == 0 || df_trouble_waits(&lock_trouble, df_now());
}

/* the turn's error if it is about a lock, else NULL */
void
df_aside_note(ErrorData *error)
{
	if (error != NULL && df_worker.aside > 0)
		df_trouble_note(&lock_trouble, error);
	else if (df_worker.aside == 0)
		df_trouble_over(&lock_trouble);
}
