/*
 * engine/step_options.c
 *	  What a body asks for with http() beyond the request: undo, probe, retry ...
 *
 * Runs inside bodies, as the workflow's owner, when a step is called.  Everything is checked
 * here, before anything is sent, and recorded as the step's options, which
 * engine/read_spec.c alone reads.  Must never let in what cannot be carried out later.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "engine/body.h"
#include "engine/http_args.h"
#include "engine/key_place.h"
#include "engine/not_meant.h"
#include "engine/request_body.h"
#include "engine/step_api.h"
#include "engine/step_format.h"
#include "engine/template.h"
#include "fdw/options.h"
#include "flow/doubt.h"
#include "flow/meaning.h"
#include "shared/read_answers.h"
#include "shared/format_names.h"
#include "shared/json.h"
#include "shared/json_size.h"
#include "shared/jsonpath.h"
#include "shared/limits.h"
#include "shared/retry_options.h"
#include "utils/array.h"
#include "utils/builtins.h"

/* ---- single arguments ----------------------------------------------------- */

static void
add_interval(DfJson *json, FunctionCallInfo fcinfo, int arg, const char *key, bool *some)
{
	int64 ms;

	if (PG_ARGISNULL(arg))
		return;
	ms = df_interval_ms(PG_GETARG_DATUM(arg));
	if (ms <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"%s\" must be more than zero", key),
				 errhint("Give an interval such as '30 seconds'.")));
	df_json_int(json, key, ms);
	*some = true;
}

static void
add_doubt(DfJson *json, FunctionCallInfo fcinfo, int arg, bool *some)
{
	char *doubt = df_arg_text(fcinfo, arg);

	if (doubt == NULL)
		return;
	if (df_doubt_policy_of(doubt) < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("doubt \"%s\" is not known", doubt),
				 errhint("Use 'stuck', 'fail', 'resend' or 'accept'.")));
	if (df_doubt_policy_of(doubt) == DF_DOUBT_STUCK)
		return;
	df_json_text(json, "doubt", doubt);
	*some = true;
}

/* whoever lists what counts as success would have the step never undone */
static void
check_accepted(int status, bool has_undo)
{
	if (status < 100 || status > 599)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"accept\" contains a number that is not an HTTP status"),
				 errhint("Give statuses from 100 to 599, such as ARRAY[404].")));
	if (status == 201 && has_undo)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"accept\" contains 201, and the step has an undo"),
				 errdetail("What it lists counts as there already and is never undone, but 201 "
						   "means that the step has made it."),
				 errhint("Leave 201 out: it is success without \"accept\". If nothing is to be "
						 "undone, give undo => 'none'; if the system says 201 of what was there "
						 "already, answers => '201=kept'.")));
}

static void
add_accept(DfJson *json, FunctionCallInfo fcinfo, int arg, bool has_undo, bool *some)
{
	ArrayType *array;
	Datum *values;
	bool *nulls;
	int n;

	if (PG_ARGISNULL(arg))
		return;
	array = PG_GETARG_ARRAYTYPE_P(arg);
	deconstruct_array(array, INT4OID, 4, true, TYPALIGN_INT, &values, &nulls, &n);
	df_json_open_array(json, "accept");
	for (int i = 0; i < n; i++)
	{
		check_accepted(nulls[i] ? 0 : DatumGetInt32(values[i]), has_undo);
		df_json_int(json, NULL, DatumGetInt32(values[i]));
	}
	df_json_close_array(json);
	*some = true;
}

static void
add_value(DfJson *json, const Jsonb *value, const char *key, bool *some)
{
	df_check_payload(value, psprintf("\"%s\"", key));
	df_json_value(json, key, value);
	*some = true;
}

