/*
 * worker/sql_worker.c
 *	  The sql worker: it runs the SQL of query steps, so that no user's statement
 *	  holds up a socket.
 *
 * One session of the role that owns the workflows.  One step is one transaction:
 * the run is locked, the SQL runs in a subtransaction, its outcome is recorded,
 * the body entered for the next intent, all of it committed at once.  Whatever
 * ends this process before that commit undoes the SQL with its record, so that
 * it is run exactly once.  It must never open a socket or wait for an event, and
 * of the inbox it reads only who cancels: what is no SQL is the worker's.
 */
#include "postgres.h"

#include "engine/attempt.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "engine/body.h"
#include "engine/child_run.h"
#include "engine/operator.h"
#include "engine/outcome.h"
#include "engine/run_steps.h"
#include "engine/step_query.h"
#include "guc.h"
#include "shared/clock.h"
#include "shared/line.h"
#include "shared/metrics.h"
#include "shared/trouble.h"
#include "shared/user_code.h"
#include "shared/wake.h"
#include "store/attempt_table.h"
#include "store/identity.h"
#include "store/inbox_read.h"
#include "store/record.h"
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
 * How long a statement waits for a lock before it makes room for the owner's other
 * steps; and how long it does while one has just waited in vain, for many may want
 * the same lock.
 */
#define LOCK_WAIT_MS 10000
#define LATER_LOCK_WAIT_MS 1000
#define LOCK_IS_NEWS_MS 60000

/* after a run that could not be recorded was put off */
#define PAUSE_MS 1000

/* what keeps us from running SQL that is not the SQL's own */
static DfTrouble trouble = {"run the SQL of its steps"};

/* the last error that was not the statement's own */
static char last_message[400];
static int last_error;

/* ---- the statement -------------------------------------------------------- */

static bool timed_out = false;
static TimestampTz lock_missed = DF_NEVER; /* when a statement last waited in vain for one */

static int
lock_wait_ms(void)
{
	if (lock_missed != DF_NEVER &&
		!TimestampDifferenceExceeds(lock_missed, df_now(), LOCK_IS_NEWS_MS))
		return LATER_LOCK_WAIT_MS;
	return LOCK_WAIT_MS;
}

/* PostgreSQL says that it waited for a lock, and of a row also which; of a table we know it */
static void
name_lock(DfSqlOutcome *outcome)
{
	char *relation = get_rel_name(df_user_code_waited_for());

	if (outcome->context != NULL && strncmp(outcome->context, "while ", strlen("while ")) == 0)
		outcome->message = psprintf("%s %s", outcome->message,
									pnstrdup(outcome->context, strcspn(outcome->context, "\n")));
	else if (relation != NULL)
		outcome->message =
			psprintf("%s: it waited for a lock of relation \"%s\"", outcome->message, relation);
	outcome->hint = pstrdup("The step is tried again by itself. Who holds the lock is told by "
							"pg_blocking_pids() while it waits.");
}

static void
run_sql(DfRun *run, DfStep *step, DfSqlOutcome *outcome)
{
	Jsonb *args;
	bool result_arg;
	const char *sql = df_query_sql(run, step, &args, &result_arg);
	int lock_ms = lock_wait_ms();
	TimestampTz began = df_now();

	df_slot_enter_body(df_worker.slot, run->id, run == df_worker.only);
	df_user_code_begin(df_query_timeout, Max(1000, df_query_timeout / 2));
	df_user_sql_run(sql, args, result_arg, lock_ms, outcome);
	timed_out = df_user_code_end() == DF_CUT_LIMIT;
	df_slot_leave_body(df_worker.slot);
	df_user_session_clean();
	if (timed_out && outcome->sqlstate != 0)
	{
		outcome->message =
			psprintf("the SQL ran longer than dataflows.query_timeout (%d ms)", df_query_timeout);
		outcome->hint =
			pstrdup("Make it faster, do it in several steps, or raise dataflows.query_timeout.");
	}
	else if (outcome->sqlstate == ERRCODE_LOCK_NOT_AVAILABLE)
	{
		name_lock(outcome);
		if (TimestampDifferenceExceeds(began, df_now(), lock_ms))
			lock_missed = df_now();
	}
}

