/*
 * store/record.c
 *	  Writing for the worker: everything that became of runs in one turn.
 *
 * Runs in a worker, in its transaction, inside df_store_enter/leave.  One
 * statement for all rows of a kind, whatever the number of runs.  An update of
 * a run is guarded by the lease that its row had: who lost it writes nothing.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "flow/flow.h"
#include "shared/clock.h"
#include "store/alert.h"
#include "store/alias_table.h"
#include "store/claim.h"
#include "store/record.h"
#include "store/store.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

/* signals that a run holds in memory at most when its turn is over */
#define MESSAGES_HELD 100

/* ---- rows as columns ------------------------------------------------------ */

typedef struct DfColumns
{
	int nrows;
	int maxrows;
	int ncolumns;
	const Oid *types;
	Datum *values[DF_MAX_ARGS];
	bool *nulls[DF_MAX_ARGS];
	int column; /* the next one of the present row */
} DfColumns;

static void
columns_init(DfColumns *columns, int ncolumns, const Oid *types, int maxrows)
{
	memset(columns, 0, sizeof(*columns));
	columns->ncolumns = ncolumns;
	columns->types = types;
	columns->maxrows = Max(1, maxrows);
	for (int i = 0; i < ncolumns; i++)
	{
		columns->values[i] = palloc(sizeof(Datum) * columns->maxrows);
		columns->nulls[i] = palloc(sizeof(bool) * columns->maxrows);
	}
}

static void
put(DfColumns *columns, Datum value, bool isnull)
{
	int c = columns->column++;

	Assert(c < columns->ncolumns && columns->nrows < columns->maxrows);
	columns->values[c][columns->nrows] = value;
	columns->nulls[c][columns->nrows] = isnull;
}

static void
put_text(DfColumns *columns, const char *value)
{
	put(columns, value == NULL ? (Datum) 0 : CStringGetTextDatum(value), value == NULL);
}

static void
put_jsonb(DfColumns *columns, const Jsonb *value)
{
	put(columns, value == NULL ? (Datum) 0 : JsonbPGetDatum(value), value == NULL);
}

static void
put_time(DfColumns *columns, TimestampTz value)
{
	put(columns, TimestampTzGetDatum(value), value == DF_NEVER);
}

/* 0 is NULL: such columns cost nothing in most rows */
static void
put_count(DfColumns *columns, int value)
{
	put(columns, Int32GetDatum(value), value == 0);
}

static void
end_row(DfColumns *columns)
{
	Assert(columns->column == columns->ncolumns);
	columns->column = 0;
	columns->nrows++;
}

/* runs a statement whose n-th parameter is the array of the n-th column */
static uint64
run_columns(DfPlan *plan, DfColumns *columns)
{
	Datum values[DF_MAX_ARGS];

	Assert(plan->nargs == columns->ncolumns);
	for (int i = 0; i < columns->ncolumns; i++)
		values[i] =
			df_array(columns->types[i], columns->values[i], columns->nulls[i], columns->nrows);
	return df_plan_run(plan, values, NULL, 0);
}

/* ---- steps ---------------------------------------------------------------- */

#define STEP_NCOLUMNS 27
static const Oid step_types[STEP_NCOLUMNS] = {
	UUIDOID, INT4OID, INT4OID, TIMESTAMPTZOID, TEXTOID, TEXTOID,
	TEXTOID, TEXTOID, JSONBOID, TEXTOID, JSONBOID, TEXTOID,
	INT4OID, INT4OID, TIMESTAMPTZOID, TIMESTAMPTZOID, TIMESTAMPTZOID, INT4OID,
	JSONBOID, JSONBOID, JSONBOID, TEXTOID, TEXTOID, TEXTOID,
	INT4OID, TIMESTAMPTZOID, JSONBOID};

