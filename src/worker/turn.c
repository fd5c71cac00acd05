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

#include <errno.h>

#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "engine/child_run.h"
#include "engine/outcome.h"
#include "guc.h"
#include "shared/clock.h"
#include "shared/line.h"
#include "shared/metrics.h"
#include "shared/trouble.h"
#include "shared/wake.h"
#include "shared/watchdog.h"
#include "store/alias_table.h"
#include "store/claim.h"
#include "store/record.h"
#include "store/store.h"
#include "store/xact.h"
#include "worker/process.h"
#include "worker/trace.h"
#include "worker/wait.h"
#include "worker/worker.h"

/* new rows of the inbox that a turn reads, and at least of each workflow */
#define INBOX_ROWS 1000
#define INBOX_ROWS_EACH 20
/* of the places for runs, which part those may have that only wait for their children */
#define LINGERING_PART 4
/* runs are recorded one by one until so many in a row have failed */
#define ALONE_FAILURES 3
/* after the first of them, and when it is tried again, locks are waited for no longer than this */
#define ASIDE_LOCK_MS 10
/* errors that pass, but met one run again and again, are that run's */
#define UPSETS_ALLOWED 3
/* turns that fail in a row before the next one waits */
#define FAILED_TURNS 3

/* what keeps this worker from going on, and what keeps runs that are set aside */
static DfTrouble trouble = {"go on with its runs"};
static DfTrouble lock_trouble = {"record runs, since somebody has locked what they need"};
static ErrorData *worst = NULL; /* the error of this turn that is to be noted, in error_cxt */
static int last_error = 0; /* its SQLSTATE */
static bool recording = false; /* this turn has come to that, */
static bool blocked = false; /* or it failed before */
static int failed_turns = 0;

/* about to end: nothing new is taken, nothing leaves */
static bool
begins_nothing(void)
{
	return df_worker.giving_way || df_leaving();
}

/* ---- what the worker holds ------------------------------------------------ */

/* the list outlives the store's memory, in which this may be called */
static void
touch(DfRun *run)
{
	MemoryContext old;

	if (df_run_rests(run))
		return;
	old = MemoryContextSwitchTo(df_worker.turn_cxt);
	if (!run->touched)
		df_worker.touched = lappend(df_worker.touched, run);
	run->touched = true;
	MemoryContextSwitchTo(old);
}

void
df_release_run(DfRun *run)
{
	ListCell *lc;

	Assert(run->in_flight == 0);
	foreach (lc, df_worker.departures)
		if (((DfDeparture *) lfirst(lc))->flight != NULL &&
			((DfDeparture *) lfirst(lc))->flight->run == run)
			((DfDeparture *) lfirst(lc))->flight = NULL;
	dlist_delete(&run->node);
	df_worker.nruns--;
	df_worker.touched = list_delete_ptr(df_worker.touched, run);
	MemoryContextDelete(run->cxt);
}

static DfRun *
held_run(const pg_uuid_t *id)
{
	dlist_iter iter;

	dlist_foreach (iter, &df_worker.runs)
	{
		DfRun *run = dlist_container(DfRun, node, iter.cur);

		if (memcmp(&run->id, id, sizeof(*id)) == 0)
			return run;
	}
	return NULL;
}

/* ---- claiming ------------------------------------------------------------- */

static DfWorkflow *
workflow_of(const char *name, int version)
{
	static List *known = NIL;
	DfWorkflow *workflow;
	ListCell *lc;

	foreach (lc, known)
	{
		workflow = lfirst(lc);
		if (workflow->version == version && strcmp(workflow->name, name) == 0)
			return workflow;
	}
	workflow = df_load_workflow(name, version, df_worker.process_cxt);
	if (workflow != NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(df_worker.process_cxt);

		known = lcons(workflow, known);
		MemoryContextSwitchTo(old);
	}
	return workflow;
}

/* runs that were just read become ours; inside the store */
void
df_take(List *runs, List *versions)
{
	List *with_steps = NIL;
	TimestampTz now = df_now();
	ListCell *lc;
	ListCell *vc;

	forboth (lc, runs, vc, versions)
	{
		DfRun *run = lfirst(lc);

		/* our own lock does not keep us from finding a run twice in one turn */
		if (held_run(&run->id) != NULL)
		{
			MemoryContextDelete(run->cxt);
			continue;
		}
		run->workflow = workflow_of(run->workflow_name, lfirst_int(vc));
		run->lease = df_worker.lease;
		/* what is leased is due, or nobody would find the lease of a dead worker */
		if (run->wake_at == DF_NEVER || run->wake_at > now)
			run->wake_at = now;
		run->dirty = true;
		run->advance = true;
		dlist_push_tail(&df_worker.runs, &run->node);
		df_worker.nruns++;
		touch(run);
		if (run->state != DF_RUN_QUEUED)
			with_steps = lappend(with_steps, run);
	}
	if (with_steps != NIL)
		df_load_steps(with_steps);
}

