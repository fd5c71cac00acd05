/*
 * engine/outcome.c
 *	  What a response does to the step that sent the request.
 *
 * Runs in a worker, in its recording transaction, on structs in memory.
 * flow/doubt.c decides what becomes of the step; here the decision is applied: the
 * step's new state, its output, its undo, what users see of it, the failed
 * attempt.  Nothing here decides or sends, and no response, however broken, raises.
 */
#include "postgres.h"

#include "engine/attempt.h"
#include "engine/hold.h"
#include "engine/judge.h"
#include "engine/proven.h"
#include "engine/step_evidence.h"
#include "engine/outcome.h"
#include "engine/probe.h"
#include "engine/read_body.h"
#include "engine/read_response.h"
#include "engine/run_failure.h"
#include "engine/step_end.h"
#include "engine/step_error.h"
#include "engine/step_kind.h"
#include "engine/read_spec.h"
#include "engine/transition.h"
#include "engine/undo_outcome.h"
#include "flow/flow.h"
#include "shared/clock.h"
#include "shared/json.h"
#include "types/base.h"
#include "utils/builtins.h"

/* ---- what becomes of the step --------------------------------------------- */

/* as if the request had not been sent: its phase is determined again */
void
df_step_unsend(DfRun *run, DfStep *step)
{
	if (step->engine.phase == DF_PHASE_UNDO)
	{
		df_undo_transition(run, step, DF_UNDO_DUE);
		step->row.undo_attempts--;
	}
	else if (step->engine.phase == DF_PHASE_DO)
	{
		df_step_transition(
			run, step, df_evidence_in_doubt(&step->row.evidence) ? DF_STEP_LOSE : DF_STEP_AGAIN);
		step->row.attempts--;
		step->row.sent_at = step->engine.sent_before;
	}
	step->row.wake_at = df_now();
	run->engine.advance = true;
}

void
df_step_hold(DfRun *run, DfStep *step, const char *why, TimestampTz until)
{
	bool undo = step->engine.phase == DF_PHASE_UNDO;
	DfJson json;
	Jsonb *error;

	df_json_begin(&json);
	df_json_text(&json, "message", why);
	df_json_bool(&json, "in_doubt", !undo && df_evidence_in_doubt(&step->row.evidence));
	error = df_json_end(&json, run->cxt);
	if (undo)
		step->row.undo_error = error;
	else
		step->row.error = error;
	df_step_wait_held(run, step, NULL, until);
}

/* what its last attempt came to is kept beside it */
static Jsonb *
error_of_held(DfRun *run, Jsonb *error, const char *why)
{
	char *before = df_json_get_text(error, "held");
	DfJson json;

	if (why == NULL || (before != NULL && strcmp(before, why) == 0))
		return error;
	df_json_begin(&json);
	df_json_text(&json, "held", why);
	return df_error_with(run, error, df_json_end(&json, CurrentMemoryContext));
}

void
df_step_wait_held(DfRun *run, DfStep *step, const char *why, TimestampTz until)
{
	if (step->engine.phase == DF_PHASE_UNDO)
		step->row.undo_error = error_of_held(run, step->row.undo_error, why);
	else
		step->row.error = error_of_held(run, step->row.error, why);
	df_step_hold_begins(run, step);
	step->engine.to_send = false;
	step->row.wake_at = until;
	run->engine.advance = true;
}

/* ---- a response to the step itself ---------------------------------------- */

/* what a person has to know of a response that means that a person has to look */
static const char *
words_for_person(const DfDecision *made, const DfCame *came, const DfResponse *response)
{
	if (came->said.unknown)
		return psprintf("the answer does not tell whether \"%s\" holds (status %d)",
						came->said.rule->condition, response->status);
	if (made->meaning == DF_MEANS_DONE)
		return psprintf("the answer does not tell whether \"until\" is met (status %d)",
						response->status);
	return NULL;
}

static const char *
replayed_words(const DfResponse *response)
{
	return psprintf("the system answered with status %d, which is what it answered to the same "
					"idempotency key before",
					response->status);
}

