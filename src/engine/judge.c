/*
 * engine/judge.c
 *	  Takes a response to flow/meaning.c, with all that it has to know.
 *
 * Runs in a worker, in its recording transaction, on structs in memory; it changes none.
 * Conditions of `answers` and `until` are evaluated here, on the body, status and headers.
 * What they say is decided in flow/.  No response, however broken, raises.
 */
#include "postgres.h"

#include "engine/judge.h"
#include "engine/proven.h"
#include "engine/read_body.h"
#include "engine/read_response.h"
#include "engine/read_spec.h"
#include "engine/step_key.h"
#include "engine/step_kind.h"
#include "engine/template.h"
#include "shared/json.h"
#include "shared/jsonpath.h"

/* a response while its conditions are evaluated; each part is read when it is first asked for */
typedef struct Witness
{
	const DfResponse *response;
	bool is_read;
	bool unusable;
	Jsonb *body;
	Jsonb *variables;
} Witness;

static bool
is_answered(const DfResponse *response)
{
	return response->fate == DF_FATE_RESPONSE || response->fate == DF_FATE_TOO_LARGE;
}

Jsonb *
df_response_variables(const DfResponse *response)
{
	Jsonb *headers = df_response_headers(response, CurrentMemoryContext);
	DfJson json;
	DfJsonWalk walk;

	df_json_begin(&json);
	df_json_int(&json, "status", response->status);
	df_json_open_object(&json, "headers");
	/* what goes without saying where headers are recorded */
	if (df_json_get(headers, "content-type") == NULL)
		df_json_text(&json, "content-type", response->content_type);
	if (headers != NULL)
	{
		df_json_walk(&walk, headers);
		while (df_json_next(&walk))
			df_json_value(&json, walk.key, df_json_of(&walk.value));
	}
	df_json_close_object(&json);
	return df_json_end(&json, CurrentMemoryContext);
}

static const Jsonb *
variables_of(Witness *witness)
{
	if (witness->variables == NULL)
		witness->variables = df_response_variables(witness->response);
	return witness->variables;
}

static void
read_body(Witness *witness)
{
	if (witness->is_read)
		return;
	witness->is_read = true;
	witness->body = df_response_json(witness->response, CurrentMemoryContext, &witness->unusable);
}

static DfTruth
holds(void *arg, const char *condition)
{
	Witness *witness = arg;

	if (!df_jsonpath_reads_body(condition))
		return df_jsonpath_holds(NULL, condition, variables_of(witness));
	read_body(witness);
	if (witness->unusable)
		return DF_UNKNOWN;
	return df_jsonpath_holds(witness->body, condition, variables_of(witness));
}

static bool
is_something(const Jsonb *object, const char *key)
{
	JsonbValue value;

	if (!df_json_find(object, key, &value))
		return false;
	switch (value.type)
	{
		case jbvNull:
			return false;
		case jbvBool:
			return value.val.boolean;
		case jbvString:
			return value.val.string.len > 0;
		case jbvBinary:
			return JsonContainerSize(value.val.binary.data) > 0;
		default:
			return true;
	}
}

static bool
is_false(const Jsonb *object, const char *key)
{
	JsonbValue value;

	return df_json_find(object, key, &value) && value.type == jbvBool && !value.val.boolean;
}

/* the body of a 2xx says that it was not done, as many systems respond */
static bool
says_no(const Jsonb *body)
{
	return body != NULL && JB_ROOT_IS_OBJECT(body) &&
		(is_false(body, "ok") || is_false(body, "success") || is_something(body, "error") ||
		 is_something(body, "errors"));
}

static bool
is_one_of_words(const Jsonb *object, const char *key, const char *const *words, int nwords)
{
	char *text = df_json_get_text(object, key);

	for (int i = 0; text != NULL && i < nwords; i++)
		if (pg_strcasecmp(text, words[i]) == 0)
			return true;
	return false;
}

/* an item of a list counts like the whole; of a step these words may be about its resource */
static bool
says_not_undone(const Jsonb *body)
{
	static const char *const failures[] = {"error", "fail", "failed", "failure"};
	DfJsonWalk walk;

	if (body == NULL || JB_ROOT_IS_SCALAR(body))
		return false;
	if (JB_ROOT_IS_OBJECT(body))
		return says_no(body) || says_no(df_json_get(body, "data")) || is_false(body, "deleted") ||
			is_one_of_words(body, "status", failures, lengthof(failures));
	df_json_walk(&walk, body);
	while (df_json_next(&walk))
	{
		Jsonb *item = df_json_of(&walk.value);

		if (JB_ROOT_IS_OBJECT(item) && says_not_undone(item))
			return true;
	}
	return false;
}

/* a page of a proxy or for people who are to log in; not a word such as "OK", whatever its type */
static bool
is_page(const Witness *witness, const char *spoken)
{
	const char *type = witness->response->content_type;
	const char *text;

	if (type == NULL || strstr(type, "html") == NULL ||
		(spoken != NULL && strcmp(spoken, type) == 0))
		return false;
	if (witness->body == NULL)
		return witness->unusable;
	text = df_json_scalar_text(witness->body);
	return text != NULL && text[strspn(text, " \t\r\n")] == '<';
}