/* ---- one step ------------------------------------------------------------- */

/* one run is claimed at a time: each workflow comes first in its turn */
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
		df_worker.gone = true;
		return NIL;
	}
	df_store_enter(&store);
	/* the old ones stay until there are new ones: the statement may fail */
	names = df_load_workflow_names(GetSessionUserId(), df_worker.process_cxt);
	list_free_deep(df_worker.names);
	df_worker.names = names;
	MemoryContextSwitchTo(df_worker.turn_cxt);
	if (id != NULL)
		runs = df_claim_runs(list_make1((void *) id), df_worker.identity, df_worker.runs_cxt,
							 &versions);
	else
		runs = df_claim_due(names_in_turn(df_worker.names), true, df_worker.identity, 1, 1,
							df_worker.runs_cxt, &versions);
	df_take(runs, versions);
	if (runs == NIL)
		df_worker.next_due = df_next_due(df_worker.names, true, df_worker.identity);
	/* a statement leaves us in the memory of the SPI, which the list outlives */
	MemoryContextSwitchTo(df_worker.turn_cxt);
	runs = list_copy(runs);
	df_store_leave(&store);
	MemoryContextSwitchTo(df_worker.turn_cxt);
	return runs;
}

/* requests, waits and whatever else is no SQL are the worker's */
static void
hand_over(DfRun *run)
{
	bool more = !run->released || run->engine.wants_inbox || run->engine.wants_alias;

	for (int i = 0; i < run->nsteps; i++)
	{
		more |= run->steps[i]->to_send;
		run->steps[i]->to_send = false;
	}
	if (run->row.state == DF_RUN_STUCK || df_run_is_terminal(run->row.state))
		more = false;
	if (more)
	{
		run->row.sql = false;
		run->row.wake_at = df_now();
		run->row.waiting_for = NULL;
	}
	run->engine.wants_inbox = run->engine.wants_alias = false;
	run->row.lease = 0;
	run->released = true;
	run->dirty = true;
}

static void
record(DfRun *run)
{
	DfStore store;

	df_store_enter(&store);
	df_children_record(list_make1(run));
	df_record_runs(list_make1(run));
	df_record_attempts(df_turn_attempts);
	df_record_messages(list_make1(run));
	df_store_leave(&store);
	df_wake_awaiters();
	/* what came for the run while we had it locked was left alone by the worker, too */
	df_wake_owner(GetUserId());
}

/* who cancelled the run while its SQL was running is heard before the body goes on */
static void
hear_cancel(DfRun *run)
{
	DfStore store;
	ListCell *lc;

	df_store_enter(&store);
	df_load_cancels(run);
	df_store_leave(&store);
	foreach (lc, run->engine.loaded_messages)
		df_run_message(run, lfirst(lc));
	run->engine.loaded_messages = NIL;
}