/* NULL = the usual text about the response */
static const char *
words_for(const DfDecision *made, const DfCame *came, const DfResponse *response)
{
	switch (made->verdict)
	{
		case DF_VERDICT_DONE:
			return "an earlier attempt got no answer and may have been carried out too";
		case DF_VERDICT_UNREADABLE:
		case DF_VERDICT_STUCK:
			return df_response_why_unusable(response);
		case DF_VERDICT_SAID_STUCK:
			return words_for_person(made, came, response);
		case DF_VERDICT_FIND_KEPT:
			return "it is there already; the probe is asked for it";
		case DF_VERDICT_ASK_PROBE:
			return made->meaning == DF_MEANS_UNUSABLE ? df_response_why_unusable(response) : NULL;
		case DF_VERDICT_DOUBTFUL:
		case DF_VERDICT_ASK_PERSON:
		case DF_VERDICT_AGAIN_SAME:
			return response->status != 0 && (made->evidence.key_spent || made->new_key)
				? replayed_words(response)
				: NULL;
		case DF_VERDICT_POLL:
			return "the answer does not meet \"until\" yet";
		case DF_VERDICT_UNTIL_TIMEOUT:
			return "\"until\" was not met within until_timeout";
		case DF_VERDICT_CREDENTIALS:
			return "credentials refused";
		default:
			return NULL;
	}
}

/* how the attempt is recorded; NULL = it did not fail */
static const char *
attempt_outcome(DfVerdict verdict)
{
	switch (verdict)
	{
		case DF_VERDICT_AGAIN:
		case DF_VERDICT_POLL:
			return "retry";
		case DF_VERDICT_FAILED:
		case DF_VERDICT_UNREADABLE:
		case DF_VERDICT_UNTIL_TIMEOUT:
			return "failed";
		case DF_VERDICT_SAID_STUCK:
			return "stuck";
		case DF_VERDICT_ASK_PROBE:
		case DF_VERDICT_AGAIN_SAME:
		case DF_VERDICT_ACCEPTED:
		case DF_VERDICT_DOUBTFUL:
		case DF_VERDICT_ASK_PERSON:
		case DF_VERDICT_STUCK:
			return "in_doubt";
		default:
			return NULL;
	}
}

static void
get_stuck_carried_out(DfRun *run, DfStep *step, const DfResponse *response)
{
	df_run_get_stuck(run, DF_ERR_STEP_FAILED,
					 psprintf("step \"%s\" was carried out (status %d), but %s", step->name,
							  response->status, df_response_why_unusable(response)),
					 df_step_remedy(run, step));
}

/* it has been carried out, or was there already */
static void
do_done(DfRun *run, DfStep *step, const DfResponse *response, const DfDecision *made,
		const DfCame *came, Jsonb *output)
{
	df_step_know(step, &made->evidence);
	df_step_done(run, step, response, output);
	df_step_proven(run, step);
	if (made->evidence.maybe_twice)
		step->row.error =
			df_step_error(run, response, words_for(made, came, response), false, false);
	else if (came->body_unusable)
	{
		const char *why = psprintf("done, but %s", df_response_why_unusable(response));

		step->row.error = df_step_error(run, response, why, false, false);
	}
}

/*
 * The body of a refusal is for whoever reads why.  Of a response that another one follows, or
 * that was no refusal, its beginning will do.
 */
static bool
is_kept_whole(DfVerdict verdict)
{
	return verdict == DF_VERDICT_FAILED || verdict == DF_VERDICT_DOUBTFUL ||
		verdict == DF_VERDICT_ASK_PROBE || verdict == DF_VERDICT_STUCK ||
		verdict == DF_VERDICT_SAID_STUCK;
}

/* its system, its request and what came, in one sentence */
static char *
what_happened(const DfStep *step, const DfResponse *response)
{
	char *said = df_json_get_text(step->row.error, "message");

	return psprintf("step \"%s\" (\"%s\" to system \"%s\"): %s", step->name, step->row.request,
					step->system, said);
}

/* it may be sent again as it is: what is wrong may be in the system, or in its options */
static char *
remedy_for_person(DfRun *run, DfStep *step, const DfResponse *response)
{
	/* to call each 2xx a failure would be another mistake */
	char *otherwise =
		response->status / 100 == 2
		? "A condition of \"answers\" or \"until\" must be true or false for each answer: "
		  "exists($.error) asks whether a field is there."
		: psprintf("If this answer means something else here, say so by \"answers\" of the step "
				   "or of the server, such as '%d=fail'.",
				   response->status);
	bool doubt = step->row.state == DF_STEP_DOUBT;
	const char *again = doubt ? "If the system honours that key, or the step has a probe, the "
								"engine finds out by itself"
							  : "Repair the cause and have the step sent again";
	char *calls = psprintf("%s: SELECT dataflows.retry('%s'); or undo the rest: SELECT "
						   "dataflows.cancel('%s', 'why'); %s",
						   again, run->id_text, run->id_text, otherwise);

	return doubt
		? psprintf("It may have been carried out. %s %s", df_step_remedy(run, step), calls)
		: calls;
}

