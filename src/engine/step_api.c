/*
 * engine/step_api.c
 *	  What the SQL-callable steps share: finding the recorded step of a call, or
 *	  making a new one.
 *
 * Runs inside a body, in its read-only subtransaction, as the workflow's owner.
 * A new step is a struct in the run's memory: the worker writes it after the
 * body has been left.  Nothing here writes or sends.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "engine/body.h"
#include "engine/drift.h"
#include "engine/replay.h"
#include "engine/rollback_subject.h"
#include "engine/run_steps.h"
#include "engine/step_api.h"
#include "engine/step_error.h"
#include "engine/step_kind.h"
#include "engine/transition.h"
#include "flow/flow.h"
#include "mb/pg_wchar.h"
#include "shared/clock.h"
#include "shared/json.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

char *
df_arg_text(FunctionCallInfo fcinfo, int arg)
{
	return PG_ARGISNULL(arg) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(arg));
}

Jsonb *
df_arg_jsonb(FunctionCallInfo fcinfo, int arg)
{
	return PG_ARGISNULL(arg) ? NULL : PG_GETARG_JSONB_P(arg);
}

static bool
is_string(Oid type)
{
	char category;
	bool preferred;

	get_type_category_preferred(type, &category, &preferred);
	return category == TYPCATEGORY_STRING;
}

/* the text of a value, whatever its type is called; an unknown literal is a C string */
static char *
text_of_any(FunctionCallInfo fcinfo, int arg, Oid type)
{
	Oid output;
	bool is_varlena;

	if (type == UNKNOWNOID)
		return pstrdup(PG_GETARG_CSTRING(arg));
	if (!OidIsValid(type))
		return text_to_cstring(PG_GETARG_TEXT_PP(arg));
	getTypeOutputInfo(type, &output, &is_varlena);
	return OidOutputFunctionCall(output, PG_GETARG_DATUM(arg));
}

bool
df_arg_text_or_json(FunctionCallInfo fcinfo, int arg, const char *what, char **text, Jsonb **json)
{
	Oid type = get_fn_expr_argtype(fcinfo->flinfo, arg);
	Oid base = getBaseType(type);

	*text = NULL;
	*json = NULL;
	if (PG_ARGISNULL(arg))
		return false;
	if (base == JSONBOID)
		*json = PG_GETARG_JSONB_P(arg);
	else if (OidIsValid(type) && base != UNKNOWNOID && base != JSONOID && !is_string(base))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"%s\" is of type %s", what, format_type_be(type)),
				 errhint("Give text or jsonb.")));
	else
	{
		*text = text_of_any(fcinfo, arg, type);
		if (base == JSONOID || (*text)[strspn(*text, " \t\r\n")] == '{' ||
			(*text)[strspn(*text, " \t\r\n")] == '[')
			*json = df_json_read(*text);
	}
	if (*json != NULL && JB_ROOT_IS_SCALAR(*json))
	{
		*text = df_json_scalar_text(*json);
		*json = NULL;
	}
	else if (*json != NULL)
		*text = NULL;
	return true;
}

int64
df_interval_ms(Datum interval)
{
	Interval *span = DatumGetIntervalP(interval);
	int64 days = (int64) span->month * DAYS_PER_MONTH + span->day;

	return days * 24 * 3600 * 1000 + span->time / 1000;
}

char *
df_checked_name(FunctionCallInfo fcinfo, int arg, const char *what)
{
	return df_check_name(df_arg_text(fcinfo, arg), what);
}

char *
df_check_name(char *name, const char *what)
{
	if (name == NULL || name[0] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must not be empty", what),
				 errhint("Give it a name that says what it does.")));
	if (strlen(name) > DF_MAX_NAME)
		ereport(ERROR,
				(errcode(DF_ERR_LIMIT),
				 errmsg("%s \"%s...\" is longer than %d bytes", what,
						pnstrdup(name, pg_mbcliplen(name, strlen(name), 40)), DF_MAX_NAME),
				 errhint("Choose a shorter name.")));
	if (!df_name_is_clean(name))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s \"%s\" contains a control character or \"#\"", what, name),
				 errhint("Choose a name without them. The engine itself writes name#2 for the "
						 "second call with one name.")));
	return name;
}

