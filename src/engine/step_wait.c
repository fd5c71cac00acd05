/*
 * engine/step_wait.c
 *	  The steps that wait, the undo by hand, the pivot, and what a body may know
 *	  of its run.
 *
 * Runs inside a body, in its read-only subtransaction, as the workflow's owner.
 * A time is decided once, when the wait begins, and recorded with it.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "engine/child_run.h"
#include "shared/json.h"
#include "engine/outcome.h"
#include "engine/step_api.h"
#include "engine/template.h"
#include "fdw/system.h"
#include "shared/clock.h"
#include "shared/limits.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(dataflows_wait_for);
PG_FUNCTION_INFO_V1(dataflows_sleep);
PG_FUNCTION_INFO_V1(dataflows_sleep_until);
PG_FUNCTION_INFO_V1(dataflows_on_rollback);
PG_FUNCTION_INFO_V1(dataflows_point_of_no_return);
PG_FUNCTION_INFO_V1(dataflows_response);
PG_FUNCTION_INFO_V1(dataflows_wait_all);
PG_FUNCTION_INFO_V1(dataflows_run_id);
PG_FUNCTION_INFO_V1(dataflows_run_key);
PG_FUNCTION_INFO_V1(dataflows_run_started_at);

static TimestampTz
later(FunctionCallInfo fcinfo, int arg)
{
	return DatumGetTimestampTz(DirectFunctionCall2(timestamptz_pl_interval,
												   TimestampTzGetDatum(df_now()),
												   PG_GETARG_DATUM(arg)));
}

/* the first moment of 2000 is written like no time at all */
static TimestampTz
given_time(TimestampTz at)
{
	return at == DF_NEVER ? at + 1 : at;
}

static DfStep *
begin_wait(DfRun *run, char *name, DfStepKind kind, TimestampTz until, Jsonb *options)
{
	DfStep *step = df_step_new(run, name, kind);

	step->options = options;
	df_step_transition(run, step, DF_STEP_HOLD);
	step->wake_at = until;
	run->inbox_loaded = false;
	return step;
}

static Datum
result_or_suspend(FunctionCallInfo fcinfo, DfStep *step)
{
	if (!df_step_ended(step))
		df_suspend(step);
	return df_step_result(fcinfo, step);
}

Datum
dataflows_wait_for(PG_FUNCTION_ARGS)
{
	DfRun *run = df_entry_run("wait_for");
	char *event = df_checked_name(fcinfo, 0, "event");
	TimestampTz until = DF_NEVER;
	char *name;
	DfStep *step = df_step_recorded(run, event, DF_STEP_WAIT, &name);

	if (step == NULL)
	{
		DfJson json;

		if (!PG_ARGISNULL(1))
			until = later(fcinfo, 1);
		if (!PG_ARGISNULL(2) && (until == DF_NEVER || PG_GETARG_TIMESTAMPTZ(2) < until))
			until = given_time(PG_GETARG_TIMESTAMPTZ(2));
		df_json_begin(&json);
		df_json_text(&json, "event", event);
		if (!PG_ARGISNULL(3))
			df_json_text(&json, "by", NameStr(*PG_GETARG_NAME(3)));
		if (!PG_ARGISNULL(4) && PG_GETARG_BOOL(4))
			df_json_bool(&json, "required", true);
		step = begin_wait(run, name, DF_STEP_WAIT, until, df_json_end(&json, run->cxt));
	}
	return result_or_suspend(fcinfo, step);
}

static Datum
sleep_step(FunctionCallInfo fcinfo, const char *function, bool until)
{
	DfRun *run = df_entry_run(function);
	char *base = df_checked_name(fcinfo, 0, "step");
	char *name;
	DfStep *step = df_step_recorded(run, base, DF_STEP_SLEEP, &name);

	if (step == NULL)
	{
		if (PG_ARGISNULL(1))
			ereport(
				ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("step \"%s\" sleeps for NULL", base),
				 errhint(
					 "Give an interval to dataflows.sleep(), a time to dataflows.sleep_until().")));
		step = begin_wait(run, name, DF_STEP_SLEEP,
						  until ? given_time(PG_GETARG_TIMESTAMPTZ(1)) : later(fcinfo, 1), NULL);
	}
	if (!df_step_ended(step))
		df_suspend(step);
	(void) df_step_result(fcinfo, step);
	PG_RETURN_VOID();
}