/* kept as it was written: text as a string */
static void
add_answers(DfJson *json, FunctionCallInfo fcinfo, int arg, const char *method, bool *some)
{
	DfAnswersProblem problem;
	char *text;
	Jsonb *rules;

	if (!df_arg_text_or_json(fcinfo, arg, "answers", &text, &rules))
		return;
	if (rules == NULL)
		rules = df_json_string(text, strlen(text), CurrentMemoryContext);
	if (rules == NULL)
		rules = df_json_empty();
	df_answers_check(rules, "answers");
	df_check_answers_meant(df_answers_from_json(rules, "answers", &problem), method);
	add_value(json, rules, "answers", some);
}

static void
add_jsonpath(DfJson *json, FunctionCallInfo fcinfo, int arg, const char *key, bool *some)
{
	char *path = df_arg_text(fcinfo, arg);

	if (path == NULL)
		return;
	df_jsonpath_check(path, key, DF_RESPONSE_VARIABLES);
	df_json_text(json, key, path);
	*some = true;
}

static void
add_jsonb(DfJson *json, FunctionCallInfo fcinfo, int arg, const char *key, bool *some)
{
	if (PG_ARGISNULL(arg))
		return;
	add_value(json, PG_GETARG_JSONB_P(arg), key, some);
}

/* ---- arguments that do nothing alone --------------------------------------- */

static void
check_goes_with(FunctionCallInfo fcinfo, int arg, const char *name, int other,
				const char *other_name)
{
	if (PG_ARGISNULL(arg) || !PG_ARGISNULL(other))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("\"%s\" is given without \"%s\"", name, other_name),
			 errdetail("It says nothing without that."),
			 errhint("Give \"%s\" too, or leave out \"%s\".", other_name, name)));
}

/* `every` is not NULL if it is not given */
#define DEFAULT_EVERY_MS 30000

static void
check_every(FunctionCallInfo fcinfo, int arg, int until)
{
	int64 ms;

	if (PG_ARGISNULL(arg))
		return;
	ms = df_interval_ms(PG_GETARG_DATUM(arg));
	if (ms != DEFAULT_EVERY_MS || ms <= 0)
		check_goes_with(fcinfo, arg, "every", until, "until");
}

/* until asks the same request again and again */
static void
check_until(FunctionCallInfo fcinfo, int arg, const char *method)
{
	if (PG_ARGISNULL(arg) || df_method_class(method) != DF_METHOD_EFFECT)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("\"until\" would send a %s again and again", method),
			 errdetail("Each of them may have an effect."),
			 errhint("Send it in a step, and ask in another one by dataflows.get(..., until => "
					 "...).")));
}

/* it would be asked before the step is sent, and what the step reads or deletes "existed" */
static void
check_probe(FunctionCallInfo fcinfo, int arg, const char *method)
{
	if (PG_ARGISNULL(arg) ||
		(df_method_class(method) != DF_METHOD_SAFE && strcmp(method, "DELETE") != 0))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("\"probe\" has nothing to find out about a %s", method),
			 errdetail("It makes nothing, and is sent again if no answer comes."),
			 errhint("Leave out \"probe\".")));
}

static void
check_pairs(FunctionCallInfo fcinfo, int path_arg, const char *method)
{
	check_goes_with(fcinfo, path_arg + ARG_PROBE_FOUND, "probe_found", path_arg + ARG_PROBE,
					"probe");
	check_every(fcinfo, path_arg + ARG_EVERY, path_arg + ARG_UNTIL);
	check_goes_with(fcinfo, path_arg + ARG_UNTIL_TIMEOUT, "until_timeout", path_arg + ARG_UNTIL,
					"until");
	check_until(fcinfo, path_arg + ARG_UNTIL, method);
	check_probe(fcinfo, path_arg + ARG_PROBE, method);
}

/* ---- undo and probe ------------------------------------------------------- */