void
df_step_mismatch(const DfStep *step, const char *what, const char *recorded, const char *called)
{
	DfRun *run = df_entry->run;

	if (df_drift_is_accepted(step))
		return;
	df_fatal(
		DF_ERR_RECORD_MISMATCH,
		MemoryContextStrdup(
			run->cxt,
			psprintf(
				"step \"%s\" is recorded with the %s \"%s\", but the body calls it with \"%s\"",
				step->name, what, recorded ? recorded : "", called ? called : "")),
		df_drift_remedy(run, step));
}

void
df_step_compare(const DfStep *step, const char *what, const char *recorded, const char *called)
{
	DfRun *run = df_entry->run;

	if (!df_step_is_compared(step) || df_step_asks_the_same(step, recorded, called))
		return;
	df_fatal(
		DF_ERR_RECORD_MISMATCH,
		MemoryContextStrdup(
			run->cxt,
			psprintf("the function has changed, and calls step \"%s\" with another %s than is "
					 "recorded",
					 step->name, what)),
		df_drift_remedy(run, step));
}

bool
df_step_is_compared(const DfStep *step)
{
	return df_drift_is_other(df_entry->run, step) && !df_drift_is_accepted(step);
}

DfStep *
df_step_recorded(DfRun *run, const char *base, DfStepKind kind, char **name)
{
	DfStep *step = df_replay_find(run, df_run_step_name(run, base), name);

	if (step == NULL || step->kind == kind)
		return step;
	df_entry->other_kind = step->n;
	df_fatal(
		DF_ERR_RECORD_MISMATCH,
		MemoryContextStrdup(
			run->cxt,
			psprintf(
				"step \"%s\" is recorded with the kind \"%s\", but the body calls it with \"%s\"",
				step->name, df_step_kind_name(step->kind), df_step_kind_name(kind))),
		df_drift_remedy_of_kind(run, step));
}

DfStep *
df_step_new(DfRun *run, char *name, DfStepKind kind)
{
	return df_step_new_effect(run, name, kind, NULL, NULL, NULL);
}

DfStep *
df_step_new_effect(DfRun *run, char *name, DfStepKind kind, const char *system, const char *asked,
				   const char *body)
{
	DfStep *step;

	if (kind != DF_STEP_UNDO)
		df_rollback_check_next(run, name);
	df_drift_check_new(run, name, kind, system, asked, body);
	step = MemoryContextAllocZero(run->cxt, sizeof(DfStep));
	step->n = df_run_next_n(run);
	step->name = name;
	step->kind = kind;
	step->system = system == NULL ? NULL : MemoryContextStrdup(run->cxt, system);
	step->row.started_at = df_now();
	step->engine.called = run->engine.entry_no;
	run->engine.last_called = step;
	df_drift_note_body(run, step);
	df_run_add_step(run, step);
	run->engine.calls++;
	return step;
}

DfSystem *
df_step_system(const char *name, const char *step)
{
	char *why = NULL;
	DfSystem *system = df_system_get(name, &why);

	if (system == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("step \"%s\" cannot call system \"%s\": %s", step, name, why),
				 errhint("Correct the name, or the options of the server, or GRANT USAGE on it to "
						 "the workflow's owner; the view dataflows.systems shows which there are. "
						 "A new one is made by CREATE SERVER ... FOREIGN DATA WRAPPER "
						 "dataflows.")));
	return system;
}

DfSystem *
df_step_http_system(const char *name, const char *step)
{
	DfSystem *system = df_step_system(name, step);

	if (system->mail)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("step \"%s\" cannot send a request to system \"%s\"", step, system->name),
				 errdetail("The url of the system begins with smtp."),
				 errhint("Send mail with dataflows.send_mail(), or name a system whose url begins "
						 "with http.")));
	return system;
}

