/*
 * engine/run_failure.c
 *	  How a run fails, or gets stuck until a person acts.
 *
 * Runs in a worker, in its recording transaction, on structs in memory.  Says why in
 * the run's error or in `stuck`.  Never undo or release anything here.
 */
#include "postgres.h"

#include "engine/error_fields.h"
#include "engine/run_failure.h"
#include "engine/step_pivot.h"
#include "engine/transition.h"
#include "shared/json.h"
#include "types/base.h"
#include "types/run.h"

#define ROLLBACKS_IN_A_ROW 10

static void
mark_stuck(DfRun *run, int sqlstate, const char *reason, const char *remedy,
		   const ErrorData *error)
{
	DfJson json;

	df_run_transition(run, DF_RUN_GET_STUCK);
	df_json_begin(&json);
	df_json_text(&json, "sqlstate", unpack_sql_state(sqlstate));
	df_json_text(&json, "reason", reason);
	df_json_text(&json, "remedy",
				 remedy != NULL ? remedy : "Repair the cause, then call dataflows.retry(run).");
	if (error != NULL)
	{
		df_json_text(&json, "message", error->message);
		df_json_text(&json, "detail", error->detail);
		df_error_fields(&json, error);
	}
	run->row.stuck = df_json_end(&json, run->cxt);
	/* a request in flight keeps the lease: by its time it is found if this worker dies */
	if (run->row.lease == 0)
		run->row.wake_at = DF_NEVER;
}

void
df_run_mark_stuck(DfRun *run, int sqlstate, const char *reason, const char *remedy)
{
	mark_stuck(run, sqlstate, reason, remedy, NULL);
}

void
df_run_get_stuck(DfRun *run, int sqlstate, const char *reason, const char *remedy)
{
	df_run_get_stuck_by(run, sqlstate, reason, remedy, NULL);
}

void
df_run_get_stuck_by(DfRun *run, int sqlstate, const char *reason, const char *remedy,
					const ErrorData *error)
{
	if (run->row.state == DF_RUN_STUCK)
		return;
	mark_stuck(run, sqlstate, reason, remedy, error);
	for (int i = 0; i < run->nsteps; i++)
	{
		DfStepEngine *engine = &run->steps[i]->engine;

		engine->to_send = engine->to_run_sql = engine->to_insert_child = false;
	}
	ereport(LOG,
			(errmsg("dataflows run \"%s\" is stuck: %s", run->id_text, reason),
			 errhidestmt(true), errhidecontext(true)));
}

/* a workflow that fails ten times in a row at one step with one status is itself broken */
static bool
too_many_failures(DfWorkflow *workflow, const char *step, int status)
{
	if (step == NULL)
		return false;
	if (strcmp(workflow->fail_step, step) == 0 && workflow->fail_status == status)
		workflow->fail_count++;
	else
	{
		strlcpy(workflow->fail_step, step, sizeof(workflow->fail_step));
		workflow->fail_status = status;
		workflow->fail_count = 1;
	}
	return workflow->fail_count > ROLLBACKS_IN_A_ROW;
}

static const char *
failure_text(const Jsonb *error)
{
	char *message = df_json_get_text(error, "message");

	return message != NULL ? message : "no reason was given";
}

void
df_run_fail(DfRun *run, Jsonb *error, const char *step, int status)
{
	run->row.error = error;
	if (run->row.pivot_n > 0 || df_run_pivot(run) != NULL)
	{
		df_run_get_stuck(run, DF_ERR_STEP_FAILED,
						 psprintf("the run failed after the point of no return%s%s: %s",
								  step ? " at step " : "", step ? step : "", failure_text(error)),
						 "Repair the cause and call dataflows.retry(run).");
		return;
	}
	if (run->workflow->undo_on == DF_UNDO_ON_NEVER)
	{
		df_run_get_stuck(
			run, DF_ERR_STEP_FAILED,
			psprintf("the run failed, and its workflow says undo_on => 'never': %s",
					 failure_text(error)),
			"Repair the cause and call dataflows.retry(run), or dataflows.cancel(run) to undo it.");
		return;
	}
	if (too_many_failures(run->workflow, step, status))
	{
		df_run_get_stuck(
			run, DF_ERR_STEP_FAILED,
			psprintf("ten runs of \"%s\" in a row were rolled back at step \"%s\" with status %d",
					 run->workflow->name, step, status),
			"Repair the cause and call dataflows.retry(run), or dataflows.cancel(run) to undo it.");
		return;
	}
	run->row.cause = DF_CAUSE_FAILED;
	df_run_transition(run, DF_RUN_FAIL);
}
