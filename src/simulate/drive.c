/*
 * simulate/drive.c
 *	  Moves the runs of a simulation until nothing happens any more.
 *
 * Runs in a user's backend, in the subtransaction of simulate().  Does by turns what a worker,
 * a sql worker and the coordinator do, with the same parts of the engine, and writes the same
 * rows; between two turns the clock goes on to what is due next.  Never wait here, and never
 * decide what becomes of a run or a step: the engine does.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"

#include "engine/attempt.h"
#include "engine/child_run.h"
#include "engine/operator.h"
#include "engine/query_run.h"
#include "engine/run_advance.h"
#include "engine/run_due.h"
#include "engine/run_inbox.h"
#include "engine/run_life.h"
#include "engine/run_load.h"
#include "engine/run_record.h"
#include "engine/run_steps.h"
#include "engine/step_alias.h"
#include "shared/clock.h"
#include "shared/json.h"
#include "shared/uuid.h"
#include "simulate/drive.h"
#include "simulate/events.h"
#include "simulate/give_up.h"
#include "simulate/network.h"
#include "simulate/session_guard.h"
#include "simulate/story.h"
#include "store/due.h"
#include "store/inbox_read.h"
#include "store/record.h"
#include "store/run_table.h"
#include "store/session_state.h"
#include "store/step_table.h"
#include "store/store.h"
#include "store/workflow_table.h"
#include "types/base.h"

/* as a worker does */
#define MOST_DISPATCH_ROUNDS 10
/* a statement of a query step waits no longer for a lock that another session holds */
#define LOCK_WAIT_MS 1000

/* ---- claiming -------------------------------------------------------------- */

static DfWorkflow *
workflow_of(DfSim *sim, const char *name, int version)
{
	DfWorkflow *workflow;
	MemoryContext old;
	ListCell *lc;

	foreach (lc, sim->workflows)
	{
		workflow = lfirst(lc);
		if (workflow->version == version && strcmp(workflow->name, name) == 0)
			return workflow;
	}
	workflow = df_load_workflow(name, version, sim->cxt);
	if (workflow == NULL)
		elog(ERROR, "version %d of workflow \"%s\" is missing", version, name);
	old = MemoryContextSwitchTo(sim->cxt);
	sim->workflows = lappend(sim->workflows, workflow);
	MemoryContextSwitchTo(old);
	return workflow;
}

/* inside the store */
static void
take_claimed(DfSim *sim, List *runs, List *versions)
{
	List *with_steps = NIL;
	ListCell *lc;
	ListCell *vc;

	forboth (lc, runs, vc, versions)
	{
		DfRun *run = lfirst(lc);
		DfSimRun *of = df_sim_find_run(sim, &run->id);
		DfWorkflow *workflow = workflow_of(sim, run->workflow_name, lfirst_int(vc));

		df_run_take(run, workflow, sim->lease);
		of->run = run;
		of->owner = workflow->owner;
		of->workflow = workflow->name;
		of->key = run->key != NULL ? MemoryContextStrdup(sim->cxt, run->key) : NULL;
		of->at_rest = false;
		if (run->row.state != DF_RUN_QUEUED)
			with_steps = lappend(with_steps, run);
	}
	if (with_steps != NIL)
		df_load_steps(with_steps);
}

/* reads them from the table */
static void
claim(DfSim *sim, List *wanted)
{
	List *ids = NIL;
	List *runs;
	List *versions;
	DfStore store;
	ListCell *lc;

	if (wanted == NIL)
		return;
	foreach (lc, wanted)
		ids = lappend(ids, &((DfSimRun *) lfirst(lc))->id);
	df_store_enter(&store);
	runs = df_claim_runs(ids, sim->identity, sim->runs_cxt, &versions);
	take_claimed(sim, runs, versions);
	df_store_leave(&store);
	foreach (lc, wanted)
	{
		DfSimRun *of = lfirst(lc);
		DfAsRole before;

		if (of->run == NULL)
			elog(ERROR, "a simulated run could not be claimed");
		df_sim_act_as_owner(sim, of, &before);
		df_run_load(of->run);
		df_sim_act_as_before(&before);
		df_sim_touch(sim, of);
	}
}

/*
 * It was released in an earlier turn, and nobody else has had it: what is in memory is what the
 * table says.  Not so where other steps are to be read than before.
 */
static bool
can_be_taken_up(const DfSimRun *of)
{
	return of->run != NULL && of->run->row.round == 1 &&
		(df_run_goes_forward(of->run) || of->run->row.state == DF_RUN_ROLLING_BACK);
}

