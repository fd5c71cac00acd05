/*
 * engine/step_query.c
 *	  query(): a step that is SQL, and what becomes of it.
 *
 * The SQL function runs inside a body, in its read-only subtransaction, as the
 * workflow's owner, and only notes what is to be run.  The outcome is applied in a
 * sql worker, in the transaction in which the SQL ran, on structs in memory: what is
 * decided here commits together with the effects of the SQL.  Nothing here runs SQL
 * or writes.
 */
#include "postgres.h"

#include "engine/attempt.h"
#include "engine/body.h"
#include "engine/call_order.h"
#include "engine/drift.h"
#include "engine/error_fields.h"
#include "engine/new_sides.h"
#include "engine/step_evidence.h"
#include "engine/step_api.h"
#include "engine/step_error.h"
#include "engine/step_kind.h"
#include "engine/step_query.h"
#include "engine/read_spec.h"
#include "engine/transition.h"
#include "engine/undo_outcome.h"
#include "flow/flow.h"
#include "guc.h"
#include "shared/clock.h"
#include "shared/json.h"
#include "shared/limits.h"
#include "shared/trouble.h"
#include "store/user_sql.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

PG_FUNCTION_INFO_V1(dataflows_query);

/* ---- the call in a body --------------------------------------------------- */

char *
df_sql_argument(FunctionCallInfo fcinfo, int arg, const char *what, const char *step)
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

char *
df_sql_args_argument(FunctionCallInfo fcinfo, int arg, const char *step)
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
	return df_json_to_text(args);
}

void
df_sql_check_recorded(const DfStep *step, const char *sql, const char *args)
{
	if (strcmp(step->row.request, sql) != 0)
		df_step_mismatch(step, "SQL", step->row.request, sql);
	if (strcmp(step->row.body != NULL ? step->row.body : "", args != NULL ? args : "") != 0)
		df_step_mismatch(step, "args", step->row.body, args);
}

