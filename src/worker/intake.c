/*
 * worker/intake.c
 *	  A turn's second phase: take in what is due, and what is new in the inbox.
 *
 * Runs in a worker, in the turn's transaction; reads the tables through the store,
 * as the extension's owner.  The sql worker claims its runs by df_take(), too.  It
 * must never enter a body.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"

#include "engine/blocked.h"
#include "engine/due.h"
#include "engine/operator.h"
#include "engine/run_steps.h"
#include "guc.h"
#include "shared/clock.h"
#include "shared/line.h"
#include "store/inbox_read.h"
#include "store/run_table.h"
#include "store/step_table.h"
#include "store/store.h"
#include "store/workflow_table.h"
#include "worker/turn.h"

/* new rows of the inbox that a turn reads, and at least of each workflow */
#define INBOX_ROWS 1000
#define INBOX_ROWS_EACH 20

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
		if (df_find_run(&run->id) != NULL)
		{
			MemoryContextDelete(run->cxt);
			continue;
		}
		run->workflow = workflow_of(run->workflow_name, lfirst_int(vc));
		run->row.lease = df_worker.lease;
		/* what is leased is due, or nobody would find the lease of a dead worker */
		if (run->row.wake_at == DF_NEVER || run->row.wake_at > now)
			run->row.wake_at = now;
		run->dirty = true;
		run->engine.advance = true;
		dlist_push_tail(&df_worker.runs, &run->worker.node);
		df_worker.nruns++;
		df_turn_list_add(run);
		if (run->row.state != DF_RUN_QUEUED)
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

	foreach (lc, run->engine.loaded_steps)
		df_run_add_step(run, lfirst(lc));
	run->engine.loaded_steps = NIL;
	df_run_loaded(run);
	df_recover_lost(run);
	run->adopted = true;
}

void
df_adopt_all_loaded(void)
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

/*
 * Runs that were claimed and not read to the end: nothing became of them, so
 * nothing is recorded.  If there are several, they are claimed one by one, until
 * the one that cannot be read is found; that one waits.
 */
void
df_put_back_unread(List *touched, bool passes)
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
			df_break_run(lfirst(lc));
	}
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

void
df_wake_due_runs(void)
{
	TimestampTz now = df_now();
	dlist_iter iter;

	df_worker.lingering = 0;
	dlist_foreach (iter, &df_worker.runs)
	{
		DfRun *run = dlist_container(DfRun, worker.node, iter.cur);
		TimestampTz due = df_run_next_due(run);

		if (run->engine.retained_until != DF_NEVER)
			df_worker.lingering++;
		if (!df_run_rests(run) && due != DF_NEVER && due <= now)
			run->engine.advance = true;
	}
}

/* ---- the inbox ------------------------------------------------------------ */

static void
deliver(DfRun *run, const DfMessage *message)
{
	MemoryContext old = MemoryContextSwitchTo(run->cxt);
	DfMessage *copy = palloc(sizeof(DfMessage));

	*copy = *message;
	copy->is_new = true;
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
	df_turn_list_add(run);
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
		bool signal = row->message.kind == DF_MESSAGE_SIGNAL;

		if (row->message.kind == DF_MESSAGE_ABANDON && row->message.payload != NULL)
			continue; /* of a run at rest: the coordinator sees to it */
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

void
df_hand_out(List *deliveries)
{
	ListCell *lc;

	foreach (lc, deliveries)
	{
		DfInboxRow *row = lfirst(lc);
		DfRun *run = df_find_run(&row->run);

		if (run == NULL || df_run_rests(run))
			continue;
		df_worker.current = run;
		deliver(run, &row->message);
		df_worker.current = NULL;
	}
}

void
df_read_new_work(List **deliveries)
{
	DfStore store;
	bool look = df_worker.look;
	bool due = df_worker.next_due != DF_NEVER && df_worker.next_due <= df_now();
	bool room = df_worker.nruns <= df_max_runs - Max(1, df_max_runs / 8);

	*deliveries = NIL;
	if (df_is_winding_down())
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
