/*
 * engine/run_steps.c
 *	  The steps of a run in memory: adding one, and simple questions about them.
 *
 * Runs in a worker, in its recording transaction, on structs in memory.  Changes the
 * list of the steps and nothing else.  Never change a step's state here.
 */
#include "postgres.h"

#include "engine/replay.h"
#include "engine/run_steps.h"
#include "engine/step_kind.h"
#include "types/base.h"
#include "types/run.h"
#include "utils/memutils.h"

bool
df_step_ended(const DfStep *step)
{
	return step->row.state == DF_STEP_DONE || step->row.state == DF_STEP_FAILED ||
		(step->row.state == DF_STEP_DOUBT && step->row.finished_at != DF_NEVER);
}

bool
df_undo_in_progress(const DfStep *step)
{
	return step->row.undo_state == DF_UNDO_DUE || step->row.undo_state == DF_UNDO_SENT;
}

/* retry() renewed the step: the body has to render its request before it is sent */
bool
df_step_to_be_rendered(const DfStep *step)
{
	return df_step_ops(step)->renewable && step->row.request == NULL && !df_step_ended(step);
}

bool
df_run_has_to_send(const DfRun *run)
{
	for (int i = 0; i < run->nsteps; i++)
		if (run->steps[i]->engine.to_send)
			return true;
	return false;
}

DfStep *
df_run_due_query(const DfRun *run)
{
	for (int i = 0; i < run->nsteps; i++)
		if (run->steps[i]->engine.to_run_sql)
			return run->steps[i];
	return NULL;
}

void
df_run_add_step(DfRun *run, DfStep *step)
{
	if (run->nsteps == run->maxsteps)
	{
		run->maxsteps = Max(8, run->maxsteps * 2);
		if (run->steps == NULL)
			run->steps = MemoryContextAlloc(run->cxt, run->maxsteps * sizeof(DfStep *));
		else
			run->steps = repalloc(run->steps, run->maxsteps * sizeof(DfStep *));
	}
	Assert(run->nsteps == 0 || step->n > run->steps[run->nsteps - 1]->n);
	step->engine.index = run->nsteps;
	run->steps[run->nsteps++] = step;
	run->engine.has_rollback |= step->kind == DF_STEP_UNDO;
	/* each round counts its names from #1 again */
	if (step->n > run->row.round_n)
		df_replay_index(run, step);
	else
		run->engine.nearlier = run->nsteps;
}

/* numbers never begin again: idempotency keys are made of them */
int
df_run_next_n(const DfRun *run)
{
	if (run->nsteps > run->engine.nearlier)
		return run->steps[run->nsteps - 1]->n + 1;
	return run->row.round_n + 1;
}