/* the engine's part of taking: steps under their names, what was lost found out */
void
df_adopt_loaded(DfRun *run)
{
	ListCell *lc;

	foreach (lc, run->loaded_steps)
		df_run_add_step(run, lfirst(lc));
	run->loaded_steps = NIL;
	df_run_loaded(run);
	df_recover_lost(run);
	run->adopted = true;
}

/*
 * Sessions wake the workers that are there; only the coordinator starts more of
 * them.  A worker that cannot take all that is due asks for it.
 */
static void
ask_for_help(void)
{
	static TimestampTz asked = DF_NEVER;
	TimestampTz now = df_now();

	if (df_workers_per_owner < 2 || df_line_is_full() ||
		(asked != DF_NEVER && now < asked + USECS_PER_SEC))
		return;
	asked = now;
	df_slot_wake_coordinator(MyDatabaseId);
}

/*
 * The runs come workflow by workflow, and will ask for places in the order in
 * which they are held: one of each workflow by turns.
 */
static void
take_turns(List **runs, List **versions)
{
	int n = list_length(*runs);
	int *next = palloc(sizeof(int) * (n + 1));
	int *end = palloc(sizeof(int) * (n + 1));
	int ngroups = 0;
	List *runs_by_turns = NIL;
	List *versions_by_turns = NIL;

	for (int i = 0; i < n; i++)
	{
		DfRun *run = list_nth(*runs, i);

		if (i == 0 ||
			strcmp(run->workflow_name, ((DfRun *) list_nth(*runs, i - 1))->workflow_name) != 0)
			next[ngroups++] = i;
		end[ngroups - 1] = i + 1;
	}
	if (ngroups < 2)
		return;
	while (list_length(runs_by_turns) < n)
		for (int g = 0; g < ngroups; g++)
			if (next[g] < end[g])
			{
				runs_by_turns = lappend(runs_by_turns, list_nth(*runs, next[g]));
				versions_by_turns =
					lappend_int(versions_by_turns, list_nth_int(*versions, next[g]++));
			}
	*runs = runs_by_turns;
	*versions = versions_by_turns;
}

static void
claim_due(void)
{
	int room = df_max_runs - df_worker.nruns;
	int workflows = Max(1, list_length(df_worker.names));
	int each = Max(1, room / workflows);
	List *versions;
	List *runs;

	df_worker.more = false;
	if (room <= 0)
	{
		df_worker.more = true;
		return;
	}
	if (df_worker.singly > 0)
	{
		df_worker.singly--;
		each = room = 1;
	}
	runs = df_claim_due(df_worker.names, false, df_worker.identity, each, room,
						df_worker.runs_cxt, &versions);
	df_worker.more = list_length(runs) >= each;
	if (df_worker.more)
		ask_for_help();
	take_turns(&runs, &versions);
	df_take(runs, versions);
}

/* ---- the inbox ------------------------------------------------------------ */

static void
deliver(DfRun *run, const DfMessage *message)
{
	MemoryContext old = MemoryContextSwitchTo(run->cxt);
	DfMessage *copy = palloc(sizeof(DfMessage));

	*copy = *message;
	copy->is_new = true;
	copy->kind = pstrdup(message->kind);
	copy->event = message->event != NULL ? pstrdup(message->event) : NULL;
	copy->note = message->note != NULL ? pstrdup(message->note) : NULL;
	copy->sent_by = pstrdup(message->sent_by);
	if (message->payload != NULL)
	{
		copy->payload = palloc(VARSIZE(message->payload));
		memcpy(copy->payload, message->payload, VARSIZE(message->payload));
	}
	MemoryContextSwitchTo(old);
	df_run_message(run, copy);
	touch(run);
}

/*
 * What is new in the inbox: for runs that we hold it is delivered; runs that
 * wait, and those that a person asks something of, are claimed and then get it;
 * for the rest it is kept.  Rows of runs that another worker holds stay new.
 * Inside the store; fills *deliveries with rows whose run is claimed by now.
 */