/* an undo that the system says it has not carried out; nobody has said so in `answers` */
static bool
denies_undo(const DfStep *step, const DfCame *came, Witness *witness)
{
	if (step->engine.phase != DF_PHASE_UNDO || came->status / 100 != 2 ||
		came->said.rule != NULL)
		return false;
	read_body(witness);
	return says_not_undone(witness->body) ||
		is_page(witness, df_json_get_text(step->row.answer, "content-type"));
}

/* "METHOD /path": also of a template */
static const char *
method_of(const char *request)
{
	return request == NULL ? "GET" : pnstrdup(request, strcspn(request, " "));
}

DfCame
df_judge(DfRun *run, DfStep *step, const DfResponse *response, const DfSystemPolicy *policy)
{
	const DfStepSpec *spec = df_step_spec(run, step);
	const DfAnswers *lists[2] = {NULL, policy->answers};
	Witness witness = {.response = response};
	DfCame came = {.fate = response->fate,
				   .status = response->status,
				   .until_met = DF_TRUE,
				   .retry_after_ms = response->retry_after_ms};

	switch (step->engine.phase)
	{
		case DF_PHASE_DO:
			lists[0] = spec->answers;
			came.method = spec->method;
			break;
		case DF_PHASE_PROBE:
			lists[0] = spec->probe_answers;
			came.method = method_of(spec->probe);
			break;
		case DF_PHASE_UNDO:
			lists[0] = spec->undo_answers;
			came.method = method_of(step->row.undo);
			break;
	}
	/* of what was done, many systems say how much is left */
	if (response->status / 100 != 2)
		came.limit_used_up = df_response_limit_used_up(response);
	came.replayed = df_response_is_replay(response);
	if (is_answered(response))
	{
		if (response->said != NULL)
			came.said.rule = response->said;
		else
			came.said = df_answers_say(lists, lengthof(lists), came.method, response->status, holds,
									   &witness);
		came.denied = denies_undo(step, &came, &witness);
	}
	return came;
}

/* ---- the step itself ------------------------------------------------------- */

static DfTruth
until_met(const DfStepSpec *spec, const DfResponse *response, const Jsonb *output)
{
	if (spec->until == NULL)
		return DF_TRUE;
	/* no body yet: what the step waits for is not there yet */
	if (output == NULL && df_jsonpath_reads_body(spec->until))
		return DF_FALSE;
	return df_jsonpath_holds(output, spec->until, df_response_variables(response));
}

/*
 * Something is to be read in the body: the fields of the undo, a condition, or the answer of a
 * read.  Otherwise the step is done, whatever the body is.
 */
static bool
needs_body(const DfStepSpec *spec)
{
	return spec->method_class == DF_METHOD_SAFE || spec->undo_needs_response ||
		(spec->undo_if != NULL && df_jsonpath_reads_body(spec->undo_if)) ||
		(spec->until != NULL && df_jsonpath_reads_body(spec->until));
}

/*
 * A 2xx whose body says that it was not done, as many systems respond, and that has none of
 * what the undo needs: a refusal, though nobody has said so in `answers`.
 */
static bool
is_denied(DfRun *run, DfStep *step, const DfResponse *response, const Jsonb *output)
{
	return response->status / 100 == 2 && says_no(output) &&
		df_step_spec(run, step)->undo != NULL && df_undo_lacks_fields(run, step, output, response);
}

/* a 2xx that `answers` calls something else, and that has the resource in it all the same */
static bool
has_made(DfRun *run, DfStep *step, const DfResponse *response, const Jsonb *output)
{
	return response->status / 100 == 2 && df_step_spec(run, step)->undo_needs_response &&
		!df_undo_lacks_fields(run, step, output, response);
}

/* whether the body becomes the step's output */
static bool
has_output(const DfCame *came)
{
	DfMeaning meaning = came->said.rule != NULL ? came->said.rule->is : df_default_meaning(came);

	return meaning == DF_MEANS_DONE || meaning == DF_MEANS_KEPT || came->status / 100 == 2;
}

DfCame
df_judge_step(DfRun *run, DfStep *step, const DfResponse *response, const DfSystemPolicy *policy,
			  Jsonb **output)
{
	const DfStepSpec *spec = df_step_spec(run, step);
	DfCame came = df_judge(run, step, response, policy);

	*output = NULL;
	if (is_answered(response) && has_output(&came))
		*output = df_step_ops(step)->output(run, step, response, &came.body_unusable);
	if (response->status == 400 && came.said.rule == NULL && !spec->is_mail)
		came.once_done = df_step_was_proven(run, step);
	came.body_needed = !spec->is_mail && needs_body(spec);
	if (!came.body_unusable)
		came.until_met = until_met(spec, response, *output);
	if (!spec->is_mail && came.said.rule == NULL)
		came.denied = is_denied(run, step, response, *output);
	if (!spec->is_mail && came.said.rule != NULL)
		came.made = has_made(run, step, response, *output);
	return came;
}