void
df_sql_note(DfRun *run, DfStep *step, const char *sql, const char *args)
{
	step->row.request = MemoryContextStrdup(run->cxt, sql);
	step->row.body = args != NULL ? MemoryContextStrdup(run->cxt, args) : NULL;
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

static void
name_the_undo(void *arg)
{
	errcontext("undo of step \"%s\"", (const char *) arg);
}

/* what is wrong with it must not be found when it is needed */
static void
check_undo(const char *undo, const char *sql, char *step)
{
	ErrorContextCallback callback = {error_context_stack, name_the_undo, step};

	/* 'none' says that there is nothing to undo, as for a request */
	if (undo == NULL || strcmp(undo, "none") == 0)
		return;
	error_context_stack = &callback;
	df_user_sql_check(undo, sql);
	error_context_stack = callback.previous;
}

static void
take_new_undo(DfRun *run, DfStep *step, const char *undo, const char *sql)
{
	if (undo == NULL || !df_step_is_compared(step))
		return;
	check_undo(undo, sql, step->name);
	df_take_new_sides(run, step, undo_option(run, undo));
}

Datum
dataflows_query(PG_FUNCTION_ARGS)
{
	DfRun *run = df_entry_run("query");
	char *base = df_checked_name(fcinfo, 0, "step");
	char *sql = df_sql_argument(fcinfo, 1, "sql", base);
	char *args = df_sql_args_argument(fcinfo, 2, base);
	char *undo = PG_ARGISNULL(3) ? NULL : df_sql_argument(fcinfo, 3, "undo", base);
	char *name;
	DfStep *step = df_step_recorded(run, base, DF_STEP_QUERY, &name);

	if (step == NULL || step->row.request == NULL)
		check_undo(undo, sql, base);
	if (step == NULL)
	{
		step = df_step_new_effect(run, name, DF_STEP_QUERY, NULL, sql, NULL);
		df_sql_note(run, step, sql, args);
		step->row.options = undo_option(run, undo);
	}
	else if (step->row.request == NULL)
	{
		/* renewed by retry() */
		df_sql_note(run, step, sql, args);
		step->row.options = undo_option(run, undo);
		df_drift_note_body(run, step);
	}
	else
	{
		DfAsked asked = {sql, args, NULL};

		df_order_check(run, step, &asked);
		df_sql_check_recorded(step, sql, args);
		take_new_undo(run, step, undo, sql);
	}
	return df_step_await(fcinfo, step);
}

/* ---- its SQL in the sql worker -------------------------------------------- */

/* how long a step waits after a lock that it could not get, or a full disk */
#define SHORTEST_PAUSE_US (USECS_PER_SEC / 2)
#define LONGEST_PAUSE_US (60 * USECS_PER_SEC)

/* from a short pause, for serialization failures, to a long one, for a server that is away */
const DfSystemPolicy df_sql_policy = {
	.retry = {
		.initial_ms = 100,
		.max_ms = 60000,
		.for_ms = INT64CONST(24) * 3600 * 1000}};

/* the undo gets the output as its $1 */
static Jsonb *
undo_args(const Jsonb *output)
{
	DfJson json;

	df_json_begin(&json);
	df_json_open_array(&json, "args");
	if (output == NULL)
		df_json_null(&json, NULL);
	else
		df_json_value(&json, NULL, output);
	df_json_close_array(&json);
	return df_json_get(df_json_end(&json, CurrentMemoryContext), "args");
}

const char *
df_query_sql(DfRun *run, DfStep *step, Jsonb **args, bool *result_arg)
{
	*result_arg = step->engine.phase == DF_PHASE_UNDO;
	if (*result_arg)
	{
		*args = undo_args(step->row.output);
		return step->row.undo;
	}
	*args = step->row.body == NULL
		? NULL
		: df_json_parse(step->row.body, strlen(step->row.body), CurrentMemoryContext);
	return step->row.request;
}

static Jsonb *
error_of(DfRun *run, const DfSqlOutcome *outcome)
{
	DfJson json;

	df_json_begin(&json);
	df_json_text(&json, "message", outcome->error->message);
	df_json_text(&json, "sqlstate", unpack_sql_state(outcome->sqlstate));
	df_json_text(&json, "detail", outcome->error->detail);
	df_error_fields(&json, outcome->error);
	df_json_bool(&json, "in_doubt", false);
	return df_json_end(&json, run->cxt);
}

/* in the form that the record of attempts and the retry want */
static void
as_response(const DfSqlOutcome *outcome, DfResponse *response)
{
	memset(response, 0, sizeof(*response));
	response->fate = DF_FATE_REFUSED;
	response->retry_after_ms = -1;
	response->error = outcome->error->message;
}

static bool
is_transient(const DfSqlOutcome *outcome, bool timed_out)
{
	return !timed_out &&
		df_classify_body_error(outcome->sqlstate, NULL, DF_UNDO_ON_FAILURE) == DF_BODY_TRANSIENT;
}

/* not the statement's fault: a lock, a full disk; no attempt is used */
static bool
is_no_fault(const DfSqlOutcome *outcome, bool timed_out)
{
	return !timed_out &&
		(df_error_is_lock(outcome->sqlstate) || outcome->sqlstate == ERRCODE_IO_ERROR ||
		 ERRCODE_TO_CATEGORY(outcome->sqlstate) ==
			 ERRCODE_TO_CATEGORY(ERRCODE_INSUFFICIENT_RESOURCES));
}

/* the pause grows with the time that the step has waited */
static void
wait_without_attempt(DfRun *run, DfStep *step, const DfSqlOutcome *outcome)
{
	bool undo = step->engine.phase == DF_PHASE_UNDO;
	TimestampTz since =
		undo && step->row.undo_since != DF_NEVER ? step->row.undo_since : step->row.started_at;
	int64 pause = (df_now() - since) / 4;

	if (undo)
		step->row.undo_error = error_of(run, outcome);
	else
		step->row.error = error_of(run, outcome);
	step->row.wake_at = df_now() + Max(Min(pause, LONGEST_PAUSE_US), SHORTEST_PAUSE_US);
}

static DfWhy
why_failed(DfRun *run, DfStep *step, const DfSqlOutcome *outcome, bool transient)
{
	DfRetry retry;

	if (!transient)
		return df_why_sql_failed(outcome->sqlstate);
	retry = df_step_retry(run, step, &df_sql_policy.retry);
	return df_retry_ends_by_own_limit(&retry, step->row.attempts) ? DF_WHY_OWN_LIMIT
																  : DF_WHY_LIMIT;
}

static void
do_outcome(DfRun *run, DfStep *step, const DfSqlOutcome *outcome, bool transient)
{
	TimestampTz at = DF_NEVER;
	DfResponse response;
	char *why;

	df_step_transition(run, step, DF_STEP_SEND);
	if (outcome->sqlstate == 0)
	{
		step->row.output = df_json_copy(outcome->rows, run->cxt);
		step->row.error = NULL;
		df_step_transition(run, step, DF_STEP_SUCCEED);
		(void) df_step_render_undo(run, step, &why);
		return;
	}
	as_response(outcome, &response);
	if (transient)
		at = df_step_next_try(run, step, &response, &df_sql_policy);
	step->row.error = error_of(run, outcome);
	if (at == DF_NEVER)
		step->row.error =
			df_error_why(run, step->row.error, why_failed(run, step, outcome, transient));
	df_step_transition(run, step, at == DF_NEVER ? DF_STEP_FAIL : DF_STEP_AGAIN);
	step->row.wake_at = at;
	df_attempt_note(run, step, &response, at == DF_NEVER ? "failed" : "retry", at);
}

static void
undo_outcome(DfRun *run, DfStep *step, const DfSqlOutcome *outcome, bool transient)
{
	TimestampTz at = DF_NEVER;
	DfResponse response;

	df_undo_transition(run, step, DF_UNDO_SENT);
	if (outcome->sqlstate == 0)
	{
		step->row.undo_error = NULL;
		df_undo_transition(run, step, DF_UNDO_UNDONE);
		return;
	}
	as_response(outcome, &response);
	if (transient)
		at = df_undo_next_try(run, step, &response, &df_sql_policy);
	step->row.undo_error = error_of(run, outcome);
	df_attempt_note(run, step, &response, at == DF_NEVER ? "failed" : "retry", at);
	df_undo_transition(run, step, at == DF_NEVER ? DF_UNDO_FAILED : DF_UNDO_DUE);
	step->row.wake_at = at;
}

void
df_query_outcome(DfRun *run, DfStep *step, const DfSqlOutcome *outcome, bool timed_out)
{
	bool transient = is_transient(outcome, timed_out);

	step->engine.to_run_sql = false;
	if (is_no_fault(outcome, timed_out))
		wait_without_attempt(run, step, outcome);
	else if (step->engine.phase == DF_PHASE_UNDO)
		undo_outcome(run, step, outcome, transient);
	else
		do_outcome(run, step, outcome, transient);
	run->engine.advance = true;
}

/* ---- when it is due ------------------------------------------------------- */

static void
due(DfRun *run, DfStep *step)
{
	step->engine.phase = DF_PHASE_DO;
	step->engine.to_run_sql = true;
}

/* SQL as it was written; its $1 is the output */
static bool
render_undo(DfRun *run, DfStep *step, char **why)
{
	step->row.undo = df_step_spec(run, step)->undo;
	return true;
}

static void
undo(DfRun *run, DfStep *step)
{
	char *why;

	(void) df_step_render_undo(run, step, &why);
	if (step->row.wake_at > df_now())
		return;
	step->engine.phase = DF_PHASE_UNDO;
	step->engine.to_run_sql = true;
}

static const char *
effect(const DfStep *step)
{
	return step->row.request;
}

const DfStepOps df_query_ops = {
	.kind = DF_STEP_QUERY,
	.due = due,
	.undo = undo,
	.render_undo = render_undo,
	.renewable = true,
	.effect = effect,
};
