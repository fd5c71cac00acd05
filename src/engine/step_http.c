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
#include "engine/call_order.h"
#include "engine/drift.h"
#include "engine/http_args.h"
#include "engine/step_evidence.h"
#include "engine/new_sides.h"
#include "engine/not_meant.h"
#include "engine/outgoing.h"
#include "engine/read_body.h"
#include "engine/read_spec.h"
#include "engine/request_body.h"
#include "engine/step_api.h"
#include "engine/step_format.h"
#include "engine/step_kind.h"
#include "engine/template.h"
#include "fdw/options.h"
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

/* ---- reading the call ----------------------------------------------------- */

static char *
rendered_path(FunctionCallInfo fcinfo, int path_arg, DfFormArrays arrays, const char *step)
{
	char *path = df_arg_text(fcinfo, path_arg);
	Jsonb *query = df_arg_jsonb(fcinfo, path_arg + ARG_QUERY);
	char *form;

	df_check_head_size("path", path == NULL ? 0 : strlen(path), step);
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
	df_check_head_size("query", df_jsonb_text_size(query, 4 * DF_MAX_HEAD) / 4, step);
	if (!JB_ROOT_IS_OBJECT(query))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("query of step \"%s\" is not a JSON object", step),
				 errhint("Give names and values, such as '{\"limit\": 10}'.")));
	form = df_body_form(query, arrays);
	df_check_head_size("query", strlen(path) + strlen(form), step);
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

/* ---- the intent ----------------------------------------------------------- */

/* names the step in the context of errors about its arguments */
static void
name_the_step(void *arg)
{
	errcontext("step \"%s\"", (const char *) arg);
}

void
df_check_secret_query(const DfSystem *system, const char *path, const char *what)
{
	char **pairs = df_query_pairs(system, false);
	size_t len;
	const char *name = df_url_sets(path, (const char *const *) pairs, &len);

	if (name != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s sets the parameter \"%s\", which the user mapping of system "
						"\"%s\" sets",
						what, pnstrdup(name, len), system->name),
				 errhint("Leave it out: it is added when the request is sent, and never "
						 "recorded.")));
}

/* the boundary in the type of a multipart body belongs to its bytes */
static void
check_content_type(const Jsonb *headers, const DfBodyFormat *format, const char *step)
{
	DfJsonWalk walk;

	if (format->encoding != DF_ENCODING_MULTIPART)
		return;
	df_json_walk(&walk, headers);
	while (df_json_next(&walk))
		if (df_header_is(walk.key, strlen(walk.key), "Content-Type"))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("step \"%s\" must not set header \"%s\", which the engine writes "
							"itself",
							step, walk.key),
					 errdetail("A multipart body is sent with a boundary, which its type names."),
					 errhint("Leave it out.")));
}

static void
refuse_size(const char *step)
{
	ereport(ERROR,
			(errcode(DF_ERR_LIMIT),
			 errmsg("the request of step \"%s\" is larger than dataflows.max_body (%d bytes)", step,
					df_max_body),
			 errhint("Send less, or raise dataflows.max_body.")));
}

static char *
recorded_body(const Jsonb *body, const DfBodyFormat *format, const char *step, MemoryContext cxt)
{
	char *recorded;
	char *hint;
	char *problem;

	if (!df_payload_fits(body))
		refuse_size(step);
	problem = df_body_problem(format, body, &hint);
	if (problem != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the body of step \"%s\" cannot be sent: %s", step, problem),
				 errhint("%s", hint)));
	recorded = df_body_recorded(format, body);
	if (Max(df_body_bytes(format, recorded).len, strlen(recorded)) > (size_t) df_max_body)
		refuse_size(step);
	return MemoryContextStrdup(cxt, recorded);
}

