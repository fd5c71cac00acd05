/*
 * engine/blocked.c
 *	  Which steps the body waits for, and whether it may be entered again.
 *
 * Runs in a worker, in its recording transaction, on structs in memory.  Must
 * never change a state.
 */
#include "postgres.h"

#include "engine/blocked.h"
#include "engine/child_run.h"
#include "engine/due.h"
#include "engine/run_steps.h"
#include "types/base.h"
#include "types/run.h"
#include "utils/memutils.h"

/*
 * A run that was claimed: what its body waits for is not known before it is
 * entered, so any step that ends will do.  It need not wait for that if there is
 * a step that only the body can render.
 */
void
df_run_loaded(DfRun *run)
{
	int n = 0;
	bool render = false;

	run->fails_at = run->deadline != DF_NEVER ? run->deadline : df_run_deadline_from(run, run->started_at);
	run->blocked = MemoryContextAlloc(run->cxt, sizeof(int) * Max(1, run->nsteps));
	for (int i = 0; i < run->nsteps; i++)
	{
		if (!df_step_ended(run->steps[i]))
			run->blocked[n++] = i;
		render = render || df_step_to_be_rendered(run->steps[i]);
		df_child_loaded(run->steps[i]);
	}
	run->nblocked = render ? 0 : n;
	run->blocked_any = true;
	run->advance = true;
}

bool
df_run_unblocked(const DfRun *run)
{
	int ended = 0;

	for (int i = 0; i < run->nblocked; i++)
		if (df_step_ended(run->steps[run->blocked[i]]))
			ended++;
	return run->blocked_any ? ended > 0 || run->nblocked == 0 : ended == run->nblocked;
}

/* the body is done, but what it began without waiting is not */
bool
df_run_block_on_unended(DfRun *run)
{
	int n = 0;

	run->blocked = MemoryContextAlloc(run->cxt, sizeof(int) * Max(1, run->nsteps));
	for (int i = 0; i < run->nsteps; i++)
		if (!df_step_ended(run->steps[i]))
			run->blocked[n++] = i;
	run->nblocked = n;
	run->blocked_any = false;
	return n > 0;
}