/* what the statement's SQL comes to, or `failure`, with all that follows from it */
static void
do_step(DfRun *run, const DfSqlOutcome *failure)
{
	DfSqlOutcome outcome;
	DfStep *step;

	df_advance_run(run);
	step = df_run_step_to_run(run);
	if (step != NULL)
	{
		run->released = false;
		if (failure != NULL)
			outcome = *failure;
		else
			run_sql(run, step, &outcome);
		df_query_outcome(run, step, &outcome, timed_out && failure == NULL);
		hear_cancel(run);
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
	MemoryContextSwitchTo(df_worker.turn_cxt);
	runs = claim(NULL);
	if (runs == NIL)
	{
		df_xact_commit();
		return false;
	}
	run = linitial(runs);
	*id = run->id;
	*claimed = true;
	df_adopt_loaded(run);
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
 * It was not the statement that raised but what came after it, the commit
 * perhaps: nothing of it has happened, and it is to be tried again later.  Others
 * of its owner go first.
 */
static void
postpone(const pg_uuid_t *id)
{
	DfSqlOutcome failure;
	List *runs;
	DfRun *run;

	memset(&failure, 0, sizeof(failure));
	failure.sqlstate = df_error_is_transient(last_error) ? last_error
														 : ERRCODE_T_R_SERIALIZATION_FAILURE;
	failure.message = last_message;
	df_xact_begin();
	MemoryContextSwitchTo(df_worker.turn_cxt);
	runs = claim(id);
	if (runs != NIL)
	{
		run = linitial(runs);
		df_adopt_loaded(run);
		do_step(run, &failure);
	}
	df_xact_commit();
}

/* what is held in memory after a turn, well or badly ended */
static void
forget_runs(void)
{
	dlist_mutable_iter iter;

	dlist_foreach_modify (iter, &df_worker.runs)
		df_release_run(dlist_container(DfRun, worker.node, iter.cur));
	df_worker.touched = NIL;
	df_turn_attempts = NIL;
	MemoryContextSwitchTo(TopMemoryContext);
	MemoryContextReset(df_worker.turn_cxt);
}

/* notes it and aborts; what it said is kept where no reset of memory reaches it */
static void
recover(void)
{
	ErrorData *error;

	MemoryContextSwitchTo(df_worker.turn_cxt);
	df_slot_leave_body(df_worker.slot);
	error = CopyErrorData();
	last_error = error->sqlerrcode;
	strlcpy(last_message, error->message != NULL ? error->message : "", sizeof(last_message));
	FlushErrorState();
	df_xact_abort();
	df_body_forget();
	MemoryContextSwitchTo(df_worker.turn_cxt);
	df_trouble_note(&trouble, error);
}

/* it is not the run's, and would meet the next one too */
static bool
is_machines(int sqlstate)
{
	return df_error_is_transient(sqlstate) && !df_error_is_lock(sqlstate) &&
		ERRCODE_TO_CATEGORY(sqlstate) != ERRCODE_TO_CATEGORY(ERRCODE_TRANSACTION_ROLLBACK);
}

/* true if there may be more to do at once */
static bool
one_turn(void)
{
	/* of this turn; static, for they outlive the longjmp of an error */
	static pg_uuid_t id;
	static bool claimed;
	volatile bool did = false;
	volatile bool failed = false;

	claimed = false;
	df_worker.slot->turns++;
	df_metric_add(DF_METRIC_TURNS, "sql worker", NULL, NULL, 1);
	df_worker.touched = NIL;
	df_worker.only = NULL;
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
	if (claimed && !is_machines(last_error))
	{
		PG_TRY();
		{
			postpone(&id);
			/* the others need not wait for it */
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
	df_worker.process_cxt =
		AllocSetContextCreate(TopMemoryContext, "dataflows sql worker", ALLOCSET_DEFAULT_SIZES);
	df_worker.turn_cxt =
		AllocSetContextCreate(TopMemoryContext, "dataflows turn", ALLOCSET_DEFAULT_SIZES);
	df_worker.runs_cxt =
		AllocSetContextCreate(TopMemoryContext, "dataflows runs", ALLOCSET_DEFAULT_SIZES);
	dlist_init(&df_worker.runs);

	df_xact_begin();
	df_worker.identity = df_extension_exists() ? df_identity_hash() : 0;
	df_xact_commit();
	df_wait_init(PGINVALID_SOCKET);
}

/* sleeps until there is something to do; true: the process is not worth its place any more */
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
	df_line_idle(df_worker.slot, true);
	if (!df_line_is_asked(df_worker.slot))
		(void) df_wait_until(df_earlier(end, df_worker.next_due));
	df_line_idle(df_worker.slot, false);
	return false;
}

void
dataflows_sql_worker_main(Datum arg)
{
	DfSlot *slot = df_process_begin(arg);
	bool more = true;

	set_up(slot);
	for (;;)
	{
		df_process_interrupts();
		if (df_slot_take_wake(slot))
			more = true;
		if (df_line_is_asked(slot))
		{
			df_slot_give_way(slot, more ? df_now() : df_worker.next_due);
			break;
		}
		if (df_trouble_waits(&trouble, df_now()))
		{
			(void) df_wait_until(trouble.retry_at);
			continue;
		}
		if (more || (df_worker.next_due != DF_NEVER && df_worker.next_due <= df_now()))
		{
			df_worker.next_due = DF_NEVER;
			df_worker.idle_since = DF_NEVER;
			more = one_turn();
			if (df_worker.gone)
				break;
			continue;
		}
		if (sleep_or_retire())
			break;
	}
	proc_exit(0);
}