static void
look_at_inbox(List **deliveries)
{
	int each = Max(INBOX_ROWS / Max(1, list_length(df_worker.names)), INBOX_ROWS_EACH);
	bool from_the_first = df_worker.inbox_after == 0;
	List *rows;
	List *kept = NIL;
	List *wanted = NIL;
	List *versions;
	ListCell *lc;

	if (from_the_first)
		df_worker.inbox_news = false;
	rows = df_load_new_inbox(df_worker.names, each, &df_worker.inbox_after, df_worker.turn_cxt);
	/* a statement leaves us in the memory of the SPI, which the deliveries outlive */
	MemoryContextSwitchTo(df_worker.turn_cxt);
	*deliveries = NIL;
	foreach (lc, rows)
	{
		DfInboxRow *row = lfirst(lc);
		bool signal = strcmp(row->message.kind, "signal") == 0;

		if (strcmp(row->message.kind, "abandon") == 0 && row->message.payload != NULL)
			continue; /* of a run at rest: the coordinator sees to it */
		if (row->has_run && held_run(&row->run) != NULL)
			*deliveries = lappend(*deliveries, row);
		else if (row->has_run && row->held)
			continue;
		else if (row->has_run && (row->waiting || !signal))
		{
			wanted = lappend(wanted, &row->run);
			*deliveries = lappend(*deliveries, row);
		}
		else
			kept = lappend(kept, row);
	}
	df_record_kept(kept);
	if (wanted != NIL)
	{
		/* two statements: C may read `versions` before the call has set it */
		List *runs;

		if (df_worker.singly > 0)
		{
			wanted = list_make1(list_nth(wanted, df_worker.singly-- % list_length(wanted)));
			df_worker.look = true;
		}
		runs = df_claim_runs(wanted, df_worker.identity, df_worker.runs_cxt, &versions);

		df_take(runs, versions);
	}
	/*
	 * what was passed over does not keep us from what lies behind it; what came meanwhile is
	 * looked at afterwards
	 */
	if (df_worker.inbox_after != 0 || (!from_the_first && df_worker.inbox_news))
		df_worker.look = true;
}

static void
hand_out(List *deliveries)
{
	ListCell *lc;

	foreach (lc, deliveries)
	{
		DfInboxRow *row = lfirst(lc);
		DfRun *run = held_run(&row->run);

		if (run == NULL || df_run_rests(run))
			continue;
		df_worker.current = run;
		deliver(run, &row->message);
		df_worker.current = NULL;
	}
}

/* runs whose bodies ask for a further key; true if one can go on in this turn */
static bool
take_wanted_aliases(void)
{
	bool some = false;
	ListCell *lc;
	DfStore store;

	foreach (lc, df_worker.touched)
	{
		DfRun *run = lfirst(lc);
		DfStep *step = run->want_alias && !df_run_rests(run) ? df_run_alias_wanted(run) : NULL;
		char *holder;
		bool known;

		run->want_alias = false;
		if (step == NULL)
			continue;
		df_store_enter(&store);
		known = df_alias_try(run, step->request, store.result_context, &holder);
		df_store_leave(&store);
		df_worker.current = run;
		if (known)
			df_run_alias_answer(run, step, holder);
		else
			df_run_alias_later(run);
		df_worker.current = NULL;
		some |= run->advance;
	}
	return some;
}

/* runs whose bodies began to wait: what came before the wait counts too */
static bool
read_wanted_inboxes(void)
{
	List *wanting = NIL;
	List *wanted = NIL;
	ListCell *lc;
	ListCell *mc;
	DfStore store;

	foreach (lc, df_worker.touched)
		if (((DfRun *) lfirst(lc))->want_inbox)
			wanting = lappend(wanting, lfirst(lc));
	if (wanting == NIL)
		return false;
	MemoryContextSwitchTo(df_worker.turn_cxt);
	foreach (lc, wanting)
		wanted = list_concat(wanted, df_run_wanted_signals(lfirst(lc)));
	df_store_enter(&store);
	df_load_signals(wanting, wanted);
	df_store_leave(&store);
	foreach (lc, wanting)
	{
		DfRun *run = lfirst(lc);

		foreach (mc, run->loaded_messages)
			df_run_message(run, lfirst(mc));
		run->loaded_messages = NIL;
		run->want_inbox = false;
		run->inbox_loaded = true;
		run->advance = true;
	}
	return true;
}

/* ---- advancing ------------------------------------------------------------ */

/*
 * Whose last entry nobody has seen end: it may be the body that ended the server,
 * or its worker.
 */
bool
df_run_is_careful(const DfRun *run)
{
	return run->entries > 0 && run->entries < DF_CRASHES_ALLOWED && run->state != DF_RUN_STUCK &&
		!df_run_is_terminal(run->state);
}

