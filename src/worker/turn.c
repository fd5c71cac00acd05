/*
 * worker/turn.c
 *	  One turn of a worker: one transaction for all runs that have something to
 *	  record, their outcomes and their next intents.
 *
 * Runs in a worker, in a session of the workflows' owner.  Order is everything:
 * results are applied, due runs claimed, bodies entered, rows written, the
 * transaction committed, and only then do requests leave.  No socket is waited
 * for in here.  An error costs the turn its transaction, not its runs: each is
 * then recorded by itself, and only the one that cannot be is let go.
 *
 * An error that passes (a full disk, somebody's lock) costs nothing but time: what
 * became of the runs stays in memory, nothing leaves for them, and the recording
 * is tried again, later and later, until it is done.  For somebody's lock only the
 * runs that need it are set aside so; while the machine has no room, nothing new
 * is begun at all.
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
#include "worker/trace.h"
#include "worker/turn.h"

static bool recording = false; /* this turn has come to that, */
static bool blocked = false; /* or it failed before */

/* about to end: nothing new is taken, nothing leaves */
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
	MemoryContextSwitchTo(df_worker.turn_cxt);
	if (!df_process_role_exists())
	{
		/* the coordinator finds what we held, and says why it is stuck */
		df_worker.gone = true;
		df_xact_commit();
		return;
	}
	df_apply_responses();
	df_wake_due_runs();
	df_choose_careful();
	df_read_new_work(&deliveries);
	df_adopt_all_loaded();
	df_hand_out(deliveries);
	df_advance_all();
	df_dispatch_all();
	recording = true;
	df_record_all(df_worker.touched, df_turn_attempts);
	df_xact_commit();
}

/* the turn's transaction is lost, but not what its runs have come to */
static void
save_turn(bool passes)
{
	ListCell *lc;

	df_worker.look = df_worker.inbox_news = true;
	df_apply_rest();
	/* nothing leaves that is not recorded */
	foreach (lc, df_worker.departures)
		if (((DfDeparture *) lfirst(lc))->flight != NULL)
			df_turn_list_add(((DfDeparture *) lfirst(lc))->flight->run);
	df_put_back_unread(list_copy(df_worker.touched), passes);
	df_record_one_by_one(list_copy(df_worker.touched));
	df_departures_withdraw();
}

static void
new_turn(void)
{
	volatile bool ok = false;
	volatile bool passes = false;

	df_worker.touched = NIL;
	df_worker.departures = NIL;
	df_worker.current = df_worker.only = NULL;
	df_turn_attempts = NIL;
	recording = false;
	df_trace_begin_turn();
	PG_TRY();
	{
		turn_body();
		ok = true;
	}
	PG_CATCH();
	{
		passes = df_turn_failed();
		blocked = !recording;
	}
	PG_END_TRY();
	MemoryContextSwitchTo(df_worker.turn_cxt);
	if (ok)
	{
		List *runs = df_worker.touched;

		df_worker.touched = NIL;
		df_after_commit(runs);
	}
	else
		save_turn(passes);
	df_count_failed_turn(!ok && !passes);
}

/*
 * What did not leave is taken back, for this process ends: the steps are what they
 * were, and the attempts not used.  This is recorded here alone, for a standby
 * may be what it waited for in vain.  If it cannot be, they are in doubt after
 * the restart, as what has left is.
 */
static void
take_back(void)
{
	bool dying = ProcDiePending;
	ListCell *lc;

	df_worker.touched = NIL;
	foreach (lc, df_departures_take_back())
		df_turn_list_add(lfirst(lc));
	if (df_worker.touched == NIL)
		return;
	/* the last transaction is not to be interrupted by what it follows on */
	ProcDiePending = false;
	PG_TRY();
	{
		df_xact_begin();
		MemoryContextSwitchTo(df_worker.turn_cxt);
		df_record_all(df_worker.touched, NIL);
		df_xact_commit_locally();
		df_record_clean(df_worker.touched);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(df_worker.turn_cxt);
		EmitErrorReport();
		FlushErrorState();
		df_xact_abort();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(df_worker.turn_cxt);
	if (dying)
		ProcDiePending = true;
}

void
df_turn(void)
{
	int64 began = df_monotonic_us();

	df_worker.slot->turns++;
	MemoryContextSwitchTo(df_worker.turn_cxt);
	blocked = false;
	if (df_worker.aside > 0 && (df_leaving() || !df_aside_waits()))
		df_record_aside();
	/* with no room for what there is, nothing is begun */
	if (!df_failed_for_room())
		new_turn();
	if (df_must_go())
		take_back();
	else
		df_depart();
	df_give_back_broken();
	df_free_responses();
	df_note_failures(blocked);
	df_metric_add(DF_METRIC_TURNS, "worker", NULL, NULL, 1);
	df_metric_observe(DF_METRIC_TURN_DURATION, "worker", df_monotonic_us() - began);
}
