/*
 * engine/probe.c
 *	  The probe: asking a system whether a step in doubt was carried out.
 *
 * Runs in a worker, in its recording transaction, on structs in memory.  What
 * an answer means is decided in flow/probe.c; here the records in it are
 * counted and the decision is applied.  A probe adopts only one single match
 * that is provably ours: its template names {run} or {idempotency_key}, or the
 * same probe found nothing before the first send.  What was there before is
 * never adopted and never undone.
 */
#include "postgres.h"

#include "engine/outcome.h"
#include "engine/read_response.h"
#include "engine/run_failure.h"
#include "engine/step_error.h"
#include "engine/step_spec.h"
#include "engine/template.h"
#include "engine/transition.h"
#include "flow/flow.h"
#include "guc.h"
#include "shared/clock.h"
#include "shared/json.h"
#include "shared/jsonpath.h"
#include "types/base.h"
#include "types/fate.h"
#include "types/response.h"
#include "types/run.h"
#include "types/system_policy.h"
#include "utils/memutils.h"

/* a probe that gets no answer is given up after this, if the step has no limit of its own */
#define PROBE_FOR_MS (INT64CONST(24) * 3600 * 1000)

/*
 * Whether the engine has to ask before it sends: for the first time, or after
 * retry() of a step whose last answer left it open.  The run alone proves
 * nothing once it has had another round, whose record would look the same.
 */
bool
df_probe_wanted_first(DfRun *run, DfStep *step)
{
	const DfStepSpec *spec = df_step_spec(run, step);

	if (step->attempts > 0 || step->state != DF_STEP_PENDING ||
		spec->probe == NULL)
		return false;
	return df_json_get_bool(step->error, "ask_probe") ||
		!((run->row.round_n == 0 && spec->probe_names_run) || spec->probe_names_key);
}

/* ---- what the answer shows ------------------------------------------------ */

/*
 * How many records the answer shows, -1 = it cannot tell; the one, if it is one.
 * A 2xx without a body says nothing, nor does a page that some proxy made: "not
 * there" is a 404, a 410 or a list in which nothing matches.
 */
static int
found_records(DfRun *run, DfStep *step, const DfResponse *response, Jsonb **record)
{
	char *path = df_step_spec(run, step)->probe_found;
	bool unusable;
	bool scalar;
	int matches;
	Jsonb *body;

	if (response->status == 404 || response->status == 410)
		return 0;
	body = df_response_json(response, CurrentMemoryContext, &unusable);
	if (unusable || body == NULL)
		return -1;
	scalar = JB_ROOT_IS_SCALAR(body);
	if (path != NULL)
	{
		*record = df_jsonpath_first(body, path, &matches);
		return matches == 0 && scalar ? -1 : matches;
	}
	if (scalar)
		return -1;
	if (!JB_ROOT_IS_ARRAY(body))
	{
		*record = body;
		return 1;
	}
	*record = df_jsonpath_first(body, "$[*]", &matches);
	return matches;
}

/*
 * Another step of this run whose request left and that asks for the same: one
 * record could be of either.
 */
static DfStep *
asks_the_same(DfRun *run, DfStep *step)
{
	char *mine;
	char *theirs;
	Jsonb *my_body;
	Jsonb *their_body;
	char *missing = NULL;

	if (df_step_spec(run, step)->probe_names_key ||
		!df_probe_render(run, step, &mine, &my_body, &missing))
		return NULL;
	for (int i = 0; i < run->nsteps; i++)
	{
		DfStep *other = run->steps[i];

		if (other == step || other->attempts == 0 ||
			other->state == DF_STEP_FAILED || df_step_spec(run, other)->probe == NULL ||
			strcmp(other->system, step->system) != 0)
			continue;
		if (df_probe_render(run, other, &theirs, &their_body, &missing) &&
			strcmp(mine, theirs) == 0 &&
			(my_body == NULL ? their_body == NULL
							 : their_body != NULL &&
					 strcmp(df_body_json(my_body), df_body_json(their_body)) == 0))
			return other;
	}
	return NULL;
}

/* ---- the decision, applied ------------------------------------------------ */

static void
fail(DfRun *run, DfStep *step, const char *message, bool existed)
{
	DfJson json;

	df_json_begin(&json);
	df_json_text(&json, "message", message);
	if (existed)
		df_json_bool(&json, "existed", true);
	df_json_bool(&json, "in_doubt", false);
	df_json_bool(&json, "ask_probe", false);
	step->error = df_error_with(run, existed || step->attempts == 0 ? NULL : step->error,
								df_json_end(&json, CurrentMemoryContext));
	df_step_transition(run, step, DF_STEP_FAIL);
}