void
df_advance_run(DfRun *run)
{
	bool lingered;

	touch(run);
	if (run->workflow == NULL)
	{
		df_run_get_stuck(run, ERRCODE_UNDEFINED_OBJECT, "the version of its workflow is missing",
						 NULL);
		run->released = true;
		run->lease = 0;
		return;
	}
	if (!df_process_role_exists())
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("role %u, which owns workflow \"%s\", was dropped", GetUserId(),
						run->workflow_name),
				 errhint("See dataflows.stuck.")));
	if (run->workflow->owner != GetUserId())
	{
		if (!df_run_is_terminal(run->state))
			df_run_get_stuck(run, ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION,
							 "the role that owns the workflow is not the one that defined it",
							 NULL);
	}
	else if (run->entries >= DF_CRASHES_ALLOWED && run->state != DF_RUN_STUCK &&
			 !df_run_is_terminal(run->state))
		df_run_get_stuck(
			run, ERRCODE_CRASH_SHUTDOWN,
			"the body was entered three times without an exit, or it, or the SQL of a query step, "
			"went on after its time limit and the cancel: it ended the server or its worker",
			"Look into the server's log, mend the function, then call dataflows.retry(run).");
	df_slot_enter_body(df_worker.slot, run->id, run == df_worker.only);
	df_worker.current = run;
	run->may_linger = df_worker.slot->kind == DF_SLOT_WORKER && !begins_nothing() &&
		df_worker.lingering < df_max_runs / LINGERING_PART;
	lingered = run->linger_until != DF_NEVER;
	df_run_advance(run);
	if (!lingered && run->linger_until != DF_NEVER)
		df_worker.lingering++;
	df_worker.current = NULL;
	df_slot_leave_body(df_worker.slot);
}

/* the careful ones by turns, and with none of them another */
static bool
may_enter(const DfRun *run)
{
	if (df_worker.only != NULL)
		return run == df_worker.only || df_run_is_terminal(run->state);
	return !df_run_is_careful(run);
}

static void
advance_all(void)
{
	dlist_iter iter;

	do
	{
		dlist_foreach (iter, &df_worker.runs)
		{
			DfRun *run = dlist_container(DfRun, node, iter.cur);

			if (df_leaving())
				break;
			if (run->advance && !df_run_rests(run) && may_enter(run))
			{
				df_advance_run(run);
				CHECK_FOR_INTERRUPTS();
			}
		}
	} while (take_wanted_aliases() | read_wanted_inboxes());
}

/* true: it is to be advanced, for a step of it was refused or put off */
static bool
dispatch_run(DfRun *run, bool urgent)
{
	int before = run->in_flight;

	/* who has not been advanced yet may not want to send any more */
	if (run->released || df_run_rests(run) || run->advance)
		return false;
	df_worker.current = run;
	df_dispatch(run, urgent);
	df_worker.current = NULL;
	if (run->in_flight != before || run->advance)
		touch(run);
	return run->advance;
}

/*
 * What follows on a probe comes before the probes of others, which would use up
 * all places.  True: some run is to be advanced.
 */
static bool
dispatch_urgent(void)
{
	dlist_iter iter;
	bool again = false;

	dlist_foreach (iter, &df_worker.runs)
	{
		DfRun *run = dlist_container(DfRun, node, iter.cur);
		bool some = false;

		if (!run->urgent)
			continue;
		again |= dispatch_run(run, true);
		for (int i = 0; i < run->nsteps; i++)
			some |= run->steps[i]->to_send && run->steps[i]->urgent;
		run->urgent = some;
	}
	return again;
}

/* requests of all runs for which there is room; a refusal may let a run go on */
static void
dispatch_all(void)
{
	dlist_iter iter;
	bool again;

	if (begins_nothing())
		return;
	again = dispatch_urgent();
	/* another one comes first each time: a run of a thousand steps is not to have all places */
	if (!dlist_is_empty(&df_worker.runs))
		dlist_push_tail(&df_worker.runs, dlist_pop_head_node(&df_worker.runs));
	for (int rounds = 0; rounds < 10; rounds++)
	{
		dlist_foreach (iter, &df_worker.runs)
			again |= dispatch_run(dlist_container(DfRun, node, iter.cur), false);
		if (!again || df_worker.only != NULL)
			break;
		advance_all();
		again = false;
	}
}

/* ---- recording ------------------------------------------------------------ */

static bool
stopped_moving(const DfRun *run)
{
	return run->released && run->dirty;
}

static void
record(List *runs, List *attempts)
{
	DfStore store;
	ListCell *lc;

	df_store_enter(&store);
	df_children_record(runs);
	df_record_runs(runs);
	df_record_attempts(attempts);
	df_record_messages(runs);
	df_store_leave(&store);
	foreach (lc, runs)
		if (stopped_moving(lfirst(lc)))
		{
			df_wake_awaiters();
			break;
		}
}

