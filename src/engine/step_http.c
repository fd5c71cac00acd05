/*
 * engine/step_http.c
 *	  http() and its short forms: the steps that call a system.
 *
 * The SQL functions run inside a body, in its read-only subtransaction, as the
 * workflow's owner: they render the request and note it as an intent; the worker
 * commits that and only then sends.  The functions of the kind, at the end, run in
 * the worker.  Credentials are not touched here.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "engine/body.h"
#include "engine/step_evidence.h"
#include "engine/outgoing.h"
#include "engine/read_response.h"
#include "engine/step_api.h"
#include "engine/step_kind.h"
#include "engine/template.h"
#include "fdw/system.h"
#include "guc.h"
#include "http/url.h"
#include "shared/header.h"
#include "shared/json.h"
#include "shared/json_size.h"
#include "shared/jsonpath.h"
#include "shared/limits.h"
#include "shared/retry_options.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/numeric.h"

PG_FUNCTION_INFO_V1(dataflows_http);
PG_FUNCTION_INFO_V1(dataflows_get);
PG_FUNCTION_INFO_V1(dataflows_post);
PG_FUNCTION_INFO_V1(dataflows_put);
PG_FUNCTION_INFO_V1(dataflows_patch);
PG_FUNCTION_INFO_V1(dataflows_delete);

/* the arguments that follow the path, in the order of the SQL declaration */
enum
{
	ARG_BODY = 1,
	ARG_QUERY,
	ARG_HEADERS,
	ARG_UNDO,
	ARG_UNDO_BODY,
	ARG_PROBE,
	ARG_PROBE_FOUND,
	ARG_PROBE_BODY,
	ARG_DOUBT,
	ARG_ACCEPT,
	ARG_UNTIL,
	ARG_EVERY,
	ARG_UNTIL_TIMEOUT,
	ARG_RETRY,
	ARG_TIMEOUT,
	ARG_WAIT
};

/* ---- reading the call ----------------------------------------------------- */

/* servers accept only a short head of a request */
static void
check_head_size(const char *what, size_t size, const char *step)
{
	if (size > DF_MAX_HEAD)
		ereport(ERROR,
				(errcode(DF_ERR_LIMIT),
				 errmsg("%s of step \"%s\" is too long", what, step),
				 errdetail("It has %zu bytes; %d are allowed.", size, DF_MAX_HEAD),
				 errhint("Send data in the body.")));
}

static char *
rendered_path(FunctionCallInfo fcinfo, int path_arg, const char *step)
{
	char *path = df_arg_text(fcinfo, path_arg);
	Jsonb *query = df_arg_jsonb(fcinfo, path_arg + ARG_QUERY);
	char *form;

	check_head_size("path", path == NULL ? 0 : strlen(path), step);
	if (path == NULL || path[0] != '/')
		ereport(
			ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("path \"%s\" of step \"%s\" does not begin with \"/\"", path ? path : "", step),
			 errhint("Give the path below the system's url, such as '/users'.")));
	if (query == NULL)
		return path;
	/*
	 * its text is up to three times as long as the form.  Measured before it is written out:
	 * a number of few bytes may have very many digits
	 */
	check_head_size("query", df_jsonb_text_size(query, 4 * DF_MAX_HEAD) / 4, step);
	if (!JB_ROOT_IS_OBJECT(query))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("query of step \"%s\" is not a JSON object", step),
				 errhint("Give names and values, such as '{\"limit\": 10}'.")));
	form = df_body_form(query);
	check_head_size("query", strlen(path) + strlen(form), step);
	return form[0] == '\0' ? path
						   : psprintf("%s%c%s", path, strchr(path, '?') ? '&' : '?', form);
}

static char *
checked_method(FunctionCallInfo fcinfo, const char *step)
{
	static const char *const methods[] = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"};
	char *method = df_arg_text(fcinfo, 2);

	for (int i = 0; method != NULL && i < lengthof(methods); i++)
		if (pg_strcasecmp(method, methods[i]) == 0)
			return pstrdup(methods[i]);
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("method \"%s\" of step \"%s\" is not known", method ? method : "", step),
			 errhint("Use GET, HEAD, POST, PUT, PATCH or DELETE.")));
	return NULL;
}

