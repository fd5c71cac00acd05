/*
 * engine/outcome.c
 *	  What an answer does to a step.
 *
 * Runs in a worker, in its recording transaction, on structs in memory.  What an
 * answer means is decided in flow/answer.c; here the decision is applied: the
 * step's new state, its output, its undo, the failed attempt and the time of
 * the next.  Nothing here sends, and no answer, however broken, raises.
 */
#include "postgres.h"

#include "engine/attempt.h"
#include "engine/outcome.h"
#include "engine/polling.h"
#include "engine/read_response.h"
#include "engine/run_failure.h"
#include "engine/run_steps.h"
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
#include "shared/metrics.h"
#include "types/base.h"
#include "types/response.h"
#include "types/run.h"
#include "types/system_policy.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

/* ---- facts ---------------------------------------------------------------- */

/* of a body that is being rolled back, not of its on_failure */
bool
df_step_unwanted(const DfRun *run, const DfStep *step)
{
	return run->row.state == DF_RUN_ROLLING_BACK && !df_is_handler_step(step);
}

/* whether it is not known that the step was carried out: in doubt, or accepted so */
bool
df_step_is_unsure(const DfStep *step)
{
	return step->state == DF_STEP_DOUBT ||
		(step->state == DF_STEP_DONE && df_json_get_bool(step->error, "in_doubt"));
}

/* from when on "not there" is to be believed */
TimestampTz
df_step_settled_at(const DfStep *step, const DfSystemPolicy *policy)
{
	return (step->sent_at != DF_NEVER ? step->sent_at : step->started_at) +
		policy->settle_ms * 1000;
}

/* ---- policies ------------------------------------------------------------- */

TimestampTz
df_step_next_try(DfRun *run, DfStep *step, const DfResponse *response, const DfSystemPolicy *policy)
{
	DfRetryQuestion question;

	question.policy = df_step_retry(run, step, &policy->retry);
	/* a poll that was answered is an attempt, but no failure */
	question.attempts = df_step_spec(run, step)->until != NULL ? 1 : Max(1, step->attempts);
	question.first_at = step->started_at;
	question.now = df_now();
	question.retry_after_ms = response->retry_after_ms;
	question.jitter = df_random();
	return df_retry_at(&question);
}

char *
df_step_key(const DfRun *run, const DfStep *step)
{
	if (step->renewals > 0)
		return psprintf("%s/%d/r%d", run->id_text, step->n, step->renewals);
	return psprintf("%s/%d", run->id_text, step->n);
}

bool
df_step_key_is_trusted(const DfStep *step, const DfSystemPolicy *policy)
{
	return policy->key_trusted && df_now() - step->started_at < policy->key_ttl_ms * 1000;
}

void
df_step_vars(DfRun *run, DfStep *step, DfTemplateVars *vars)
{
	vars->response = step->output;
	vars->request = step->body == NULL
		? NULL
		: df_json_parse(step->body, strlen(step->body), CurrentMemoryContext);
	vars->run = run->id_text;
	vars->run_key = run->key;
	vars->idempotency_key = df_step_key(run, step);
}

/* ---- what becomes of the step --------------------------------------------- */

void
df_step_done(DfRun *run, DfStep *step, const DfResponse *response, Jsonb *output)
{
	char *missing = NULL;

	step->status = response->status;
	step->output = output;
	step->answer = df_response_headers(response, run->cxt);
	step->error = NULL;
	df_step_transition(run, step, DF_STEP_SUCCEED);
	if (!df_step_render_undo(run, step, &missing))
		df_run_get_stuck(
			run, DF_ERR_STEP_FAILED,
			psprintf("the undo of step \"%s\" cannot be rendered: the answer has no field \"%s\"",
					 step->name, missing),
			psprintf("Correct the undo in the function for later runs. To go on with "
					 "this one: SELECT dataflows.retry('%s'); if it is undone later, this step is "
					 "left for a person. To undo the rest of it now: SELECT dataflows.cancel('%s', "
					 "'why');",
					 run->id_text, run->id_text));
}