static DfPlan insert_steps_plan = {
	"INSERT INTO dataflows.step (run, n, base_hash, started_at, kind, step, system, request, "
	"headers, body, "
	"options, state, attempts, renewals, sent_at, wake_at, finished_at, status, output, answer, "
	"error, undo, "
	"undo_body, undo_state, undo_attempts, undo_since, undo_error) "
	"SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, "
	"$17, $18, $19, "
	"$20, $21, $22, $23, $24, $25, $26, $27)",
	SPI_OK_INSERT,
	STEP_NCOLUMNS,
	{UUIDARRAYOID, INT4ARRAYOID, INT4ARRAYOID, TIMESTAMPTZARRAYOID,
	 TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID,
	 JSONBARRAYOID, TEXTARRAYOID, JSONBARRAYOID, TEXTARRAYOID,
	 INT4ARRAYOID, INT4ARRAYOID, TIMESTAMPTZARRAYOID, TIMESTAMPTZARRAYOID,
	 TIMESTAMPTZARRAYOID, INT4ARRAYOID, JSONBARRAYOID, JSONBARRAYOID,
	 JSONBARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID,
	 INT4ARRAYOID, TIMESTAMPTZARRAYOID, JSONBARRAYOID}};

/*
 * Most steps are new and on their way: no outcome yet.  Half the columns make
 * half the work of a batch.
 */
#define INTENT_NCOLUMNS 13
static DfPlan insert_intents_plan = {
	"INSERT INTO dataflows.step (run, n, base_hash, started_at, kind, step, system, request, "
	"headers, body, "
	"options, state, attempts) "
	"SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
	SPI_OK_INSERT,
	INTENT_NCOLUMNS,
	{UUIDARRAYOID, INT4ARRAYOID, INT4ARRAYOID, TIMESTAMPTZARRAYOID, TEXTARRAYOID, TEXTARRAYOID,
	 TEXTARRAYOID, TEXTARRAYOID, JSONBARRAYOID, TEXTARRAYOID, JSONBARRAYOID, TEXTARRAYOID,
	 INT4ARRAYOID}};
static const Oid intent_types[INTENT_NCOLUMNS] = {UUIDOID, INT4OID, INT4OID, TIMESTAMPTZOID,
												  TEXTOID, TEXTOID, TEXTOID, TEXTOID,
												  JSONBOID, TEXTOID, JSONBOID, TEXTOID,
												  INT4OID};

static bool
is_intent(const DfStep *step)
{
	return step->state == DF_STEP_SENT && step->attempts == 1 && step->renewals == 0 &&
		step->error == NULL && step->wake_at == DF_NEVER && step->sent_at == DF_NEVER;
}

static void
put_outcome(DfColumns *columns, const DfStep *step)
{
	put_text(columns, df_step_state_name(step->state));
	put(columns, Int32GetDatum(step->attempts), false);
	put(columns, Int32GetDatum(step->renewals), false);
	put_time(columns, step->sent_at);
	put_time(columns, step->wake_at);
	put_time(columns, step->finished_at);
	put_count(columns, step->status);
	put_jsonb(columns, step->output);
	put_jsonb(columns, step->answer);
	put_jsonb(columns, step->error);
	put_text(columns, step->undo);
	put_text(columns, step->undo_body);
	put_text(columns,
			 step->undo_state == DF_UNDO_NONE ? NULL : df_undo_state_name(step->undo_state));
	put_count(columns, step->undo_attempts);
	put_time(columns, step->undo_since);
	put_jsonb(columns, step->undo_error);
}

static void
put_intent(DfColumns *columns, const DfStep *step)
{
	put(columns, Int32GetDatum((int32) step->base_hash), step->base_hash == 0);
	put_time(columns, step->started_at);
	put_text(columns, df_step_kind_name(step->kind));
	put_text(columns, step->name);
	put_text(columns, step->system);
	put_text(columns, step->request);
	put_jsonb(columns, step->headers);
	put_text(columns, step->body);
	put_jsonb(columns, step->options);
}

#define UPDATE_NCOLUMNS 18
static const Oid update_types[UPDATE_NCOLUMNS] = {
	UUIDOID, INT4OID, TEXTOID, INT4OID, INT4OID, TIMESTAMPTZOID,
	TIMESTAMPTZOID, TIMESTAMPTZOID, INT4OID, JSONBOID, JSONBOID, JSONBOID,
	TEXTOID, TEXTOID, TEXTOID, INT4OID, TIMESTAMPTZOID, JSONBOID};