static void
take_up(DfSim *sim, DfSimRun *of)
{
	df_run_take_up(of->run, sim->lease);
	df_run_take(of->run, of->run->workflow, sim->lease);
	of->at_rest = false;
	df_sim_touch(sim, of);
}

static void
take(DfSim *sim, List *runs)
{
	List *wanted = NIL;
	ListCell *lc;

	foreach (lc, runs)
	{
		DfSimRun *of = lfirst(lc);

		if (can_be_taken_up(of))
		{
			take_up(sim, of);
			continue;
		}
		if (of->run != NULL)
			MemoryContextDelete(of->run->cxt);
		of->run = NULL;
		wanted = lappend(wanted, of);
	}
	claim(sim, wanted);
}

/* ---- what has come --------------------------------------------------------- */

static bool
is_due(TimestampTz at)
{
	return at != DF_NEVER && at <= df_now();
}

/* it waits for a real run, which holds the key that it called: that one does not move now */
static bool
waits_outside(DfSim *sim, const DfStep *step)
{
	pg_uuid_t id;

	if (step->kind != DF_STEP_CALL || step->row.state != DF_STEP_WAITING ||
		step->row.answer == NULL || step->engine.has_own_child)
		return false;
	id = df_uuid_read(df_child_id(step));
	return df_sim_find_run(sim, &id) == NULL;
}

/* to look again at real runs is nothing that is due */
static TimestampTz
next_due(DfSim *sim, DfSimRun *of)
{
	DfRun *run = of->run;
	TimestampTz *looks = palloc0(sizeof(TimestampTz) * Max(1, run->nsteps));
	TimestampTz due;

	for (int i = 0; i < run->nsteps; i++)
		if (waits_outside(sim, run->steps[i]))
		{
			looks[i] = run->steps[i]->row.wake_at;
			run->steps[i]->row.wake_at = DF_NEVER;
		}
	due = df_run_next_due(run);
	for (int i = 0; i < run->nsteps; i++)
		if (looks[i] != DF_NEVER)
			run->steps[i]->row.wake_at = looks[i];
	pfree(looks);
	return due;
}

static void
wake_due_runs(DfSim *sim)
{
	List *due = NIL;
	ListCell *lc;

	foreach (lc, sim->runs)
	{
		DfSimRun *of = lfirst(lc);

		if (of->at_rest && is_due(of->wake_at))
			due = lappend(due, of);
		else if (!of->at_rest && is_due(next_due(sim, of)))
			of->run->engine.advance = true;
	}
	take(sim, due);
}

/* a run at rest is taken for whatever is new for it */
static void
read_inbox(DfSim *sim)
{
	List *ids = NIL;
	List *resting = NIL;
	List *rows;
	DfStore store;
	ListCell *lc;

	if (!sim->read_inbox)
		return;
	sim->read_inbox = false;
	foreach (lc, sim->runs)
		ids = lappend(ids, &((DfSimRun *) lfirst(lc))->id);
	df_store_enter(&store);
	rows = df_load_inbox_of(ids, sim->turn_cxt);
	df_store_leave(&store);
	foreach (lc, rows)
	{
		DfSimRun *of = df_sim_find_run(sim, &((DfInboxRow *) lfirst(lc))->run);

		if (of->at_rest)
			resting = list_append_unique_ptr(resting, of);
	}
	take(sim, resting);
	foreach (lc, rows)
	{
		DfInboxRow *row = lfirst(lc);
		DfSimRun *of = df_sim_find_run(sim, &row->run);
		DfAsRole before;

		df_sim_act_as_owner(sim, of, &before);
		df_run_deliver(of->run, &row->message);
		df_sim_act_as_before(&before);
		df_sim_touch(sim, of);
	}
}

/* ---- advancing ------------------------------------------------------------- */

/*
 * A cancel of the caller's is not the outcome of the statement.  What a worker clears away
 * behind a statement is not there for the next step of a simulation either.
 */
static void
run_query(DfSim *sim, DfRun *run, DfStep *step)
{
	DfSqlOutcome outcome;
	bool timed_out = df_query_run(run, step, LOCK_WAIT_MS, &outcome);

	df_session_drop_objects(sim->session);
	df_session_restore(sim->session);
	if (outcome.sqlstate == ERRCODE_QUERY_CANCELED && !timed_out)
		ReThrowError(outcome.error);
	df_query_outcome(run, step, &outcome, timed_out);
	df_run_apply_cancels(run);
	/* it may have sent signals, too */
	sim->read_inbox = true;
}

/*
 * A run with SQL to be run is parked for a sql worker, which finds the intent in the table: here
 * it is taken in the next turn.
 */
