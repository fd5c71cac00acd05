/*
 * engine/query.c
 *	  What becomes of a query step, or of its undo, when its SQL has been run.
 *
 * Runs in a sql worker, in the transaction in which the SQL ran, on structs in
 * memory: what is decided here is written and committed with the effects of the
 * SQL, or neither is.  Nothing here runs SQL or writes.
 */
#include "postgres.h"

#include "shared/json.h"
#include "engine/live.h"
#include "engine/outcome.h"
#include "engine/query.h"
#include "guc.h"
#include "shared/clock.h"
#include "shared/trouble.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

/* how long a step waits that met a lock or a full disk */
#define SHORTEST_PAUSE_US (USECS_PER_SEC / 2)
#define LONGEST_PAUSE_US (60 * USECS_PER_SEC)

/* a serialization failure is over soon, another server may be away for long */
static const DfSystemPolicy sql_policy = {
	.retry = {
		.initial_ms = 100,
		.max_ms = 60000,
		.for_ms = INT64CONST(24) * 3600 * 1000}};

const char *
df_query_sql(DfRun *run, DfStep *step, Jsonb **args, bool *result_arg)
{
	Jsonb *output;

	*args = NULL;
	*result_arg = step->phase == DF_PHASE_UNDO;
	if (!*result_arg)
	{
		if (step->body != NULL)
			*args = df_json_parse(step->body, strlen(step->body), CurrentMemoryContext);
		return step->request;
	}
	output = step->output;
	if (output != NULL)
	{
		char *text = psprintf("[%s]", JsonbToCString(NULL, &output->root, VARSIZE(output)));

		*args = df_json_parse(text, strlen(text), CurrentMemoryContext);
	}
	else
		*args = df_json_parse("[null]", strlen("[null]"), CurrentMemoryContext);
	return step->undo;
}

static Jsonb *
error_of(DfRun *run, const DfSqlOutcome *outcome)
{
	DfJson json;

	df_json_begin(&json);
	df_json_text(&json, "message", outcome->message);
	df_json_text(&json, "sqlstate", unpack_sql_state(outcome->sqlstate));
	df_json_text(&json, "detail", outcome->detail);
	df_json_text(&json, "hint", outcome->hint);
	df_json_bool(&json, "in_doubt", false);
	return df_json_end(&json, run->cxt);
}

/* what the record of attempts and the arithmetic of retries want to know */
static void
as_reply(const DfSqlOutcome *outcome, DfReply *reply)
{
	memset(reply, 0, sizeof(*reply));
	reply->fate = DF_FATE_REFUSED;
	reply->retry_after_ms = -1;
	reply->error = outcome->message;
}

static bool
is_transient(const DfSqlOutcome *outcome, bool timed_out)
{
	return !timed_out &&
		df_classify_body_error(outcome->sqlstate, outcome->message) == DF_BODY_TRANSIENT;
}

/* somebody's lock, a full disk: nothing that the statement did; no attempt is used */
static bool
is_no_fault(const DfSqlOutcome *outcome, bool timed_out)
{
	return !timed_out &&
		(df_error_is_lock(outcome->sqlstate) || outcome->sqlstate == ERRCODE_IO_ERROR ||
		 ERRCODE_TO_CATEGORY(outcome->sqlstate) ==
			 ERRCODE_TO_CATEGORY(ERRCODE_INSUFFICIENT_RESOURCES));
}

/* the longer it has waited, the longer until the next try */
static void
wait_for_better_times(DfRun *run, DfStep *step, const DfSqlOutcome *outcome)
{
	bool undo = step->phase == DF_PHASE_UNDO;
	TimestampTz since = undo && step->undo_since != DF_NEVER ? step->undo_since : step->started_at;
	int64 pause = (df_now() - since) / 4;

	if (undo)
		step->undo_error = error_of(run, outcome);
	else
		step->error = error_of(run, outcome);
	step->wake_at = df_now() + Max(Min(pause, LONGEST_PAUSE_US), SHORTEST_PAUSE_US);
	step->dirty = true;
}

static void
do_outcome(DfRun *run, DfStep *step, const DfSqlOutcome *outcome, bool transient)
{
	TimestampTz at = DF_NEVER;
	DfReply reply;
	char *missing;

	df_step_transition(run, step, DF_STEP_SEND);
	if (outcome->sqlstate == 0)
	{
		step->output = df_json_copy(outcome->rows, run->cxt);
		step->error = NULL;
		df_step_transition(run, step, DF_STEP_SUCCEED);
		(void) df_step_render_undo(run, step, &missing);
		return;
	}
	as_reply(outcome, &reply);
	if (transient)
		at = df_step_next_try(run, step, &reply, &sql_policy);
	step->error = error_of(run, outcome);
	df_step_transition(run, step, at == DF_NEVER ? DF_STEP_FAIL : DF_STEP_AGAIN);
	step->wake_at = at;
	df_step_note_attempt(run, step, &reply, at == DF_NEVER ? "failed" : "retry", at);
}

static void
undo_outcome(DfRun *run, DfStep *step, const DfSqlOutcome *outcome, bool transient)
{
	TimestampTz at = DF_NEVER;
	DfReply reply;

	df_undo_transition(run, step, DF_UNDO_SENT);
	if (outcome->sqlstate == 0)
	{
		step->undo_error = NULL;
		df_undo_transition(run, step, DF_UNDO_UNDONE);
		return;
	}
	as_reply(outcome, &reply);
	if (transient)
		at = df_undo_next_try(step, &reply, &sql_policy);
	step->undo_error = error_of(run, outcome);
	df_step_note_attempt(run, step, &reply, at == DF_NEVER ? "failed" : "retry", at);
	df_undo_transition(run, step, at == DF_NEVER ? DF_UNDO_FAILED : DF_UNDO_DUE);
	step->wake_at = at;
}

void
df_query_outcome(DfRun *run, DfStep *step, const DfSqlOutcome *outcome, bool timed_out)
{
	bool transient = is_transient(outcome, timed_out);

	Assert(step->kind == DF_STEP_QUERY);
	step->to_run = false;
	if (is_no_fault(outcome, timed_out))
		wait_for_better_times(run, step, outcome);
	else if (step->phase == DF_PHASE_UNDO)
		undo_outcome(run, step, outcome, transient);
	else
		do_outcome(run, step, outcome, transient);
	run->advance = true;
}