static DfPlan update_steps_plan = {
	"UPDATE dataflows.step s SET state = u.state, attempts = u.attempts, renewals = u.renewals, "
	"sent_at = u.sent_at, wake_at = u.wake_at, finished_at = u.finished_at, status = u.status, "
	"output = u.output, answer = u.answer, error = u.error, undo = u.undo, undo_body = "
	"u.undo_body, "
	"undo_state = u.undo_state, undo_attempts = u.undo_attempts, undo_since = u.undo_since, "
	"undo_error = u.undo_error "
	"FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18) "
	"AS "
	"u(run, n, state, attempts, renewals, sent_at, wake_at, finished_at, status, output, answer, "
	"error, undo, "
	"undo_body, undo_state, undo_attempts, undo_since, undo_error) "
	"WHERE s.run = u.run AND s.n = u.n",
	SPI_OK_UPDATE,
	UPDATE_NCOLUMNS,
	{UUIDARRAYOID, INT4ARRAYOID, TEXTARRAYOID, INT4ARRAYOID, INT4ARRAYOID, TIMESTAMPTZARRAYOID,
	 TIMESTAMPTZARRAYOID, TIMESTAMPTZARRAYOID, INT4ARRAYOID, JSONBARRAYOID, JSONBARRAYOID,
	 JSONBARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID, INT4ARRAYOID, TIMESTAMPTZARRAYOID,
	 JSONBARRAYOID}};

static DfPlan rerender_plan = {"UPDATE dataflows.step s SET base_hash = $3, started_at = $4, "
							   "request = $5, headers = $6, body = $7, options = $8 "
							   "WHERE s.run = $1 AND s.n = $2",
							   SPI_OK_UPDATE,
							   8,
							   {UUIDOID, INT4OID, INT4OID, TIMESTAMPTZOID, TEXTOID, JSONBOID,
								TEXTOID, JSONBOID}};

/* a step that retry() had rendered anew: rare, one by one */
static void
write_rerendered(const DfRun *run, const DfStep *step)
{
	Datum values[8];
	char nulls[9] = "        ";

	values[0] = UUIDPGetDatum(&run->id);
	values[1] = Int32GetDatum(step->n);
	values[2] = Int32GetDatum((int32) step->base_hash);
	values[3] = TimestampTzGetDatum(step->started_at);
	values[4] = step->request ? CStringGetTextDatum(step->request) : (Datum) 0;
	values[5] = step->headers ? JsonbPGetDatum(step->headers) : (Datum) 0;
	values[6] = step->body ? CStringGetTextDatum(step->body) : (Datum) 0;
	values[7] = step->options ? JsonbPGetDatum(step->options) : (Datum) 0;
	for (int i = 4; i < 8; i++)
		nulls[i] = values[i] == (Datum) 0 ? 'n' : ' ';
	(void) df_plan_run(&rerender_plan, values, nulls, 0);
}

static void
count_steps(List *runs, int *fresh, int *dirty)
{
	ListCell *lc;

	*fresh = *dirty = 0;
	foreach (lc, runs)
	{
		DfRun *run = lfirst(lc);

		for (int i = 0; i < run->nsteps; i++)
		{
			if (run->steps[i]->fresh)
				(*fresh)++;
			else if (run->steps[i]->dirty)
				(*dirty)++;
		}
	}
}

static void
put_fresh(DfColumns *intents, DfColumns *inserts, const DfRun *run, const DfStep *step)
{
	bool intent = is_intent(step);
	DfColumns *columns = intent ? intents : inserts;

	put(columns, UUIDPGetDatum(&run->id), false);
	put(columns, Int32GetDatum(step->n), false);
	put_intent(columns, step);
	if (intent)
	{
		put_text(columns, df_step_state_name(step->state));
		put(columns, Int32GetDatum(step->attempts), false);
	}
	else
		put_outcome(columns, step);
	end_row(columns);
}

