/*
 * engine/blocked.c
 *	  Which steps the body waits for, and whether it may be entered again.
 *
 * Runs in a worker, in its recording transaction, on structs in memory.  Never
 * change a state here.
 */
#include "postgres.h"

#include "engine/blocked.h"
#include "engine/run_due.h"
#include "engine/run_steps.h"
#include "engine/step_kind.h"
#include "types/base.h"
#include "types/run.h"
#include "utils/memutils.h"

/*
 * The steps of a claimed run are loaded.  Which of them the body waits for is known
 * only after an entry, so enter it when any step ends; or at once if there is a step
 * that only the body can render.
 */
void
df_run_loaded(DfRun *run)
{
	int n = 0;
	bool render = false;

	run->engine.fails_at = run->row.deadline != DF_NEVER
		? run->row.deadline
		: df_run_deadline_from(run, run->started_at);
	run->engine.blocked = MemoryContextAlloc(run->cxt, sizeof(int) * Max(1, run->nsteps));
	for (int i = 0; i < run->nsteps; i++)
	{
		DfStep *step = run->steps[i];

		if (!df_step_ended(step))
			run->engine.blocked[n++] = i;
		render = render || df_step_to_be_rendered(step) || !df_step_kind_is_known(step);
		if (df_step_ops(step)->loaded != NULL)
			df_step_ops(step)->loaded(step);
	}
	run->engine.nblocked = render ? 0 : n;
	run->engine.blocked_any = true;
	run->engine.advance = true;
}

bool
df_run_unblocked(const DfRun *run)
{
	int ended = 0;

	for (int i = 0; i < run->engine.nblocked; i++)
		if (df_step_ended(run->steps[run->engine.blocked[i]]))
			ended++;
	if (run->engine.blocked_any)
		return ended > 0 || run->engine.nblocked == 0;
	return ended == run->engine.nblocked;
}

/* the body has returned: wait for the steps that it did not wait for; false: there are none */
bool
df_run_block_on_unended(DfRun *run)
{
	int n = 0;

	run->engine.blocked = MemoryContextAlloc(run->cxt, sizeof(int) * Max(1, run->nsteps));
	for (int i = 0; i < run->nsteps; i++)
		if (!df_step_ended(run->steps[i]))
			run->engine.blocked[n++] = i;
	run->engine.nblocked = n;
	run->engine.blocked_any = false;
	return n > 0;
}
