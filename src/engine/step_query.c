/*
 * engine/step_query.c
 *	  query() and once(): the steps that are SQL.
 *
 * Runs inside a body, in its read-only subtransaction, as the workflow's owner.
 * query() only notes what a sql worker is to run; once() runs its SQL here and
 * now, read-only, and notes the value.  Nothing here writes a row.
 */
#include "postgres.h"

#include "shared/json.h"
#include "engine/step_api.h"
#include "guc.h"
#include "shared/limits.h"
#include "store/user_sql.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

PG_FUNCTION_INFO_V1(dataflows_query);
PG_FUNCTION_INFO_V1(dataflows_once);

static char *
checked_sql(FunctionCallInfo fcinfo, int arg, const char *what, const char *step)
{
	char *sql = df_arg_text(fcinfo, arg);

	if (sql == NULL || strspn(sql, " \t\r\n") == strlen(sql))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s of step \"%s\" is empty", what, step),
				 errhint("Give one SQL statement.")));
	if (strlen(sql) > (size_t) df_max_body)
		ereport(ERROR,
				(errcode(DF_ERR_LIMIT),
				 errmsg("%s of step \"%s\" is larger than dataflows.max_body (%d bytes)", what,
						step, df_max_body),
				 errhint("Pass data as args, or keep it in a table.")));
	return sql;
}

/* args as text, which is also what is recorded; NULL if there are none */
static char *
checked_args(FunctionCallInfo fcinfo, int arg, const char *step)
{
	Jsonb *args = df_arg_jsonb(fcinfo, arg);

	if (args == NULL)
		return NULL;
	if (!JB_ROOT_IS_ARRAY(args) || JB_ROOT_IS_SCALAR(args))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("args of step \"%s\" are not a JSON array", step),
				 errhint("Give the values of $1, $2, ... such as jsonb_build_array(7, 'x').")));
	if (!df_payload_fits(args))
		ereport(ERROR,
				(errcode(DF_ERR_LIMIT),
				 errmsg("args of step \"%s\" are larger than dataflows.max_body (%d bytes)", step,
						df_max_body),
				 errhint("Keep the data in a table and pass its key.")));
	return JsonbToCString(NULL, &args->root, VARSIZE(args));
}

static void
check_recorded(const DfStep *step, const char *sql, const char *args)
{
	if (strcmp(step->request, sql) != 0)
		df_step_mismatch(step, "SQL", step->request, sql);
	if (strcmp(step->body != NULL ? step->body : "", args != NULL ? args : "") != 0)
		df_step_mismatch(step, "args", step->body, args);
}

static void
note_sql(DfRun *run, DfStep *step, const char *sql, const char *args)
{
	step->request = MemoryContextStrdup(run->cxt, sql);
	step->body = args != NULL ? MemoryContextStrdup(run->cxt, args) : NULL;
	step->dirty = true;
}

static Jsonb *
undo_option(DfRun *run, const char *undo)
{
	DfJson json;

	if (undo == NULL)
		return NULL;
	df_json_begin(&json);
	df_json_text(&json, "undo", undo);
	return df_json_end(&json, run->cxt);
}

Datum
dataflows_query(PG_FUNCTION_ARGS)
{
	DfRun *run = df_entry_run("query");
	char *base = df_checked_name(fcinfo, 0, "step");
	char *sql = checked_sql(fcinfo, 1, "sql", base);
	char *args = checked_args(fcinfo, 2, base);
	char *undo = PG_ARGISNULL(3) ? NULL : checked_sql(fcinfo, 3, "undo", base);
	char *name;
	DfStep *step = df_step_recorded(run, base, DF_STEP_QUERY, &name);

	if (step == NULL)
	{
		step = df_step_new(run, name, DF_STEP_QUERY);
		note_sql(run, step, sql, args);
		step->options = undo_option(run, undo);
	}
	else if (step->request == NULL)
	{
		/* renewed by retry() */
		note_sql(run, step, sql, args);
		step->options = undo_option(run, undo);
		step->rerendered = true;
	}
	else
		check_recorded(step, sql, args);
	if (!df_step_ended(step))
		df_suspend(step);
	return df_step_result(fcinfo, step);
}

Datum
dataflows_once(PG_FUNCTION_ARGS)
{
	DfRun *run = df_entry_run("once");
	char *base = df_checked_name(fcinfo, 0, "step");
	char *sql = checked_sql(fcinfo, 1, "sql", base);
	char *args = checked_args(fcinfo, 2, base);
	char *name;
	DfStep *step = df_step_recorded(run, base, DF_STEP_ONCE, &name);
	Jsonb *value;

	if (step == NULL)
	{
		/* first the SQL: if it raises there is no step */
		value = df_user_sql_value(sql, df_arg_jsonb(fcinfo, 2), run->cxt);
		step = df_step_new(run, name, DF_STEP_ONCE);
		note_sql(run, step, sql, args);
		step->output = value;
		df_step_transition(run, step, DF_STEP_SUCCEED);
	}
	else
		check_recorded(step, sql, args);
	return df_step_result(fcinfo, step);
}