/* {step, system, status, in_doubt, why, body} of a failed step */
Jsonb *
df_step_error_detail(const DfStep *step)
{
	static const char *const of_sql[] = {"sqlstate", "detail", "hint", "context", "schema",
										 "table", "column", "datatype", "constraint"};
	DfJson json;

	df_json_begin(&json);
	df_json_text(&json, "step", step->name);
	df_json_text(&json, "system", step->system);
	if (step->row.status != 0)
		df_json_int(&json, "status", step->row.status);
	df_json_bool(&json, "in_doubt", step->row.state == DF_STEP_DOUBT);
	df_json_text(&json, "why", df_why_name(df_step_why(step)));
	if (step->row.state == DF_STEP_DOUBT)
		df_json_text(&json, "doubt", df_json_get_text(step->row.options, "doubt"));
	if (step->row.evidence.existed)
		df_json_bool(&json, "existed", true);
	df_json_value(&json, "body", df_json_get(step->row.error, "body"));
	if (df_step_ops(step)->error_detail != NULL)
		df_step_ops(step)->error_detail(step, &json);
	for (int i = 0; i < lengthof(of_sql); i++)
		df_json_text(&json, of_sql[i], df_json_get_text(step->row.error, of_sql[i]));
	return df_json_end(&json, CurrentMemoryContext);
}

void
df_step_raise(const char *message, Jsonb *detail)
{
	if (df_entry->failure != NULL)
		pfree(df_entry->failure);
	df_entry->failure = df_json_copy(detail, df_entry->cxt);
	ereport(ERROR,
			(errcode(DF_ERR_STEP_FAILED), errmsg_internal("%s", message),
			 errdetail_internal("%s", df_json_to_text(detail)),
			 errhint("A body that can go on without the step catches SQLSTATE DF001; "
					 "dataflows.failure() says what came.")));
}

Datum
df_step_result(FunctionCallInfo fcinfo, DfStep *step)
{
	char *message;

	Assert(df_step_ended(step));
	step->engine.seen_by_body = true;
	if (step->row.state == DF_STEP_DONE)
	{
		if (step->row.output == NULL)
			PG_RETURN_NULL();
		PG_RETURN_JSONB_P(step->row.output);
	}
	message = df_json_get_text(step->row.error, "message");
	df_step_raise(psprintf("step \"%s\" %s: %s", step->name,
						   step->row.state == DF_STEP_DOUBT ? "is in doubt" : "failed",
						   message != NULL ? message : "no reason was recorded"),
				  df_step_error_detail(step));
	PG_RETURN_NULL();
}

void (*df_answer_at_once)(DfRun *run, DfStep *step) = NULL;

Datum
df_step_await(FunctionCallInfo fcinfo, DfStep *step)
{
	if (!df_step_ended(step) && df_answer_at_once != NULL)
		df_answer_at_once(df_entry->run, step);
	if (!df_step_ended(step))
		df_suspend(step);
	return df_step_result(fcinfo, step);
}

/* ---- steps that wait for a time or an event ------------------------------- */

TimestampTz
df_time_from_now(FunctionCallInfo fcinfo, int arg, const char *what, const char *step)
{
	const Interval *span = PG_GETARG_INTERVAL_P(arg);
	double days = (double) span->month * DAYS_PER_MONTH + span->day;

	if (days * USECS_PER_DAY + (double) span->time < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s of step \"%s\" is less than zero: %s", what, step,
						DatumGetCString(DirectFunctionCall1(interval_out, PG_GETARG_DATUM(arg)))),
				 errhint("Give an interval such as '7 days'; greatest(..., '0') does for one that "
						 "may be over.")));
	return DatumGetTimestampTz(DirectFunctionCall2(timestamptz_pl_interval,
												   TimestampTzGetDatum(df_now()),
												   PG_GETARG_DATUM(arg)));
}

/* 2000-01-01 00:00 has the value of DF_NEVER */
TimestampTz
df_time_given(TimestampTz at)
{
	return at == DF_NEVER ? at + 1 : at;
}

DfStep *
df_step_begin_wait(DfRun *run, char *name, DfStepKind kind, TimestampTz until, Jsonb *options)
{
	DfStep *step = df_step_new(run, name, kind);

	step->row.options = options;
	df_step_transition(run, step, DF_STEP_HOLD);
	step->row.wake_at = until;
	run->engine.inbox_loaded = false;
	return step;
}
