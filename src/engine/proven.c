/*
 * engine/proven.c
 *	  Whether a step has once been done by its workflow as it is.
 *
 * Runs in a worker, in its recording transaction, as the owner of the workflow.  What is
 * new is marked here and written with the turn.
 */
#include "postgres.h"

#include "engine/proven.h"
#include "store/proven_table.h"
#include "store/store.h"

void
df_step_proven(DfRun *run, DfStep *step)
{
	if (!df_proven_is_known(run, step))
		step->engine.proves = run->engine.proves = true;
}

/* asked only where it matters, which is rare */
bool
df_step_was_proven(DfRun *run, DfStep *step)
{
	DfStore store;
	bool was;

	df_store_enter(&store);
	was = df_proven_find(run, step);
	df_store_leave(&store);
	return was;
}
