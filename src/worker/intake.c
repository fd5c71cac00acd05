/*
 * worker/intake.c
 *	  Second phase of a turn: claim runs that are due, and read the inbox.
 *
 * Runs in a worker, in the turn's transaction; reads and claims through the store,
 * as the extension's owner.  A sql worker also adds the runs that it claims by
 * df_add_claimed().  Never enter a body here.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"

#include "engine/run_due.h"
#include "engine/run_inbox.h"
#include "engine/run_load.h"
#include "guc.h"
#include "shared/clock.h"
#include "shared/slot_queue.h"
#include "store/inbox_read.h"
#include "store/run_table.h"
#include "store/step_table.h"
#include "store/store.h"
#include "store/workflow_owner.h"
#include "store/workflow_table.h"
#include "worker/turn.h"

/* new inbox rows that a turn reads, over all workflows, and the least for each of them */
#define INBOX_ROWS 1000
#define INBOX_ROWS_EACH 20

/* ---- claiming ------------------------------------------------------------- */

/* versions that have been read; but for set_owner() they never change */
static List *known = NIL;

/* inside the store; after an error the next turn does it again */
static void
refresh_owners(void)
{
	static uint64 refreshed = 0;
	uint64 number = df_workflow_owners_number();
	ListCell *lc;

	if (number == refreshed)
		return;
	foreach (lc, known)
	{
		DfWorkflow *workflow = lfirst(lc);
		DfWorkflowRow row;

		if (!df_workflow_version(workflow->name, workflow->version, &row, df_turn_cxt))
			continue;
		workflow->function_owner = row.function_owner;
		workflow->owner = row.owner;
		if (strcmp(workflow->owner_name, row.owner_name) != 0)
			workflow->owner_name = MemoryContextStrdup(df_process_cxt, row.owner_name);
	}
	refreshed = number;
}

static bool
same_names(const List *one, const List *other)
{
	ListCell *lc;
	ListCell *oc;

	if (list_length(one) != list_length(other))
		return false;
	forboth (lc, one, oc, other)
		if (strcmp(lfirst(lc), lfirst(oc)) != 0)
			return false;
	return true;
}

static bool
is_among(const List *names, const char *name)
{
	ListCell *lc;

	foreach (lc, names)
		if (strcmp(lfirst(lc), name) == 0)
			return true;
	return false;
}

/* the workflows whose runs may move: runs in memory of others are held, and may go on later */
static void
take_names(List *names)
{
	bool same = same_names(names, df_worker.workflow_names);
	dlist_iter iter;

	list_free_deep(df_worker.workflow_names);
	df_worker.workflow_names = names;
	if (same)
		return;
	dlist_foreach (iter, &df_worker.runs)
	{
		DfRun *run = dlist_container(DfRun, worker.node, iter.cur);
		bool held = !is_among(names, run->workflow_name);

		if (run->worker.held != held && !df_run_rests(run))
			run->engine.advance = true;
		run->worker.held = held;
	}
}

/* NULL = there is none */
static DfWorkflow *
workflow_of(const char *name, int version)
{
	DfWorkflow *workflow;
	ListCell *lc;

	foreach (lc, known)
	{
		workflow = lfirst(lc);
		if (workflow->version == version && strcmp(workflow->name, name) == 0)
			return workflow;
	}
	workflow = df_load_workflow(name, version, df_process_cxt);
	if (workflow != NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(df_process_cxt);

		known = lcons(workflow, known);
		MemoryContextSwitchTo(old);
	}
	return workflow;
}

/* puts runs that were just claimed under our lease and reads their steps; inside the store */
void
df_add_claimed(List *runs, List *versions)
{
	List *with_steps = NIL;
	ListCell *lc;
	ListCell *vc;

	refresh_owners();
	forboth (lc, runs, vc, versions)
	{
		DfRun *run = lfirst(lc);

		/* SKIP LOCKED does not skip our own lock: a turn may claim a run twice */
		if (df_find_run(&run->id) != NULL)
		{
			df_run_let_go(run);
			continue;
		}
		df_run_take(run, workflow_of(run->workflow_name, lfirst_int(vc)), df_worker.lease);
		dlist_push_tail(&df_worker.runs, &run->worker.node);
		df_worker.nruns++;
		df_turn_list_add(run);
		if (run->row.state != DF_RUN_QUEUED)
			with_steps = lappend(with_steps, run);
	}
	if (with_steps != NIL)
		df_load_steps(with_steps);
}

