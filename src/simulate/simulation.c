/*
 * simulate/simulation.c
 *	  One simulation of a run, from beginning to end.
 *
 * Runs in a user's backend, in a subtransaction of the caller's transaction that is always
 * rolled back.  The run is a row like any other, that the parts of the engine move which move
 * it in a worker: but the clock is ours, and so is the network.  Nothing that is done here may
 * reach anybody else: no wake, no NOTIFY, no metric, and nothing that this process remembers.
 */
#include "postgres.h"

#include "engine/attempt.h"
#include "engine/body.h"
#include "miscadmin.h"
#include "shared/as_role.h"
#include "shared/clock.h"
#include "shared/limits.h"
#include "simulate/drive.h"
#include "simulate/network.h"
#include "simulate/session_guard.h"
#include "simulate/simulation.h"
#include "store/identity.h"
#include "store/rights.h"
#include "store/run_start.h"
#include "store/session_state.h"
#include "store/store.h"
#include "store/subxact.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

typedef struct Task
{
	const DfSimulation *what;
	DfSim *sim;
} Task;

/* the row that start() would insert: for a member of the owner, whoever may start it */
static Oid
insert_run(DfSim *sim, const DfSimulation *what)
{
	DfWorkflowRow definition;
	DfNewRun run;
	DfStore store;

	memset(&run, 0, sizeof(run));
	run.id = df_new_uuid();
	run.identity = sim->identity;
	run.started_by = GetUserNameFromId(sim->caller, false);
	run.input = unconstify(Jsonb *, what->input);
	run.now = df_now();
	df_store_enter(&store);
	df_require_workflow(what->workflow, &definition, store.result_context);
	df_require_own(sim->caller, &definition, "simulate");
	run.workflow = definition.name;
	run.version = definition.version;
	(void) df_run_insert(&run);
	df_store_leave(&store);
	df_require_owner_there(&definition);
	df_sim_add_run(sim, &run.id, NULL, "")->wake_at = run.now;
	return definition.owner;
}

static void
run_simulation(void *arg)
{
	Task *task = arg;
	DfSim *sim = task->sim;

	/* not before: an error outside of the subtransaction would leave it so */
	df_clock_simulate(sim->began);
	df_settings_of_role(insert_run(sim, task->what));
	df_sim_drive(sim);
}

static void
require_possible(void)
{
	if (df_clock_is_simulated())
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("a simulation is under way already"),
				 errhint("Simulate outside of what is simulated.")));
	if (df_entry != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("cannot simulate a run within the function of a workflow"),
				 errhint("Call it in a session, or in a test.")));
	df_require_writable("simulate a run");
}

static DfSim *
new_simulation(const DfSimulation *what)
{
	DfSim *sim = palloc0(sizeof(DfSim));

	sim->caller = GetUserId();
	sim->began = df_now();
	sim->lease = df_random_int64();
	sim->identity = df_identity_hash();
	sim->replies = what->replies;
	sim->overrides = what->overrides;
	sim->crash_after = what->crash_after;
	sim->explains = what->explains;
	sim->most_rounds = what->most_rounds;
	sim->cxt = CurrentMemoryContext;
	sim->turn_cxt =
		AllocSetContextCreate(sim->cxt, "dataflows simulated turn", ALLOCSET_DEFAULT_SIZES);
	sim->runs_cxt =
		AllocSetContextCreate(sim->cxt, "dataflows simulated runs", ALLOCSET_DEFAULT_SIZES);
	return sim;
}

DfSim *
df_simulate(const DfSimulation *what)
{
	List *attempts = df_turn_attempts;
	DfSessionState state;
	DfSim *sim;
	Task task;
	ErrorData *error;

	require_possible();
	sim = new_simulation(what);
	task.what = what;
	task.sim = sim;
	df_session_note(&state);
	df_session_note_objects(&state);
	sim->session = &state;
	(void) df_subxact(run_simulation, &task, false, &error);
	if (df_entry != NULL)
		df_body_forget();
	df_sim_leave();
	df_session_guard(false);
	df_clock_simulate(0);
	df_engine_acts_for(InvalidOid);
	df_turn_attempts = attempts;
	df_session_restore(&state);
	sim->session = NULL;
	MemoryContextDelete(sim->turn_cxt);
	MemoryContextDelete(sim->runs_cxt);
	if (error != NULL)
		ReThrowError(error);
	return sim;
}