static void
put_dirty(DfColumns *updates, const DfRun *run, const DfStep *step)
{
	put(updates, UUIDPGetDatum(&run->id), false);
	put(updates, Int32GetDatum(step->n), false);
	if (step->rerendered)
		write_rerendered(run, step);
	put_outcome(updates, step);
	end_row(updates);
}

static void
record_steps(List *runs)
{
	DfColumns intents;
	DfColumns inserts;
	DfColumns updates;
	int fresh;
	int dirty;
	ListCell *lc;

	count_steps(runs, &fresh, &dirty);
	if (fresh + dirty == 0)
		return;
	columns_init(&intents, INTENT_NCOLUMNS, intent_types, fresh);
	columns_init(&inserts, STEP_NCOLUMNS, step_types, fresh);
	columns_init(&updates, UPDATE_NCOLUMNS, update_types, dirty);
	foreach (lc, runs)
	{
		DfRun *run = lfirst(lc);

		for (int i = 0; i < run->nsteps; i++)
		{
			DfStep *step = run->steps[i];

			if (step->fresh)
				put_fresh(&intents, &inserts, run, step);
			else if (step->dirty)
				put_dirty(&updates, run, step);
		}
	}
	if (intents.nrows > 0)
		(void) run_columns(&insert_intents_plan, &intents);
	if (inserts.nrows > 0)
		(void) run_columns(&insert_steps_plan, &inserts);
	if (dirty > 0 && run_columns(&update_steps_plan, &updates) != dirty)
		elog(ERROR, "a recorded step is not there");
}

/* ---- runs ----------------------------------------------------------------- */

#define RUN_NCOLUMNS 18
static const Oid run_types[RUN_NCOLUMNS] = {UUIDOID, INT8OID, TEXTOID, TIMESTAMPTZOID,
											INT8OID, TIMESTAMPTZOID, TEXTOID, INT4OID,
											INT4OID, INT8OID, BOOLOID, TEXTOID,
											JSONBOID, JSONBOID, JSONBOID, BOOLOID,
											BOOLOID, TIMESTAMPTZOID};

static DfPlan update_runs_plan = {
	"UPDATE dataflows.run r SET state = u.state, wake_at = u.wake_at, lease = u.lease, finished_at "
	"= u.finished_at, "
	"waiting_for = u.waiting_for, entries = u.entries, body_retries = u.body_retries, body_hash = "
	"u.body_hash, "
	"drifted = u.drifted, cause = u.cause, result = u.result, error = u.error, stuck = u.stuck, "
	"key_held = u.key_held, "
	"sql = u.sql, deadline = u.deadline "
	"FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18) "
	"AS "
	"u(run, old_lease, state, wake_at, lease, finished_at, waiting_for, entries, body_retries, "
	"body_hash, "
	"drifted, cause, result, error, stuck, key_held, sql, deadline) "
	"WHERE r.run = u.run AND r.lease IS NOT DISTINCT FROM u.old_lease",
	SPI_OK_UPDATE,
	RUN_NCOLUMNS,
	{UUIDARRAYOID, INT8ARRAYOID, TEXTARRAYOID, TIMESTAMPTZARRAYOID, INT8ARRAYOID,
	 TIMESTAMPTZARRAYOID, TEXTARRAYOID, INT4ARRAYOID, INT4ARRAYOID, INT8ARRAYOID, BOOLARRAYOID,
	 TEXTARRAYOID, JSONBARRAYOID, JSONBARRAYOID, JSONBARRAYOID, BOOLARRAYOID, BOOLARRAYOID,
	 TIMESTAMPTZARRAYOID}};

static void
put_run(DfColumns *columns, const DfRun *run)
{
	put(columns, UUIDPGetDatum(&run->id), false);
	put(columns, Int64GetDatum(run->db_lease), run->db_lease == 0);
	put_text(columns, df_run_state_name(run->state));
	put_time(columns, run->wake_at);
	put(columns, Int64GetDatum(run->lease), run->lease == 0);
	put_time(columns, run->finished_at);
	put_text(columns, run->waiting_for);
	put_count(columns, run->entries);
	put_count(columns, run->body_retries);
	put(columns, Int64GetDatum(run->body_hash), run->body_hash == 0);
	put(columns, BoolGetDatum(true), !run->drifted);
	put_text(columns, df_cause_name(run->cause));
	put_jsonb(columns, run->result);
	put_jsonb(columns, run->error);
	put_jsonb(columns, run->stuck);
	put(columns, BoolGetDatum(df_run_holds_key(run->state)), false);
	put(columns, BoolGetDatum(run->sql), false);
	put_time(columns, run->deadline);
	end_row(columns);
}

