/*
 * engine/body_api.c
 *	  What a body may ask about its run: response(), wait_all(), run_id() and others.
 *
 * Runs inside a body, in its read-only subtransaction, as the workflow's owner.
 * None of these is a step: they read what is recorded, and may have to wait for it.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "engine/body.h"
#include "engine/replay.h"
#include "engine/run_steps.h"
#include "engine/step_api.h"
#include "engine/step_key.h"
#include "engine/step_error.h"
#include "engine/step_kind.h"
#include "flow/flow.h"
#include "shared/json.h"
#include "shared/limits.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

PG_FUNCTION_INFO_V1(dataflows_response);
PG_FUNCTION_INFO_V1(dataflows_wait_all);
PG_FUNCTION_INFO_V1(dataflows_run_id);
PG_FUNCTION_INFO_V1(dataflows_run_key);
PG_FUNCTION_INFO_V1(dataflows_run_started_at);
PG_FUNCTION_INFO_V1(dataflows_run_version);

/* the name may be one of the engine's, name#n */
static DfStep *
named_step(DfRun *run, const char *name)
{
	DfStep *step;

	if (name == NULL)
		ereport(
			ERROR,
			(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
			 errmsg("the name of the step must not be NULL"),
			 errhint("Name a step that the body has called, or an event that it has waited for.")));
	step = df_replay_named(run, df_run_step_name(run, name));
	if (step != NULL)
		return step;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("the run has no step \"%s\"", name),
			 errhint("Call the step first. The second call with the same name is \"name#2\".")));
	return NULL;
}

/* 0.1 kept JSON as text, and so is what is no object or array */
static Jsonb *
body_of_error(const Jsonb *error)
{
	char *text = df_json_get_text(error, "body");
	Jsonb *parsed = text != NULL ? df_json_parse(text, strlen(text), CurrentMemoryContext) : NULL;

	return parsed != NULL && df_payload_fits(parsed) ? parsed : df_json_get(error, "body");
}

/* {"status", "headers", "body"}: of a step that got a response, as far as it has them */
static Jsonb *
response_of(const DfStep *step)
{
	DfJson json;

	df_json_begin(&json);
	if (step->row.status != 0)
		df_json_int(&json, "status", step->row.status);
	df_json_value(&json, "headers", df_step_response_headers(step));
	if (step->row.output != NULL)
		df_json_value(&json, "body", step->row.output);
	else
		df_json_value(&json, "body", body_of_error(step->row.error));
	return df_json_end(&json, CurrentMemoryContext);
}

Datum
dataflows_response(PG_FUNCTION_ARGS)
{
	DfRun *run = df_entry_run("response");
	DfStep *step = named_step(run, df_arg_text(fcinfo, 0));
	const DfStepOps *ops = df_step_ops(step);

	if (!df_step_ended(step))
		df_suspend(step);
	step->engine.seen_by_body = true;
	PG_RETURN_JSONB_P(ops->response != NULL ? ops->response(step) : response_of(step));
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
	int nfailed = 0;
	DfJson json;
	DfJson failures;
	const char *why = NULL;

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("steps must not be NULL"),
				 errhint("Name the steps that were begun with wait => false.")));
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(0), TEXTOID, -1, false, TYPALIGN_INT, &names, &nulls,
					  &n);
	unended = MemoryContextAlloc(run->cxt, sizeof(int) * Max(1, n));
	df_json_begin(&failures);
	df_json_open_array(&failures, "failures");
	df_json_begin(&json);
	for (int i = 0; i < n; i++)
	{
		DfStep *step = nulls[i] ? NULL : named_step(run, TextDatumGetCString(names[i]));

		if (step == NULL)
			continue;
		if (!df_step_ended(step))
			unended[nunended++] = step->engine.index;
		else if (step->row.state == DF_STEP_DONE)
			df_json_value(&json, step->name, step->row.output);
		else
		{
			step->engine.seen_by_body = true;
			df_json_value(&failures, NULL, df_step_error_detail(step));
			if (nfailed++ == 0)
				why = df_why_name(df_step_why(step));
		}
	}
	if (nunended > 0)
		df_suspend_on(unended, nunended, false);
	df_json_close_array(&failures);
	df_json_text(&failures, "why", why);
	if (nfailed > 0)
		df_step_raise("not all steps could be carried out",
					  df_json_end(&failures, CurrentMemoryContext));
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

Datum
dataflows_run_version(PG_FUNCTION_ARGS)
{
	DfRun *run = df_entry_run("run_version");

	PG_RETURN_INT32(run->workflow->version);
}