static void
read_member(DfSideRequest *side, const DfJsonWalk *member)
{
	bool is_text = member->value.type == jbvString;

	if (strcmp(member->key, "request") == 0 && is_text)
		side->request = df_json_string_of(&member->value);
	else if (strcmp(member->key, "if") == 0 && is_text)
		side->condition = df_json_string_of(&member->value);
	else if (strcmp(member->key, "headers") == 0)
		side->headers = df_json_of(&member->value);
	else if (strcmp(member->key, "body") == 0)
		side->body = df_json_of(&member->value);
	else if (strcmp(member->key, "answers") == 0)
		side->answers = df_json_of(&member->value);
	else
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("key \"%s\" of \"%s\" cannot be used", member->key, side->name),
				 errhint("Use \"request\" and \"if\", which are strings, \"headers\", \"body\" and "
						 "\"answers\".")));
}

bool
df_side_read(FunctionCallInfo fcinfo, int arg, int body_arg, DfSideRequest *side)
{
	Jsonb *object = NULL;
	DfJsonWalk walk;

	if (!df_arg_text_or_json(fcinfo, arg, side->name, &side->request, &object))
	{
		if (!PG_ARGISNULL(body_arg))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("\"%s_body\" is given without \"%s\"", side->name, side->name),
					 errhint("Give \"%s\" too, such as 'POST /path'.", side->name)));
		return false;
	}
	if (object != NULL)
	{
		if (!JB_ROOT_IS_OBJECT(object))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("\"%s\" is neither text nor a JSON object", side->name),
					 errhint("Give 'METHOD /path', or an object with \"request\".")));
		df_json_walk(&walk, object);
		while (df_json_next(&walk))
			read_member(side, &walk);
	}
	if (side->request == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"%s\" has no \"request\"", side->name),
				 errhint("Give \"request\": \"METHOD /path\".")));
	if (side->body != NULL && !PG_ARGISNULL(body_arg))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the body of \"%s\" is given twice", side->name),
				 errhint("Give it as \"%s_body\" or as \"body\" in \"%s\".", side->name,
						 side->name)));
	if (!PG_ARGISNULL(body_arg))
		side->body = PG_GETARG_JSONB_P(body_arg);
	return true;
}

static char *
key_of(const DfSideRequest *side, const char *part)
{
	return psprintf("%s_%s", side->name, part);
}

/* what a call gives to the templates of undo and probe, and what they need of it */
typedef struct Call
{
	DfTemplateVars vars;
	bool needs_request;
	bool has_undo;
	bool undo_needs_response;
	bool has_probe; /* without a condition of its own */
	bool slash_is_meant; /* at the end of a path */
} Call;

static bool
names_request(const char *tmpl)
{
	return df_template_names_below(tmpl, "request");
}

static void
check_all_known(const Jsonb *templates, const char *what, const Call *call)
{
	DfJsonWalk walk;

	if (templates == NULL)
		return;
	df_json_walk_deep(&walk, templates);
	while (df_json_next(&walk))
		if (walk.value.type == jbvString)
			df_template_check_known(df_json_string_of(&walk.value), &call->vars, false, what);
}

/* nobody has a response of which a probe could be rendered */
static void
check_needs_no_response(const DfSideRequest *side)
{
	if (strcmp(side->name, "probe") == 0 && df_side_needs_response(side))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"%s\" names a field of the response", side->name),
				 errdetail("It is sent when there is none."),
				 errhint("Name fields of the request, as {request.email}, or {run}, {run_key}, "
						 "{idempotency_key}.")));
}

static void
check_fields(const DfSideRequest *side, Call *call)
{
	check_needs_no_response(side);
	df_check_placeholders(side->request, side->name);
	df_template_check_known(side->request, &call->vars, true, side->name);
	check_all_known(side->body, key_of(side, "body"), call);
	check_all_known(side->headers, key_of(side, "headers"), call);
	if (strcmp(side->name, "undo") == 0)
	{
		if (call->vars.asked_to_make && side->body == NULL && side->headers == NULL)
			df_check_undo_of_all(side->request, call->vars.asked);
		call->has_undo = true;
		call->undo_needs_response = df_side_needs_response(side);
	}
	else
		call->has_probe = side->condition == NULL;
	call->needs_request = call->needs_request || names_request(side->request) ||
		df_template_any(side->body, names_request) ||
		df_template_any(side->headers, names_request);
}

