/*
 * engine/entry.c
 *	  One entry into the body, or into on_failure, and what it means for the run.
 *
 * Runs in a worker, in its recording transaction and the owner's role.  body.c runs
 * the body; this file says what follows when it returned, continued, raised or could
 * not be entered.  Never complete a run before all steps that it began have ended.
 */
#include "postgres.h"

#include "engine/blocked.h"
#include "engine/body.h"
#include "engine/body_error.h"
#include "engine/entry.h"
#include "engine/park.h"
#include "engine/read_spec.h"
#include "engine/replay.h"
#include "engine/rollback_subject.h"
#include "engine/run_failure.h"
#include "engine/run_steps.h"
#include "engine/step_continue.h"
#include "engine/step_end.h"
#include "engine/step_error.h"
#include "engine/step_kind.h"
#include "engine/transition.h"
#include "engine/uncalled.h"
#include "flow/flow.h"
#include "shared/clock.h"
#include "shared/json.h"
#include "types/base.h"
#include "types/run.h"
#include "utils/memutils.h"

static void
complete(DfRun *run, Jsonb *result)
{
	run->row.result = result;
	run->workflow->fail_count = 0;
	df_run_transition(run, DF_RUN_COMPLETE);
}

/*
 * Before retry() renewed a failed step, somebody removed it from the function: it
 * fails again, or the run would wait for a request that is never rendered.
 */
static void
fail_removed_steps(DfRun *run)
{
	for (int i = 0; i < run->nsteps; i++)
	{
		DfStep *step = run->steps[i];

		if (!df_step_to_be_rendered(step) || step->engine.called == run->engine.entry_no)
			continue;
		step->row.error =
			df_error_text(run, "the function does not call this step any more", false);
		step->row.error = df_error_why(run, step->row.error, DF_WHY_ERROR);
		df_step_transition(run, step, DF_STEP_FAIL);
	}
}

/* what the run would say if it completed is not so */
static bool
is_unseen(const DfRun *run, const DfStep *step)
{
	const DfStepOps *ops = df_step_ops(step);

	if (step->engine.seen_by_body || df_is_handler_step(step))
		return false;
	if (step->row.state == DF_STEP_DOUBT)
		return true;
	return step->row.state == DF_STEP_FAILED && step->engine.called == run->engine.entry_no &&
		ops->effect != NULL && ops->effect(step) != NULL;
}

/* what retry() has sent again */
static Jsonb *
error_at(const DfRun *run, const DfStep *step, const char *reason)
{
	DfJson json;

	df_json_begin(&json);
	df_json_text(&json, "message", reason);
	df_json_open_object(&json, "detail");
	df_json_text(&json, "step", step->name);
	df_json_close_object(&json);
	return df_json_end(&json, run->cxt);
}

/*
 * A step begun with wait => false failed or ended in doubt, and the body never asked for
 * its result: nobody would learn of it if the run completed.
 */
static bool
stuck_for_unseen_end(DfRun *run)
{
	for (int i = run->engine.nearlier; i < run->nsteps; i++)
	{
		DfStep *step = run->steps[i];
		bool failed = step->row.state == DF_STEP_FAILED;
		char *reason;

		if (!is_unseen(run, step))
			continue;
		reason = psprintf("step \"%s\" %s, and the body returned without asking what came of it",
						  step->name, failed ? "failed" : "is in doubt");
		df_run_get_stuck(
			run, DF_ERR_STEP_FAILED, reason,
			failed ? "Have the function ask by wait_all(), and catch DF001 if it may fail; then "
					 "call dataflows.retry(run), which has the step sent again. To undo the run "
					 "instead: dataflows.cancel(run)."
				   : df_step_remedy(run, step));
		if (failed)
			run->row.error = error_at(run, step, reason);
		return true;
	}
	return false;
}

/* on_rollback() of a step that was never called: its name is written wrongly, it seems */
static bool
stuck_for_open_rollback(DfRun *run)
{
	DfStep *step = df_rollback_open(run);

	if (step == NULL)
		return false;
	df_run_get_stuck(
		run, ERRCODE_INVALID_PARAMETER_VALUE,
		psprintf("on_rollback(\"%s\") is of step \"%s\", which the body has not called", step->name,
				 df_step_spec(run, step)->undo_of),
		"Name the step in \"of_step\" as it is called, and call on_rollback() only where that step "
		"follows; then call dataflows.retry(run).");
	return true;
}

