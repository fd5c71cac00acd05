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

#include "engine/mail_message.h"
#include "engine/outcome.h"
#include "engine/run_failure.h"
#include "engine/run_steps.h"
#include "engine/step_spec.h"
#include "engine/template.h"
#include "engine/transition.h"
#include "flow/flow.h"
#include "guc.h"
#include "mb/pg_wchar.h"
#include "shared/clock.h"
#include "shared/encoding.h"
#include "shared/json.h"
#include "shared/json_size.h"
#include "shared/jsonpath.h"
#include "shared/metrics.h"
#include "shared/retry_options.h"
#include "types/base.h"
#include "types/fate.h"
#include "types/response.h"
#include "types/retry.h"
#include "types/run.h"
#include "types/system_policy.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"

/* how much of a refused answer's body is kept in the error */
#define KEPT_BODY 2000

List *df_turn_attempts = NIL;

/* ---- reading the answer --------------------------------------------------- */

static bool
is_json_type(const char *content_type)
{
	return content_type != NULL && strstr(content_type, "json") != NULL;
}

/*
 * JSON that can be kept: few bytes of it may be gigabytes of text, once the
 * numbers are written out.  White space is the rest that its text may have more.
 */
static Jsonb *
parse_body(const DfResponse *response, const char *text, MemoryContext cxt)
{
	Jsonb *result = df_json_parse(text, strlen(text), cxt);
	size_t most = Max((size_t) df_max_body, 2 * response->body_len);

	return result != NULL && df_jsonb_text_size(result, most) <= most ? result : NULL;
}

/*
 * The body as jsonb, NULL for none; *unusable if it was announced as JSON but is
 * not, or cannot be kept.
 */
Jsonb *
df_response_json(const DfResponse *response, MemoryContext cxt, bool *unusable)
{
	Jsonb *result;
	char *text;

	*unusable = false;
	if (response->body == NULL || response->body_len == 0)
		return NULL;
	text = df_json_from_utf8(response->body, response->body_len);
	*unusable = text == NULL;
	if (text == NULL)
		return NULL;
	if (is_json_type(response->content_type))
	{
		result = parse_body(response, text, cxt);
		*unusable = result == NULL;
		return result;
	}
	if (response->content_type == NULL || response->content_type[0] == '\0')
	{
		result = parse_body(response, text, cxt);
		if (result != NULL)
			return result;
	}
	text = df_text_from_utf8(response->body, response->body_len);
	result = df_json_string(text, strlen(text), cxt);
	*unusable = result == NULL;
	return result;
}

/* headers that say something about the transport only are not worth a row */
static bool
is_transport_header(const char *line, size_t len)
{
	static const char *const names[] = {"date", "server", "connection", "keep-alive",
										"content-length", "transfer-encoding"};

	for (int i = 0; i < lengthof(names); i++)
		if (len == strlen(names[i]) && strncmp(line, names[i], len) == 0)
			return true;
	return false;
}

static Jsonb *
answer_headers(const DfResponse *response, MemoryContext cxt)
{
	DfJson json;
	const char *line = response->headers;
	bool some = false;

	if (line == NULL)
		return NULL;
	df_json_begin(&json);
	while (*line != '\0')
	{
		const char *end = line + strcspn(line, "\n");
		const char *colon = memchr(line, ':', end - line);

		if (colon != NULL && !is_transport_header(line, colon - line) &&
			pg_verify_mbstr(GetDatabaseEncoding(), line, end - line, true))
		{
			const char *value = colon + 1 + strspn(colon + 1, " ");

			/* the usual type goes without saying: response() fills it in */
			if (!(strncmp(line, "content-type:", 13) == 0 &&
				  strncmp(value, "application/json", end - value) == 0 &&
				  end - value == strlen("application/json")))
			{
				df_json_text(&json, pnstrdup(line, colon - line),
							 pnstrdup(value, Max(0, end - value)));
				some = true;
			}
		}
		line = *end == '\n' ? end + 1 : end;
	}
	if (!some)
		return NULL;
	return df_json_end(&json, cxt);
}

/* the beginning of a body for an error, without secrets, cut at a character */
static char *
cut_body(const DfResponse *response)
{
	const char *body = response->shown != NULL ? response->shown : response->body;
	size_t body_len = response->shown != NULL ? response->shown_len : response->body_len;
	int encoding = GetDatabaseEncoding() == PG_SQL_ASCII ? PG_SQL_ASCII : PG_UTF8;

	if (body == NULL || body_len == 0)
		return NULL;
	return df_text_from_utf8(
		body, pg_encoding_mbcliplen(encoding, body, (int) Min(body_len, KEPT_BODY), KEPT_BODY));
}