static DfPlan round_plan = {"UPDATE dataflows.run r SET input = $2, round = $3, round_n = $4, "
							"pivot_n = $5 WHERE r.run = $1",
							SPI_OK_UPDATE,
							5,
							{UUIDOID, JSONBOID, INT4OID, INT4OID, INT4OID}};

/* continue_with(): rare, one by one; the lease was looked at with the rest of the row */
static void
record_rounds(List *runs)
{
	ListCell *lc;

	foreach (lc, runs)
	{
		DfRun *run = lfirst(lc);
		Datum values[5] = {UUIDPGetDatum(&run->id), JsonbPGetDatum(run->input),
						   Int32GetDatum(run->round), Int32GetDatum(run->round_n),
						   Int32GetDatum(run->pivot_n)};

		if (run->new_round)
			(void) df_plan_run(&round_plan, values, run->pivot_n == 0 ? "    n" : NULL, 0);
	}
}

void
df_record_runs(List *runs)
{
	DfColumns columns;
	int dirty = 0;
	ListCell *lc;

	df_alias_confirm(runs);
	record_steps(runs);
	foreach (lc, runs)
		if (((DfRun *) lfirst(lc))->dirty)
			dirty++;
	if (dirty == 0)
		return;
	columns_init(&columns, RUN_NCOLUMNS, run_types, dirty);
	foreach (lc, runs)
		if (((DfRun *) lfirst(lc))->dirty)
			put_run(&columns, lfirst(lc));
	if (run_columns(&update_runs_plan, &columns) != dirty)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("a run is no longer held by this worker")));
	record_rounds(runs);
	df_alert_runs(runs);
}

/* it is kept in its row, where the next wait finds it */
static void
forget_message(DfMessage *message)
{
	if (message->payload != NULL)
		pfree(message->payload);
	if (message->event != NULL)
		pfree(message->event);
	if (message->note != NULL)
		pfree(message->note);
	pfree(message->sent_by);
	pfree(message);
}

void
df_record_clean(List *runs)
{
	ListCell *lc;

	foreach (lc, runs)
	{
		DfRun *run = lfirst(lc);
		bool crowded = list_length(run->messages) > MESSAGES_HELD;
		ListCell *mc;

		run->dirty = run->alert = run->new_round = run->tell_parent = run->keyed_start = false;
		run->db_lease = run->lease;
		for (int i = 0; i < run->nsteps; i++)
			run->steps[i]->fresh = run->steps[i]->dirty = run->steps[i]->rerendered = false;
		for (int i = 0; i < run->nsteps && run->family; i++)
		{
			run->steps[i]->to_start = false;
			run->steps[i]->ask = DF_MESSAGE_NONE;
		}
		run->family = false;
		foreach (mc, run->messages)
		{
			DfMessage *message = lfirst(mc);

			message->is_new = false;
			if (message->done || crowded)
				run->messages = foreach_delete_current(run->messages, mc);
			if (crowded && !message->done)
				forget_message(message);
		}
		if (crowded)
			run->inbox_loaded = false;
	}
}

static DfPlan entry_plan = {"UPDATE dataflows.run r SET entries = coalesce(r.entries, 0) + 1, "
							"lease = $2, wake_at = least(r.wake_at, $4) "
							"WHERE r.run = $1 AND r.lease IS NOT DISTINCT FROM $3",
							SPI_OK_UPDATE,
							4,
							{UUIDOID, INT8OID, INT8OID, TIMESTAMPTZOID}};

void
df_record_entry(DfRun *run, int64 lease)
{
	Datum values[4] = {UUIDPGetDatum(&run->id), Int64GetDatum(lease), Int64GetDatum(run->db_lease),
					   TimestampTzGetDatum(df_now())};

	if (df_plan_run(&entry_plan, values, run->db_lease == 0 ? "  n " : "    ", 0) != 1)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("run \"%s\" is no longer held by this worker", run->id_text)));
}