/* sent again at once: what the probe has just seen may be otherwise a little later */
static void
send_probe(DfRun *run, DfStep *step)
{
	if (step->attempts > 0)
	{
		step->error = df_error_flag(run, step->error, "in_doubt", false);
		step->error = df_error_flag(run, step->error, "was_lost", true);
		step->cleared = true;
	}
	step->phase = DF_PHASE_DO;
	step->to_send = step->urgent = run->engine.urgent = true;
	step->not_before = DF_NEVER;
	step->dirty = true;
}

static void
send_same(DfRun *run, DfStep *step, TimestampTz at)
{
	step->error = df_error_flag(run, step->error, "ask_probe", false);
	step->phase = DF_PHASE_DO;
	step->wake_at = at;
	step->dirty = true;
}

static void
later(DfStep *step, TimestampTz at)
{
	step->wake_at = at;
	step->dirty = true;
}

/* ended in doubt; status and body stay those of the step's own answer */
static void
doubtful(DfRun *run, DfStep *step, const char *why)
{
	DfJson json;
	char *before = df_json_get_text(step->error, "message");

	df_json_begin(&json);
	df_json_text(&json, "message", before != NULL ? psprintf("%s, and %s", before, why) : why);
	df_json_bool(&json, "in_doubt", true);
	df_json_bool(&json, "ask_probe", false);
	step->error = df_error_with(run, step->error, df_json_end(&json, CurrentMemoryContext));
	step->wake_at = DF_NEVER;
	step->finished_at = df_now();
	step->dirty = true;
}

static void
stuck(DfRun *run, DfStep *step, const char *why)
{
	doubtful(run, step, why);
	df_run_get_stuck(
		run, DF_ERR_STEP_FAILED,
		psprintf("step \"%s\" was carried out (status %d), but its answer is not usable, and %s",
				 step->name, step->status, why),
		df_step_remedy(run, step));
}

/* what is undone was not there, or what the probe says is no help to the undo */
static void
end_undo(DfRun *run, DfStep *step, bool gone, const char *why)
{
	DfJson json;

	step->wake_at = DF_NEVER;
	step->undo_error = NULL;
	if (gone)
	{
		df_undo_transition(run, step, DF_UNDO_GONE);
		return;
	}
	df_json_begin(&json);
	df_json_text(&json, "message",
				 psprintf("the undo needs a field of an answer that was never received, and %s",
						  why));
	df_json_bool(&json, "in_doubt", true);
	step->undo_error = df_json_end(&json, run->cxt);
	df_undo_transition(run, step, DF_UNDO_FAILED);
}

/* found while rolling back: the undo is rendered from it when the plan comes to it again */
static void
adopt(DfRun *run, DfStep *step, const DfResponse *response, Jsonb *record)
{
	bool undoing = step->undo_state == DF_UNDO_DUE;

	if (!undoing && step->state != DF_STEP_DONE)
	{
		df_step_done(run, step, response, df_json_copy(record, run->cxt));
		return;
	}
	step->output = df_json_copy(record, run->cxt);
	step->error = NULL;
	step->wake_at = DF_NEVER;
	step->dirty = true;
	if (step->state != DF_STEP_DONE)
		df_step_transition(run, step, DF_STEP_SUCCEED);
}

static void
apply(DfRun *run, DfStep *step, DfProbeVerdict verdict, const DfResponse *response,
	  const DfSystemPolicy *policy)
{
	char *said = df_json_get_text(step->error, "probe");
	TimestampTz at = df_step_next_try(run, step, response, policy);
	bool undoing = step->undo_state == DF_UNDO_DUE;

	if (said == NULL)
		said = "the probe was not asked";
	switch (verdict)
	{
		case DF_PROBE_ADOPT:
			break;
		case DF_PROBE_EXISTED:
			fail(run, step, "the record existed before the step was sent", true);
			break;
		case DF_PROBE_SEND:
			send_probe(run, step);
			break;
		case DF_PROBE_SEND_SAME:
			send_same(run, step, at != DF_NEVER ? at : df_now());
			break;
		case DF_PROBE_LATER:
			later(step, df_step_settled_at(step, policy));
			break;
		case DF_PROBE_NOT_DONE:
			if (undoing)
				end_undo(run, step, true, said);
			else
				fail(run, step,
					 step->attempts == 0 ? said
										 : psprintf("%s, and it was not carried out: %s",
													df_json_get_text(step->error, "message"), said),
					 false);
			break;
		case DF_PROBE_ACCEPT:
			df_step_accept_doubt(run, step, NULL);
			break;
		case DF_PROBE_DOUBTFUL:
			if (undoing)
				end_undo(run, step, false, said);
			else
				doubtful(run, step, said);
			break;
		case DF_PROBE_STUCK:
			stuck(run, step, said);
			break;
	}
}

/* ---- the way in ----------------------------------------------------------- */

/*
 * When to ask again after no answer.  Probes are not counted: their back-off
 * grows with the age of the doubt.
 */