static void
after_commit(List *runs)
{
	ListCell *lc;
	List *gone = NIL;
	bool sql = false;

	df_worker.slot->commits++;
	if (runs != NIL)
	{
		df_metric_add(DF_METRIC_COMMITS, "worker", NULL, NULL, 1);
		df_metric_observe(DF_METRIC_TURN_RUNS, "worker", list_length(runs));
	}
	df_trace_commit(runs);
	df_record_clean(runs);
	foreach (lc, runs)
	{
		DfRun *run = lfirst(lc);

		run->touched = run->answered = false;
		run->upsets = 0;
		run->advance |= run->next_turn;
		run->next_turn = false;
		if (!run->released)
			continue;
		gone = lappend(gone, run);
		if (run->sql)
			sql = true;
		else
			df_worker.next_due = df_earlier(df_worker.next_due, run->wake_at);
	}
	foreach (lc, gone)
		df_release_run(lfirst(lc));
	if (sql)
		df_slot_wake(DF_SLOT_SQL_WORKER, MyDatabaseId, GetUserId());
}

static List *
attempts_of(const DfRun *run)
{
	List *own = NIL;
	ListCell *lc;

	foreach (lc, df_turn_attempts)
		if (memcmp(&((DfAttempt *) lfirst(lc))->run, &run->id, sizeof(pg_uuid_t)) == 0)
			own = lappend(own, lfirst(lc));
	return own;
}

/*
 * What memory says of this run is not to be trusted, or cannot be written: the
 * tables decide.  What was to leave for it does not; what is on the wire stays
 * unanswered.
 */
static void
break_run(DfRun *run)
{
	ListCell *lc;

	foreach (lc, df_worker.departures)
	{
		DfDeparture *departure = lfirst(lc);

		if (departure->flight != NULL && departure->flight->run == run)
		{
			df_system_left(departure->flight->system);
			df_worker.in_flight--;
			run->in_flight--;
			departure->flight = NULL;
		}
	}
	run->broken = true;
	run->advance = false;
	run->wake_at = df_now();
	df_worker.touched = list_delete_ptr(df_worker.touched, run);
}

/*
 * Our own tables are not what they should be: renamed, altered, damaged.  That is no
 * run's fault, and lasts until somebody mends them.
 */
static bool
is_of_the_schema(int sqlerrcode)
{
	return ERRCODE_TO_CATEGORY(sqlerrcode) == ERRCODE_SYNTAX_ERROR_OR_ACCESS_RULE_VIOLATION ||
		sqlerrcode == ERRCODE_DATA_CORRUPTED || sqlerrcode == ERRCODE_INDEX_CORRUPTED;
}

/*
 * An error has ended our transaction: true if it passes.  That one is noted at
 * the end of the turn, and any other that comes in one turn after another; else
 * it is said now.  After an error about memory there may be none for a copy of
 * it: that has a place of its own.
 */
static bool
transaction_failed(void)
{
	MemoryContext old = MemoryContextSwitchTo(df_worker.error_cxt);
	ErrorData *error = CopyErrorData();
	bool passes = df_error_is_transient(error->sqlerrcode) || is_of_the_schema(error->sqlerrcode);

	/*
	 * what PostgreSQL has no SQLSTATE for: a quota, a limit on the size of files, a disk that has
	 * become read-only
	 */
	if (error->sqlerrcode == ERRCODE_INTERNAL_ERROR)
		passes = error->saved_errno == EDQUOT || error->saved_errno == EFBIG ||
			error->saved_errno == EROFS;
	MemoryContextSwitchTo(old);
	last_error = error->sqlerrcode;
	if (!passes && failed_turns < FAILED_TURNS)
		EmitErrorReport();
	else if (worst == NULL || df_error_is_lock(worst->sqlerrcode))
		worst = error;
	FlushErrorState();
	df_xact_abort();
	return passes;
}

/* lets go of a broken run: its row says when to try again; if even that fails, later */
static void
give_back(DfRun *run)
{
	DfStore store;
	volatile bool ok = false;

	PG_TRY()
		;
		{
			df_xact_begin();
			df_store_enter(&store);
			df_record_release(run, df_worker.lease);
			df_store_leave(&store);
			df_xact_commit();
			ok = true;
		}
		PG_CATCH();
		{
			MemoryContextSwitchTo(df_worker.turn_cxt);
			(void) transaction_failed();
		}
	PG_END_TRY();
	MemoryContextSwitchTo(df_worker.turn_cxt);
	if (ok)
		df_release_run(run);
	else
		run->wake_at = df_now() + USECS_PER_SEC;
}