static DfPlan release_plan = {
	"UPDATE dataflows.run r SET lease = NULL, wake_at = $3 WHERE r.run = $1 "
	"AND (r.lease = $2 OR ($4 AND r.lease IS NULL AND r.wake_at <= $3))",
	SPI_OK_UPDATE,
	4,
	{UUIDOID, INT8OID, TIMESTAMPTZOID, BOOLOID}};

void
df_record_release(const DfRun *run, int64 lease)
{
	Datum values[4] = {UUIDPGetDatum(&run->id), Int64GetDatum(lease),
					   TimestampTzGetDatum(df_now() + 10 * USECS_PER_SEC),
					   BoolGetDatum(run->db_lease == 0)};

	(void) df_plan_run(&release_plan, values, NULL, 0);
}

/* ---- attempts ------------------------------------------------------------- */

#define ATTEMPT_NCOLUMNS 10
static const Oid attempt_types[ATTEMPT_NCOLUMNS] = {UUIDOID, INT4OID, INT4OID, BOOLOID,
													TIMESTAMPTZOID, FLOAT8OID, INT4OID, TEXTOID,
													TEXTOID, TIMESTAMPTZOID};

static DfPlan attempts_plan = {
	"INSERT INTO dataflows.attempt (run, n, seq, undo, at, took_ms, status, outcome, error, "
	"next_at) "
	"SELECT u.run, u.n, coalesce(greatest(u.seq, (SELECT max(a.seq) + 1 FROM dataflows.attempt a "
	" WHERE a.run = u.run AND a.n = u.n AND a.undo = u.undo)), u.seq), u.undo, u.at, u.took_ms, "
	"u.status, u.outcome, "
	"u.error, u.next_at "
	"FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) AS u(run, n, seq, undo, at, took_ms, "
	"status, outcome, error, next_at)",
	SPI_OK_INSERT,
	ATTEMPT_NCOLUMNS,
	{UUIDARRAYOID, INT4ARRAYOID, INT4ARRAYOID, BOOLARRAYOID, TIMESTAMPTZARRAYOID, FLOAT8ARRAYOID,
	 INT4ARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TIMESTAMPTZARRAYOID}};

void
df_record_attempts(List *attempts)
{
	DfColumns columns;
	ListCell *lc;

	if (attempts == NIL)
		return;
	columns_init(&columns, ATTEMPT_NCOLUMNS, attempt_types, list_length(attempts));
	foreach (lc, attempts)
	{
		DfAttempt *attempt = lfirst(lc);

		put(&columns, UUIDPGetDatum(&attempt->run), false);
		put(&columns, Int32GetDatum(attempt->n), false);
		put(&columns, Int32GetDatum(attempt->seq), false);
		put(&columns, BoolGetDatum(attempt->undo), false);
		put_time(&columns, attempt->at);
		put(&columns, Float8GetDatum(attempt->took_ms), false);
		put_count(&columns, attempt->status);
		put_text(&columns, attempt->outcome);
		put_text(&columns, attempt->error);
		put_time(&columns, attempt->next_at);
		end_row(&columns);
	}
	(void) run_columns(&attempts_plan, &columns);
}

/* ---- inbox ---------------------------------------------------------------- */

static DfPlan done_plan = {
	"UPDATE dataflows.inbox i SET state = 'done', run = u.run, consumed_by = u.consumed_by, "
	"consumed_at = $4, "
	"payload = CASE WHEN i.kind <> 'child' THEN i.payload END "
	"FROM unnest($1, $2, $3) AS u(id, run, consumed_by) WHERE i.id = u.id AND i.state <> 'done'",
	SPI_OK_UPDATE,
	4,
	{INT8ARRAYOID, UUIDARRAYOID, INT4ARRAYOID, TIMESTAMPTZOID}};

