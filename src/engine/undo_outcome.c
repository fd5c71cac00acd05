/*
 * engine/undo_outcome.c
 *	  The undo of a step: how it is rendered, and what a response to it does.
 *
 * Runs in a worker, in its recording transaction, on structs in memory.  What a
 * response means is decided in flow/; here the decision is applied.
 */
#include "postgres.h"

#include "engine/attempt.h"
#include "engine/read_response.h"
#include "engine/step_evidence.h"
#include "engine/step_error.h"
#include "engine/step_kind.h"
#include "engine/read_spec.h"
#include "engine/transition.h"
#include "engine/undo_outcome.h"
#include "types/base.h"

/* renders the undo of a step and keeps it in the step */
bool
df_step_render_undo(DfRun *run, DfStep *step, char **why)
{
	const DfStepOps *ops = df_step_ops(step);

	if (df_step_spec(run, step)->undo == NULL || step->row.undo != NULL || step->row.evidence.kept)
		return true;
	return ops->render_undo == NULL || ops->render_undo(run, step, why);
}

static Jsonb *
error_for(DfRun *run, const DfDecision *made, const DfResponse *response)
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
		default:
			return df_step_error(run, response, NULL, false,
								 made->verdict != DF_VERDICT_UNDO_AGAIN);
	}
}

DfMeaning
df_undo_response(DfRun *run, DfStep *step, const DfResponse *response,
				 const DfSystemPolicy *policy)
{
	DfDoubtCase about = df_step_case(run, step, policy);
	DfCame came = {.fate = response->fate,
				   .status = response->status,
				   .retry_after_ms = response->retry_after_ms};
	DfDecision made = df_decide_undo(&about, &came);

	step->row.undo_error = error_for(run, &made, response);
	if (made.verdict == DF_VERDICT_UNDO_AGAIN)
		df_attempt_note(run, step, response, "retry", made.at);
	else if (made.verdict == DF_VERDICT_UNDO_FAILED || made.verdict == DF_VERDICT_UNDO_DOUBTFUL)
		df_attempt_note(run, step, response, "failed", DF_NEVER);
	df_step_apply(run, step, &made);
	return made.meaning;
}