static TimestampTz
ask_again_at(DfRun *run, DfStep *step, const DfResponse *response, const DfSystemPolicy *policy)
{
	DfRetryQuestion question;
	bool undoing = step->undo_state == DF_UNDO_DUE;
	TimestampTz since = undoing ? step->undo_since : df_step_settled_at(step, policy);
	int64 age_ms = Max(0, df_now() - since) / 1000;

	question.policy = df_step_retry(run, step, &policy->retry);
	question.policy.max_attempts = 0;
	if (undoing)
		question.policy.for_ms = (int64) df_undo_for * 1000;
	else if (question.policy.for_ms <= 0)
		question.policy.for_ms = PROBE_FOR_MS;
	question.attempts = 1;
	while (question.attempts < 30 &&
		   (Max(1, question.policy.initial_ms) << question.attempts) < age_ms)
		question.attempts++;
	question.first_at = since;
	question.now = df_now();
	question.retry_after_ms = response->retry_after_ms;
	question.jitter = df_random();
	return df_retry_at(&question);
}

/* kept where a person finds it: what was asked last, and what it said */
static void
note(DfRun *run, DfStep *step, const char *said)
{
	DfJson json;

	df_json_begin(&json);
	df_json_text(&json, "probe", said);
	step->error = df_error_with(run, step->error, df_json_end(&json, CurrentMemoryContext));
	step->dirty = true;
}

static void
ask_flow(DfRun *run, DfStep *step, DfProbeQuestion *question, const DfResponse *response,
		 const DfSystemPolicy *policy)
{
	question->was_sent = step->attempts > 0 || df_json_get_bool(step->error, "ask_probe");
	question->settled = df_now() >= df_step_settled_at(step, policy);
	question->carried_out = step->attempts > 0 && step->status / 100 == 2;
	question->refused = step->attempts > 0 && df_status_is_refusal(step->status);
	question->unwanted = df_step_unwanted(run, step);
	question->undoing = step->undo_state == DF_UNDO_DUE;
	question->harmless = df_step_spec(run, step)->method_class != DF_METHOD_EFFECT ||
		df_step_key_is_trusted(step, policy);
	question->budget_left = step->attempts == 0 ||
		df_step_next_try(run, step, response, policy) != DF_NEVER;
	question->doubt = df_step_spec(run, step)->doubt;
}

/* somebody has settled it by hand while the probe was on the wire */
static bool
comes_too_late(const DfStep *step)
{
	if (step->undo_state != DF_UNDO_NONE)
		return step->undo_state != DF_UNDO_DUE;
	return step->state != DF_STEP_PENDING && step->state != DF_STEP_DOUBT;
}

void
df_probe_response(DfRun *run, DfStep *step, const DfResponse *response,
				  const DfSystemPolicy *policy)
{
	DfAnswer answer;
	DfVerdict verdict;
	DfProbeQuestion question;
	DfStep *other;
	Jsonb *record = NULL;
	TimestampTz at = DF_NEVER;
	char *said;

	if (comes_too_late(step))
		return;
	memset(&answer, 0, sizeof(answer));
	memset(&question, 0, sizeof(question));
	answer.fate = response->fate;
	answer.status = response->status;
	answer.method = DF_METHOD_SAFE;
	verdict = df_answer_verdict(&answer);

	question.found = -1;
	if (response->fate != DF_FATE_RESPONSE && response->fate != DF_FATE_TOO_LARGE)
		said = psprintf("the probe got no answer (%s)",
						response->error != NULL ? response->error : "no reason given");
	else
		said = psprintf("the probe was answered with status %d", response->status);
	if (verdict == DF_VERDICT_RETRY || verdict == DF_VERDICT_RETRY_SAME)
		at = ask_again_at(run, step, response, policy);
	else if (verdict == DF_VERDICT_CREDENTIALS)
		at = df_now() + policy->retry.initial_ms * 1000;
	else if (verdict == DF_VERDICT_DONE || response->status == 404 || response->status == 410)
	{
		question.found = found_records(run, step, response, &record);
		if (question.found < 0)
			said = psprintf("%s and nothing that can be read", said);
		else
			said = psprintf("the probe found %d record%s (status %d)", question.found,
							question.found == 1 ? "" : "s", response->status);
	}
	ask_flow(run, step, &question, response, policy);
	if (question.found == 1 && question.was_sent && (other = asks_the_same(run, step)) != NULL)
	{
		question.found = -1;
		said = psprintf("%s, which may be that of step \"%s\"", said, other->name);
	}
	note(run, step, said);
	if (at != DF_NEVER)
	{
		later(step, at);
		return;
	}
	if (df_probe_verdict(&question) == DF_PROBE_ADOPT)
		adopt(run, step, response, record);
	else
		apply(run, step, df_probe_verdict(&question), response, policy);
}
