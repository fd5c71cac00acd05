/*
 * engine/read_spec.c
 *	  What a body asked for with a step: its request and options, parsed once.
 *
 * Runs in workers and inside bodies, on structs in memory; pure but for memory.
 * Options were checked when the body called the step, so that nothing here
 * raises.  No other file reads the options of a request, a mail or a query.
 */
#include "postgres.h"

#include "engine/key_place.h"
#include "engine/read_spec.h"
#include "engine/step_format.h"
#include "engine/template.h"
#include "flow/doubt.h"
#include "flow/meaning.h"
#include "shared/read_answers.h"
#include "shared/json.h"
#include "shared/retry_options.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/numeric.h"

#define DEFAULT_EVERY_MS 30000

static const DfRetry unset_retry = {
	.max_attempts = -1, .initial_ms = -1, .max_ms = -1, .for_ms = -1};

static DfDoubtPolicy
doubt_of(const Jsonb *options)
{
	int policy = df_doubt_policy_of(df_json_get_text(options, "doubt"));

	return policy < 0 ? DF_DOUBT_STUCK : (DfDoubtPolicy) policy;
}

static const DfAnswers *
answers_in(const Jsonb *options, const char *key)
{
	Jsonb *json = df_json_get(options, key);
	DfAnswersProblem problem;

	return json == NULL ? NULL : df_answers_from_json(json, key, &problem);
}

/* short for: these are "kept", whatever else is said of them comes first */
static void
add_accepted(const Jsonb *accept, DfStepSpec *spec)
{
	int before = spec->answers != NULL ? spec->answers->n : 0;
	DfAnswer *rules = palloc0(sizeof(DfAnswer) * (before + 1));
	DfStatusRange *statuses = palloc(sizeof(DfStatusRange) * (JB_ROOT_COUNT(accept) + 1));
	DfAnswers *answers = palloc(sizeof(DfAnswers));
	DfAnswer *kept = &rules[before];
	DfJsonWalk walk;

	if (before > 0)
		memcpy(rules, spec->answers->rules, sizeof(DfAnswer) * before);
	kept->statuses = statuses;
	kept->is = DF_MEANS_KEPT;
	df_json_walk(&walk, accept);
	while (df_json_next(&walk))
	{
		int status;

		if (walk.value.type != jbvNumeric)
			continue;
		status = DatumGetInt32(
			DirectFunctionCall1(numeric_int4, NumericGetDatum(walk.value.val.numeric)));
		statuses[kept->nstatuses].first = statuses[kept->nstatuses].last = status;
		kept->nstatuses++;
	}
	answers->rules = rules;
	answers->n = before + (kept->nstatuses > 0);
	spec->answers = answers;
}

static void
read_answers(const Jsonb *options, DfStepSpec *spec)
{
	Jsonb *accept = df_json_get(options, "accept");

	spec->answers = answers_in(options, "answers");
	spec->undo_answers = answers_in(options, "undo_answers");
	spec->probe_answers = answers_in(options, "probe_answers");
	if (accept != NULL)
		add_accepted(accept, spec);
}

static bool
body_names(const Jsonb *body, const char *field)
{
	DfJsonWalk walk;

	if (body == NULL)
		return false;
	df_json_walk_deep(&walk, body);
	while (df_json_next(&walk))
		if (walk.value.type == jbvString &&
			df_template_names(df_json_string_of(&walk.value), field))
			return true;
	return false;
}

static bool
probe_names(const DfStepSpec *spec, const char *field)
{
	return spec->probe != NULL &&
		(df_template_names(spec->probe, field) || body_names(spec->probe_body, field) ||
		 body_names(spec->probe_headers, field));
}

static void
read_request(const char *request, DfStepSpec *spec)
{
	const char *space = request != NULL ? strchr(request, ' ') : NULL;

	spec->method = space == NULL ? "GET" : pnstrdup(request, space - request);
	spec->path = space == NULL ? "/" : space + 1;
	spec->method_class = df_method_class(spec->method);
}