static void
advance(DfSim *sim, DfSimRun *of)
{
	DfRun *run = of->run;
	bool for_sql = run->saved.lease == 0 && run->saved.sql;
	DfAsRole before;
	DfStep *step;

	df_sim_touch(sim, of);
	df_sim_act_as_owner(sim, of, &before);
	df_sim_enter(sim, of);
	df_session_guard(true);
	df_run_advance(run, false);
	step = for_sql && run->life == DF_LIFE_RELEASED ? df_run_due_query(run) : NULL;
	if (step != NULL)
	{
		df_run_take_up(run, sim->lease);
		df_sim_step(sim, of, step)->requests[step->engine.phase]++;
		run_query(sim, run, step);
		df_run_advance(run, false);
	}
	df_session_guard(false);
	df_sim_leave();
	df_sim_act_as_before(&before);
}

static bool
take_aliases(DfSim *sim)
{
	bool again = false;
	ListCell *lc;

	foreach (lc, sim->turn_list)
	{
		DfRun *run = ((DfSimRun *) lfirst(lc))->run;
		DfStep *step = run->engine.wants_alias ? df_run_alias_wanted(run) : NULL;
		char *holder;

		run->engine.wants_alias = false;
		if (step == NULL)
			continue;
		if (df_run_try_alias(run, step, &holder))
			df_run_alias_answer(run, step, holder);
		else
			df_run_alias_later(run);
		again |= run->engine.advance;
	}
	return again;
}

static bool
read_wanted_inboxes(DfSim *sim)
{
	List *wanting = NIL;
	ListCell *lc;

	foreach (lc, sim->turn_list)
	{
		DfRun *run = ((DfSimRun *) lfirst(lc))->run;

		if (run->engine.wants_inbox)
			wanting = lappend(wanting, run);
	}
	if (wanting == NIL)
		return false;
	df_runs_read_inboxes(wanting);
	return true;
}

static void
advance_all(DfSim *sim)
{
	ListCell *lc;

	do
	{
		foreach (lc, sim->runs)
		{
			DfSimRun *of = lfirst(lc);

			if (of->at_rest || !of->run->engine.advance)
				continue;
			advance(sim, of);
			CHECK_FOR_INTERRUPTS();
		}
	} while (take_aliases(sim) | read_wanted_inboxes(sim));
}

static bool
dispatch_all(DfSim *sim)
{
	bool again = false;
	ListCell *lc;

	foreach (lc, sim->runs)
	{
		DfSimRun *of = lfirst(lc);
		DfAsRole before;

		if (of->at_rest || of->run->life == DF_LIFE_RELEASED || of->run->engine.advance)
			continue;
		df_sim_act_as_owner(sim, of, &before);
		df_sim_dispatch(sim, of);
		df_sim_act_as_before(&before);
		again |= of->run->engine.advance;
	}
	return again;
}

/* ---- recording ------------------------------------------------------------- */

/* runs of one owner are recorded at once: children are started in its name */
static void
record_of_owner(DfSim *sim, Oid owner, bool last)
{
	List *runs = NIL;
	ListCell *lc;

	foreach (lc, sim->turn_list)
		if (((DfSimRun *) lfirst(lc))->owner == owner)
			runs = lappend(runs, ((DfSimRun *) lfirst(lc))->run);
	df_engine_acts_for(owner);
	df_runs_record(runs, last ? df_turn_attempts : NIL);
	df_engine_acts_for(InvalidOid);
}

static void
record(DfSim *sim)
{
	List *owners = NIL;
	List *runs = NIL;
	ListCell *lc;

	foreach (lc, sim->turn_list)
	{
		DfSimRun *of = lfirst(lc);

		owners = list_append_unique_oid(owners, of->owner);
		runs = lappend(runs, of->run);
	}
	foreach (lc, owners)
		record_of_owner(sim, lfirst_oid(lc), lnext(owners, lc) == NULL);
	foreach (lc, sim->turn_list)
		df_sim_rows_of_turn(sim, lfirst(lc), df_turn_attempts);
	df_record_saved(runs);
}

static Jsonb *
ending_of(const DfRun *run)
{
	switch (run->row.state)
	{
		case DF_RUN_COMPLETED:
			return run->row.result;
		case DF_RUN_STUCK:
			return run->row.stuck;
		default:
			return run->row.error;
	}
}