static void
check_header_name(const char *name, size_t len, const char *key_header, const char *step)
{
	DfHeaderKind kind = df_header_kind(name, len);

	if (len == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a header of step \"%s\" has no name", step),
				 errhint("Give names and values, such as '{\"X-Tenant\": \"7\"}'.")));
	if (!df_header_name_is_legal(name, len))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the name of a header of step \"%s\" contains a character that names of "
						"headers must not have",
						step),
				 errhint("Write a name of letters, digits and hyphens.")));
	if (kind == DF_HEADER_TRANSPORT)
		ereport(
			ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("step \"%s\" must not set header \"%s\", which the engine writes itself", step,
					pnstrdup(name, len)),
			 errhint("Leave it out: it belongs to the connection or says how the body is sent.")));
	if (kind == DF_HEADER_KEY || (key_header != NULL && df_header_is(name, len, key_header)))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("step \"%s\" must not set header \"%s\", which the engine writes itself",
						step, pnstrdup(name, len)),
				 errhint("Leave it out; the idempotency key is set by the system's option "
						 "idempotency_header.")));
}

static void
check_header_value(const JsonbValue *value, const char *step)
{
	if (value->type != jbvString)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a header of step \"%s\" is not a string", step),
				 errhint("Give each header's value as a JSON string.")));
	if (!df_header_value_is_legal(value->val.string.val, value->val.string.len))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a header of step \"%s\" contains a character that headers must not have",
						step),
				 errhint("Remove line breaks and control characters from headers.")));
}

static Jsonb *
checked_headers(FunctionCallInfo fcinfo, int arg, const char *step, const char *key_header)
{
	Jsonb *headers = df_arg_jsonb(fcinfo, arg);
	DfJsonWalk walk;

	if (headers == NULL)
		return NULL;
	if (!JB_ROOT_IS_OBJECT(headers))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("headers of step \"%s\" are not a JSON object", step),
				 errhint("Give names and values, such as '{\"X-Tenant\": \"7\"}'.")));
	check_head_size("headers", VARSIZE(headers), step);
	df_json_walk(&walk, headers);
	while (df_json_next(&walk))
	{
		check_header_name(walk.key, strlen(walk.key), key_header, step);
		check_header_value(&walk.value, step);
	}
	return headers;
}

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
add_template(DfJson *json, FunctionCallInfo fcinfo, int arg, const char *key, bool *some)
{
	char *text = df_arg_text(fcinfo, arg);
	char *method;
	char *path;

	if (text == NULL)
		return;
	if (strcmp(text, "none") != 0 || strcmp(key, "undo") != 0)
	{
		df_template_split(text, key, &method, &path);
		df_template_check(text, key);
	}
	df_json_text(json, key, text);
	*some = true;
}

static void
add_doubt(DfJson *json, FunctionCallInfo fcinfo, int arg, bool *some)
{
	char *doubt = df_arg_text(fcinfo, arg);

	if (doubt == NULL || strcmp(doubt, "fail") == 0)
		return;
	if (strcmp(doubt, "resend") != 0 && strcmp(doubt, "accept") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("doubt \"%s\" is not known", doubt),
				 errhint("Use 'fail', 'resend' or 'accept'.")));
	df_json_text(json, "doubt", doubt);
	*some = true;
}

static void
add_accept(DfJson *json, FunctionCallInfo fcinfo, int arg, bool *some)
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
		if (nulls[i] || DatumGetInt32(values[i]) < 100 || DatumGetInt32(values[i]) > 599)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("\"accept\" contains a number that is not an HTTP status"),
					 errhint("Give statuses from 100 to 599, such as ARRAY[404].")));
		df_json_int(json, NULL, DatumGetInt32(values[i]));
	}
	df_json_close_array(json);
	*some = true;
}

static void
add_jsonpath(DfJson *json, FunctionCallInfo fcinfo, int arg, const char *key, bool *some)
{
	char *path = df_arg_text(fcinfo, arg);

	if (path == NULL)
		return;
	df_jsonpath_check(path, key);
	df_json_text(json, key, path);
	*some = true;
}

static void
add_jsonb(DfJson *json, FunctionCallInfo fcinfo, int arg, const char *key, bool *some)
{
	if (PG_ARGISNULL(arg))
		return;
	if (strcmp(key, "retry") != 0)
		df_template_check_body(PG_GETARG_JSONB_P(arg), key);
	df_check_payload(PG_GETARG_JSONB_P(arg), psprintf("\"%s\"", key));
	df_json_value(json, key, PG_GETARG_JSONB_P(arg));
	*some = true;
}

