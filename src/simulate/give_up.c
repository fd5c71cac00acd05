/*
 * simulate/give_up.c
 *	  Ends a simulation that would never end.
 *
 * Runs in a user's backend, in the subtransaction of simulate().  A worker has for ever: a
 * workflow may be meant to begin one round after the other, and a body or its SQL is tried again
 * until nobody holds a lock any more.  In the transaction of a test nothing of that will change.
 * What is sent again and again is given up in network.c.
 */
#include "postgres.h"

#include "engine/run_steps.h"
#include "simulate/give_up.h"
#include "simulate/story.h"

/* a run that calls, directly and indirectly, so many others will call more */
#define MOST_RUNS 1000
/* entries of a body that cannot be entered now, and tries of SQL that waits for a lock */
#define MOST_REPEATS 4

/* its tries, but those that have used an attempt, were for nothing */
static bool
has_no_lock(DfSim *sim, DfSimRun *of, const DfStep *step)
{
	DfPhase phase = step->engine.phase;
	bool undo = phase == DF_PHASE_UNDO;
	bool ended = undo ? step->row.undo_state != DF_UNDO_DUE : df_step_ended(step);
	int attempts = undo ? step->row.undo_attempts : step->row.attempts;

	return step->kind == DF_STEP_QUERY && !ended &&
		df_sim_step(sim, of, step)->requests[phase] - attempts > MOST_REPEATS;
}

static DfStep *
step_without_lock(DfSim *sim, DfSimRun *of)
{
	for (int i = 0; i < of->run->nsteps; i++)
		if (has_no_lock(sim, of, of->run->steps[i]))
			return of->run->steps[i];
	return NULL;
}

/* true = there is a row that says so */
static bool
tell(DfSim *sim, DfSimRun *of)
{
	DfStep *step = step_without_lock(sim, of);

	if (of->run->row.round > sim->most_rounds)
		df_sim_row_of_rounds(sim, of);
	else if (of->run->row.body_retries > MOST_REPEATS)
		df_sim_row_of_body(sim, of);
	else if (step != NULL)
		df_sim_row_of_endless(sim, of, step, step->engine.phase);
	else
		return false;
	return true;
}

void
df_sim_give_up(DfSim *sim)
{
	ListCell *lc;

	foreach (lc, sim->turn_list)
		if (!sim->endless)
			sim->endless = tell(sim, lfirst(lc));
	if (!sim->endless && list_length(sim->runs) > MOST_RUNS)
	{
		sim->endless = true;
		df_sim_row_of_calls(sim, llast(sim->runs));
	}
}
