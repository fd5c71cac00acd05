/*
 * worker/sql_worker.c
 *	  The sql worker: runs the SQL of query steps, so that no user's statement
 *	  delays requests.
 *
 * One session of the role that owns the workflows.  A step is one transaction:
 * lock the run, run the SQL in a subtransaction, record its outcome, enter the body
 * for the next intents, commit.  A crash before the commit undoes the SQL together
 * with its record, so the SQL takes effect exactly once.  All else that a run
 * needs is left to a worker.  Never open a socket or wait for an event here; of
 * the inbox only cancel requests are read.
 */
#include "postgres.h"

#include "engine/attempt.h"
#include "engine/run_life.h"
#include "engine/run_load.h"
#include "engine/query_run.h"
#include "engine/run_record.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "engine/body.h"
#include "engine/run_inbox.h"
#include "engine/run_steps.h"
#include "engine/step_query.h"
#include "guc.h"
#include "shared/clock.h"
#include "shared/slot_queue.h"
#include "shared/metrics.h"
#include "shared/trouble.h"
#include "shared/user_code.h"
#include "shared/wake.h"
#include "store/identity.h"
#include "store/run_table.h"
#include "store/store.h"
#include "store/user_sql.h"
#include "store/workflow_table.h"
#include "store/xact.h"
#include "worker/process.h"
#include "worker/sql_worker.h"
#include "worker/trace.h"
#include "worker/turn.h"
#include "worker/wait.h"

/*
 * How long a statement waits for a lock before the owner's other steps go first.
 * For a while after one gave up waiting the others wait less, because they may want
 * the same lock.
 */
#define LOCK_WAIT_MS 10000
#define SHORT_LOCK_WAIT_MS 1000
#define SHORT_LOCK_WAITS_FOR_MS 60000

/* pause after a run was postponed because of an error that is not its SQL's */
#define PAUSE_MS 1000

static DfTrouble trouble = {"run the SQL of its steps"};

/* the last error that was not raised by the statement */
static char last_message[400];
static int last_sqlstate;

/* ---- the statement -------------------------------------------------------- */

static bool timed_out = false;
static TimestampTz lock_missed = DF_NEVER; /* when a statement last gave up waiting for a lock */

static int
lock_wait_ms(void)
{
	if (lock_missed != DF_NEVER &&
		!TimestampDifferenceExceeds(lock_missed, df_now(), SHORT_LOCK_WAITS_FOR_MS))
		return SHORT_LOCK_WAIT_MS;
	return LOCK_WAIT_MS;
}

static void
run_sql(DfRun *run, DfStep *step, DfSqlOutcome *outcome)
{
	int lock_ms = lock_wait_ms();
	TimestampTz began = df_now();

	df_slot_enter_body(df_worker.slot, run->id, run == df_worker.careful_run);
	timed_out = df_query_run(run, step, lock_ms, outcome);
	df_slot_leave_body(df_worker.slot);
	df_user_session_clean();
	if (outcome->sqlstate == ERRCODE_LOCK_NOT_AVAILABLE && !timed_out &&
		TimestampDifferenceExceeds(began, df_now(), lock_ms))
		lock_missed = df_now();
}

/* ---- one step ------------------------------------------------------------- */

/* a turn claims one run: begin with another workflow each time */
static List *
names_in_turn(List *names)
{
	int n = list_length(names);
	List *rotated = NIL;

	for (int i = 0; i < n; i++)
		rotated = lappend(rotated, list_nth(names, (int) ((df_worker.slot->turns + i) % n)));
	return rotated;
}

static List *
claim(const pg_uuid_t *id)
{
	List *runs;
	List *versions;
	List *names;
	DfStore store;

	if (!df_extension_usable() || !df_process_role_exists())
	{
		df_worker.obsolete = true;
		return NIL;
	}
	df_store_enter(&store);
	/* free the old names only then: the statement may fail */
	names = df_load_workflow_names(GetSessionUserId(), df_process_cxt);
	list_free_deep(df_worker.workflow_names);
	df_worker.workflow_names = names;
	MemoryContextSwitchTo(df_turn_cxt);
	if (id != NULL)
		runs = df_claim_runs(list_make1((void *) id), df_worker.identity, df_worker.runs_cxt,
							 &versions);
	else
		runs = df_claim_due(names_in_turn(df_worker.workflow_names), true, df_worker.identity, 1, 1,
							df_worker.runs_cxt, &versions);
	df_add_claimed(runs, versions);
	if (runs == NIL)
		df_worker.next_due = df_next_due(df_worker.workflow_names, true, df_worker.identity);
	/* a statement left SPI's memory context current, which the list must outlive */
	MemoryContextSwitchTo(df_turn_cxt);
	runs = list_copy(runs);
	df_store_leave(&store);
	MemoryContextSwitchTo(df_turn_cxt);
	return runs;
}