/* what the body asked for beyond the request, NULL if nothing */
static Jsonb *
call_options(FunctionCallInfo fcinfo, int path_arg, bool form, MemoryContext cxt)
{
	DfJson json;
	bool some = false;

	df_json_begin(&json);
	add_template(&json, fcinfo, path_arg + ARG_UNDO, "undo", &some);
	add_jsonb(&json, fcinfo, path_arg + ARG_UNDO_BODY, "undo_body", &some);
	add_template(&json, fcinfo, path_arg + ARG_PROBE, "probe", &some);
	add_jsonpath(&json, fcinfo, path_arg + ARG_PROBE_FOUND, "probe_found", &some);
	add_jsonb(&json, fcinfo, path_arg + ARG_PROBE_BODY, "probe_body", &some);
	add_doubt(&json, fcinfo, path_arg + ARG_DOUBT, &some);
	add_accept(&json, fcinfo, path_arg + ARG_ACCEPT, &some);
	add_jsonpath(&json, fcinfo, path_arg + ARG_UNTIL, "until", &some);
	if (!PG_ARGISNULL(path_arg + ARG_UNTIL))
		add_interval(&json, fcinfo, path_arg + ARG_EVERY, "every", &some);
	add_interval(&json, fcinfo, path_arg + ARG_UNTIL_TIMEOUT, "until_timeout", &some);
	if (!PG_ARGISNULL(path_arg + ARG_RETRY))
	{
		DfRetry ignored;

		memset(&ignored, 0, sizeof(ignored));
		df_retry_from_jsonb(PG_GETARG_JSONB_P(path_arg + ARG_RETRY), &ignored, "retry");
		add_jsonb(&json, fcinfo, path_arg + ARG_RETRY, "retry", &some);
	}
	add_interval(&json, fcinfo, path_arg + ARG_TIMEOUT, "timeout", &some);
	if (!some)
		return NULL;
	if (form)
		df_json_bool(&json, "form", true);
	return df_json_end(&json, cxt);
}

/* ---- the intent ----------------------------------------------------------- */

/* names the step in the context of errors about its arguments */
static void
name_the_step(void *arg)
{
	errcontext("step \"%s\"", (const char *) arg);
}

/* fills in what is sent; all attempts send these bytes */
static void
render_request(FunctionCallInfo fcinfo, int path_arg, DfRun *run, DfStep *step, const char *request)
{
	DfSystem *system = df_step_http_system(step->system, step->name);
	Jsonb *body = df_arg_jsonb(fcinfo, path_arg + ARG_BODY);
	Jsonb *headers =
		checked_headers(fcinfo, path_arg + ARG_HEADERS, step->name, system->idempotency_header);
	const char *why = NULL;
	char *bytes = NULL;
	ErrorContextCallback callback;

	if (df_url_join(system->url, strchr(request, ' ') + 1, &why) == NULL)
		ereport(
			ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("path of step \"%s\" cannot be used: \"%s\"", step->name,
					strchr(request, ' ') + 1),
			 errdetail_internal("%s", why),
			 errhint("Build paths with dataflows.url(), which encodes what is put into them.")));
	if (body != NULL)
	{
		if (df_payload_fits(body))
			bytes = system->form ? df_body_form(body) : df_body_json(body);
		if (bytes == NULL || strlen(bytes) > (size_t) df_max_body)
			ereport(
				ERROR,
				(errcode(DF_ERR_LIMIT),
				 errmsg("the request of step \"%s\" is larger than dataflows.max_body (%d bytes)",
						step->name, df_max_body),
				 errhint("Send less, or raise dataflows.max_body.")));
		bytes = MemoryContextStrdup(run->cxt, bytes);
	}
	callback.callback = name_the_step;
	callback.arg = step->name;
	callback.previous = error_context_stack;
	error_context_stack = &callback;
	step->row.options = call_options(fcinfo, path_arg, system->form, run->cxt);
	df_template_check_stays(system->url, df_arg_text(fcinfo, path_arg + ARG_UNDO), "undo");
	df_template_check_stays(system->url, df_arg_text(fcinfo, path_arg + ARG_PROBE), "probe");
	error_context_stack = callback.previous;
	step->row.headers = headers != NULL ? df_json_copy(headers, run->cxt) : NULL;
	step->row.body = bytes;
	step->row.base_hash = system->url_hash;
	step->row.request = MemoryContextStrdup(run->cxt, request);
	step->engine.to_send = true;
	step->engine.phase = df_step_phase(run, step);
}