static void
note_state(DfSim *sim, DfSimRun *of)
{
	DfRun *run = of->run;
	Jsonb *ending = ending_of(run);

	if (of->since == DF_NEVER || of->was != run->row.state)
		of->since = df_now();
	of->was = run->row.state;
	of->ending = ending != NULL ? df_json_copy(ending, sim->cxt) : NULL;
	run->worker.on_turn_list = false;
	run->engine.advance |= run->engine.awaits_commit;
	run->engine.awaits_commit = false;
	if (run->life != DF_LIFE_RELEASED)
		return;
	of->at_rest = true;
	/* as the row says, unless that is only to look again */
	of->wake_at = run->row.wake_at;
	if (of->wake_at > df_now() && of->wake_at == df_run_next_due(run))
		of->wake_at = next_due(sim, of);
}

/* the runs that it has called since */
static void
find_children(DfSim *sim, DfSimRun *of)
{
	for (int i = 0; i < of->run->nsteps; i++)
	{
		const DfStep *step = of->run->steps[i];
		pg_uuid_t id;
		DfSimRun *child;

		if (step->kind != DF_STEP_CALL || !step->engine.has_own_child)
			continue;
		id = df_uuid_read(df_child_id(step));
		if (df_sim_find_run(sim, &id) != NULL)
			continue;
		child = df_sim_add_run(sim, &id, of, psprintf("%s%s > ", of->path, step->name));
		child->wake_at = df_now();
	}
}

static void
after_recording(DfSim *sim)
{
	ListCell *lc;

	foreach (lc, sim->turn_list)
	{
		DfSimRun *of = lfirst(lc);

		note_state(sim, of);
		df_sim_arrange_signals(sim, of);
		find_children(sim, of);
	}
	df_sim_give_up(sim);
	/* they write to each other */
	if (sim->turn_list != NIL && list_length(sim->runs) > 1)
		sim->read_inbox = true;
}

/* ---- a crash --------------------------------------------------------------- */

/*
 * The worker is gone with all that it had in memory, just after the request has left; what it
 * has recorded is there.  The coordinator returns its leases, and another worker claims the runs.
 */
static void
crash(DfSim *sim)
{
	DfStore store;
	ListCell *lc;

	df_sim_row_of_crash(sim, sim->crash_run, sim->crash_step);
	sim->crash_run = NULL;
	sim->crash_step = NULL;
	df_sim_lose_flights(sim);
	foreach (lc, sim->runs)
	{
		DfSimRun *of = lfirst(lc);

		if (of->run == NULL)
			continue;
		if (!of->at_rest)
			of->wake_at = df_now();
		of->at_rest = true;
		MemoryContextDelete(of->run->cxt);
		of->run = NULL;
	}
	df_store_enter(&store);
	(void) df_give_back_lease(sim->lease);
	df_store_leave(&store);
	sim->lease = df_random_int64();
}

/* ---- turns ----------------------------------------------------------------- */

static void
turn(DfSim *sim)
{
	CHECK_FOR_INTERRUPTS();
	sim->turn_list = NIL;
	df_turn_attempts = NIL;
	MemoryContextReset(sim->turn_cxt);
	MemoryContextSwitchTo(sim->turn_cxt);

	df_sim_arrivals(sim);
	df_sim_send_signals(sim);
	wake_due_runs(sim);
	read_inbox(sim);
	advance_all(sim);
	for (int i = 0; i < MOST_DISPATCH_ROUNDS && dispatch_all(sim); i++)
		advance_all(sim);
	record(sim);
	after_recording(sim);
	if (sim->crash_run != NULL)
		crash(sim);
}

/* when something happens next, DF_NEVER = nothing does */
static TimestampTz
next_event(DfSim *sim)
{
	TimestampTz next = df_earlier(df_sim_next_arrival(sim), df_sim_next_signal(sim));
	ListCell *lc;

	if (sim->endless)
		return DF_NEVER;
	if (sim->read_inbox)
		return df_now();
	foreach (lc, sim->runs)
	{
		DfSimRun *of = lfirst(lc);

		if (!of->at_rest && (of->run->engine.advance || df_run_has_to_send(of->run)))
			return df_now();
		next = df_earlier(next, of->at_rest ? of->wake_at : next_due(sim, of));
	}
	return next;
}

static void
drive(DfSim *sim)
{
	TimestampTz next;

	while ((next = next_event(sim)) != DF_NEVER)
	{
		if (next > df_now())
			df_clock_simulate(next);
		turn(sim);
	}
	df_sim_rows_of_end(sim);
}

void
df_sim_drive(DfSim *sim)
{
	drive(sim);
	if (!sim->explains)
		return;
	sim->forward_rows = list_length(sim->rows);
	sim->forward_path = list_length(sim->path);
	sim->asked_to_undo = !sim->endless && df_sim_ask_to_undo(sim);
	if (sim->asked_to_undo)
		drive(sim);
}