/* releases the run; a worker goes on with it if it needs more than SQL */
static void
hand_over(DfRun *run)
{
	bool more_to_do = run->life != DF_LIFE_RELEASED;

	for (int i = 0; i < run->nsteps; i++)
	{
		more_to_do |= run->steps[i]->engine.to_send;
		run->steps[i]->engine.to_send = false;
	}
	if (run->row.state == DF_RUN_STUCK || df_run_is_terminal(run->row.state))
		more_to_do = false;
	if (more_to_do)
	{
		run->row.sql = false;
		run->row.wake_at = df_now();
		run->row.waiting_for = NULL;
	}
	df_run_release(run);
}

static void
record(DfRun *run)
{
	df_runs_record(list_make1(run), df_turn_attempts);
	df_wake_awaiters(&run->id);
	/* a worker skipped the messages for this run while we had it locked */
	df_wake_owner(GetUserId());
}

/* runs the step's SQL, unless `failure` is its outcome, and records all that follows */
static void
do_step(DfRun *run, const DfSqlOutcome *failure)
{
	DfSqlOutcome outcome;
	DfStep *step;

	df_advance_run(run);
	step = df_run_due_query(run);
	if (step != NULL)
	{
		/* it was released for its SQL to be run: that is done here and now */
		df_run_take_up(run, df_worker.lease);
		if (failure != NULL)
			outcome = *failure;
		else
			run_sql(run, step, &outcome);
		df_count_step_pauses(run, step, &df_sql_policy);
		df_query_outcome(run, step, &outcome, timed_out && failure == NULL);
		df_run_apply_cancels(run);
		df_advance_run(run);
	}
	hand_over(run);
	record(run);
}

/* claims a run whose SQL is due and does one step of it; *id is the run */
static bool
try_step(pg_uuid_t *id, bool *claimed)
{
	List *runs;
	DfRun *run;

	df_xact_begin();
	MemoryContextSwitchTo(df_turn_cxt);
	runs = claim(NULL);
	if (runs == NIL)
	{
		df_xact_commit();
		return false;
	}
	run = linitial(runs);
	*id = run->id;
	*claimed = true;
	df_run_load(run);
	if (df_run_is_careful(run))
		df_commit_entry(run);
	do_step(run, NULL);
	df_xact_commit();
	df_trace_commit(runs);
	df_worker.slot->commits++;
	df_metric_add(DF_METRIC_COMMITS, "sql worker", NULL, NULL, 1);
	return true;
}

/*
 * An error came after the statement, from the commit perhaps, so nothing of the step
 * has happened: record it as a failure that is to be tried again later, after other
 * steps of this owner.
 */
static void
postpone(const pg_uuid_t *id)
{
	DfSqlOutcome failure;
	List *runs;
	DfRun *run;

	memset(&failure, 0, sizeof(failure));
	failure.sqlstate = df_error_is_transient(last_sqlstate) ? last_sqlstate
															: ERRCODE_T_R_SERIALIZATION_FAILURE;
	df_xact_begin();
	MemoryContextSwitchTo(df_turn_cxt);
	failure.error = palloc0(sizeof(ErrorData));
	failure.error->message = last_message;
	runs = claim(id);
	if (runs != NIL)
	{
		run = linitial(runs);
		df_run_load(run);
		do_step(run, &failure);
	}
	df_xact_commit();
}

/* after each turn, also one that failed */
static void
forget_runs(void)
{
	dlist_mutable_iter iter;

	dlist_foreach_modify (iter, &df_worker.runs)
		df_run_let_go(dlist_container(DfRun, worker.node, iter.cur));
	df_worker.turn_list = NIL;
	df_turn_attempts = NIL;
	df_reset_turn_memory();
}

/* in PG_CATCH(): aborts, notes the error and keeps its text beyond the turn */
static void
recover(void)
{
	ErrorData *error;

	MemoryContextSwitchTo(df_turn_cxt);
	df_slot_leave_body(df_worker.slot);
	error = CopyErrorData();
	last_sqlstate = error->sqlerrcode;
	strlcpy(last_message, error->message != NULL ? error->message : "", sizeof(last_message));
	FlushErrorState();
	/* before anything is logged: the entry was on the stack that is gone */
	df_body_forget();
	df_xact_abort();
	MemoryContextSwitchTo(df_turn_cxt);
	df_trouble_note(&trouble, error);
}

