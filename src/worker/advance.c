/*
 * worker/advance.c
 *	  Third phase of a turn: enter bodies and make their requests ready; in which
 *	  order, and how many.
 *
 * Runs in a worker, in the turn's transaction, as the role that owns the workflows.
 * A sql worker also advances its one run here.  Never send a byte here: requests
 * are sent after the commit.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "engine/run_advance.h"
#include "engine/run_failure.h"
#include "engine/run_inbox.h"
#include "engine/run_life.h"
#include "engine/step_alias.h"
#include "guc.h"
#include "shared/clock.h"
#include "shared/wake.h"
#include "shared/watchdog.h"
#include "store/run_table.h"
#include "store/store.h"
#include "store/xact.h"
#include "worker/process.h"
#include "worker/turn.h"

/* at most one in so many of dataflows.max_runs is retained while it waits for its children */
#define RETAINED_PART 4
/* how often a turn goes back to bodies whose request was refused at once */
#define MAX_DISPATCH_ROUNDS 10

/* ---- runs whose last entry may have ended the server ------------------------ */

/*
 * An entry into its body began and no exit is recorded: the body may be what ended
 * the server or its worker.
 */
bool
df_run_is_careful(const DfRun *run)
{
	return run->row.entries > 0 && run->row.entries < DF_CRASHES_ALLOWED &&
		run->row.state != DF_RUN_STUCK &&
		!df_run_is_terminal(run->row.state);
}

/*
 * Commit the count of entries before the entry, so that it is known after a crash.
 * Call it before the turn has written anything else.
 */
void
df_commit_entry(DfRun *run)
{
	DfStore store;

	df_store_enter(&store);
	df_record_entry(run, df_worker.lease);
	df_store_leave(&store);
	df_xact_commit();
	run->saved.lease = df_worker.lease;
	run->saved.entries++;
	run->row.entries = 0; /* what the row gets when the entry has ended */
	df_worker.careful_run = run;
	df_xact_begin();
	MemoryContextSwitchTo(df_turn_cxt);
}

/* one per turn, of runs claimed in an earlier turn: their rows already have our lease */
void
df_choose_careful_run(void)
{
	dlist_iter iter;

	dlist_foreach (iter, &df_worker.runs)
	{
		DfRun *run = dlist_container(DfRun, worker.node, iter.cur);

		if (!run->engine.advance || df_run_rests(run) || !df_run_is_careful(run))
			continue;
		df_blame_begin(run);
		df_commit_entry(run);
		df_blame_end();
		return;
	}
}

/* a careful run is entered alone, so that a crash can only be its own */
static bool
may_enter(const DfRun *run)
{
	if (df_worker.careful_run != NULL)
		return run == df_worker.careful_run || df_run_is_terminal(run->row.state);
	return !df_run_is_careful(run);
}

/* ---- what bodies need from the tables ----------------------------------------- */

/* for runs whose bodies ask for an alias; true if one can go on in this turn */
static bool
claim_wanted_aliases(void)
{
	bool can_go_on = false;
	ListCell *lc;

	foreach (lc, df_worker.turn_list)
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
		known = df_run_try_alias(run, step, &holder);
		df_blame_begin(run);
		if (known)
			df_run_alias_answer(run, step, holder);
		else
			df_run_alias_later(run);
		df_blame_end();
		can_go_on |= run->engine.advance;
	}
	return can_go_on;
}

static bool
read_wanted_inboxes(void)
{
	List *wanting = NIL;
	ListCell *lc;

	foreach (lc, df_worker.turn_list)
		if (((DfRun *) lfirst(lc))->engine.wants_inbox)
			wanting = lappend(wanting, lfirst(lc));
	if (wanting == NIL)
		return false;
	MemoryContextSwitchTo(df_turn_cxt);
	df_runs_read_inboxes(wanting);
	return true;
}

/* ---- advancing ------------------------------------------------------------ */