/* fills in what is sent, in cxt; all attempts send these bytes */
static void
render_request(FunctionCallInfo fcinfo, int path_arg, DfStep *step, DfSystem *system,
			   const char *request, const DfBodyFormat *format, MemoryContext cxt)
{
	Jsonb *body = df_arg_jsonb(fcinfo, path_arg + ARG_BODY);
	Jsonb *headers = df_arg_jsonb(fcinfo, path_arg + ARG_HEADERS);
	const char *why = NULL;
	ErrorContextCallback callback;

	df_check_names_something(
		request, psprintf("the request of step \"%s\"", step->name), false,
		df_slash_is_meant(df_arg_jsonb(fcinfo, path_arg + ARG_OPTIONS)));
	if (headers != NULL)
	{
		df_check_headers(headers, "headers", false, system, step->name);
		check_content_type(headers, format, step->name);
	}
	if (df_url_join(system->url, strchr(request, ' ') + 1, &why) == NULL)
		ereport(
			ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("path of step \"%s\" cannot be used: \"%s\"", step->name,
					strchr(request, ' ') + 1),
			 errdetail_internal("%s", why),
			 errhint("Build paths with dataflows.url(), which encodes what is put into them.")));
	callback.callback = name_the_step;
	callback.arg = step->name;
	callback.previous = error_context_stack;
	error_context_stack = &callback;
	step->row.options =
		df_http_options(fcinfo, path_arg, request, system, format, step->name, cxt);
	error_context_stack = callback.previous;
	step->row.headers = headers != NULL ? df_json_copy(headers, cxt) : NULL;
	step->row.body = body != NULL ? recorded_body(body, format, step->name, cxt) : NULL;
	step->row.request = MemoryContextStrdup(cxt, request);
}

/* as render_request() does, and the step is sent next */
static void
render_to_send(FunctionCallInfo fcinfo, int path_arg, DfRun *run, DfStep *step,
			   const char *request, const DfBodyFormat *format)
{
	DfSystem *system = df_step_http_system(step->system, step->name);

	render_request(fcinfo, path_arg, step, system, request, format, run->cxt);
	if (df_step_is_new(step))
		df_step_goes_to(step, system);
	step->engine.to_send = true;
	step->engine.phase = df_step_phase(run, step);
}

/* a GET has none: to send it twice, or not at all, harms nobody */
static const char *
http_effect(const DfStep *step)
{
	const char *request = step->row.request;

	if (request == NULL || strncmp(request, "GET ", 4) == 0 || strncmp(request, "HEAD ", 5) == 0)
		return NULL;
	return request;
}

static char *
text_of(const Jsonb *json)
{
	return json != NULL ? df_json_to_text(json) : NULL;
}

/* what cannot be sent is not what is recorded */
static DfAsked
asked_by(FunctionCallInfo fcinfo, int path_arg, const char *request, const DfBodyFormat *format)
{
	Jsonb *body = df_arg_jsonb(fcinfo, path_arg + ARG_BODY);
	DfAsked asked = {.request = request};
	char *hint;

	if (body != NULL && df_payload_fits(body) && df_body_problem(format, body, &hint) == NULL)
		asked.body = df_body_recorded(format, body);
	asked.headers = text_of(df_arg_jsonb(fcinfo, path_arg + ARG_HEADERS));
	return asked;
}

static DfStep *
new_step(FunctionCallInfo fcinfo, int path_arg, DfRun *run, char *name, char *system,
		 const char *request, const DfBodyFormat *format)
{
	DfStep draft;
	DfStep *step;
	DfAsked asked;

	/* all checks come before the step exists */
	memset(&draft, 0, sizeof(draft));
	draft.name = name;
	draft.kind = DF_STEP_HTTP;
	draft.system = system;
	render_to_send(fcinfo, path_arg, run, &draft, request, format);
	asked = (DfAsked){request, draft.row.body, text_of(draft.row.headers)};
	df_order_check_new(run, name, DF_STEP_HTTP, &asked);
	step = df_step_new_effect(run, name, DF_STEP_HTTP, system, http_effect(&draft),
							  draft.row.body);
	step->row.options = draft.row.options;
	step->row.headers = draft.row.headers;
	step->row.body = draft.row.body;
	step->row.base_hash = draft.row.base_hash;
	step->row.account_hash = draft.row.account_hash;
	step->row.request = draft.row.request;
	step->engine.phase = draft.engine.phase;
	step->engine.to_send = true;
	return step;
}

/* renders the call once more, in the memory of this entry */
static void
compare(FunctionCallInfo fcinfo, int path_arg, DfRun *run, DfStep *step, const char *request,
		const DfBodyFormat *format)
{
	DfStep draft;

	if (!df_step_is_compared(step))
		return;
	memset(&draft, 0, sizeof(draft));
	draft.name = step->name;
	draft.kind = DF_STEP_HTTP;
	draft.system = step->system;
	render_request(fcinfo, path_arg, &draft, df_step_http_system(step->system, step->name),
				   request, format, CurrentMemoryContext);
	df_step_compare(step, "body", step->row.body, draft.row.body);
	df_step_compare(step, "set of headers", text_of(step->row.headers),
					text_of(draft.row.headers));
	df_take_new_sides(run, step, draft.row.options);
}

