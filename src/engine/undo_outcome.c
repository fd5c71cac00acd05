/*
 * engine/undo_outcome.c
 *	  The undo of a step: how it is rendered, and what a response to it does.
 *
 * Runs in a worker, in its recording transaction, on structs in memory.  What a
 * response means is decided in flow/; here the decision is applied.
 */
#include "postgres.h"

#include "engine/attempt.h"
#include "engine/hold.h"
#include "engine/home_path.h"
#include "engine/judge.h"
#include "engine/proven.h"
#include "engine/read_body.h"
#include "engine/read_response.h"
#include "engine/step_evidence.h"
#include "engine/step_error.h"
#include "engine/step_kind.h"
#include "engine/read_spec.h"
#include "engine/transition.h"
#include "engine/undo_claim.h"
#include "engine/undo_outcome.h"
#include "shared/json.h"
#include "types/base.h"

static void
keep(DfStep *step)
{
	DfEvidence evidence = step->row.evidence;

	evidence.kept = true;
	df_step_know(step, &evidence);
}

/* renders the undo of a step and keeps it in the step, if its condition lets it */
bool
df_step_render_undo(DfRun *run, DfStep *step, char **why)
{
	const DfStepOps *ops = df_step_ops(step);

	if (df_step_spec(run, step)->undo == NULL || step->row.undo != NULL || step->row.evidence.kept)
		return true;
	switch (df_step_undo_claim(run, step))
	{
		case DF_CLAIM_OURS:
			break;
		case DF_CLAIM_NOT_OURS:
			keep(step);
			return true;
		case DF_CLAIM_OPEN:
			*why = df_step_undo_claim_why(run, step);
			return false;
	}
	return ops->render_undo == NULL || ops->render_undo(run, step, why);
}

static Jsonb *
error_for(DfRun *run, const DfStep *step, const DfDecision *made, const DfCame *came,
		  const DfResponse *response)
{
	switch (made->verdict)
	{
		case DF_VERDICT_UNDONE:
		case DF_VERDICT_GONE:
			return NULL;
		case DF_VERDICT_UNDO_NOT_SETTLED:
			return df_step_error(run, response, "not there, which is believed only later", false,
								 false);
		case DF_VERDICT_UNDO_LEFT_A_SECOND:
			return df_step_error(run, response,
								 "what the last attempt made is undone, but an earlier one got no "
								 "answer and may have made a second, whose fields were never "
								 "received",
								 true, true);
		case DF_VERDICT_UNDO_DOUBTFUL:
			return df_step_error(
				run, response,
				psprintf("the undo may have been carried out, and a second one may do harm: %s",
						 df_response_what_came(response)),
				true, true);
		case DF_VERDICT_UNDO_ASTRAY:
			return df_step_error(
				run, response,
				psprintf("the system says that it is not there (status %d), but nothing shows that "
						 "\"%s\" is where the resource was: this undo has never succeeded, and "
						 "its path is not that of the step with the id of its response. If the "
						 "resource is there, the path of the undo is wrong",
						 response->status, step->row.undo),
				false, true);
		default:
			return df_step_error(run, response,
								 made->meaning == DF_MEANS_KEPT && came->foreign
									 ? "a page that is not the system's says that it is not there"
									 : NULL,
								 false,
								 made->verdict != DF_VERDICT_UNDO_AGAIN &&
									 made->verdict != DF_VERDICT_UNDO_ASKED);
	}
}

static bool
says_not_there(const DfCame *came)
{
	return df_undo_meaning(came) == DF_MEANS_KEPT;
}

DfMeaning
df_undo_response(DfRun *run, DfStep *step, const DfResponse *response,
				 const DfSystemPolicy *policy)
{
	DfDoubtCase about = df_step_case(run, step, policy);
	DfCame came = df_judge(run, step, response, policy);
	DfDecision made;

	/* a rule of `answers` was written by somebody who knows the system */
	came.foreign = came.said.rule == NULL &&
		df_response_is_foreign(response, df_json_get_text(step->row.answer, "content-type"));
	came.path_known = says_not_there(&came) &&
		(came.said.rule != NULL || df_undo_is_at_home(run, step) || df_undo_was_proven(run, step));
	made = df_decide_undo(&about, &came);
	if (made.verdict == DF_VERDICT_UNDONE)
		df_undo_proven(run, step);
	step->row.undo_error = error_for(run, step, &made, &came, response);
	if (made.verdict == DF_VERDICT_UNDO_AGAIN)
		df_attempt_note(run, step, response, "retry", made.at);
	else if (made.verdict == DF_VERDICT_UNDO_FAILED ||
			 made.verdict == DF_VERDICT_UNDO_ASTRAY ||
			 made.verdict == DF_VERDICT_UNDO_DOUBTFUL)
		df_attempt_note(run, step, response, "failed", DF_NEVER);
	df_step_apply(run, step, &made);
	if (made.verdict == DF_VERDICT_UNDO_ASKED)
	{
		step->row.undo_attempts--;
		step->row.undo_error = df_error_flag(run, step->row.undo_error, "uncounted", true);
		df_step_hold_begins(run, step);
	}
	return made.meaning;
}