/*
 * doubt => 'accept': done, output NULL; the error says what was accepted.  Its
 * undo, if it has one, is rendered when it is due; if that needs an answer that
 * never came, the probe is asked then, or it is undo_failed.
 */
void
df_step_accept_doubt(DfRun *run, DfStep *step, const DfResponse *response)
{
	if (response != NULL)
	{
		step->status = response->status;
		step->error = df_step_error(run, response, NULL, true);
		df_attempt_note(run, step, response, "in_doubt", DF_NEVER);
	}
	step->error = df_error_flag(run, step->error, "accepted", true);
	df_step_transition(run, step, DF_STEP_SUCCEED);
}

/* ended in doubt: a candidate for undo, and DF001 in the body */
void
df_step_doubtful(DfRun *run, DfStep *step, const DfResponse *response, const char *message)
{
	step->status = response->status;
	step->error = df_step_error(run, response, message, true);
	if (step->state != DF_STEP_DOUBT)
		df_step_transition(run, step, DF_STEP_LOSE);
	step->wake_at = DF_NEVER;
	step->finished_at = df_now();
	step->dirty = true;
	df_metric_add(DF_METRIC_STEPS, step->system, df_step_kind_name(step->kind), "in_doubt", 1);
	df_attempt_note(run, step, response, "in_doubt", DF_NEVER);
}

/* what a person is to do about a step in doubt, with the calls to make */
char *
df_step_remedy(const DfRun *run, const DfStep *step)
{
	char *name = quote_literal_cstr(step->name);

	return psprintf("Look in system \"%s\" for what the step was to do (its key is \"%s\"). If it "
					"is there: SELECT dataflows.resolve('%s', %s, 'done', 'who saw it', '{\"id\": "
					"\"...\"}'); with the record as the output. If it is not: SELECT "
					"dataflows.resolve('%s', %s, 'not_done', 'who looked');",
					step->system, df_step_key(run, step), run->id_text, name, run->id_text, name);
}

/*
 * It may have been carried out, and sending it again would not tell or must not
 * be: the probe is asked.  The first time at once, later ones after a back-off.
 */
static void
ask_probe(DfRun *run, DfStep *step, const DfResponse *response, const DfSystemPolicy *policy,
		  const char *message)
{
	TimestampTz at = step->attempts > 1 ? df_step_next_try(run, step, response, policy) : DF_NEVER;

	step->status = response->status;
	step->error = df_error_flag(run, df_step_error(run, response, message, true),
								"ask_probe", true);
	if (step->state != DF_STEP_DOUBT)
		df_step_transition(run, step, DF_STEP_LOSE);
	step->wake_at = at != DF_NEVER ? at : df_now();
	step->dirty = true;
	step->phase = DF_PHASE_DO;
	df_attempt_note(run, step, response, "in_doubt", step->wake_at);
}

/* it is not to be sent any more, and may have been carried out */
static void
give_up_in_doubt(DfRun *run, DfStep *step, const DfResponse *response, const DfSystemPolicy *policy)
{
	if (df_step_spec(run, step)->probe != NULL)
		ask_probe(run, step, response, policy, NULL);
	else if (df_step_spec(run, step)->doubt == DF_DOUBT_ACCEPT)
		df_step_accept_doubt(run, step, response);
	else
		df_step_doubtful(run, step, response, NULL);
}

static void
step_failed(DfRun *run, DfStep *step, const DfResponse *response, const DfSystemPolicy *policy,
			bool settled)
{
	/*
	 * What an earlier attempt left in doubt is not settled by a refusal of a
	 * later one: the effect of the first may be there.  But a system whose
	 * key is trusted would have answered as it did the first time.
	 */
	if (df_json_get_bool(step->error, "in_doubt") && !settled)
	{
		give_up_in_doubt(run, step, response, policy);
		return;
	}
	step->status = response->status;
	step->error = df_step_error(run, response, NULL, false);
	step->answer = df_response_headers(response, run->cxt);
	df_step_transition(run, step, DF_STEP_FAIL);
	df_attempt_note(run, step, response, "failed", DF_NEVER);
}

