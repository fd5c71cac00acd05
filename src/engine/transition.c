/*
 * engine/transition.c
 *	  The one place where the state of a run, a step or an undo changes.
 *
 * Runs in a worker, in its recording transaction, on structs in memory.  The machines
 * are flow/run_state.c and flow/step_state.c.  A transition that they lack is a bug of
 * ours: it raises an error, and never leads to a wrong state.
 */
#include "postgres.h"

#include "engine/transition.h"
#include "flow/flow.h"
#include "shared/clock.h"
#include "shared/metrics.h"
#include "types/base.h"
#include "types/run.h"

static void
count_run(const DfRun *run, DfRunState before)
{
	if (before == DF_RUN_QUEUED)
		df_metric_add(DF_METRIC_RUNS_STARTED, run->workflow_name, NULL, NULL, 1);
	if (run->row.state == DF_RUN_STUCK)
		df_metric_add(DF_METRIC_RUNS_STUCK, run->workflow_name, NULL, NULL, 1);
	if (!df_run_is_terminal(run->row.state))
		return;
	df_metric_add(DF_METRIC_RUNS_ENDED, run->workflow_name, df_run_state_name(run->row.state), NULL,
				  1);
	if (run->row.state == DF_RUN_COMPLETED)
		df_metric_observe(DF_METRIC_RUN_DURATION, run->workflow_name,
						  run->row.finished_at - run->started_at);
}

void
df_run_transition(DfRun *run, DfRunEvent event)
{
	DfRunState before = run->row.state;
	int to = df_run_next(run->row.state, event);

	if (to < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("run \"%s\" is %s: there is no transition for \"%s\"",
						run->id_text, df_run_state_name(run->row.state),
						df_run_event_name(event))));
	if ((DfRunState) to == run->row.state)
		return;
	elog(DEBUG1, "dataflows run %s: %s --%s--> %s", run->id_text,
		 df_run_state_name(run->row.state), df_run_event_name(event), df_run_state_name(to));

	run->row.state = (DfRunState) to;
	run->row.waiting_for = NULL;
	if (df_run_is_terminal(run->row.state))
	{
		run->row.finished_at = df_now();
		run->row.wake_at = DF_NEVER;
	}
	else if (run->row.finished_at != DF_NEVER)
		run->row.finished_at = DF_NEVER; /* undo() of a completed run */
	if (run->row.state != DF_RUN_STUCK)
		run->row.stuck = NULL;
	count_run(run, before);
}

bool
df_run_has_just_ended(const DfRun *run)
{
	return df_run_is_terminal(run->row.state) &&
		(run->row.state != run->saved.state || run->row.finished_at != run->saved.finished_at);
}

void
df_step_transition(DfRun *run, DfStep *step, DfStepEvent event)
{
	int to = df_step_next(step->row.state, event);

	if (to < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("step \"%s\" of run \"%s\" is %s: there is no transition for \"%s\"",
						step->name, run->id_text, df_step_state_name(step->row.state),
						df_step_event_name(event))));
	elog(DEBUG2, "dataflows run %s step %d \"%s\": %s --%s--> %s", run->id_text, step->n,
		 step->name, df_step_state_name(step->row.state), df_step_event_name(event),
		 df_step_state_name(to));

	step->row.state = (DfStepState) to;
	if (event == DF_STEP_SEND)
	{
		step->row.attempts++;
		step->engine.sent_before = step->row.sent_at;
		/* a new step is sent right after it is recorded: started_at is that time */
		step->row.sent_at = df_step_is_new(step) ? DF_NEVER : df_now();
		step->row.wake_at = DF_NEVER;
	}
	if (step->row.state == DF_STEP_DONE || step->row.state == DF_STEP_FAILED)
	{
		step->row.wake_at = step->row.held_since = DF_NEVER;
		step->row.finished_at = df_now();
		df_metric_add(DF_METRIC_STEPS, step->system, df_step_kind_name(step->kind),
					  df_step_state_name(step->row.state), 1);
	}
}

void
df_undo_transition(DfRun *run, DfStep *step, DfUndoState to)
{
	if (!df_undo_allowed(step->row.undo_state, to))
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("undo of step \"%s\" of run \"%s\" cannot go from %s to %s",
						step->name, run->id_text, df_undo_state_name(step->row.undo_state),
						df_undo_state_name(to))));
	elog(DEBUG2, "dataflows run %s step %d \"%s\": undo %s -> %s", run->id_text, step->n,
		 step->name, df_undo_state_name(step->row.undo_state), df_undo_state_name(to));

	step->row.undo_state = to;
	if (to == DF_UNDO_UNDONE || to == DF_UNDO_GONE || to == DF_UNDO_FAILED)
		df_metric_add(DF_METRIC_UNDOS, step->system, df_undo_state_name(to), NULL, 1);
	if (to == DF_UNDO_SENT)
	{
		step->row.undo_attempts++;
		step->row.wake_at = DF_NEVER;
		if (step->row.undo_since == DF_NEVER)
		{
			step->row.undo_since = df_now();
			df_step_forget_holds(step);
		}
	}
}