/* broken runs whose requests have ended */
static void
give_back_broken(void)
{
	TimestampTz now = df_now();
	dlist_mutable_iter iter;

	dlist_foreach_modify (iter, &df_worker.runs)
	{
		DfRun *run = dlist_container(DfRun, node, iter.cur);

		if (run->broken && run->in_flight == 0 && run->wake_at <= now)
			give_back(run);
	}
}

typedef enum Recorded
{
	RECORDED,
	RECORD_LATER, /* nothing has happened */
	RECORD_NEVER
} Recorded;

/* in a transaction of its own and in the present memory context */
static Recorded
try_record(List *runs, List *attempts)
{
	MemoryContext cxt = CurrentMemoryContext;
	volatile Recorded recorded = RECORD_NEVER;

	PG_TRY()
		;
		{
			df_xact_begin();
			MemoryContextSwitchTo(cxt);
			record(runs, attempts);
			df_xact_commit();
			recorded = RECORDED;
		}
		PG_CATCH();
		{
			MemoryContextSwitchTo(cxt);
			if (transaction_failed())
				recorded = RECORD_LATER;
		}
	PG_END_TRY();
	MemoryContextSwitchTo(cxt);
	return recorded;
}

/* ---- runs that are recorded later ----------------------------------------- */

/* all that there is to write of it goes into its own memory */
static void
set_aside(DfRun *run)
{
	MemoryContext old;
	ListCell *lc;

	/* the next time, the others come first */
	dlist_delete(&run->node);
	dlist_push_tail(&df_worker.runs, &run->node);
	if (run->aside)
		return;
	old = MemoryContextSwitchTo(run->cxt);
	foreach (lc, attempts_of(run))
	{
		DfAttempt *attempt = palloc(sizeof(DfAttempt));

		*attempt = *(DfAttempt *) lfirst(lc);
		attempt->error = pstrdup(attempt->error);
		run->attempts_aside = lappend(run->attempts_aside, attempt);
	}
	MemoryContextSwitchTo(old);
	df_worker.touched = list_delete_ptr(df_worker.touched, run);
	run->touched = false;
	run->aside = true;
	df_worker.aside++;
}

