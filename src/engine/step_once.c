/*
 * engine/step_once.c
 *	  once(): a step that reads a value by SQL, and keeps it.
 *
 * Runs inside a body, in its read-only subtransaction, as the workflow's owner.
 * The SQL runs here and now, read-only.  Nothing here writes a row.
 */
#include "postgres.h"

#include "engine/body.h"
#include "engine/step_api.h"
#include "engine/step_kind.h"
#include "engine/step_query.h"
#include "engine/transition.h"
#include "store/user_sql.h"

PG_FUNCTION_INFO_V1(dataflows_once);

Datum
dataflows_once(PG_FUNCTION_ARGS)
{
	DfRun *run = df_entry_run("once");
	char *base = df_checked_name(fcinfo, 0, "step");
	char *sql = df_sql_argument(fcinfo, 1, "sql", base);
	char *args = df_sql_args_argument(fcinfo, 2, base);
	char *name;
	DfStep *step = df_step_recorded(run, base, DF_STEP_ONCE, &name);
	Jsonb *value;

	if (step == NULL)
	{
		/* first the SQL: if it raises there is no step */
		value = df_user_sql_value(sql, df_arg_jsonb(fcinfo, 2), run->cxt);
		step = df_step_new(run, name, DF_STEP_ONCE);
		df_sql_note(run, step, sql, args);
		step->row.output = value;
		df_step_transition(run, step, DF_STEP_SUCCEED);
	}
	else
		df_sql_check_recorded(step, sql, args);
	return df_step_result(fcinfo, step);
}

/* it is done as soon as the body has called it */
const DfStepOps df_once_ops = {.kind = DF_STEP_ONCE};