static void
step_again(DfRun *run, DfStep *step, const DfResponse *response, const DfSystemPolicy *policy)
{
	TimestampTz at = df_step_next_try(run, step, response, policy);
	bool doubt = df_json_get_bool(step->error, "in_doubt");
	bool lost = df_json_get_bool(step->error, "was_lost");

	if (at == DF_NEVER)
	{
		step_failed(run, step, response, policy, false);
		return;
	}
	step->status = response->status;
	step->error = df_step_error(run, response, NULL, doubt);
	if (lost)
		step->error = df_error_flag(run, step->error, "was_lost", true);
	df_step_transition(run, step, doubt ? DF_STEP_LOSE : DF_STEP_AGAIN);
	step->wake_at = at;
	df_attempt_note(run, step, response, "retry", at);
}

/* may have been carried out, but the same key and bytes do no harm */
static void
step_again_same(DfRun *run, DfStep *step, const DfResponse *response, const DfSystemPolicy *policy)
{
	TimestampTz at = df_step_next_try(run, step, response, policy);

	if (at == DF_NEVER)
	{
		give_up_in_doubt(run, step, response, policy);
		return;
	}
	step->status = response->status;
	step->error = df_step_error(run, response, NULL, true);
	df_step_transition(run, step, DF_STEP_LOSE);
	step->wake_at = at;
	df_attempt_note(run, step, response, "in_doubt", at);
}

static void
step_in_doubt(DfRun *run, DfStep *step, const DfResponse *response, const DfSystemPolicy *policy)
{
	if (df_step_spec(run, step)->probe == NULL && df_step_spec(run, step)->doubt == DF_DOUBT_RESEND)
		step_again_same(run, step, response, policy);
	else
		give_up_in_doubt(run, step, response, policy);
}

static void
step_unusable(DfRun *run, DfStep *step, const DfResponse *response, const DfSystemPolicy *policy)
{
	const char *why = response->fate == DF_FATE_TOO_LARGE
		? psprintf("the answer is larger than max_body (%zu bytes were read)", response->body_len)
		: "the answer's body is not usable: invalid JSON, a NUL byte, a bad encoding, or too large "
		  "with its numbers written out";

	if (df_step_spec(run, step)->method_class == DF_METHOD_SAFE)
	{
		step->status = response->status;
		step->error = df_step_error(run, response, why, false);
		df_step_transition(run, step, DF_STEP_FAIL);
		df_attempt_note(run, step, response, "failed", DF_NEVER);
	}
	else if (df_step_spec(run, step)->probe != NULL)
		ask_probe(run, step, response, policy, why);
	else if (df_step_spec(run, step)->doubt == DF_DOUBT_ACCEPT)
		df_step_accept_doubt(run, step, response);
	else
	{
		df_step_doubtful(run, step, response, why);
		df_run_get_stuck(run, DF_ERR_STEP_FAILED,
						 psprintf("step \"%s\" was carried out (status %d), but %s", step->name,
								  response->status, why),
						 df_step_remedy(run, step));
	}
}

/*
 * 401 or 403: the system's fault.  The attempt is given back, the step waits
 * until somebody has repaired the credentials.
 */
static void
step_refused(DfRun *run, DfStep *step, const DfResponse *response, const DfSystemPolicy *policy)
{
	bool doubt = df_json_get_bool(step->error, "in_doubt");

	step->status = response->status;
	step->error = df_step_error(run, response, "credentials refused", doubt);
	df_step_transition(run, step, doubt ? DF_STEP_LOSE : DF_STEP_AGAIN);
	step->attempts--;
	step->wake_at = df_now() + policy->retry.initial_ms * 1000;
}

/* as if the request had not left, which phase it is in is found anew */
void
df_step_unsend(DfRun *run, DfStep *step)
{
	if (step->phase == DF_PHASE_UNDO)
	{
		df_undo_transition(run, step, DF_UNDO_DUE);
		step->undo_attempts--;
	}
	else if (step->phase == DF_PHASE_DO)
	{
		df_step_transition(
			run, step, df_json_get_bool(step->error, "in_doubt") ? DF_STEP_LOSE : DF_STEP_AGAIN);
		step->attempts--;
		step->sent_at = step->sent_before;
	}
	step->wake_at = df_now();
	step->dirty = true;
	run->engine.advance = true;
}

