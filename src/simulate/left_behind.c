/*
 * simulate/left_behind.c
 *	  What a simulated run has left in the systems that nobody takes back.
 *
 * Runs in a user's backend, after a simulation, on what is known of its steps.  Changes
 * nothing.
 */
#include "postgres.h"

#include "flow/flow.h"
#include "simulate/left_behind.h"

static bool
is_stuck(const DfSim *sim)
{
	ListCell *lc;

	foreach (lc, sim->runs)
		if (((DfSimRun *) lfirst(lc))->was == DF_RUN_STUCK)
			return true;
	return false;
}

/* of a run that has ended otherwise than its body wanted, or that another one had called */
static bool
should_be_undone(const DfSimRun *of)
{
	for (; of != NULL; of = of->caller)
		if (of->was != DF_RUN_COMPLETED && df_run_is_terminal(of->was))
			return true;
	return false;
}

/* NULL = nothing */
static char *
left_of(const DfSimRun *of, const DfSimStep *step, bool stuck)
{
	if (step->name == NULL)
		return NULL;
	if (step->made > 1)
		return psprintf("%s (made %d times)", step->name, step->made);
	/* what is in doubt may be there, and what could not be undone is */
	if (stuck && step->shown != DF_STEP_DOUBT && step->undo_shown != DF_UNDO_FAILED)
		return NULL;
	if (stuck)
		return pstrdup(step->name);
	if (step->made > 0 && !step->taken_back && !step->kept && should_be_undone(of))
		return pstrdup(step->name);
	return NULL;
}

List *
df_sim_left_behind(const DfSim *sim)
{
	MemoryContext old = MemoryContextSwitchTo(sim->cxt);
	bool stuck = is_stuck(sim);
	List *left = NIL;
	ListCell *lc;
	ListCell *sc;

	foreach (lc, sim->runs)
	{
		const DfSimRun *of = lfirst(lc);

		foreach (sc, of->steps)
		{
			char *name = left_of(of, lfirst(sc), stuck);

			if (name != NULL)
				left = lappend(left, name);
		}
	}
	MemoryContextSwitchTo(old);
	return left;
}
