/*
 * engine/run_load.c
 *	  The end of loading a run: its steps are filed, and what was in flight when its last
 *	  worker ended is lost.
 *
 * Runs in workers and sql workers, and in sessions that simulate, in their transaction and
 * as the role that owns the workflow, on structs in memory.  Never read a row here.
 */
#include "postgres.h"

#include "engine/outcome.h"
#include "engine/blocked.h"
#include "engine/run_life.h"
#include "engine/run_load.h"
#include "engine/run_steps.h"
#include "engine/step_kind.h"
#include "fdw/policy.h"
#include "shared/clock.h"
#include "types/base.h"

/* requests whose worker ended before the response */
static void
recover_lost(DfRun *run)
{
	DfResponse response;
	DfSystemPolicy policy;
	char *why = NULL;

	memset(&response, 0, sizeof(response));
	response.fate = DF_FATE_LOST;
	response.retry_after_ms = -1;
	response.error = "the engine was stopped before the response was recorded";
	for (int i = 0; i < run->nsteps; i++)
	{
		DfStep *step = run->steps[i];

		if (step->row.state != DF_STEP_SENT && step->row.undo_state != DF_UNDO_SENT)
			continue;
		if (!df_step_ops(step)->sends_requests)
			continue; /* a request to a child run is in its inbox, not lost */
		df_policy_of(df_system_get(step->system, &why), &policy);
		step->engine.phase = step->row.state == DF_STEP_SENT ? DF_PHASE_DO : DF_PHASE_UNDO;
		(void) df_step_response(run, step, &response, &policy);
	}
}

void
df_run_take(DfRun *run, DfWorkflow *workflow, int64 lease)
{
	TimestampTz now = df_now();

	run->workflow = workflow;
	run->row.lease = lease;
	/* a leased run must be due, or the coordinator would not find it if this process died */
	if (run->row.wake_at == DF_NEVER || run->row.wake_at > now)
		run->row.wake_at = now;
	run->engine.advance = true;
}

void
df_run_load(DfRun *run)
{
	ListCell *lc;

	foreach (lc, run->engine.loaded_steps)
		df_run_add_step(run, lfirst(lc));
	run->engine.loaded_steps = NIL;
	df_run_loaded(run);
	recover_lost(run);
	df_run_set_life(run, DF_LIFE_ACTIVE);
}