/* of undo => 'none' */
static void
check_nothing_but_request(const DfSideRequest *side)
{
	if (side->body == NULL && side->headers == NULL && side->answers == NULL &&
		side->condition == NULL)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("\"%s\" is 'none', and has a body, headers, answers or a condition",
					side->name),
			 errhint("Give a request such as 'DELETE /users/{id}', or 'none' alone.")));
}

static void
check_side_body(const DfBodyFormat *format, const DfSideRequest *side)
{
	char *hint;
	char *problem = df_body_problem(format, side->body, &hint);

	if (problem != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"%s_body\" cannot be sent: %s", side->name, problem),
				 errdetail("Undo and probe are written in the encoding \"%s\", as the system "
						   "says.",
						   df_encoding_name(format->encoding)),
				 errhint("%s", hint)));
}

/* an undo that reads takes nothing back, and a probe that writes is a second effect */
static void
check_method(const DfSideRequest *side)
{
	bool undo = strcmp(side->name, "undo") == 0;
	DfMethodClass method =
		df_method_class(pnstrdup(side->request, strcspn(side->request, " ")));
	bool patch = strncmp(side->request, "PATCH ", strlen("PATCH ")) == 0;

	if (undo ? method != DF_METHOD_SAFE : method != DF_METHOD_IDEMPOTENT && !patch)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("%s \"%s\" would %s", side->name, side->request,
					undo ? "take nothing back" : "have an effect of its own"),
			 undo ? errhint("Give the request that takes the step back, such as 'DELETE "
							"/users/{id}', or 'none' if there is nothing to undo.")
				  : errhint("Give a request that only asks, such as 'GET /users?key="
							"{idempotency_key}'; a search may be a POST.")));
}

/* its templates, and all that belongs to it */
void
df_side_write(DfJson *json, const DfSideRequest *side, const DfSystem *system, const char *step)
{
	bool some;

	df_template_check_request(side->request, side->name);
	check_method(side);
	df_template_check_stays(system->url, side->request, side->name);
	df_check_secret_query(system, strchr(side->request, ' ') + 1, side->name);
	df_check_names_something(side->request, side->name, true, side->slash_is_meant);
	if (strcmp(side->name, "undo") == 0)
		df_key_place_check(system, &system->body, side->request, side->body, "the undo");
	if (side->body != NULL)
	{
		df_template_check_body(side->body, key_of(side, "body"));
		check_side_body(&system->body, side);
		add_value(json, side->body, key_of(side, "body"), &some);
	}
	if (side->headers != NULL)
	{
		df_check_headers(side->headers, key_of(side, "headers"), true, system, step);
		add_value(json, side->headers, key_of(side, "headers"), &some);
	}
	if (side->answers != NULL)
	{
		df_answers_check(side->answers, key_of(side, "answers"));
		add_value(json, side->answers, key_of(side, "answers"), &some);
	}
	if (side->condition != NULL)
	{
		df_jsonpath_check(side->condition, key_of(side, "if"), DF_RESPONSE_VARIABLES);
		df_json_text(json, key_of(side, "if"), side->condition);
	}
}

bool
df_side_needs_response(const DfSideRequest *side)
{
	return df_template_needs_response(side->request) ||
		df_template_any(side->body, df_template_needs_response) ||
		df_template_any(side->headers, df_template_needs_response);
}

static void
add_side(DfJson *json, FunctionCallInfo fcinfo, int arg, int body_arg, const char *name,
		 const DfSystem *system, const char *step, Call *call, bool *some)
{
	DfSideRequest side = {.name = name, .slash_is_meant = call->slash_is_meant};

	if (!df_side_read(fcinfo, arg, body_arg, &side))
		return;
	*some = true;
	df_json_text(json, name, side.request);
	if (strcmp(side.request, "none") == 0 && strcmp(name, "undo") == 0)
	{
		check_nothing_but_request(&side);
		return;
	}
	df_side_write(json, &side, system, step);
	check_fields(&side, call);
}