static DfStep *
new_step(FunctionCallInfo fcinfo, int path_arg, DfRun *run, char *name, char *system,
		 const char *request)
{
	DfStep draft;
	DfStep *step;

	/* all checks come before the step exists */
	memset(&draft, 0, sizeof(draft));
	draft.name = name;
	draft.kind = DF_STEP_HTTP;
	draft.system = system;
	render_request(fcinfo, path_arg, run, &draft, request);
	step = df_step_new(run, name, DF_STEP_HTTP);
	step->system = MemoryContextStrdup(run->cxt, system);
	step->row.options = draft.row.options;
	step->row.headers = draft.row.headers;
	step->row.body = draft.row.body;
	step->row.base_hash = draft.row.base_hash;
	step->row.request = draft.row.request;
	step->engine.phase = draft.engine.phase;
	step->engine.to_send = true;
	return step;
}

/* the call must be the recorded one; a step that retry() renewed is rendered again by it */
static void
check_or_render(FunctionCallInfo fcinfo, int path_arg, DfRun *run, DfStep *step,
				const char *system, const char *request)
{
	if (strcmp(step->system, system) != 0)
		df_step_mismatch(step, "system", step->system, system);
	if (step->row.request == NULL)
	{
		render_request(fcinfo, path_arg, run, step, request);
	}
	else if (strcmp(step->row.request, request) != 0)
		df_step_mismatch(step, "request", step->row.request, request);
}

static Datum
http_step(FunctionCallInfo fcinfo, const char *function, const char *method, int path_arg)
{
	DfRun *run = df_entry_run(function);
	char *base = df_checked_name(fcinfo, 0, "step");
	char *system;
	char *request;
	char *name;
	DfStep *step;
	bool wait = PG_ARGISNULL(path_arg + ARG_WAIT) || PG_GETARG_BOOL(path_arg + ARG_WAIT);

	if (PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("system of step \"%s\" is NULL", base),
				 errhint("Name a server of the foreign-data wrapper dataflows.")));
	system = NameStr(*PG_GETARG_NAME(1));
	if (method == NULL)
		method = checked_method(fcinfo, base);
	request = psprintf("%s %s", method, rendered_path(fcinfo, path_arg, base));

	step = df_step_recorded(run, base, DF_STEP_HTTP, &name);
	if (step == NULL)
		step = new_step(fcinfo, path_arg, run, name, system, request);
	else
		check_or_render(fcinfo, path_arg, run, step, system, request);
	/* NULL at each entry, even when it has ended: wait_all() and response() tell the outcome */
	if (!wait)
		PG_RETURN_NULL();
	return df_step_await(fcinfo, step);
}

Datum
dataflows_http(PG_FUNCTION_ARGS)
{
	return http_step(fcinfo, "http", NULL, 3);
}

Datum
dataflows_get(PG_FUNCTION_ARGS)
{
	return http_step(fcinfo, "get", "GET", 2);
}

Datum
dataflows_post(PG_FUNCTION_ARGS)
{
	return http_step(fcinfo, "post", "POST", 2);
}

Datum
dataflows_put(PG_FUNCTION_ARGS)
{
	return http_step(fcinfo, "put", "PUT", 2);
}

Datum
dataflows_patch(PG_FUNCTION_ARGS)
{
	return http_step(fcinfo, "patch", "PATCH", 2);
}

Datum
dataflows_delete(PG_FUNCTION_ARGS)
{
	return http_step(fcinfo, "delete", "DELETE", 2);
}

/* ---- in the worker -------------------------------------------------------- */

static Jsonb *
output(DfRun *run, DfStep *step, const DfResponse *response, bool *unusable)
{
	return df_response_json(response, run->cxt, unusable);
}

const DfStepOps df_http_ops = {
	.kind = DF_STEP_HTTP,
	.sends_requests = true,
	.due = df_request_due,
	.outgoing = df_request_outgoing,
	.output = output,
	.undo = df_request_undo,
	.render_undo = df_request_render_undo,
	.renewable = true,
};