void
df_finish_loading_all(void)
{
	List *runs = list_copy(df_worker.turn_list);
	ListCell *lc;

	foreach (lc, runs)
	{
		DfRun *run = lfirst(lc);

		if (run->life != DF_LIFE_CLAIMED)
			continue;
		df_blame_begin(run);
		df_run_load(run);
		df_blame_end();
	}
}

/*
 * Release runs whose loading did not end: nothing happened to them, so there is
 * nothing to record.  If a permanent error met several, the next claims take one
 * run each, until the run that cannot be loaded is alone; that one is broken.
 */
void
df_release_unloaded(List *runs, bool transient)
{
	List *unloaded = NIL;
	ListCell *lc;

	foreach (lc, runs)
		if (((DfRun *) lfirst(lc))->life == DF_LIFE_CLAIMED)
			unloaded = lappend(unloaded, lfirst(lc));
	if (list_length(unloaded) > 1 && !transient)
		df_worker.one_at_a_time = list_length(unloaded);
	foreach (lc, unloaded)
	{
		if (list_length(unloaded) > 1 || transient)
			df_run_let_go(lfirst(lc));
		else
			df_break_run(lfirst(lc));
	}
}

/*
 * Sessions wake only workers that exist.  A worker that leaves due runs behind
 * wakes the coordinator, at most once a second, so that it starts another one.
 */
static void
request_more_workers(void)
{
	static TimestampTz asked = DF_NEVER;
	TimestampTz now = df_now();

	if (df_workers_per_owner < 2 || df_queue_has_waiters() ||
		(asked != DF_NEVER && now < asked + USECS_PER_SEC))
		return;
	asked = now;
	df_slot_wake_coordinator(MyDatabaseId);
}

/*
 * Reorder runs that come grouped by workflow so that the workflows alternate:
 * runs take places in the order of the list, and one workflow must not take all.
 */
static void
interleave_workflows(List **runs, List **versions)
{
	int n = list_length(*runs);
	int *next = palloc(sizeof(int) * (n + 1));
	int *end = palloc(sizeof(int) * (n + 1));
	int ngroups = 0;
	List *alternating_runs = NIL;
	List *alternating_versions = NIL;

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
	while (list_length(alternating_runs) < n)
		for (int g = 0; g < ngroups; g++)
			if (next[g] < end[g])
			{
				alternating_runs = lappend(alternating_runs, list_nth(*runs, next[g]));
				alternating_versions =
					lappend_int(alternating_versions, list_nth_int(*versions, next[g]++));
			}
	*runs = alternating_runs;
	*versions = alternating_versions;
}

static void
claim_due(void)
{
	int room = df_max_runs - df_worker.nruns;
	int workflows = Max(1, list_length(df_worker.workflow_names));
	int each = Max(1, room / workflows);
	List *versions;
	List *runs;

	df_worker.more_due = false;
	if (room <= 0)
	{
		df_worker.more_due = true;
		return;
	}
	if (df_worker.one_at_a_time > 0)
	{
		df_worker.one_at_a_time--;
		each = room = 1;
	}
	runs = df_claim_due(df_worker.workflow_names, false, df_worker.identity, each, room,
						df_worker.runs_cxt, &versions);
	df_worker.more_due = list_length(runs) >= each;
	if (df_worker.more_due)
		request_more_workers();
	interleave_workflows(&runs, &versions);
	df_add_claimed(runs, versions);
}

/* of the runs in memory */
void
df_wake_due_runs(void)
{
	TimestampTz now = df_now();
	dlist_iter iter;

	df_worker.nretained = 0;
	dlist_foreach (iter, &df_worker.runs)
	{
		DfRun *run = dlist_container(DfRun, worker.node, iter.cur);
		TimestampTz due = df_run_next_due(run);

		if (run->life == DF_LIFE_RETAINED)
			df_worker.nretained++;
		if (!df_run_rests(run) && due != DF_NEVER && due <= now)
			run->engine.advance = true;
	}
}