/* a probe's response is taken for the resource if it has what the undo names; if that is nothing */
static void
check_shows_resource(FunctionCallInfo fcinfo, int path_arg, const Call *call)
{
	if (!call->has_probe || call->undo_needs_response ||
		!PG_ARGISNULL(path_arg + ARG_PROBE_FOUND))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("\"probe\" needs \"probe_found\""),
			 errdetail("The undo names no field of the resource by which it would be known in the "
					   "response of the probe."),
			 errhint("Say which part of the response is the resource, such as '$[*]' or "
					 "'$.data[0]'; '$' is all of it.")));
}

/* ---- all of them ---------------------------------------------------------- */

Jsonb *
df_http_options(FunctionCallInfo fcinfo, int path_arg, const char *request,
				const DfSystem *system, const DfBodyFormat *format, const char *step,
				MemoryContext cxt)
{
	Jsonb *body = df_arg_jsonb(fcinfo, path_arg + ARG_BODY);
	DfRun *run = df_entry->run;
	const char *method = pnstrdup(request, strcspn(request, " "));
	/* the step has no number yet, and so no key */
	Call call = {.vars = {.run = run->id_text,
						  .run_key = run->key,
						  .request = body,
						  .asked = df_arg_text(fcinfo, path_arg),
						  .asked_to_make = strcmp(method, "POST") == 0,
						  .base = df_system_base(system),
						  .secret_query = df_query_pairs(system, false)},
				 .slash_is_meant = df_slash_is_meant(df_arg_jsonb(fcinfo,
																  path_arg + ARG_OPTIONS))};
	DfJson json;
	bool some = false;

	check_pairs(fcinfo, path_arg, method);
	df_key_place_check(system, format, request, body, "the request");
	df_json_begin(&json);
	add_side(&json, fcinfo, path_arg + ARG_UNDO, path_arg + ARG_UNDO_BODY, "undo", system, step,
			 &call, &some);
	add_side(&json, fcinfo, path_arg + ARG_PROBE, path_arg + ARG_PROBE_BODY, "probe", system, step,
			 &call, &some);
	check_shows_resource(fcinfo, path_arg, &call);
	/* the bytes that are sent cannot be read back */
	if (call.needs_request && body != NULL && !df_body_is_recorded_as_json(format))
		df_json_value(&json, "request", body);
	add_jsonpath(&json, fcinfo, path_arg + ARG_PROBE_FOUND, "probe_found", &some);
	add_doubt(&json, fcinfo, path_arg + ARG_DOUBT, &some);
	add_accept(&json, fcinfo, path_arg + ARG_ACCEPT, call.has_undo, &some);
	add_answers(&json, fcinfo, path_arg + ARG_ANSWERS, method, &some);
	add_jsonpath(&json, fcinfo, path_arg + ARG_UNTIL, "until", &some);
	if (!PG_ARGISNULL(path_arg + ARG_UNTIL))
		add_interval(&json, fcinfo, path_arg + ARG_EVERY, "every", &some);
	add_interval(&json, fcinfo, path_arg + ARG_UNTIL_TIMEOUT, "until_timeout", &some);
	if (!PG_ARGISNULL(path_arg + ARG_RETRY))
	{
		df_retry_check(PG_GETARG_JSONB_P(path_arg + ARG_RETRY), "retry");
		add_jsonb(&json, fcinfo, path_arg + ARG_RETRY, "retry", &some);
	}
	add_interval(&json, fcinfo, path_arg + ARG_TIMEOUT, "timeout", &some);
	some |= df_format_write(&json, format, &system->body);
	some |= df_key_place_write(&json, system);
	return some ? df_json_end(&json, cxt) : NULL;
}