static DfPlan kept_plan = {
	"UPDATE dataflows.inbox i SET state = CASE WHEN i.kind = 'signal' THEN 'kept' ELSE 'done' END, "
	"run = coalesce(i.run, u.run) "
	"FROM unnest($1, $2, $3) AS u(id, run, consumed_by) WHERE i.id = u.id AND i.state = 'new'",
	SPI_OK_UPDATE,
	3,
	{INT8ARRAYOID, UUIDARRAYOID, INT4ARRAYOID}};

/*
 * Whoever claimed the run meanwhile may have begun to wait in that very
 * transaction, after it had read the inbox: such a row stays new, and the wake
 * of its sender, which all workers got, makes him look at it.  The lock lets
 * those pass who only keep the run from being purged.  A row that somebody has
 * locked (forget() has, until its transaction ends) is passed over.
 */
static DfPlan looked_at_plan = {
	"UPDATE dataflows.inbox i SET state = CASE WHEN i.kind = 'signal' THEN 'kept' ELSE 'done' END, "
	"run = coalesce(i.run, u.run) "
	"FROM unnest($1, $2, $3) AS u(id, run, consumed_by) "
	"LEFT JOIN LATERAL (SELECT r.run FROM dataflows.run r WHERE r.run = u.run AND r.lease IS NULL "
	" AND r.state <> 'waiting' AND r.state <> 'rolling_back' FOR NO KEY UPDATE SKIP LOCKED) l ON "
	"true "
	"WHERE i.id = u.id AND i.state = 'new' AND (u.run IS NULL OR l.run IS NOT NULL)"
	" AND i.id = ANY (ARRAY(SELECT x.id FROM dataflows.inbox x WHERE x.id = ANY ($1) FOR UPDATE "
	"SKIP LOCKED))",
	SPI_OK_UPDATE,
	3,
	{INT8ARRAYOID, UUIDARRAYOID, INT4ARRAYOID}};

static const Oid message_types[3] = {INT8OID, UUIDOID, INT4OID};

static void
put_message(DfColumns *columns, int64 id, const pg_uuid_t *run, int consumed_by)
{
	put(columns, Int64GetDatum(id), false);
	put(columns, run != NULL ? UUIDPGetDatum(run) : (Datum) 0, run == NULL);
	put_count(columns, consumed_by);
	end_row(columns);
}

/*
 * Each message is consumed by one wait alone: if a row is done already, somebody
 * else has it and this turn is wrong.
 */
static void
write_done(DfColumns *columns)
{
	Datum values[4];

	for (int i = 0; i < 3; i++)
		values[i] =
			df_array(message_types[i], columns->values[i], columns->nulls[i], columns->nrows);
	values[3] = TimestampTzGetDatum(df_now());
	if (df_plan_run(&done_plan, values, NULL, 0) != columns->nrows)
		elog(ERROR, "a message of the inbox was consumed by somebody else");
}

void
df_record_messages(List *runs)
{
	DfColumns done;
	DfColumns kept;
	int n = 0;
	ListCell *lc;
	ListCell *mc;

	foreach (lc, runs)
		n += list_length(((DfRun *) lfirst(lc))->messages);
	if (n == 0)
		return;
	columns_init(&done, 3, message_types, n);
	columns_init(&kept, 3, message_types, n);
	foreach (lc, runs)
	{
		DfRun *run = lfirst(lc);

		foreach (mc, run->messages)
		{
			DfMessage *message = lfirst(mc);

			if (message->done)
				put_message(&done, message->id, &run->id, message->consumed_by);
			else if (message->is_new)
				put_message(&kept, message->id, &run->id, 0);
		}
	}
	if (done.nrows > 0)
		write_done(&done);
	if (kept.nrows > 0)
		(void) run_columns(&kept_plan, &kept);
}

void
df_record_kept(List *rows)
{
	DfColumns columns;
	ListCell *lc;

	if (rows == NIL)
		return;
	columns_init(&columns, 3, message_types, list_length(rows));
	foreach (lc, rows)
	{
		DfInboxRow *row = lfirst(lc);

		put_message(&columns, row->message.id, row->has_run ? &row->run : NULL, 0);
	}
	(void) run_columns(&looked_at_plan, &columns);
}