/* ---- the inbox ------------------------------------------------------------ */

/* claims the runs whose ids are in `wanted`; inside the store */
static void
claim_addressed(List *wanted)
{
	List *versions;
	List *runs;

	if (df_worker.one_at_a_time > 0)
	{
		wanted = list_make1(list_nth(wanted, df_worker.one_at_a_time-- % list_length(wanted)));
		df_worker.check_tables = true;
	}
	/* a statement of its own, since the call sets `versions` */
	runs = df_claim_runs(wanted, df_worker.identity, df_worker.runs_cxt, &versions);
	df_add_claimed(runs, versions);
}

/*
 * Read a page of new inbox rows.  A row for a run in memory is delivered.  A
 * waiting run that is signalled, and any run with an operator request, is claimed
 * first.  Rows of runs that another worker has claimed stay new.  The others are
 * marked as kept until their run asks for them.  Inside the store; *deliveries
 * gets the rows to deliver, in turn_cxt.
 */
static void
read_inbox(List **deliveries)
{
	int each = Max(INBOX_ROWS / Max(1, list_length(df_worker.workflow_names)), INBOX_ROWS_EACH);
	bool from_oldest = df_worker.inbox_after == 0;
	List *rows;
	List *kept = NIL;
	List *wanted = NIL;
	ListCell *lc;

	if (from_oldest)
		df_worker.inbox_changed = false;
	rows = df_load_new_inbox(df_worker.workflow_names, each, &df_worker.inbox_after,
							 df_turn_cxt);
	/* the statement left SPI's memory context current, which the lists must outlive */
	MemoryContextSwitchTo(df_turn_cxt);
	*deliveries = NIL;
	foreach (lc, rows)
	{
		DfInboxRow *row = lfirst(lc);
		bool signal = row->message.kind == DF_MESSAGE_SIGNAL;

		if (row->message.kind == DF_MESSAGE_ABANDON && row->message.payload != NULL)
			continue; /* for a run at rest: the coordinator ends it */
		if (row->has_run && df_find_run(&row->run) != NULL)
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
		claim_addressed(wanted);
		/* another worker may have consumed some before it released the run that we claimed */
		*deliveries = df_inbox_still_new(*deliveries, df_turn_cxt);
		MemoryContextSwitchTo(df_turn_cxt);
	}
	/* read the next page, or, after the last one, the rows that came meanwhile */
	if (df_worker.inbox_after != 0 || (!from_oldest && df_worker.inbox_changed))
		df_worker.check_tables = true;
}

void
df_deliver_messages(List *deliveries)
{
	ListCell *lc;

	foreach (lc, deliveries)
	{
		DfInboxRow *row = lfirst(lc);
		DfRun *run = df_find_run(&row->run);

		if (run == NULL || df_run_rests(run))
			continue;
		df_blame_begin(run);
		df_run_deliver(run, &row->message);
		df_turn_list_add(run);
		df_blame_end();
	}
}

void
df_read_new_work(List **deliveries)
{
	DfStore store;
	bool check = df_worker.check_tables;
	bool due = df_worker.next_due != DF_NEVER && df_worker.next_due <= df_now();
	bool room = df_worker.nruns <= df_max_runs - Max(1, df_max_runs / 8);

	*deliveries = NIL;
	if (df_is_winding_down())
		return;
	if (!check && !((df_worker.more_due || due) && room))
		return;
	if (!df_extension_usable())
	{
		df_worker.obsolete = true;
		return;
	}
	df_store_enter(&store);
	MemoryContextSwitchTo(df_turn_cxt);
	if (check)
	{
		List *names = df_load_workflow_names(GetSessionUserId(), df_process_cxt);

		df_worker.check_tables = false;
		take_names(names);
		refresh_owners();
		read_inbox(deliveries);
	}
	claim_due();
	if (!df_worker.more_due)
		df_worker.next_due = df_next_due(df_worker.workflow_names, false, df_worker.identity);
	df_store_leave(&store);
}