static Jsonb *
error_of(DfRun *run, const DfResponse *response, const char *message, bool in_doubt)
{
	DfJson json;
	char *generic = NULL;

	if (message == NULL)
	{
		if (response->fate == DF_FATE_RESPONSE)
			generic = psprintf("the system answered with status %d", response->status);
		else
			generic = pstrdup(response->error != NULL && response->error[0] != '\0'
								  ? response->error
								  : "no answer");
		message = generic;
	}
	df_json_begin(&json);
	df_json_text(&json, "message", message);
	if (response->status != 0)
		df_json_int(&json, "status", response->status);
	df_json_bool(&json, "in_doubt", in_doubt);
	df_json_text(&json, "body", cut_body(response));
	return df_json_end(&json, run->cxt);
}

/* one more thing to know beside what is known already */
Jsonb *
df_error_with(DfRun *run, Jsonb *error, const Jsonb *more)
{
	if (error == NULL)
		return df_json_copy(more, run->cxt);
	return df_json_copy(DatumGetJsonbP(DirectFunctionCall2(jsonb_concat, JsonbPGetDatum(error),
														   JsonbPGetDatum(more))),
						run->cxt);
}

Jsonb *
df_error_flag(DfRun *run, Jsonb *error, const char *flag, bool value)
{
	DfJson json;

	df_json_begin(&json);
	df_json_bool(&json, flag, value);
	return df_error_with(run, error, df_json_end(&json, CurrentMemoryContext));
}

/* of a body that is being rolled back, not of its on_failure */
bool
df_step_unwanted(const DfRun *run, const DfStep *step)
{
	return run->state == DF_RUN_ROLLING_BACK && !df_is_handler_step(step);
}

/* whether it is not known that the step was carried out: in doubt, or accepted so */
static bool
is_unsure(const DfStep *step)
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

void
df_step_note_attempt(DfRun *run, DfStep *step, const DfResponse *response, const char *outcome,
					 TimestampTz next_at)
{
	DfAttempt *attempt = palloc0(sizeof(DfAttempt));

	attempt->run = run->id;
	attempt->n = step->n;
	attempt->undo = step->phase == DF_PHASE_UNDO;
	attempt->seq = attempt->undo ? step->undo_attempts : step->attempts;
	attempt->at = step->attempt_at != DF_NEVER
		? step->attempt_at
		: (step->sent_at != DF_NEVER ? step->sent_at : step->started_at);
	attempt->took_ms = response->took_us / 1000.0;
	attempt->status = response->status;
	attempt->outcome = outcome;
	if (response->fate == DF_FATE_RESPONSE)
		attempt->error = psprintf("the system answered with status %d", response->status);
	else
		attempt->error = pstrdup(response->error != NULL ? response->error : "no answer");
	attempt->next_at = next_at;
	df_turn_attempts = lappend(df_turn_attempts, attempt);
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

/*
 * Renders the undo of a step and keeps it in the step; false with *missing if
 * a field is not there.  A step without undo has nothing to render.
 */
bool
df_step_render_undo(DfRun *run, DfStep *step, char **missing)
{
	const DfStepSpec *spec = df_step_spec(run, step);
	Jsonb *body = spec->undo_body;
	DfTemplateVars vars;
	char *undo;

	if (spec->undo == NULL || step->undo != NULL)
		return true;
	if (step->kind == DF_STEP_QUERY)
	{
		/* SQL as it was written; its $1 is the output */
		step->undo = spec->undo;
		step->dirty = true;
		return true;
	}
	df_step_vars(run, step, &vars);
	undo = df_template_path(spec->undo, &vars, missing);
	if (undo == NULL)
		return false;
	if (body != NULL)
	{
		body = df_template_body(body, &vars, missing);
		if (body == NULL)
			return false;
		step->undo_body = MemoryContextStrdup(run->cxt,
											  spec->form ? df_body_form(body)
														 : df_body_json(body));
	}
	step->undo = MemoryContextStrdup(run->cxt, undo);
	step->dirty = true;
	return true;
}

/* ---- what becomes of the step --------------------------------------------- */

void
df_step_done(DfRun *run, DfStep *step, const DfResponse *response, Jsonb *output)
{
	char *missing = NULL;

	step->status = response->status;
	step->output = output;
	step->answer = answer_headers(response, run->cxt);
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
		step->error = error_of(run, response, NULL, true);
		df_step_note_attempt(run, step, response, "in_doubt", DF_NEVER);
	}
	step->error = df_error_flag(run, step->error, "accepted", true);
	df_step_transition(run, step, DF_STEP_SUCCEED);
}