static void
get_stuck_for_person(DfRun *run, DfStep *step, const DfResponse *response)
{
	df_run_get_stuck(run, DF_ERR_STEP_FAILED, what_happened(step, response),
					 remedy_for_person(run, step, response));
}

/* it goes on, or has ended without an output */
static void
do_not_done(DfRun *run, DfStep *step, const DfResponse *response, const DfDecision *made,
			const DfCame *came, DfWhy why)
{
	const char *outcome = attempt_outcome(made->verdict);
	bool in_doubt = df_evidence_in_doubt(&made->evidence);

	step->row.status = response->status;
	step->row.error = df_step_error(run, response, words_for(made, came, response), in_doubt,
									is_kept_whole(made->verdict));
	if (outcome != NULL)
		df_attempt_note(run, step, response, outcome, made->at);
	if (made->event == DF_STEP_FAIL)
		step->row.error = df_error_why(run, step->row.error, why);
	df_step_apply(run, step, made);
	switch (made->verdict)
	{
		case DF_VERDICT_FAILED:
			step->row.answer = df_response_headers(response, run->cxt);
			break;
		case DF_VERDICT_ASKED:
		case DF_VERDICT_CREDENTIALS:
			step->row.attempts--;
			step->row.error = df_error_flag(run, step->row.error, "uncounted", true);
			df_step_hold_begins(run, step);
			break;
		case DF_VERDICT_ACCEPTED:
			df_step_say_accepted(run, step);
			break;
		case DF_VERDICT_DOUBTFUL:
			df_step_ends_in_doubt(step);
			break;
		case DF_VERDICT_ASK_PERSON:
			df_step_ends_in_doubt(step);
			df_step_ask_person(run, step);
			break;
		case DF_VERDICT_STUCK:
			df_step_ends_in_doubt(step);
			get_stuck_carried_out(run, step, response);
			break;
		case DF_VERDICT_SAID_STUCK:
			step->row.answer = df_response_headers(response, run->cxt);
			if (step->row.state == DF_STEP_DOUBT)
			{
				step->row.error = df_error_flag(run, step->row.error, "in_doubt", true);
				df_step_ends_in_doubt(step);
			}
			get_stuck_for_person(run, step, response);
			break;
		default:
			break;
	}
}

/* for whoever reads that it is tried again */
static void
note_limit(DfRun *run, DfStep *step, const DfDoubtCase *about, const DfDecision *made)
{
	DfJson json;

	if (made->at == DF_NEVER || about->retry.max_attempts <= 0)
		return;
	df_json_begin(&json);
	df_json_int(&json, "max_attempts", about->retry.max_attempts);
	step->row.error =
		df_error_with(run, step->row.error, df_json_end(&json, CurrentMemoryContext));
}

/*
 * It broke off behind its headers.  Where nothing needs its body the status is as good as
 * that of a whole one: what was carried out must not be sent again, and what was refused is
 * not in doubt.  Where repeating does no harm it is lost all the same: the next one has the
 * body.
 */
static bool
may_stand_without_body(const DfStep *step, const DfResponse *response,
					   const DfSystemPolicy *policy)
{
	const DfStepSpec *spec = step->engine.spec;
	int status = response->status;

	return response->fate == DF_FATE_LOST && response->head_complete && !spec->is_mail &&
		spec->method_class == DF_METHOD_EFFECT && !policy->key_trusted && status >= 200 &&
		status <= 499;
}

/* false: its body is needed */
static bool
judge_without_body(DfRun *run, DfStep *step, const DfSystemPolicy *policy, DfResponse *response,
				   DfCame *came, Jsonb **output)
{
	response->fate = DF_FATE_RESPONSE;
	response->form = DF_BODY_BROKEN;
	*came = df_judge_step(run, step, response, policy, output);
	return !(came->body_unusable && came->body_needed) && !came->said.unknown;
}

/* `until` is not met: what there is can be undone, from what the newest response says */
static void
carried_out_so_far(DfRun *run, DfStep *step, const DfResponse *response, const DfDecision *made,
				   Jsonb *output)
{
	char *why;

	df_step_know(step, &made->evidence);
	step->row.status = response->status;
	step->row.output = output;
	step->row.answer = df_response_headers(response, run->cxt);
	step->row.undo = NULL;
	/* the field may come with the last response; if it never does, a rollback will say so */
	(void) df_step_render_undo(run, step, &why);
}