Datum
dataflows_sleep(PG_FUNCTION_ARGS)
{
	return sleep_step(fcinfo, "sleep", false);
}

Datum
dataflows_sleep_until(PG_FUNCTION_ARGS)
{
	return sleep_step(fcinfo, "sleep_until", true);
}

/* nothing but an undo: done as soon as it is recorded */
Datum
dataflows_on_rollback(PG_FUNCTION_ARGS)
{
	DfRun *run = df_entry_run("on_rollback");
	char *base = df_checked_name(fcinfo, 0, "step");
	char *request = df_arg_text(fcinfo, 2);
	Jsonb *body = df_arg_jsonb(fcinfo, 3);
	char *missing = NULL;
	char *method;
	char *path;
	char *why;
	char *name;
	DfStep *step = df_step_recorded(run, base, DF_STEP_UNDO, &name);
	DfSystem *system;
	DfJson json;

	if (step != NULL)
	{
		(void) df_step_result(fcinfo, step);
		PG_RETURN_VOID();
	}
	if (PG_ARGISNULL(1) || request == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("system and request of step \"%s\" must not be NULL", base),
				 errhint("Name a system and a request such as 'DELETE /users/7'.")));
	df_template_split(request, "request", &method, &path);
	df_template_check(request, "request");
	system = df_system_get(NameStr(*PG_GETARG_NAME(1)), &why);
	if (system == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("step \"%s\" cannot call system \"%s\": %s", base,
						NameStr(*PG_GETARG_NAME(1)), why),
				 errhint("Create it with CREATE SERVER ... FOREIGN DATA WRAPPER dataflows, and "
						 "GRANT USAGE on it to the workflow's owner.")));
	df_step_check_http(system, base);
	df_template_check_stays(system->url, request, "request");
	if (body != NULL)
		df_check_payload(body, psprintf("the body of step \"%s\"", base));
	df_json_begin(&json);
	df_json_text(&json, "undo", request);
	df_json_value(&json, "undo_body", body);
	if (system->form)
		df_json_bool(&json, "form", true);
	step = df_step_new(run, name, DF_STEP_UNDO);
	step->system = MemoryContextStrdup(run->cxt, NameStr(*PG_GETARG_NAME(1)));
	step->base_hash = system->url_hash;
	step->options = df_json_end(&json, run->cxt);
	df_step_transition(run, step, DF_STEP_SUCCEED);
	if (!df_step_render_undo(run, step, &missing))
		df_fatal(ERRCODE_INVALID_PARAMETER_VALUE,
				 MemoryContextStrdup(run->cxt,
									 psprintf("the request of step \"%s\" has no field \"%s\"",
											  name, missing)),
				 NULL);
	PG_RETURN_VOID();
}

Datum
dataflows_point_of_no_return(PG_FUNCTION_ARGS)
{
	DfRun *run = df_entry_run("point_of_no_return");
	char *base = df_checked_name(fcinfo, 0, "step");
	char *name;
	DfStep *step = df_step_recorded(run, base, DF_STEP_PIVOT, &name);

	if (step == NULL)
		df_step_transition(run, df_step_new(run, name, DF_STEP_PIVOT), DF_STEP_SUCCEED);
	PG_RETURN_VOID();
}

/* ---- looking back --------------------------------------------------------- */

/* the name may be one of the engine's, name#n */
static DfStep *
named_step(DfRun *run, const char *name)
{
	const char *scope;
	DfStep *step;

	if (name == NULL)
		ereport(
			ERROR,
			(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
			 errmsg("the name of the step must not be NULL"),
			 errhint("Name a step that the body has called, or an event that it has waited for.")));
	scope = run->state == DF_RUN_ROLLING_BACK ? psprintf("on_failure/%s", name) : name;
	step = df_replay_named(run, scope);
	if (step != NULL)
		return step;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("the run has no step \"%s\"", name),
			 errhint("Call the step first; the second call with one name is \"name#2\".")));
	return NULL;
}