void
df_step_hold(DfRun *run, DfStep *step, const char *why, TimestampTz until)
{
	bool undo = step->phase == DF_PHASE_UNDO;
	DfJson json;
	Jsonb *error;

	df_json_begin(&json);
	df_json_text(&json, "message", why);
	df_json_bool(&json, "in_doubt", !undo && df_json_get_bool(step->error, "in_doubt"));
	error = df_json_end(&json, run->cxt);
	if (undo)
		step->undo_error = error;
	else
		step->error = error;
	step->to_send = false;
	step->wake_at = until;
	step->dirty = true;
	run->engine.advance = true;
}

/* ---- the one way in ------------------------------------------------------- */

static Jsonb *
output_of(DfRun *run, DfStep *step, const DfResponse *response, DfAnswer *answer)
{
	if (response->fate != DF_FATE_RESPONSE || response->status / 100 != 2)
		return NULL;
	return df_step_ops(step)->output(run, step, response, &answer->body_unusable);
}

static void
do_response(DfRun *run, DfStep *step, const DfResponse *response, DfAnswer *answer,
			const DfSystemPolicy *policy)
{
	Jsonb *output = output_of(run, step, response, answer);

	switch (df_step_ops(step)->verdict(answer))
	{
		case DF_VERDICT_DONE:
			if (df_step_until_met(run, step, output))
			{
				df_step_done(run, step, response, output);
				if (answer->was_doubt && answer->method == DF_METHOD_EFFECT && !answer->key_trusted)
					step->error = df_error_flag(
						run,
						df_step_error(
							run, response,
							"an earlier attempt got no answer and may have been carried out too",
							false),
						"maybe_twice", true);
			}
			else
				df_step_poll_again(run, step, response);
			break;
		case DF_VERDICT_DONE_NO_UNDO:
		{
			bool unusable;

			step->options = NULL;
			df_step_done(run, step, response, df_response_json(response, run->cxt, &unusable));
			break;
		}
		case DF_VERDICT_RETRY:
			step_again(run, step, response, policy);
			break;
		case DF_VERDICT_RETRY_SAME:
			if (answer->method == DF_METHOD_SAFE)
				step_again(run, step, response, policy);
			else
				step_again_same(run, step, response, policy);
			break;
		case DF_VERDICT_FAILED:
			step_failed(run, step, response, policy,
						answer->key_trusted && response->fate == DF_FATE_RESPONSE &&
							response->status / 100 == 4);
			break;
		case DF_VERDICT_DOUBT:
			step_in_doubt(run, step, response, policy);
			break;
		case DF_VERDICT_UNUSABLE:
			step_unusable(run, step, response, policy);
			break;
		case DF_VERDICT_CREDENTIALS:
			step_refused(run, step, response, policy);
			break;
	}
}

/*
 * Applies the answer to what was in flight for the step.  Returns what it says
 * about the system.
 */
DfVerdict
df_step_response(DfRun *run, DfStep *step, const DfResponse *response, const DfSystemPolicy *policy)
{
	const DfStepSpec *spec = df_step_spec(run, step);
	DfAnswer answer;
	DfVerdict verdict;

	Assert(!step->to_send);
	df_attempt_count(step, response);
	memset(&answer, 0, sizeof(answer));
	answer.fate = response->fate;
	answer.status = response->status;
	answer.method = spec->method_class;
	answer.key_trusted = df_step_key_is_trusted(step, policy);
	answer.was_doubt = df_json_get_bool(step->error, "in_doubt");
	answer.was_lost = df_json_get_bool(step->error, "was_lost");
	answer.accept = spec->accept;
	answer.naccept = spec->naccept;

	if (step->phase == DF_PHASE_UNDO)
	{
		verdict = df_undo_response(run, step, response, policy);
	}
	else if (step->phase == DF_PHASE_PROBE)
	{
		verdict = df_answer_verdict(&answer);
		df_probe_response(run, step, response, policy);
	}
	else
	{
		do_response(run, step, response, &answer, policy);
		verdict = df_step_ops(step)->verdict(&answer);
	}
	run->engine.advance = true;
	return verdict;
}