/* makes the run stuck if its body must not be entered */
static void
check_entry(DfRun *run)
{
	if (!df_process_role_exists())
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("role %u, which owns workflow \"%s\", was dropped", GetUserId(),
						run->workflow_name),
				 errhint("Read the reason and the remedy in the view dataflows.stuck.")));
	if (run->row.entries >= DF_CRASHES_ALLOWED && run->row.state != DF_RUN_STUCK &&
		!df_run_is_terminal(run->row.state))
		df_run_get_stuck(
			run, ERRCODE_CRASH_SHUTDOWN,
			"the body was entered three times without an exit, or it, or the SQL of a query step, "
			"went on after its time limit and the cancel: it ended the server or its worker",
			"Read the server log, fix the function, then call dataflows.retry(run).");
}

/*
 * Its workflow is paused, or set_owner() has given it to another role: responses to what is in
 * flight are recorded, and then it is released, for whoever may move it.
 */
static void
hand_over(DfRun *run)
{
	run->engine.advance = false;
	if (run->life == DF_LIFE_RETAINED)
		df_run_set_life(run, DF_LIFE_ACTIVE);
	for (int i = 0; i < run->nsteps; i++)
		if (!run->steps[i]->worker.in_flight)
			run->steps[i]->engine.to_send = run->steps[i]->engine.to_run_sql = false;
	if (run->worker.in_flight > 0)
		return;
	run->row.wake_at = df_now();
	/* the coordinator, too: it may have been asked to abandon it */
	df_wake_everybody();
	df_run_release(run);
}

void
df_advance_run(DfRun *run)
{
	bool was_retained = run->life == DF_LIFE_RETAINED;
	bool may_retain;

	df_turn_list_add(run);
	if (run->workflow == NULL)
	{
		df_run_get_stuck(run, ERRCODE_UNDEFINED_OBJECT, "the version of its workflow is missing",
						 NULL);
		df_run_release(run);
		return;
	}
	if ((run->worker.held || run->workflow->owner != GetUserId()) &&
		!df_run_is_terminal(run->row.state))
	{
		hand_over(run);
		return;
	}
	check_entry(run);
	df_slot_enter_body(df_worker.slot, run->id, run == df_worker.careful_run);
	df_blame_begin(run);
	df_count_run_pauses(run);
	may_retain = df_worker.slot->kind == DF_SLOT_WORKER && !df_is_winding_down() &&
		df_worker.nretained < df_max_runs / RETAINED_PART;
	df_run_advance(run, may_retain);
	if (!was_retained && run->life == DF_LIFE_RETAINED)
		df_worker.nretained++;
	df_blame_end();
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
	} while (claim_wanted_aliases() | read_wanted_inboxes());
}

/* ---- making requests ready ----------------------------------------------- */

/* true: the run is to be advanced, because one of its steps was refused or has to wait */
static bool
dispatch_run(DfRun *run, bool urgent)
{
	int before = run->worker.in_flight;

	/* advancing it may show that it has nothing to send any more */
	if (run->life == DF_LIFE_RELEASED || df_run_rests(run) || run->engine.advance)
		return false;
	df_blame_begin(run);
	df_dispatch(run, urgent);
	df_blame_end();
	if (run->worker.in_flight != before || run->engine.advance)
		df_turn_list_add(run);
	return run->engine.advance;
}

/*
 * A request that follows a probe goes first, or the probes of other runs would take
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
		bool still_urgent = false;

		if (!run->engine.urgent)
			continue;
		again |= dispatch_run(run, true);
		for (int i = 0; i < run->nsteps; i++)
			still_urgent |= run->steps[i]->engine.to_send && run->steps[i]->engine.urgent;
		run->engine.urgent = still_urgent;
	}
	return again;
}

/* makes ready as many requests as there are places for */
void
df_dispatch_all(void)
{
	dlist_iter iter;
	bool again;

	if (df_is_winding_down())
		return;
	again = dispatch_urgent();
	/* start with another run each time: one with a thousand steps must not take all places */
	if (!dlist_is_empty(&df_worker.runs))
		dlist_push_tail(&df_worker.runs, dlist_pop_head_node(&df_worker.runs));
	for (int rounds = 0; rounds < MAX_DISPATCH_ROUNDS; rounds++)
	{
		dlist_foreach (iter, &df_worker.runs)
			again |= dispatch_run(dlist_container(DfRun, worker.node, iter.cur), false);
		if (!again || df_worker.careful_run != NULL)
			break;
		df_advance_all();
		again = false;
	}
}
