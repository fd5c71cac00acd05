/*
 * worker/turn.c
 *	  One turn of a worker: one transaction that records what became of many runs.
 *
 * Runs in a worker, in a session of the role that owns the workflows.  turn.h
 * lists the phases in their order, and the order is what matters: responses are
 * applied, due runs claimed, bodies entered, rows written, the transaction
 * committed, and only then requests are sent.  Never wait for a socket here.
 *
 * If the transaction fails, only it is lost: what was decided for its runs is still
 * in memory, and each run is then recorded in a transaction of its own.  Only a run
 * that can never be recorded is released.
 *
 * A transient error (a full disk, a lock that another session holds) costs
 * nothing but time.  Requests of runs that are not recorded are not sent, and the
 * recording is tried again at growing intervals until it succeeds.  If a lock is
 * the cause, only the runs that need it wait; if a resource of the machine is
 * exhausted, the worker begins nothing new at all.
 */
#include "postgres.h"

#include "engine/attempt.h"
#include "miscadmin.h"

#include "engine/outcome.h"
#include "shared/clock.h"
#include "shared/metrics.h"
#include "shared/watchdog.h"
#include "store/record.h"
#include "store/xact.h"
#include "worker/process.h"
#include "worker/token.h"
#include "worker/trace.h"
#include "worker/turn.h"

/* where in this turn an error came */
static bool reached_recording = false;
static bool failed_early = false; /* before that: no run could be recorded */

/* this process is about to end: claim no runs, make no requests ready */
bool
df_is_winding_down(void)
{
	return df_worker.giving_way || df_leaving();
}

static void
turn_body(void)
{
	List *deliveries;

	df_xact_begin();
	MemoryContextSwitchTo(df_turn_cxt);
	if (!df_process_role_exists())
	{
		/* the coordinator finds the runs of this lease and says why they are stuck */
		df_worker.obsolete = true;
		df_xact_commit();
		return;
	}
	df_token_record();
	df_apply_responses();
	df_wake_due_runs();
	df_choose_careful_run();
	df_read_new_work(&deliveries);
	df_finish_loading_all();
	df_deliver_messages(deliveries);
	df_advance_all();
	df_dispatch_all();
	reached_recording = true;
	df_record_all(df_worker.turn_list, df_turn_attempts);
	df_xact_commit();
}

/* the turn's transaction failed: record its runs in other transactions */
static void
save_turn(bool transient)
{
	ListCell *lc;

	df_worker.check_tables = df_worker.inbox_changed = true;
	df_apply_rest();
	/* a request is sent only if its run is recorded */
	foreach (lc, df_worker.departures)
		if (((DfDeparture *) lfirst(lc))->flight != NULL)
			df_turn_list_add(((DfDeparture *) lfirst(lc))->flight->run);
	df_release_unloaded(list_copy(df_worker.turn_list), transient);
	df_record_one_by_one(list_copy(df_worker.turn_list));
	df_departures_withdraw();
}

static void
new_turn(void)
{
	volatile bool ok = false;
	volatile bool transient = false;

	df_worker.turn_list = NIL;
	df_worker.departures = NIL;
	df_worker.careful_run = NULL;
	df_turn_attempts = NIL;
	reached_recording = false;
	df_trace_begin_turn();
	PG_TRY();
	{
		turn_body();
		ok = true;
	}
	PG_CATCH();
	{
		transient = df_turn_failed();
		failed_early = !reached_recording;
	}
	PG_END_TRY();
	MemoryContextSwitchTo(df_turn_cxt);
	if (ok)
	{
		List *runs = df_worker.turn_list;

		df_worker.turn_list = NIL;
		df_after_commit(runs);
	}
	else
		save_turn(transient);
	df_count_failed_turn(!ok && !transient);
}

/*
 * The process must end now, and the requests whose intent is committed are not sent
 * yet: record that their steps are unsent and their attempts unused.  Commit
 * without waiting for a standby, because that wait may be why we must end.  If this
 * fails, the steps are in doubt after the restart, like requests that were sent.
 */
static void
take_back(void)
{
	bool dying = ProcDiePending;
	ListCell *lc;

	df_worker.turn_list = NIL;
	foreach (lc, df_departures_take_back())
		df_turn_list_add(lfirst(lc));
	if (df_worker.turn_list == NIL)
		return;
	/* the pending request to end must not interrupt this transaction, too */
	ProcDiePending = false;
	PG_TRY();
	{
		df_xact_begin();
		MemoryContextSwitchTo(df_turn_cxt);
		df_record_all(df_worker.turn_list, NIL);
		df_xact_commit_locally();
		df_record_saved(df_worker.turn_list);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(df_turn_cxt);
		EmitErrorReport();
		FlushErrorState();
		df_xact_abort();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(df_turn_cxt);
	if (dying)
		ProcDiePending = true;
}

void
df_turn(void)
{
	int64 began = df_monotonic_us();

	df_worker.slot->turns++;
	MemoryContextSwitchTo(df_turn_cxt);
	failed_early = false;
	if (df_worker.ndeferred > 0 && (df_leaving() || !df_deferred_waits()))
		df_record_deferred();
	/* deferred runs cannot be recorded for lack of a resource: begin nothing new */
	if (!df_failed_for_resources())
		new_turn();
	if (df_must_end())
		take_back();
	else
		df_depart();
	df_release_broken_runs();
	df_free_responses();
	df_note_failures(failed_early);
	df_metric_add(DF_METRIC_TURNS, "worker", NULL, NULL, 1);
	df_metric_observe(DF_METRIC_TURN_DURATION, "worker", df_monotonic_us() - began);
}
