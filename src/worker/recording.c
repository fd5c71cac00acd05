/*
 * worker/recording.c
 *	  Fourth phase of a turn: write what became of its runs.
 *
 * Runs in a worker, in the turn's transaction or, for another try, in one of its
 * own; writes through the store, as the extension's owner.  Never change here what
 * was decided for a run.
 */
#include "postgres.h"

#include "engine/attempt.h"
#include "miscadmin.h"

#include "engine/run_record.h"
#include "shared/metrics.h"
#include "shared/wake.h"
#include "store/record.h"
#include "store/run_table.h"
#include "store/store.h"
#include "store/xact.h"
#include "worker/trace.h"
#include "worker/turn.h"
#include "worker/wait.h"

/* it ended, waits or is stuck: sessions in await() have something to see */
static bool
stopped_moving(const DfRun *run)
{
	return run->life == DF_LIFE_RELEASED && df_run_differs(run);
}

void
df_record_all(List *runs, List *attempts)
{
	ListCell *lc;

	df_runs_record(runs, attempts);
	foreach (lc, runs)
	{
		const DfRun *run = lfirst(lc);

		if (stopped_moving(run))
			df_wake_awaiters(&run->id);
	}
}

/* the runs are recorded: note that, and release those that are to leave memory */
void
df_after_commit(List *runs)
{
	ListCell *lc;
	List *released = NIL;
	bool sql_due = false;

	df_worker.slot->commits++;
	if (runs != NIL)
	{
		df_metric_add(DF_METRIC_COMMITS, "worker", NULL, NULL, 1);
		df_metric_observe(DF_METRIC_TURN_RUNS, "worker", list_length(runs));
	}
	df_trace_commit(runs);
	df_record_saved(runs);
	foreach (lc, runs)
	{
		DfRun *run = lfirst(lc);

		run->worker.on_turn_list = run->worker.response_applied = false;
		run->worker.transient_errors = 0;
		run->engine.advance |= run->engine.awaits_commit;
		run->engine.awaits_commit = false;
		if (run->life != DF_LIFE_RELEASED)
			continue;
		released = lappend(released, run);
		if (run->row.sql)
			sql_due = true;
		else
			df_worker.next_due = df_earlier(df_worker.next_due, run->row.wake_at);
	}
	foreach (lc, released)
		df_run_let_go(lfirst(lc));
	if (sql_due)
		df_slot_wake(DF_SLOT_SQL_WORKER, MyDatabaseId, GetUserId());
}

List *
df_attempts_of(const DfRun *run)
{
	List *attempts = NIL;
	ListCell *lc;

	foreach (lc, df_turn_attempts)
		if (memcmp(&((DfAttempt *) lfirst(lc))->run, &run->id, sizeof(pg_uuid_t)) == 0)
			attempts = lappend(attempts, lfirst(lc));
	return attempts;
}

static bool
claims_hold(List *runs)
{
	DfStore store;
	bool hold;

	df_store_enter(&store);
	hold = df_claims_hold(runs);
	df_store_leave(&store);
	return hold;
}

/*
 * In a transaction of its own; the memory context stays the current one.  Never if
 * another worker has had one of the runs since its claim was rolled back.
 */
DfRecorded
df_try_record(List *runs, List *attempts)
{
	MemoryContext cxt = CurrentMemoryContext;
	volatile DfRecorded recorded = DF_RECORD_NEVER;
	bool hold;

	PG_TRY();
	{
		df_xact_begin();
		MemoryContextSwitchTo(cxt);
		hold = claims_hold(runs);
		if (hold)
			df_record_all(runs, attempts);
		df_xact_commit();
		if (hold)
			recorded = DF_RECORDED;
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(cxt);
		if (df_transaction_failed())
			recorded = DF_RECORD_LATER;
	}
	PG_END_TRY();
	MemoryContextSwitchTo(cxt);
	return recorded;
}