static Jsonb *
headers_of(const DfStep *step)
{
	DfJson json;

	if (step->answer != NULL && df_json_get_text(step->answer, "content-type") != NULL)
		return step->answer;
	/* what is left out of the record because it goes without saying */
	df_json_begin(&json);
	if (step->output != NULL)
		df_json_text(&json, "content-type", "application/json");
	if (step->answer != NULL)
		return DatumGetJsonbP(DirectFunctionCall2(
			jsonb_concat, JsonbPGetDatum(df_json_end(&json, CurrentMemoryContext)),
			JsonbPGetDatum(step->answer)));
	return df_json_end(&json, CurrentMemoryContext);
}

Datum
dataflows_response(PG_FUNCTION_ARGS)
{
	DfRun *run = df_entry_run("response");
	DfStep *step = named_step(run, df_arg_text(fcinfo, 0));
	DfJson json;

	if (!df_step_ended(step))
		df_suspend(step);
	step->told = true;
	if (step->kind == DF_STEP_CALL)
		PG_RETURN_JSONB_P(df_child_response(step));
	df_json_begin(&json);
	if (step->kind == DF_STEP_WAIT)
	{
		bool any = df_json_get(step->options, "events") != NULL;

		df_json_text(&json, "event", any ? df_json_get_text(step->output, "event") : NULL);
		df_json_value(&json, "payload", any ? df_json_get(step->output, "payload") : step->output);
		df_json_text(&json, "sent_by", df_json_get_text(step->answer, "sent_by"));
		df_json_text(&json, "sent_at", df_json_get_text(step->answer, "sent_at"));
	}
	else
	{
		char *body = df_json_get_text(step->error, "body");

		if (step->status != 0)
			df_json_int(&json, "status", step->status);
		df_json_value(&json, "headers", headers_of(step));
		if (step->output != NULL)
			df_json_value(&json, "body", step->output);
		else if (body != NULL)
		{
			Jsonb *parsed = df_json_parse(body, strlen(body), CurrentMemoryContext);

			if (parsed != NULL && df_payload_fits(parsed))
				df_json_value(&json, "body", parsed);
			else
				df_json_text(&json, "body", body);
		}
	}
	PG_RETURN_JSONB_P(df_json_end(&json, CurrentMemoryContext));
}

/* all of them, or DF001 with every failure */
Datum
dataflows_wait_all(PG_FUNCTION_ARGS)
{
	DfRun *run = df_entry_run("wait_all");
	Datum *names;
	bool *nulls;
	int n;
	int *unended;
	int nunended = 0;
	DfJson json;
	StringInfoData failures;

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("steps must not be NULL"),
				 errhint("Name the steps that were begun with wait => false.")));
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(0), TEXTOID, -1, false, TYPALIGN_INT, &names, &nulls,
					  &n);
	unended = MemoryContextAlloc(run->cxt, sizeof(int) * Max(1, n));
	initStringInfo(&failures);
	df_json_begin(&json);
	for (int i = 0; i < n; i++)
	{
		DfStep *step = nulls[i] ? NULL : named_step(run, TextDatumGetCString(names[i]));

		if (step == NULL)
			continue;
		if (!df_step_ended(step))
			unended[nunended++] = step->index;
		else if (step->state == DF_STEP_DONE)
			df_json_value(&json, step->name, step->output);
		else
		{
			Jsonb *detail = df_step_error_detail(step);

			step->told = true;
			appendStringInfo(&failures, "%s%s", failures.len > 0 ? "," : "",
							 JsonbToCString(NULL, &detail->root, VARSIZE(detail)));
		}
	}
	if (nunended > 0)
		df_suspend_on(unended, nunended, false);
	if (failures.len > 0)
		ereport(ERROR,
				(errcode(DF_ERR_STEP_FAILED),
				 errmsg("not all steps could be carried out"),
				 errdetail_internal("{\"failures\": [%s]}", failures.data)));
	PG_RETURN_JSONB_P(df_json_end(&json, CurrentMemoryContext));
}

Datum
dataflows_run_id(PG_FUNCTION_ARGS)
{
	DfRun *run = df_entry_run("run_id");

	PG_RETURN_UUID_P(&run->id);
}

Datum
dataflows_run_key(PG_FUNCTION_ARGS)
{
	DfRun *run = df_entry_run("run_key");

	if (run->key == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(run->key));
}

Datum
dataflows_run_started_at(PG_FUNCTION_ARGS)
{
	DfRun *run = df_entry_run("run_started_at");

	PG_RETURN_TIMESTAMPTZ(run->started_at);
}