/* it is recorded, or never will be */
static void
take_in(DfRun *run)
{
	df_worker.touched = list_delete_ptr(df_worker.touched, run);
	if (!run->aside)
		return;
	run->aside = false;
	run->attempts_aside = NIL;
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
	int in_flight = run->in_flight;
	ListCell *lc;

	if (!df_error_is_lock(last_error) || run->answered || run->aside)
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
static void
record_one_by_one(List *runs)
{
	int failures = 0;
	ListCell *lc;

	foreach (lc, runs)
	{
		DfRun *run = lfirst(lc);
		Recorded recorded = RECORD_LATER;

		if (failures < ALONE_FAILURES)
		{
			recorded =
				try_record(list_make1(run), run->aside ? run->attempts_aside : attempts_of(run));
			failures = recorded == RECORD_LATER ? failures + 1 : 0;
		}
		if (recorded == RECORDED)
		{
			take_in(run);
			after_commit(list_make1(run));
		}
		else if (recorded == RECORD_NEVER ||
				 (failures < ALONE_FAILURES && has_nothing_to_lose(run)))
		{
			take_in(run);
			break_run(run);
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
static void
record_aside(void)
{
	List *runs = NIL;
	List *attempts = NIL;
	dlist_iter iter;
	ListCell *lc;

	dlist_foreach (iter, &df_worker.runs)
	{
		DfRun *run = dlist_container(DfRun, node, iter.cur);

		if (!run->aside)
			continue;
		runs = lappend(runs, run);
		attempts = list_concat(attempts, run->attempts_aside);
	}
	df_xact_lock_timeout(ASIDE_LOCK_MS);
	if (try_record(runs, attempts) != RECORDED)
	{
		record_one_by_one(runs);
		return;
	}
	df_xact_lock_timeout(0);
	foreach (lc, runs)
		take_in(lfirst(lc));
	after_commit(runs);
}

/* ---- leaving -------------------------------------------------------------- */

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
		touch(lfirst(lc));
	if (df_worker.touched == NIL)
		return;
	/* the last transaction is not to be interrupted by what it follows on */
	ProcDiePending = false;
	PG_TRY()
		;
		{
			df_xact_begin();
			MemoryContextSwitchTo(df_worker.turn_cxt);
			record(df_worker.touched, NIL);
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

/* ---- the turn ------------------------------------------------------------- */

static void
read_phase(List **deliveries)
{
	DfStore store;
	bool look = df_worker.look;
	bool due = df_worker.next_due != DF_NEVER && df_worker.next_due <= df_now();
	bool room = df_worker.nruns <= df_max_runs - Max(1, df_max_runs / 8);

	*deliveries = NIL;
	if (begins_nothing())
		return;
	if (!look && !((df_worker.more || due) && room))
		return;
	if (!df_extension_usable())
	{
		df_worker.gone = true;
		return;
	}
	df_store_enter(&store);
	MemoryContextSwitchTo(df_worker.turn_cxt);
	if (look)
	{
		List *names = df_load_workflow_names(GetSessionUserId(), df_worker.process_cxt);

		df_worker.look = false;
		list_free_deep(df_worker.names);
		df_worker.names = names;
		look_at_inbox(deliveries);
	}
	claim_due();
	df_worker.next_due = df_worker.more ? df_worker.next_due
										: df_next_due(df_worker.names, false, df_worker.identity);
	df_store_leave(&store);
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
	PG_TRY()
		;
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
	run->answered = true;
	touch(run);
	df_worker.current = NULL;
	result->cookie = 0;
}

static DfRun *
run_of(const DfHttpResult *result)
{
	return ((DfFlight *) (uintptr_t) result->cookie)->run;
}

/* what came for runs that are set aside is left for later */
static void
apply_results(void)
{
	ListCell *lc;

	foreach (lc, df_worker.results)
		if (!run_of(lfirst(lc))->aside)
			apply_result(lfirst(lc));
}

static void
free_applied(void)
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
		if (!run_of(lfirst(lc))->aside)
			return true;
	return false;
}

static void
adopt_all_loaded(void)
{
	List *touched = list_copy(df_worker.touched);
	ListCell *lc;

	foreach (lc, touched)
	{
		DfRun *run = lfirst(lc);

		if (run->adopted)
			continue;
		df_worker.current = run;
		df_adopt_loaded(run);
		df_worker.current = NULL;
	}
}

static void
wake_due_runs(void)
{
	TimestampTz now = df_now();
	dlist_iter iter;

	df_worker.lingering = 0;
	dlist_foreach (iter, &df_worker.runs)
	{
		DfRun *run = dlist_container(DfRun, node, iter.cur);
		TimestampTz due = df_run_next_due(run);

		if (run->linger_until != DF_NEVER)
			df_worker.lingering++;
		if (!df_run_rests(run) && due != DF_NEVER && due <= now)
			run->advance = true;
	}
}

/*
 * This entry is counted before it happens, under our lease: a body that ends the
 * server is known by its count.  Nothing else of the turn may be written yet.
 */
void
df_commit_entry(DfRun *run)
{
	DfStore store;

	df_store_enter(&store);
	df_record_entry(run, df_worker.lease);
	df_store_leave(&store);
	df_xact_commit();
	run->db_lease = df_worker.lease;
	run->dirty = true;
	run->entries = 0; /* what the row says once the entry has ended */
	df_worker.only = run;
	df_xact_begin();
	MemoryContextSwitchTo(df_worker.turn_cxt);
}

/* one careful run a turn, of those that were ours before it: their rows have our lease */
static void
choose_careful(void)
{
	dlist_iter iter;

	dlist_foreach (iter, &df_worker.runs)
	{
		DfRun *run = dlist_container(DfRun, node, iter.cur);

		if (!run->advance || df_run_rests(run) || !df_run_is_careful(run))
			continue;
		df_worker.current = run;
		df_commit_entry(run);
		df_worker.current = NULL;
		return;
	}
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
	apply_results();
	wake_due_runs();
	choose_careful();
	read_phase(&deliveries);
	adopt_all_loaded();
	hand_out(deliveries);
	advance_all();
	dispatch_all();
	recording = true;
	record(df_worker.touched, df_turn_attempts);
	df_xact_commit();
}

/*
 * After an error: whoever's state was being changed is looked at again if the
 * error passes, and is broken if not, or if this happens to it again and again.
 * True: it passes.
 */
static bool
turn_failed(void)
{
	DfRun *run = df_worker.current;
	bool passes;

	MemoryContextSwitchTo(df_worker.turn_cxt);
	df_slot_leave_body(df_worker.slot);
	passes = transaction_failed();
	df_body_forget();
	df_worker.current = NULL;
	if (run == NULL)
		return passes;
	if (passes && ++run->upsets <= UPSETS_ALLOWED)
	{
		run->advance = true;
		touch(run);
	}
	else
		break_run(run);
	return passes;
}

/* an answer that the failed turn did not come to; false: later */
static bool
apply_alone(DfHttpResult *result)
{
	DfRun *run = run_of(result);
	volatile bool later = false;

	PG_TRY()
		;
		{
			df_xact_begin();
			MemoryContextSwitchTo(df_worker.turn_cxt);
			apply_result(result);
			df_xact_commit();
		}
		PG_CATCH();
		{
			later = turn_failed() && !run->broken;
		}
	PG_END_TRY();
	MemoryContextSwitchTo(df_worker.turn_cxt);
	return !later;
}

static void
apply_rest(void)
{
	ListCell *lc;

	foreach (lc, df_worker.results)
	{
		DfHttpResult *result = lfirst(lc);
		DfRun *run;

		if (result->cookie == 0 || run_of(result)->aside)
			continue;
		run = run_of(result);
		/* of a broken run nothing but the counts is changed */
		if (!run->broken && !apply_alone(result))
			return;
		if (run->broken && result->cookie != 0)
			apply_result(result);
	}
}

/*
 * Runs that were claimed and not read to the end: nothing became of them, so
 * nothing is recorded.  If there are several, they are claimed one by one, until
 * the one that cannot be read is found; that one waits.
 */
static void
put_back_unread(List *touched, bool passes)
{
	List *unread = NIL;
	ListCell *lc;

	foreach (lc, touched)
		if (!((DfRun *) lfirst(lc))->adopted)
			unread = lappend(unread, lfirst(lc));
	if (list_length(unread) > 1 && !passes)
		df_worker.singly = list_length(unread);
	foreach (lc, unread)
	{
		if (list_length(unread) > 1 || passes)
			df_release_run(lfirst(lc));
		else
			break_run(lfirst(lc));
	}
}

/* the turn's transaction is lost, but not what its runs have come to */
static void
save_turn(bool passes)
{
	ListCell *lc;

	df_worker.look = df_worker.inbox_news = true;
	apply_rest();
	/* nothing leaves that is not recorded */
	foreach (lc, df_worker.departures)
		if (((DfDeparture *) lfirst(lc))->flight != NULL)
			touch(((DfDeparture *) lfirst(lc))->flight->run);
	put_back_unread(list_copy(df_worker.touched), passes);
	record_one_by_one(list_copy(df_worker.touched));
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
	PG_TRY()
		;
		{
			turn_body();
			ok = true;
		}
		PG_CATCH();
		{
			passes = turn_failed();
			blocked = !recording;
		}
	PG_END_TRY();
	MemoryContextSwitchTo(df_worker.turn_cxt);
	if (ok)
	{
		List *runs = df_worker.touched;

		df_worker.touched = NIL;
		after_commit(runs);
	}
	else
		save_turn(passes);
	failed_turns = ok || passes ? 0 : failed_turns + 1;
}

/*
 * The turn's errors that pass, or come again and again, keep the next one waiting;
 * but not if somebody's lock was all, and the runs that need it are set aside.
 */
static void
note_trouble(void)
{
	bool lock = worst != NULL && df_error_is_lock(worst->sqlerrcode);

	if (worst != NULL && (blocked || !lock))
		df_trouble_note(&trouble, worst);
	else
		df_trouble_over(&trouble);
	if (lock && df_worker.aside > 0)
		df_trouble_note(&lock_trouble, worst);
	else if (df_worker.aside == 0)
		df_trouble_over(&lock_trouble);
	worst = NULL;
	MemoryContextReset(df_worker.error_cxt);
}

bool
df_turn_waits(TimestampTz *until)
{
	*until = trouble.retry_at;
	return df_trouble_waits(&trouble, df_now());
}

TimestampTz
df_turn_aside_due(void)
{
	if (df_worker.aside == 0)
		return DF_NEVER;
	return lock_trouble.failures > 0 ? lock_trouble.retry_at : df_now();
}

void
df_turn(void)
{
	int64 began = df_monotonic_us();

	df_worker.slot->turns++;
	MemoryContextSwitchTo(df_worker.turn_cxt);
	blocked = false;
	if (df_worker.aside > 0 && (df_leaving() || !df_trouble_waits(&lock_trouble, df_now())))
		record_aside();
	/* with no room for what there is, nothing is begun */
	if (worst == NULL || df_error_is_lock(worst->sqlerrcode))
		new_turn();
	if (df_must_go())
		take_back();
	else
		df_depart();
	give_back_broken();
	free_applied();
	note_trouble();
	df_metric_add(DF_METRIC_TURNS, "worker", NULL, NULL, 1);
	df_metric_observe(DF_METRIC_TURN_DURATION, "worker", df_monotonic_us() - began);
}