/* ended in doubt: a candidate for undo, and DF001 in the body */
void
df_step_doubtful(DfRun *run, DfStep *step, const DfResponse *response, const char *message)
{
	step->status = response->status;
	step->error = error_of(run, response, message, true);
	if (step->state != DF_STEP_DOUBT)
		df_step_transition(run, step, DF_STEP_LOSE);
	step->wake_at = DF_NEVER;
	step->finished_at = df_now();
	step->dirty = true;
	df_metric_add(DF_METRIC_STEPS, step->system, df_step_kind_name(step->kind), "in_doubt", 1);
	df_step_note_attempt(run, step, response, "in_doubt", DF_NEVER);
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

static bool
is_until_met(DfRun *run, DfStep *step, const Jsonb *output)
{
	const char *until = df_step_spec(run, step)->until;

	return until == NULL || df_jsonpath_match(output, until);
}

/* `until` is not met yet: ask again after `every` */
void
df_step_poll_again(DfRun *run, DfStep *step, const DfResponse *response)
{
	const DfStepSpec *spec = df_step_spec(run, step);
	int64 limit = spec->until_timeout_ms;
	TimestampTz at = df_now() + spec->every_ms * 1000;
	const char *why = "the answer does not meet \"until\" yet";

	step->status = response->status;
	if (limit > 0 && at > step->started_at + limit * 1000)
	{
		step->error = error_of(run, response, "\"until\" was not met within until_timeout", false);
		df_step_transition(run, step, DF_STEP_FAIL);
		df_step_note_attempt(run, step, response, "failed", DF_NEVER);
		return;
	}
	step->error = error_of(run, response, why, false);
	df_step_transition(run, step, DF_STEP_AGAIN);
	step->wake_at = at;
	df_step_note_attempt(run, step, response, "retry", at);
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
	step->error = df_error_flag(run, error_of(run, response, message, true), "ask_probe", true);
	if (step->state != DF_STEP_DOUBT)
		df_step_transition(run, step, DF_STEP_LOSE);
	step->wake_at = at != DF_NEVER ? at : df_now();
	step->dirty = true;
	step->phase = DF_PHASE_DO;
	df_step_note_attempt(run, step, response, "in_doubt", step->wake_at);
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
	step->error = error_of(run, response, NULL, false);
	step->answer = answer_headers(response, run->cxt);
	df_step_transition(run, step, DF_STEP_FAIL);
	df_step_note_attempt(run, step, response, "failed", DF_NEVER);
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
	step->error = error_of(run, response, NULL, doubt);
	if (lost)
		step->error = df_error_flag(run, step->error, "was_lost", true);
	df_step_transition(run, step, doubt ? DF_STEP_LOSE : DF_STEP_AGAIN);
	step->wake_at = at;
	df_step_note_attempt(run, step, response, "retry", at);
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
	step->error = error_of(run, response, NULL, true);
	df_step_transition(run, step, DF_STEP_LOSE);
	step->wake_at = at;
	df_step_note_attempt(run, step, response, "in_doubt", at);
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
		step->error = error_of(run, response, why, false);
		df_step_transition(run, step, DF_STEP_FAIL);
		df_step_note_attempt(run, step, response, "failed", DF_NEVER);
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
	step->error = error_of(run, response, "credentials refused", doubt);
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
	run->advance = true;
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
	run->advance = true;
}

/* ---- undo ----------------------------------------------------------------- */

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

static void
undo_response(DfRun *run, DfStep *step, const DfResponse *response, DfVerdict verdict,
			  const DfSystemPolicy *policy)
{
	TimestampTz at = DF_NEVER;

	if (verdict == DF_VERDICT_DONE_NO_UNDO && is_unsure(step) &&
		df_now() < df_step_settled_at(step, policy))
	{
		/* what it would take away may still come */
		step->undo_error =
			error_of(run, response, "not there, which is believed only later", false);
		df_undo_transition(run, step, DF_UNDO_DUE);
		step->wake_at = df_step_settled_at(step, policy);
		return;
	}
	if ((verdict == DF_VERDICT_DONE || verdict == DF_VERDICT_DONE_NO_UNDO) &&
		left_a_second(run, step))
	{
		step->undo_error =
			error_of(run, response,
					 "what the last attempt made is undone, but an earlier one got no answer and "
					 "may have made a second, whose fields were never received",
					 true);
		df_undo_transition(run, step, DF_UNDO_FAILED);
		return;
	}
	if (verdict == DF_VERDICT_DONE || verdict == DF_VERDICT_DONE_NO_UNDO)
	{
		step->undo_error = NULL;
		df_undo_transition(run, step, verdict == DF_VERDICT_DONE ? DF_UNDO_UNDONE : DF_UNDO_GONE);
		return;
	}
	if (verdict == DF_VERDICT_RETRY)
		at = df_undo_next_try(step, response, policy);
	step->undo_error = error_of(
		run, response,
		verdict == DF_VERDICT_DOUBT
			? psprintf("the undo may have been carried out, and a second one may do harm: %s",
					   what_came(response))
			: NULL,
		verdict == DF_VERDICT_DOUBT);
	df_step_note_attempt(run, step, response, at == DF_NEVER ? "failed" : "retry", at);
	df_undo_transition(run, step, at == DF_NEVER ? DF_UNDO_FAILED : DF_UNDO_DUE);
	step->wake_at = at;
}

/* ---- the one way in ------------------------------------------------------- */

static DfVerdict
verdict_of(const DfStep *step, const DfAnswer *answer)
{
	return step->kind == DF_STEP_MAIL ? df_answer_mail_verdict(answer) : df_answer_verdict(answer);
}

static Jsonb *
output_of(DfRun *run, DfStep *step, const DfResponse *response, DfAnswer *answer)
{
	if (response->fate != DF_FATE_RESPONSE || response->status / 100 != 2)
		return NULL;
	if (step->kind == DF_STEP_MAIL)
		return df_mail_output(run, step, response);
	return df_response_json(response, run->cxt, &answer->body_unusable);
}

static void
do_response(DfRun *run, DfStep *step, const DfResponse *response, DfAnswer *answer,
			const DfSystemPolicy *policy)
{
	Jsonb *output = output_of(run, step, response, answer);

	switch (verdict_of(step, answer))
	{
		case DF_VERDICT_DONE:
			if (is_until_met(run, step, output))
			{
				df_step_done(run, step, response, output);
				if (answer->was_doubt && answer->method == DF_METHOD_EFFECT && !answer->key_trusted)
					step->error = df_error_flag(
						run,
						error_of(
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

static const char *
result_of(const DfResponse *response)
{
	static const char *const classes[] = {"1xx", "2xx", "3xx", "4xx", "5xx"};

	switch (response->fate)
	{
		case DF_FATE_NOT_SENT:
			return "not_sent";
		case DF_FATE_LOST:
			return "no_answer";
		case DF_FATE_TOO_LARGE:
			return "too_large";
		case DF_FATE_REFUSED:
			return "refused";
		case DF_FATE_STARVED:
			return "not_sent";
		case DF_FATE_RESPONSE:
			break;
	}
	if (response->status == 429)
		return "429"; /* asks for time: neither their fault nor ours */
	if (response->status == 401 || response->status == 403)
		return "credentials";
	return response->status >= 100 && response->status < 600
		? classes[response->status / 100 - 1]
		: "5xx";
}

static void
count_attempt(const DfStep *step, const DfResponse *response)
{
	static const char *const phases[] = {"do", "probe", "undo"};

	df_metric_add(DF_METRIC_ATTEMPTS, step->system, phases[step->phase], result_of(response), 1);
	if (response->took_us > 0)
		df_metric_observe(DF_METRIC_ATTEMPT_DURATION, step->system, response->took_us);
	if (response->body_len > 0)
		df_metric_add(DF_METRIC_RECEIVED_BYTES, step->system, NULL, NULL, response->body_len);
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
	count_attempt(step, response);
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
		about_undo(run, step, policy, &answer);
		verdict = df_answer_undo_verdict(&answer);
		undo_response(run, step, response, verdict, policy);
	}
	else if (step->phase == DF_PHASE_PROBE)
	{
		verdict = df_answer_verdict(&answer);
		df_probe_response(run, step, response, policy);
	}
	else
	{
		do_response(run, step, response, &answer, policy);
		verdict = verdict_of(step, &answer);
	}
	run->advance = true;
	return verdict;
}