static void
read_undo(const Jsonb *options, bool sql, DfStepSpec *spec)
{
	char *undo = df_json_get_text(options, "undo");

	if (undo == NULL || strcmp(undo, "none") == 0)
		return;
	spec->undo = undo;
	spec->undo_body = df_json_get(options, "undo_body");
	spec->undo_headers = df_json_get(options, "undo_headers");
	spec->undo_if = df_json_get_text(options, "undo_if");
	spec->undo_of = df_json_get_text(options, "undo_of");
	spec->undo_needs_response = !sql &&
		(df_template_needs_response(undo) ||
		 df_template_any(spec->undo_body, df_template_needs_response) ||
		 df_template_any(spec->undo_headers, df_template_needs_response));
}

static void
read_probe(const Jsonb *options, DfStepSpec *spec)
{
	spec->probe = df_json_get_text(options, "probe");
	if (spec->probe == NULL)
		return;
	spec->probe_body = df_json_get(options, "probe_body");
	spec->probe_headers = df_json_get(options, "probe_headers");
	spec->probe_if = df_json_get_text(options, "probe_if");
	spec->probe_found = df_json_get_text(options, "probe_found");
	spec->probe_names_run = probe_names(spec, "run");
	spec->probe_names_key = probe_names(spec, "idempotency_key");
}

static void
read_options(const Jsonb *options, bool sql, DfStepSpec *spec)
{
	spec->every_ms = DEFAULT_EVERY_MS;
	if (options == NULL)
		return;
	read_answers(options, spec);
	df_format_read(options, &spec->format, &spec->side_format);
	df_key_place_read(options, &spec->key_place);
	spec->request_fields = df_json_get(options, "request");
	read_undo(options, sql, spec);
	read_probe(options, spec);
	spec->doubt = doubt_of(options);
	spec->until = df_json_get_text(options, "until");
	spec->every_ms = df_json_get_int(options, "every", DEFAULT_EVERY_MS);
	spec->until_timeout_ms = df_json_get_int(options, "until_timeout", 0);
	spec->timeout_ms = df_json_get_int(options, "timeout", 0);
	df_retry_from_jsonb(df_json_get(options, "retry"), &spec->retry, "retry");
}

const DfStepSpec *
df_step_spec(DfRun *run, DfStep *step)
{
	MemoryContext old;
	DfStepSpec *spec;

	if (step->engine.spec != NULL && step->engine.spec->from_request == step->row.request &&
		step->engine.spec->from_options == step->row.options)
		return step->engine.spec;
	old = MemoryContextSwitchTo(run->cxt);
	spec = palloc0(sizeof(DfStepSpec));
	spec->from_request = step->row.request;
	spec->from_options = step->row.options;
	spec->retry = unset_retry;
	spec->is_mail = step->kind == DF_STEP_MAIL;
	spec->has_key = step->kind == DF_STEP_HTTP;
	read_request(step->row.request, spec);
	read_options(step->row.options, step->kind == DF_STEP_QUERY, spec);
	MemoryContextSwitchTo(old);
	step->engine.spec = spec;
	return spec;
}

/* ---- retry ---------------------------------------------------------------- */

/* what the author of a step or a workflow says instead of the system */
static void
override(DfRetry *retry, const DfRetry *by)
{
	if (by->max_attempts >= 0)
	{
		retry->max_attempts = by->max_attempts;
		retry->own_attempts = true;
	}
	/* a longer first pause than the longest one of the system is meant */
	if (by->initial_ms > retry->max_ms)
		retry->max_ms = by->initial_ms;
	if (by->initial_ms >= 0)
		retry->initial_ms = by->initial_ms;
	if (by->max_ms >= 0)
		retry->max_ms = by->max_ms;
	if (by->for_ms >= 0)
	{
		retry->for_ms = by->for_ms;
		retry->own_for = true;
	}
}

DfRetry
df_step_retry(DfRun *run, DfStep *step, const DfRetry *of_system)
{
	DfRetry of_workflow = unset_retry;
	DfRetry retry = *of_system;

	df_retry_from_jsonb(run->workflow->retry, &of_workflow, "retry");
	override(&retry, &of_workflow);
	override(&retry, &df_step_spec(run, step)->retry);
	return retry;
}