static DfMeaning
do_response(DfRun *run, DfStep *step, const DfResponse *response, const DfSystemPolicy *policy)
{
	DfDoubtCase about = df_step_case(run, step, policy);
	DfResponse without_body = *response;
	Jsonb *output;
	DfCame came;
	DfDecision made;

	if (may_stand_without_body(step, response, policy) &&
		judge_without_body(run, step, policy, &without_body, &came, &output))
		response = &without_body;
	else
		came = df_judge_step(run, step, response, policy, &output);
	made = df_decide_response(&about, &came);
	if (made.verdict == DF_VERDICT_DONE || made.verdict == DF_VERDICT_KEPT)
		do_done(run, step, response, &made, &came, output);
	else
	{
		/* what is there of a step that a person looks at can be undone */
		if ((made.verdict == DF_VERDICT_SAID_STUCK || made.verdict == DF_VERDICT_DOUBTFUL) &&
			response->status / 100 == 2)
			step->row.output = output;
		if (made.evidence.carried_out && made.meaning == DF_MEANS_DONE)
			carried_out_so_far(run, step, response, &made, output);
		do_not_done(run, step, response, &made, &came,
					df_why_failed(&about, &made, response->fate));
		note_limit(run, step, &about, &made);
	}
	return made.meaning;
}

/* ---- before it is sent --------------------------------------------------- */

static const char *const objections[] = {
	[DF_OBJECTION_NONE] = NULL,
	[DF_OBJECTION_URL] = "the url of the system has changed since the step was sent",
	[DF_OBJECTION_ACCOUNT] = "the account of the system has changed since the step was sent",
	[DF_OBJECTION_NO_KEY] = "nothing says that the system honours its idempotency key",
	[DF_OBJECTION_OLD_KEY] = "the system would no longer know its idempotency key",
	[DF_OBJECTION_ANOTHER] = "it has changed since the attempt that may have been carried out",
	[DF_OBJECTION_SPENT] = "the system repeats to its idempotency key a response that does not "
						   "tell what became of it",
	[DF_OBJECTION_MAIL] = "a mail server cannot tell whether it has accepted a mail",
};

/* as it would meet there what has the same name, or nothing */
static void
undo_stays_here(DfRun *run, DfStep *step, const DfDecision *made, const char *why)
{
	const char *words =
		psprintf("the undo was not sent: %s. If it is the same system and account: SELECT "
				 "dataflows.retry('%s');",
				 why, run->id_text);

	step->row.undo_error = df_error_text(run, words, false);
	df_step_apply(run, step, made);
}

bool
df_step_may_leave(DfRun *run, DfStep *step, const DfSystemPolicy *policy, DfWhere where)
{
	DfDoubtCase about = df_step_case(run, step, policy);
	DfObjection objection;
	DfDecision made = df_decide_departure(&about, where, &objection);
	DfResponse none = {.fate = DF_FATE_LOST, .error = objections[objection]};

	if (made.verdict == DF_VERDICT_NONE)
	{
		step->engine.phase = made.phase;
		return true;
	}
	step->engine.to_send = false;
	run->engine.advance = true;
	if (made.verdict == DF_VERDICT_ACCEPTED)
	{
		df_step_apply(run, step, &made);
		df_step_say_accepted(run, step);
	}
	else if (made.verdict == DF_VERDICT_UNDO_ELSEWHERE)
		undo_stays_here(run, step, &made, none.error);
	else
	{
		DfCame came = {.fate = none.fate};

		do_not_done(run, step, &none, &made, &came, DF_WHY_IN_DOUBT);
	}
	return false;
}

/* ---- the one way in ------------------------------------------------------- */

/*
 * Applies the response to what was in flight for the step.  Returns what it says
 * about the system.
 */
DfMeaning
df_step_response(DfRun *run, DfStep *step, const DfResponse *response, const DfSystemPolicy *policy)
{
	DfMeaning meaning = DF_MEANS_DOUBT;

	Assert(!step->engine.to_send);
	df_attempt_count(step, response);
	switch (step->engine.phase)
	{
		case DF_PHASE_DO:
			meaning = do_response(run, step, response, policy);
			break;
		case DF_PHASE_PROBE:
			meaning = df_probe_response(run, step, response, policy);
			break;
		case DF_PHASE_UNDO:
			meaning = df_undo_response(run, step, response, policy);
			break;
	}
	run->engine.advance = true;
	return meaning;
}
