/*
 * engine/query_run.c
 *	  Runs the SQL of a query step, or of its undo.
 *
 * Runs in a sql worker, and in a session that simulates, in their transaction, as the role
 * that owns the workflow and with its rights.  What becomes of the step is applied by
 * step_query.c.  Never write a row of the engine's here.
 */
#include "postgres.h"

#include "utils/lsyscache.h"
#include "utils/timestamp.h"

#include "engine/body_log.h"
#include "engine/query_run.h"
#include "guc.h"
#include "shared/user_code.h"

/* adds what was locked: PostgreSQL names the row in its context, but no table */
static void
name_lock(DfSqlOutcome *outcome)
{
	ErrorData *error = outcome->error;
	char *relation = get_rel_name(df_user_code_waited_for());

	if (error->context != NULL && strncmp(error->context, "while ", strlen("while ")) == 0)
		error->message = psprintf("%s %s", error->message,
								  pnstrdup(error->context, strcspn(error->context, "\n")));
	else if (relation != NULL)
		error->message =
			psprintf("%s: it waited for a lock on relation \"%s\"", error->message, relation);
	error->hint = pstrdup("The step is tried again automatically. While it waits, "
						  "pg_blocking_pids() shows which session holds the lock.");
}

bool
df_query_run(DfRun *run, DfStep *step, int lock_ms, DfSqlOutcome *outcome)
{
	Jsonb *args;
	bool result_arg;
	const char *sql = df_query_sql(run, step, &args, &result_arg);
	bool timed_out;
	DfLogStep said = {run, step};
	ErrorContextCallback callback = {error_context_stack, df_log_say_step, &said};

	df_user_code_begin(df_query_timeout, Max(1000, df_query_timeout / 2));
	error_context_stack = &callback;
	df_user_sql_run(sql, args, result_arg, lock_ms, outcome);
	error_context_stack = callback.previous;
	timed_out = df_user_code_end() == DF_CUT_LIMIT;
	if (timed_out && outcome->sqlstate != 0)
	{
		outcome->error->message =
			psprintf("the SQL ran longer than dataflows.query_timeout (%d ms)", df_query_timeout);
		outcome->error->hint =
			pstrdup("Make it faster, do it in several steps, or raise dataflows.query_timeout.");
	}
	else if (outcome->sqlstate == ERRCODE_LOCK_NOT_AVAILABLE)
		name_lock(outcome);
	return timed_out;
}