/* after the body has returned: whether everything that it began has ended, too */
static bool
all_has_ended(DfRun *run, const DfBodyExit *exit)
{
	if (df_uncalled_at_end(run, exit->fingerprint))
		return false;
	fail_removed_steps(run);
	return !df_run_block_on_unended(run) && !stuck_for_unseen_end(run) &&
		!stuck_for_open_rollback(run);
}

static void
body_returned(DfRun *run, DfBodyExit *exit)
{
	if (all_has_ended(run, exit))
		complete(run, exit->value);
}

static void
body_continued(DfRun *run, DfBodyExit *exit)
{
	if (!all_has_ended(run, exit))
		return;
	df_run_begin_round(run, exit->value);
	df_run_claim_anew(run);
}

/* the argument of on_failure */
static Jsonb *
rollback_context(DfRun *run)
{
	DfJson json;

	df_json_begin(&json);
	df_json_text(&json, "run", run->id_text);
	df_json_text(&json, "key", run->key);
	df_json_text(&json, "workflow", run->workflow->name);
	df_json_value(&json, "input", run->row.input);
	df_json_bool(&json, "cancelled", run->row.cause == DF_CAUSE_CANCELLED);
	df_json_value(&json, "error", run->row.error);
	df_json_open_array(&json, "steps");
	for (int i = run->engine.nearlier; i < run->nsteps; i++)
	{
		DfStep *step = run->steps[i];

		if (df_is_handler_step(step))
			continue;
		df_json_open_object(&json, NULL);
		df_json_text(&json, "step", step->name);
		df_json_text(&json, "state", df_step_state_name(step->row.state));
		df_json_text(&json, "undo_state", df_undo_state_name(step->row.undo_state));
		df_json_value(&json, "output", step->row.output);
		df_json_close_object(&json);
	}
	df_json_close_array(&json);
	return df_json_end(&json, run->cxt);
}

/* the body is not, or does not seem to be, the one that was recorded */
static bool
does_not_match(const DfRun *run, const DfBodyExit *exit)
{
	switch (exit->result)
	{
		case DF_BODY_REFUSED:
			return exit->sqlstate == DF_ERR_RECORD_MISMATCH;
		case DF_BODY_RETURNED:
		case DF_BODY_CONTINUED:
			return df_uncalled_has_effect(run, exit->fingerprint);
		default:
			return false;
	}
}

/* for accept_drift(), which is of no use then */
static void
note_other_kind(DfRun *run, int n)
{
	DfJson json;

	df_json_begin(&json);
	df_json_int(&json, "other_kind", n);
	run->row.stuck =
		df_error_with(run, run->row.stuck, df_json_end(&json, CurrentMemoryContext));
}

void
df_run_enter(DfRun *run, bool handler)
{
	DfBodyExit exit;
	bool first_look = run->row.body_retries == 0;

	if (!handler)
		df_run_transition(run, DF_RUN_ENTER);
	df_body_enter(run, handler ? run->workflow->on_failure : run->workflow->function,
				  handler ? rollback_context(run) : run->row.input, &exit);
	if (exit.result != DF_BODY_RAISED)
		run->row.body_retries = run->row.entries = 0;
	/* what a deploy commits is visible a moment before the caches of functions are told */
	if (first_look && does_not_match(run, &exit))
	{
		df_body_retry_later(run, exit.reason != NULL ? exit.reason : "it has left out a step");
		return;
	}
	switch (exit.result)
	{
		case DF_BODY_SUSPENDED:
			break;
		case DF_BODY_CONTINUED:
			body_continued(run, &exit);
			break;
		case DF_BODY_RETURNED:
			if (!handler)
				body_returned(run, &exit);
			else if (!df_uncalled_at_end(run, exit.fingerprint) && !df_run_block_on_unended(run))
				df_run_transition(run,
								  run->row.cause == DF_CAUSE_CANCELLED ? DF_RUN_CANCEL_DONE
																	   : DF_RUN_ROLLBACK_DONE);
			break;
		case DF_BODY_RAISED:
			df_body_raised(run, &exit, handler);
			break;
		case DF_BODY_REFUSED:
			df_run_get_stuck_by(run,
								exit.sqlstate != 0 ? exit.sqlstate : ERRCODE_UNDEFINED_FUNCTION,
								exit.reason, exit.remedy, exit.error);
			if (exit.other_kind != 0)
				note_other_kind(run, exit.other_kind);
			break;
	}
}
