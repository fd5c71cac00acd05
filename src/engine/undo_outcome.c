/*
 * engine/undo_outcome.c
 *	  The undo of a step: how it is rendered, and what a response to it does.
 *
 * Runs in a worker, in its recording transaction, on structs in memory.  What a
 * response means is decided in flow/; here the decision is applied.
 */
#include "postgres.h"

#include "engine/attempt.h"
#include "engine/outcome.h"
#include "engine/outgoing.h"
#include "engine/step_error.h"
#include "engine/step_kind.h"
#include "engine/step_spec.h"
#include "engine/template.h"
#include "engine/transition.h"
#include "engine/undo_outcome.h"
#include "flow/flow.h"
#include "guc.h"
#include "shared/clock.h"
#include "shared/json.h"
#include "types/base.h"
#include "utils/memutils.h"

/*
 * Renders the undo of a step and keeps it in the step; false with *missing if
 * a field is not there.  A step without undo has nothing to render.
 */
bool
df_step_render_undo(DfRun *run, DfStep *step, char **missing)
{
	const DfStepOps *ops = df_step_ops(step);

	if (df_step_spec(run, step)->undo == NULL || step->undo != NULL)
		return true;
	return ops->render_undo == NULL || ops->render_undo(run, step, missing);
}

/* an undo has a budget of its own, whatever the step's was */
TimestampTz
df_undo_next_try(const DfStep *step, const DfResponse *response, const DfSystemPolicy *policy)
{
	DfRetryQuestion question;

	question.policy = policy->retry;
	question.policy.max_attempts = 0;
	question.policy.for_ms = (int64) df_undo_for * 1000;
	question.attempts = Max(1, step->undo_attempts);
	question.first_at = step->undo_since;
	question.now = df_now();
	question.retry_after_ms = response->retry_after_ms;
	question.jitter = df_random();
	return df_retry_at(&question);
}

/*
 * doubt => 'resend': an earlier attempt may have made one more, and the undo names the last one's
 * only
 */
static bool
left_a_second(DfRun *run, DfStep *step)
{
	return step->state == DF_STEP_DONE && df_json_get_bool(step->error, "maybe_twice") &&
		df_step_spec(run, step)->undo_needs_response;
}

/* the same question about another request: that of the undo, with its own key */
static void
about_undo(DfRun *run, DfStep *step, const DfSystemPolicy *policy, DfAnswer *answer)
{
	char *method = step->undo != NULL ? pnstrdup(step->undo, strcspn(step->undo, " "))
									  : pstrdup("");

	answer->method = df_method_class(method);
	answer->key_trusted = (policy->key_trusted && step->undo_since != DF_NEVER &&
						   df_now() - step->undo_since < policy->key_ttl_ms * 1000) ||
		df_step_spec(run, step)->doubt == DF_DOUBT_RESEND;
}

static const char *
what_came(const DfResponse *response)
{
	if (response->fate == DF_FATE_RESPONSE || response->fate == DF_FATE_TOO_LARGE)
		return psprintf("the system answered with status %d", response->status);
	return response->error != NULL && response->error[0] != '\0' ? response->error : "no answer";
}

DfVerdict
df_undo_response(DfRun *run, DfStep *step, const DfResponse *response,
				 const DfSystemPolicy *policy)
{
	DfAnswer answer;
	DfVerdict verdict;
	TimestampTz at = DF_NEVER;

	memset(&answer, 0, sizeof(answer));
	answer.fate = response->fate;
	answer.status = response->status;
	about_undo(run, step, policy, &answer);
	verdict = df_answer_undo_verdict(&answer);

	if (verdict == DF_VERDICT_DONE_NO_UNDO && df_step_is_unsure(step) &&
		df_now() < df_step_settled_at(step, policy))
	{
		/* what it would take away may still come */
		step->undo_error =
			df_step_error(run, response, "not there, which is believed only later", false);
		df_undo_transition(run, step, DF_UNDO_DUE);
		step->wake_at = df_step_settled_at(step, policy);
		return verdict;
	}
	if ((verdict == DF_VERDICT_DONE || verdict == DF_VERDICT_DONE_NO_UNDO) &&
		left_a_second(run, step))
	{
		step->undo_error =
			df_step_error(run, response,
						  "what the last attempt made is undone, but an earlier one got no "
						  "answer and may have made a second, whose fields were never received",
						  true);
		df_undo_transition(run, step, DF_UNDO_FAILED);
		return verdict;
	}
	if (verdict == DF_VERDICT_DONE || verdict == DF_VERDICT_DONE_NO_UNDO)
	{
		step->undo_error = NULL;
		df_undo_transition(run, step, verdict == DF_VERDICT_DONE ? DF_UNDO_UNDONE : DF_UNDO_GONE);
		return verdict;
	}
	if (verdict == DF_VERDICT_RETRY)
		at = df_undo_next_try(step, response, policy);
	step->undo_error = df_step_error(
		run, response,
		verdict == DF_VERDICT_DOUBT
			? psprintf("the undo may have been carried out, and a second one may do harm: %s",
					   what_came(response))
			: NULL,
		verdict == DF_VERDICT_DOUBT);
	df_attempt_note(run, step, response, at == DF_NEVER ? "failed" : "retry", at);
	df_undo_transition(run, step, at == DF_NEVER ? DF_UNDO_FAILED : DF_UNDO_DUE);
	step->wake_at = at;
	return verdict;
}
