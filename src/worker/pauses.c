/*
 * worker/pauses.c
 *	  For how long the clocks of runs and steps stood still outside of them.
 *
 * Runs in workers and sql workers, in their transaction.  A pause of a workflow or of the
 * database touches no run, and a child run that is held does not touch its parent.  Both are
 * looked up when a time would have passed, and only then: most runs never ask.
 */
#include "postgres.h"

#include "engine/hold.h"
#include "shared/clock.h"
#include "store/pause_log.h"
#include "store/store.h"
#include "worker/turn.h"

/* a run whose child is held asks again at most so often */
#define HELD_CHILD_US (5 * USECS_PER_SEC)

static bool
has_children(const DfRun *run)
{
	for (int i = 0; i < run->nsteps; i++)
		if (run->steps[i]->kind == DF_STEP_CALL)
			return true;
	return false;
}

void
df_count_run_pauses(DfRun *run)
{
	TimestampTz since = df_run_asks_for_pauses(run);
	TimestampTz now = df_now();
	bool held = false;
	DfStore store;

	if (since == DF_NEVER)
		return;
	df_store_enter(&store);
	run->engine.paused_us = df_paused_us(run->workflow_name, since, now);
	if (has_children(run))
		run->engine.paused_us += df_children_held_us(&run->id, now, &held);
	df_store_leave(&store);
	/* children at the same time count each, but never more than there was */
	run->engine.paused_us = Min(run->engine.paused_us, now - since);
	if (held)
		run->engine.paused_us += HELD_CHILD_US;
}

void
df_count_step_pauses(DfRun *run, DfStep *step, const DfSystemPolicy *policy)
{
	TimestampTz since = df_step_asks_for_pauses(run, step, policy);
	DfStore store;

	if (since == DF_NEVER)
		return;
	df_store_enter(&store);
	step->engine.paused_us = df_paused_us(run->workflow_name, since, df_now());
	df_store_leave(&store);
}