/* an error of the machine (no disk, no memory), which the next run would meet, too */
static bool
is_about_machine(int sqlstate)
{
	return df_error_is_transient(sqlstate) && !df_error_is_lock(sqlstate) &&
		ERRCODE_TO_CATEGORY(sqlstate) != ERRCODE_TO_CATEGORY(ERRCODE_TRANSACTION_ROLLBACK);
}

/* true if there may be more to do at once */
static bool
one_turn(void)
{
	/* static, because a longjmp may change automatic variables */
	static pg_uuid_t id;
	static bool claimed;
	volatile bool did = false;
	volatile bool failed = false;

	claimed = false;
	df_worker.slot->turns++;
	df_metric_add(DF_METRIC_TURNS, "sql worker", NULL, NULL, 1);
	df_worker.turn_list = NIL;
	df_worker.careful_run = NULL;
	df_turn_attempts = NIL;
	PG_TRY();
	{
		did = try_step(&id, &claimed);
	}
	PG_CATCH();
	{
		failed = true;
		recover();
	}
	PG_END_TRY();
	forget_runs();
	if (!failed)
	{
		df_trouble_over(&trouble);
		return did;
	}
	df_worker.next_due = trouble.retry_at;
	if (claimed && !is_about_machine(last_sqlstate))
	{
		PG_TRY();
		{
			postpone(&id);
			/* the other runs need not wait */
			df_trouble_over(&trouble);
			df_worker.next_due = TimestampTzPlusMilliseconds(df_now(), PAUSE_MS);
		}
		PG_CATCH();
		{
			recover();
			df_worker.next_due = trouble.retry_at;
		}
		PG_END_TRY();
		forget_runs();
	}
	return false;
}

/* ---- the loop ------------------------------------------------------------- */

static void
set_up(DfSlot *slot)
{
	memset(&df_worker, 0, sizeof(df_worker));
	df_worker.slot = slot;
	df_worker.lease = slot->lease;
	df_process_memory(0);
	df_worker.runs_cxt =
		AllocSetContextCreate(TopMemoryContext, "dataflows runs", ALLOCSET_DEFAULT_SIZES);
	dlist_init(&df_worker.runs);

	df_xact_begin();
	df_worker.identity = df_extension_exists() ? df_identity_hash() : 0;
	df_xact_commit();
	df_wait_init(PGINVALID_SOCKET);
}

/* sleeps until there is something to do; true: idle for so long that the process can end */
static bool
sleep_or_retire(void)
{
	TimestampTz now = df_now();
	TimestampTz end;

	if (df_worker.idle_since == DF_NEVER)
		df_worker.idle_since = now;
	end = df_worker.idle_since + (int64) df_worker_idle * 1000;
	if (now >= end && (df_worker.next_due == DF_NEVER || df_worker.next_due > now))
		return df_slot_retire(df_worker.slot, df_worker.next_due);
	df_xact_idle();
	df_queue_set_idle(df_worker.slot, true);
	if (!df_must_give_way(df_worker.slot))
		(void) df_wait_until(df_earlier(end, df_worker.next_due));
	df_queue_set_idle(df_worker.slot, false);
	return false;
}

void
dataflows_sql_worker_main(Datum arg)
{
	DfSlot *slot = df_process_begin(arg);
	bool more_to_do = true;

	set_up(slot);
	for (;;)
	{
		df_reset_turn_memory();
		df_process_interrupts();
		if (df_slot_take_wake(slot))
			more_to_do = true;
		if (df_must_give_way(slot))
		{
			df_slot_give_way(slot, more_to_do ? df_now() : df_worker.next_due);
			break;
		}
		if (df_trouble_waits(&trouble, df_now()))
		{
			(void) df_wait_until(trouble.retry_at);
			continue;
		}
		if (more_to_do || (df_worker.next_due != DF_NEVER && df_worker.next_due <= df_now()))
		{
			df_worker.next_due = DF_NEVER;
			df_worker.idle_since = DF_NEVER;
			more_to_do = one_turn();
			if (df_worker.obsolete)
				break;
			continue;
		}
		if (sleep_or_retire())
			break;
	}
	proc_exit(0);
}