/*
 * Without the parameters that the user mapping adds: its values take the place of those that a
 * step gives, which are never recorded.
 */
static char *
without_secrets(char *request, const char *system_name)
{
	char *why = NULL;
	DfSystem *system = df_system_get(system_name, &why);
	char *shorter;

	if (system == NULL || system->query.n == 0)
		return request;
	shorter = df_url_without(request, (const char *const *) df_query_pairs(system, false));
	if (shorter == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("out of memory"),
				 errdetail("Failed on the request of a step.")));
	return shorter;
}

/* the call must be the recorded one; a step that retry() renewed is rendered again by it */
static void
check_or_render(FunctionCallInfo fcinfo, int path_arg, DfRun *run, DfStep *step,
				const char *system, const char *request, const DfBodyFormat *format)
{
	DfAsked asked;

	if (df_order_matters(step, df_arg_jsonb(fcinfo, path_arg + ARG_BODY)))
	{
		asked = asked_by(fcinfo, path_arg, request, format);
		df_order_check(run, step, &asked);
	}
	if (strcmp(step->system, system) != 0)
		df_step_mismatch(step, "system", step->system, system);
	if (step->row.request == NULL)
	{
		render_to_send(fcinfo, path_arg, run, step, request, format);
		df_drift_note_body(run, step);
	}
	else if (strcmp(step->row.request, request) != 0 &&
			 strcmp(without_secrets(step->row.request, system), request) != 0)
		df_step_mismatch(step, "request", step->row.request, request);
	else
		compare(fcinfo, path_arg, run, step, request, format);
}

/*
 * Of a recorded step it is the recorded one: the options of the system may have changed, and
 * its request must still be the same.
 */
static void
format_of(FunctionCallInfo fcinfo, int path_arg, DfRun *run, DfStep *step, const char *system,
		  const char *name, DfBodyFormat *format)
{
	ErrorContextCallback callback = {error_context_stack, name_the_step, unconstify(char *, name)};

	if (step != NULL && step->row.request != NULL)
	{
		*format = df_step_spec(run, step)->format;
		if (format->encoding == DF_ENCODING_JSON && !df_body_may_be_json(step->row.body))
			format->encoding = DF_ENCODING_FORM;
		return;
	}
	error_context_stack = &callback;
	df_format_of_call(df_arg_jsonb(fcinfo, path_arg + ARG_OPTIONS),
					  df_step_http_system(system, name), format);
	error_context_stack = callback.previous;
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
	DfBodyFormat format;
	bool wait = PG_ARGISNULL(path_arg + ARG_WAIT) || PG_GETARG_BOOL(path_arg + ARG_WAIT);

	if (PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("system of step \"%s\" is NULL", base),
				 errhint("Name a server of the foreign-data wrapper dataflows.")));
	system = NameStr(*PG_GETARG_NAME(1));
	if (method == NULL)
		method = checked_method(fcinfo, base);
	step = df_step_recorded(run, base, DF_STEP_HTTP, &name);
	format_of(fcinfo, path_arg, run, step, system, base, &format);
	request = psprintf("%s %s", method,
					   rendered_path(fcinfo, path_arg, format.form_arrays, base));
	/* in the words that are recorded it is the same call, whatever is added when it is sent */
	if (step == NULL || step->row.request == NULL || strcmp(step->row.request, request) != 0)
		request = without_secrets(request, system);
	if (step == NULL)
		step = new_step(fcinfo, path_arg, run, name, system, request, &format);
	else
		check_or_render(fcinfo, path_arg, run, step, system, request, &format);
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

/* it has failed, but only because its `until` was not met */
static void
undo_item(const DfStep *step, DfUndoItem *item)
{
	if (step->row.evidence.carried_out && item->state == DF_STEP_FAILED)
		item->state = DF_STEP_DONE;
}

const DfStepOps df_http_ops = {
	.kind = DF_STEP_HTTP,
	.sends_requests = true,
	.due = df_request_due,
	.outgoing = df_request_outgoing,
	.output = output,
	.undo = df_request_undo,
	.undo_item = undo_item,
	.render_undo = df_request_render_undo,
	.renewable = true,
	.effect = http_effect,
};
