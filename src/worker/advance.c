/*
 * worker/advance.c
 *	  A turn's third phase: the engine's part.  Which runs are advanced, in what
 *	  order, and which of their requests are made ready.
 *
 * Runs in a worker, in the turn's transaction, as the workflows' owner: bodies
 * are entered here.  It must never send a byte: what is made ready leaves after
 * the commit.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "engine/run_advance.h"
#include "engine/run_failure.h"
#include "engine/operator.h"
#include "engine/step_alias.h"
#include "engine/waits.h"
#include "guc.h"
#include "shared/watchdog.h"
#include "store/alias_table.h"
#include "store/inbox_read.h"
#include "store/run_table.h"
#include "store/store.h"
#include "store/xact.h"
#include "worker/process.h"
#include "worker/turn.h"

/* of the places for runs, which part those may have that only wait for their children */
#define LINGERING_PART 4

/* ---- runs whose last entry may have ended the server ------------------------ */

/*
 * Whose last entry nobody has seen end: it may be the body that ended the server,
 * or its worker.
 */
bool
df_run_is_careful(const DfRun *run)
{
	return run->row.entries > 0 && run->row.entries < DF_CRASHES_ALLOWED &&
		run->row.state != DF_RUN_STUCK &&
		!df_run_is_terminal(run->row.state);
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
	run->row.entries = 0; /* what the row says once the entry has ended */
	df_worker.only = run;
	df_xact_begin();
	MemoryContextSwitchTo(df_worker.turn_cxt);
}

/* one careful run a turn, of those that were ours before it: their rows have our lease */
void
df_choose_careful(void)
{
	dlist_iter iter;

	dlist_foreach (iter, &df_worker.runs)
	{
		DfRun *run = dlist_container(DfRun, worker.node, iter.cur);

		if (!run->engine.advance || df_run_rests(run) || !df_run_is_careful(run))
			continue;
		df_worker.current = run;
		df_commit_entry(run);
		df_worker.current = NULL;
		return;
	}
}

/* the careful ones by turns, and with none of them another */
static bool
may_enter(const DfRun *run)
{
	if (df_worker.only != NULL)
		return run == df_worker.only || df_run_is_terminal(run->row.state);
	return !df_run_is_careful(run);
}

/* ---- what bodies ask the tables for ----------------------------------------- */

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
		DfStep *step = NULL;
		char *holder;
		bool known;

		if (run->engine.wants_alias && !df_run_rests(run))
			step = df_run_alias_wanted(run);
		run->engine.wants_alias = false;
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
		some |= run->engine.advance;
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
		if (((DfRun *) lfirst(lc))->engine.wants_inbox)
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

		foreach (mc, run->engine.loaded_messages)
			df_run_message(run, lfirst(mc));
		run->engine.loaded_messages = NIL;
		run->engine.wants_inbox = false;
		run->engine.inbox_loaded = true;
		run->engine.advance = true;
	}
	return true;
}

/* ---- advancing ------------------------------------------------------------ */

void
df_advance_run(DfRun *run)
{
	bool lingered;

	df_turn_list_add(run);
	if (run->workflow == NULL)
	{
		df_run_get_stuck(run, ERRCODE_UNDEFINED_OBJECT, "the version of its workflow is missing",
						 NULL);
		run->released = true;
		run->row.lease = 0;
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
		if (!df_run_is_terminal(run->row.state))
			df_run_get_stuck(run, ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION,
							 "the role that owns the workflow is not the one that defined it",
							 NULL);
	}
	else if (run->row.entries >= DF_CRASHES_ALLOWED && run->row.state != DF_RUN_STUCK &&
			 !df_run_is_terminal(run->row.state))
		df_run_get_stuck(
			run, ERRCODE_CRASH_SHUTDOWN,
			"the body was entered three times without an exit, or it, or the SQL of a query step, "
			"went on after its time limit and the cancel: it ended the server or its worker",
			"Look into the server's log, mend the function, then call dataflows.retry(run).");
	df_slot_enter_body(df_worker.slot, run->id, run == df_worker.only);
	df_worker.current = run;
	run->engine.may_retain = df_worker.slot->kind == DF_SLOT_WORKER && !df_is_winding_down() &&
		df_worker.lingering < df_max_runs / LINGERING_PART;
	lingered = run->engine.retained_until != DF_NEVER;
	df_run_advance(run);
	if (!lingered && run->engine.retained_until != DF_NEVER)
		df_worker.lingering++;
	df_worker.current = NULL;
	df_slot_leave_body(df_worker.slot);
}

void
df_advance_all(void)
{
	dlist_iter iter;

	do
	{
		dlist_foreach (iter, &df_worker.runs)
		{
			DfRun *run = dlist_container(DfRun, worker.node, iter.cur);

			if (df_leaving())
				break;
			if (run->engine.advance && !df_run_rests(run) && may_enter(run))
			{
				df_advance_run(run);
				CHECK_FOR_INTERRUPTS();
			}
		}
	} while (take_wanted_aliases() | read_wanted_inboxes());
}

/* ---- requests are made ready ----------------------------------------------- */

/* true: it is to be advanced, for a step of it was refused or put off */
static bool
dispatch_run(DfRun *run, bool urgent)
{
	int before = run->worker.in_flight;

	/* who has not been advanced yet may not want to send any more */
	if (run->released || df_run_rests(run) || run->engine.advance)
		return false;
	df_worker.current = run;
	df_dispatch(run, urgent);
	df_worker.current = NULL;
	if (run->worker.in_flight != before || run->engine.advance)
		df_turn_list_add(run);
	return run->engine.advance;
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
		DfRun *run = dlist_container(DfRun, worker.node, iter.cur);
		bool some = false;

		if (!run->engine.urgent)
			continue;
		again |= dispatch_run(run, true);
		for (int i = 0; i < run->nsteps; i++)
			some |= run->steps[i]->to_send && run->steps[i]->urgent;
		run->engine.urgent = some;
	}
	return again;
}

/* requests of all runs for which there is room; a refusal may let a run go on */
void
df_dispatch_all(void)
{
	dlist_iter iter;
	bool again;

	if (df_is_winding_down())
		return;
	again = dispatch_urgent();
	/* another one comes first each time: a run of a thousand steps is not to have all places */
	if (!dlist_is_empty(&df_worker.runs))
		dlist_push_tail(&df_worker.runs, dlist_pop_head_node(&df_worker.runs));
	for (int rounds = 0; rounds < 10; rounds++)
	{
		dlist_foreach (iter, &df_worker.runs)
			again |= dispatch_run(dlist_container(DfRun, worker.node, iter.cur), false);
		if (!again || df_worker.only != NULL)
			break;
		df_advance_all();
		again = false;
	}
}
