/*
 * store/claim.c
 *	  Reading for the worker: its workflows, the runs that are due, their steps
 *	  and their inbox.
 *
 * Runs in a worker, in its transaction, inside df_store_enter/leave.  Claiming
 * locks a run's row for this transaction; the lease is written with whatever
 * else becomes of the run (store/record.c).
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "flow/flow.h"
#include "shared/clock.h"
#include "store/alias_table.h"
#include "store/claim.h"
#include "store/identity.h"
#include "store/store.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

/* ---- workflows ------------------------------------------------------------ */

static DfPlan names_plan = {
	"SELECT w.name, bool_or(w.paused) OR EXISTS (SELECT FROM dataflows.installation i WHERE "
	"i.paused) "
	"FROM dataflows.workflow w WHERE w.owner = $1 GROUP BY w.name ORDER BY w.name",
	SPI_OK_SELECT,
	1,
	{OIDOID}};

List *
df_load_workflow_names(Oid owner, MemoryContext cxt)
{
	Datum values[1] = {ObjectIdGetDatum(owner)};
	DfInstallation installation;
	uint64 n;
	List *names = NIL;

	df_installation_read(CurrentMemoryContext, &installation);
	if (!installation.ours)
		return NIL; /* held: the token was changed while we ran */
	n = df_plan_run(&names_plan, values, NULL, 0);
	for (uint64 i = 0; i < n; i++)
	{
		MemoryContext old;

		if (df_bool(i, 1, false))
			continue; /* paused */
		old = MemoryContextSwitchTo(cxt);
		names = lappend(names, df_copy_text(cxt, i, 0));
		MemoryContextSwitchTo(old);
	}
	return names;
}

static DfPlan workflow_plan = {"SELECT w.function, w.function_owner, w.owner, w.owner_name, "
							   "w.on_failure, w.retry, w.on_error, w.deadline "
							   "FROM dataflows.workflow w WHERE w.name = $1 AND w.version = $2",
							   SPI_OK_SELECT,
							   2,
							   {TEXTOID, INT4OID}};

DfWorkflow *
df_load_workflow(const char *name, int version, MemoryContext cxt)
{
	Datum values[2] = {CStringGetTextDatum(name), Int32GetDatum(version)};
	DfWorkflow *workflow;
	char *on_error;

	if (df_plan_run(&workflow_plan, values, NULL, 1) == 0)
		return NULL;
	workflow = MemoryContextAllocZero(cxt, sizeof(DfWorkflow));
	workflow->name = MemoryContextStrdup(cxt, name);
	workflow->version = version;
	workflow->function = df_copy_text(cxt, 0, 0);
	workflow->function_owner = DatumGetObjectId(df_value(0, 1));
	workflow->owner = DatumGetObjectId(df_value(0, 2));
	workflow->owner_name = df_copy_text(cxt, 0, 3);
	workflow->on_failure = df_copy_text(cxt, 0, 4);
	workflow->retry = df_copy_jsonb(cxt, 0, 5);
	on_error = df_copy_text(CurrentMemoryContext, 0, 6);
	workflow->stuck_on_error = strcmp(on_error, "stuck") == 0;
	workflow->has_deadline = !df_is_null(0, 7);
	if (workflow->has_deadline)
		workflow->deadline = *DatumGetIntervalP(df_value(0, 7));
	return workflow;
}

/* ---- runs ----------------------------------------------------------------- */

#define RUN_COLUMNS \
	"r.run, r.workflow, r.version, r.key, r.started_by, r.started_at, r.input, r.state, " \
	"r.wake_at, " \
	"r.lease, r.finished_at, r.entries, r.body_retries, r.body_hash, r.drifted, r.cause, " \
	"r.result, " \
	"r.error, r.stuck, r.parent, r.parent_n, r.deadline, r.round, r.round_n, r.pivot_n, " \
	"r.traceparent"

static DfRun *
run_from_row(uint64 row, MemoryContext parent, List **versions)
{
	MemoryContext cxt = AllocSetContextCreate(parent, "dataflows run", ALLOCSET_DEFAULT_SIZES);
	DfRun *run = MemoryContextAllocZero(cxt, sizeof(DfRun));
	char *cause = df_copy_text(CurrentMemoryContext, row, 15);
	char *state = df_copy_text(CurrentMemoryContext, row, 7);
	char *id;

	run->cxt = cxt;
	run->id = df_copy_uuid(row, 0);
	id = DatumGetCString(DirectFunctionCall1(uuid_out, UUIDPGetDatum(&run->id)));
	strlcpy(run->id_text, id, sizeof(run->id_text));
	*versions = lappend_int(*versions, df_int32(row, 2, 0));
	run->workflow = NULL;
	run->workflow_name = df_copy_text(cxt, row, 1);
	run->key = df_copy_text(cxt, row, 3);
	run->started_by = df_copy_text(cxt, row, 4);
	run->started_at = df_time(row, 5);
	run->input = df_copy_jsonb(cxt, row, 6);
	run->state = (DfRunState) df_run_state_of(state);
	run->wake_at = df_time(row, 8);
	run->db_lease = df_int64(row, 9, 0);
	run->finished_at = df_time(row, 10);
	run->entries = df_int32(row, 11, 0);
	run->body_retries = df_int32(row, 12, 0);
	run->body_hash = df_int64(row, 13, 0);
	run->drifted = df_bool(row, 14, false);
	run->cause = cause == NULL ? DF_CAUSE_NONE : (DfCause) df_cause_of(cause);
	run->result = df_copy_jsonb(cxt, row, 16);
	run->error = df_copy_jsonb(cxt, row, 17);
	run->stuck = df_copy_jsonb(cxt, row, 18);
	run->parent = df_copy_uuid(row, 19);
	run->parent_n = df_int32(row, 20, 0);
	run->depth = -1;
	run->deadline = df_time(row, 21);
	run->round = df_int32(row, 22, 1);
	run->round_n = df_int32(row, 23, 0);
	run->pivot_n = df_int32(row, 24, 0);
	run->traceparent = df_copy_text(cxt, row, 25);
	return run;
}

static Datum
text_array(List *names)
{
	Datum *values = palloc(sizeof(Datum) * Max(1, list_length(names)));
	int n = 0;
	ListCell *lc;

	foreach (lc, names)
		values[n++] = CStringGetTextDatum((char *) lfirst(lc));
	return df_array(TEXTOID, values, NULL, n);
}

static Datum
uuid_array(List *runs)
{
	Datum *values = palloc(sizeof(Datum) * Max(1, list_length(runs)));
	int n = 0;
	ListCell *lc;

	foreach (lc, runs)
		values[n++] = UUIDPGetDatum(&((DfRun *) lfirst(lc))->id);
	return df_array(UUIDOID, values, NULL, n);
}

static List *
runs_of_result(uint64 n, MemoryContext parent, List **versions)
{
	List *runs = NIL;

	*versions = NIL;
	for (uint64 i = 0; i < n; i++)
		runs = lappend(runs, run_from_row(i, parent, versions));
	return runs;
}

/* somebody has abandoned it while it rested: the coordinator is about to end it */
#define NOT_ABANDONED(run) \
	" AND NOT EXISTS (SELECT FROM dataflows.inbox x WHERE x.run = " run \
	" AND x.kind = 'abandon' AND x.state = 'new' AND x.payload IS NOT NULL)"

/* `sql` is spelt as a comparison: with it the index gives runs in the order of wake_at */
static DfPlan claim_plan = {
	"SELECT " RUN_COLUMNS " FROM unnest($1) AS w(name), LATERAL ("
	" SELECT * FROM dataflows.run q WHERE q.workflow = w.name AND q.sql = $6 AND q.wake_at <= $2 "
	"AND q.lease IS NULL"
	" AND q.identity = $3" NOT_ABANDONED(
		"q.run") " ORDER BY q.wake_at LIMIT $4 FOR NO KEY UPDATE SKIP LOCKED) r LIMIT $5",
	SPI_OK_SELECT,
	6,
	{TEXTARRAYOID, TIMESTAMPTZOID, INT8OID, INT8OID, INT8OID, BOOLOID}};

List *
df_claim_due(List *names, bool sql, int64 identity, int each, int limit,
			 MemoryContext parent, List **versions)
{
	Datum values[6];
	uint64 n;

	values[0] = text_array(names);
	values[1] = TimestampTzGetDatum(df_now());
	values[2] = Int64GetDatum(identity);
	values[3] = Int64GetDatum(each);
	values[4] = Int64GetDatum(limit);
	values[5] = BoolGetDatum(sql);
	n = df_plan_run(&claim_plan, values, NULL, 0);
	return runs_of_result(n, parent, versions);
}

static DfPlan claim_runs_plan = {
	"SELECT " RUN_COLUMNS " FROM dataflows.run r WHERE r.run = ANY ($1) AND r.lease IS NULL"
	" AND r.identity = $2" NOT_ABANDONED("r.run") " FOR NO KEY UPDATE SKIP LOCKED",
	SPI_OK_SELECT,
	2,
	{UUIDARRAYOID, INT8OID}};

List *
df_claim_runs(List *ids, int64 identity, MemoryContext parent, List **versions)
{
	Datum *uuids = palloc(sizeof(Datum) * Max(1, list_length(ids)));
	Datum values[2];
	int count = 0;
	ListCell *lc;

	foreach (lc, ids)
		uuids[count++] = UUIDPGetDatum((pg_uuid_t *) lfirst(lc));
	values[0] = df_array(UUIDOID, uuids, NULL, count);
	values[1] = Int64GetDatum(identity);
	return runs_of_result(df_plan_run(&claim_runs_plan, values, NULL, 0), parent, versions);
}

/* ---- steps ---------------------------------------------------------------- */

#define STEP_COLUMNS \
	"s.run, s.n, s.base_hash, s.started_at, s.kind, s.step, s.system, s.request, s.headers, " \
	"s.body, " \
	"s.options, s.state, s.attempts, s.renewals, s.sent_at, s.wake_at, s.finished_at, s.status, " \
	"s.output, " \
	"s.answer, s.error, s.undo, s.undo_body, s.undo_state, s.undo_attempts, s.undo_since, " \
	"s.undo_error "

static DfPlan steps_plan = {
	"SELECT " STEP_COLUMNS "FROM dataflows.step s WHERE s.run = ANY ($1) ORDER BY s.run, s.n",
	SPI_OK_SELECT,
	1,
	{UUIDARRAYOID}};

static DfStep *
step_from_row(uint64 row, MemoryContext cxt)
{
	DfStep *step = MemoryContextAllocZero(cxt, sizeof(DfStep));
	char *undo_state = df_copy_text(CurrentMemoryContext, row, 23);

	step->n = df_int32(row, 1, 0);
	step->base_hash = (uint32) df_int32(row, 2, 0);
	step->started_at = df_time(row, 3);
	step->kind = (DfStepKind) df_step_kind_of(df_copy_text(CurrentMemoryContext, row, 4));
	step->name = df_copy_text(cxt, row, 5);
	step->system = df_copy_text(cxt, row, 6);
	step->request = df_copy_text(cxt, row, 7);
	step->headers = df_copy_jsonb(cxt, row, 8);
	step->body = df_copy_text(cxt, row, 9);
	step->options = df_copy_jsonb(cxt, row, 10);
	step->state = (DfStepState) df_step_state_of(df_copy_text(CurrentMemoryContext, row, 11));
	step->attempts = df_int32(row, 12, 0);
	step->renewals = df_int32(row, 13, 0);
	step->sent_at = df_time(row, 14);
	step->wake_at = df_time(row, 15);
	step->finished_at = df_time(row, 16);
	step->status = df_int32(row, 17, 0);
	step->output = df_copy_jsonb(cxt, row, 18);
	step->answer = df_copy_jsonb(cxt, row, 19);
	step->error = df_copy_jsonb(cxt, row, 20);
	step->undo = df_copy_text(cxt, row, 21);
	step->undo_body = df_copy_text(cxt, row, 22);
	step->undo_state = undo_state != NULL ? (DfUndoState) df_undo_state_of(undo_state)
										  : DF_UNDO_NONE;
	step->undo_attempts = df_int32(row, 24, 0);
	step->undo_since = df_time(row, 25);
	step->undo_error = df_copy_jsonb(cxt, row, 26);
	/* what has ended by now was put out by who saw it end */
	step->traced = step->finished_at != DF_NEVER;
	return step;
}

static DfRun *
find_run(List *runs, const pg_uuid_t *id)
{
	ListCell *lc;

	foreach (lc, runs)
	{
		DfRun *run = lfirst(lc);

		if (memcmp(&run->id, id, sizeof(pg_uuid_t)) == 0)
			return run;
	}
	return NULL;
}

/* ---- runs that continue_with() has begun anew ----------------------------- */

static DfPlan round_plan = {
	"SELECT " STEP_COLUMNS "FROM dataflows.step s WHERE s.run = $1 AND s.n > $2 ORDER BY s.n",
	SPI_OK_SELECT,
	2,
	{UUIDOID, INT4OID}};

/*
 * what earlier rounds did and may have to be undone, the newest; with the undos that have failed,
 * or without
 */
#define FORMER_STEPS 100
static DfPlan former_plan = {"SELECT " STEP_COLUMNS
							 "FROM dataflows.step s WHERE s.run = $1 AND s.n <= $2 AND s.n > $3 "
							 "AND coalesce(s.undo_state, 'none') <> ALL (CASE WHEN $4 THEN "
							 "'{undone,gone}' ELSE '{undone,gone,undo_failed}' END::text[]) "
							 "AND CASE WHEN s.kind = 'call' THEN s.answer IS NOT NULL AND "
							 "s.answer->'attached' IS DISTINCT FROM 'true'"
							 "  AND (s.state IN ('done', 'in_doubt') OR s.undo_state IS NOT NULL)"
							 " ELSE s.state IN ('done', 'in_doubt') AND coalesce(s.undo, "
							 "s.options->>'undo', 'none') <> 'none' END "
							 "ORDER BY s.n DESC LIMIT $5",
							 SPI_OK_SELECT,
							 5,
							 {UUIDOID, INT4OID, INT4OID, BOOLOID, INT8OID}};

static DfPlan former_failed_plan = {
	"SELECT FROM dataflows.step s WHERE s.run = $1 AND s.n <= $2 AND s.undo_state = 'undo_failed'",
	SPI_OK_SELECT,
	2,
	{UUIDOID, INT4OID}};

static void
load_former(DfRun *run)
{
	bool stuck = run->state == DF_RUN_STUCK;
	Datum values[5] = {UUIDPGetDatum(&run->id), Int32GetDatum(run->round_n),
					   Int32GetDatum(run->pivot_n), BoolGetDatum(stuck),
					   Int64GetDatum(FORMER_STEPS)};
	uint64 n = df_plan_run(&former_plan, values, NULL, 0);
	MemoryContext old = MemoryContextSwitchTo(run->cxt);

	for (uint64 i = 0; i < n; i++)
		run->loaded_steps = lcons(step_from_row(i, run->cxt), run->loaded_steps);
	MemoryContextSwitchTo(old);
	run->former_loaded = true;
	run->former_more = n == FORMER_STEPS;
	run->former_failed = !stuck && df_plan_run(&former_failed_plan, values, NULL, 1) > 0;
}

/* while it goes forward, the present round is all that it knows: its memory stays the same */
static void
load_round(DfRun *run)
{
	Datum values[2] = {UUIDPGetDatum(&run->id), Int32GetDatum(run->round_n)};
	MemoryContext old;
	uint64 n;

	if (run->state != DF_RUN_RUNNING && run->state != DF_RUN_WAITING)
		load_former(run);
	n = df_plan_run(&round_plan, values, NULL, 0);
	old = MemoryContextSwitchTo(run->cxt);
	for (uint64 i = 0; i < n; i++)
		run->loaded_steps = lappend(run->loaded_steps, step_from_row(i, run->cxt));
	MemoryContextSwitchTo(old);
}

static void
load_first_rounds(List *runs)
{
	Datum values[1] = {uuid_array(runs)};
	uint64 n = df_plan_run(&steps_plan, values, NULL, 0);
	DfRun *run = NULL;

	for (uint64 i = 0; i < n; i++)
	{
		pg_uuid_t id = df_copy_uuid(i, 0);
		MemoryContext old;

		if (run == NULL || memcmp(&run->id, &id, sizeof(id)) != 0)
			run = find_run(runs, &id);
		if (run == NULL)
			continue;
		old = MemoryContextSwitchTo(run->cxt);
		run->loaded_steps = lappend(run->loaded_steps, step_from_row(i, run->cxt));
		MemoryContextSwitchTo(old);
	}
}

/* run->loaded_steps gets them in order; the engine files them under their names */
void
df_load_steps(List *runs)
{
	List *first = NIL;
	ListCell *lc;

	foreach (lc, runs)
	{
		DfRun *run = lfirst(lc);

		if (run->round_n > 0)
			load_round(run);
		else
			first = lappend(first, run);
	}
	if (first != NIL)
		load_first_rounds(first);
}

/* ---- inbox ---------------------------------------------------------------- */

static void
message_from_row(DfMessage *message, uint64 row, MemoryContext cxt)
{
	memset(message, 0, sizeof(*message));
	message->id = df_int64(row, 1, 0);
	message->kind = df_message_kind_of(TextDatumGetCString(df_value(row, 2)));
	message->event = df_copy_text(cxt, row, 3);
	message->payload = df_copy_jsonb(cxt, row, 4);
	message->note = df_copy_text(cxt, row, 5);
	message->sent_by = df_copy_text(cxt, row, 6);
	message->sent_at = df_time(row, 7);
}

/* rows of an event that a wait can have one of; with `by` it may have to look through more */
#define EVENT_ROWS 1000

/* the run's own, then those by its key, then those by its further keys */
static DfPlan inbox_plan = {
	"SELECT w.run, i.id, i.kind, i.event, i.payload, i.note, i.sent_by, i.sent_at "
	"FROM unnest($1, $2, $3, $4, $5) AS w(run, workflow, key, event, rows), LATERAL ("
	" (SELECT x.* FROM dataflows.inbox x WHERE x.run = w.run AND x.run IS NOT NULL AND x.state <> "
	"'done'"
	"   AND x.kind = 'signal' AND x.event = w.event ORDER BY x.id LIMIT w.rows)"
	" UNION ALL"
	" (SELECT x.* FROM dataflows.inbox x WHERE x.workflow = w.workflow AND x.key = w.key AND x.run "
	"IS NULL AND x.state <> 'done'"
	"   AND x.event = w.event ORDER BY x.id LIMIT w.rows)"
	" UNION ALL"
	" (SELECT x.* FROM dataflows.alias a JOIN dataflows.inbox x ON x.workflow = a.workflow AND "
	"x.key = a.key"
	"   AND x.run IS NULL AND x.state <> 'done' AND x.event = w.event"
	"   WHERE a.run = w.run AND a.key IS DISTINCT FROM w.key ORDER BY x.id LIMIT w.rows)) i "
	"ORDER BY i.id",
	SPI_OK_SELECT,
	5,
	{UUIDARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID, INT4ARRAYOID}};

static void
keep_message(List *runs, uint64 row)
{
	pg_uuid_t id = df_copy_uuid(row, 0);
	DfRun *run = find_run(runs, &id);
	MemoryContext old;
	DfMessage *message;

	if (run == NULL)
		return;
	message = MemoryContextAlloc(run->cxt, sizeof(DfMessage));
	message_from_row(message, row, run->cxt);
	old = MemoryContextSwitchTo(run->cxt);
	run->loaded_messages = lappend(run->loaded_messages, message);
	MemoryContextSwitchTo(old);
}

void
df_load_signals(List *runs, List *wanted)
{
	int count = list_length(wanted);
	Datum *ids = palloc(sizeof(Datum) * count);
	Datum *workflows = palloc(sizeof(Datum) * count);
	Datum *keys = palloc(sizeof(Datum) * count);
	Datum *events = palloc(sizeof(Datum) * count);
	Datum *rows = palloc(sizeof(Datum) * count);
	bool *nulls = palloc(sizeof(bool) * count);
	Datum values[5];
	uint64 n;
	int i = 0;
	ListCell *lc;

	if (count == 0)
		return;
	foreach (lc, wanted)
	{
		DfWantedSignal *want = lfirst(lc);

		ids[i] = UUIDPGetDatum(&want->run->id);
		workflows[i] = CStringGetTextDatum(want->run->workflow_name);
		nulls[i] = want->run->key == NULL;
		keys[i] = nulls[i] ? (Datum) 0 : CStringGetTextDatum(want->run->key);
		events[i] = CStringGetTextDatum(want->event);
		rows[i++] = Int32GetDatum(want->by ? PG_INT32_MAX : EVENT_ROWS);
	}
	values[0] = df_array(UUIDOID, ids, NULL, count);
	values[1] = df_array(TEXTOID, workflows, NULL, count);
	values[2] = df_array(TEXTOID, keys, nulls, count);
	values[3] = df_array(TEXTOID, events, NULL, count);
	values[4] = df_array(INT4OID, rows, NULL, count);
	n = df_plan_run(&inbox_plan, values, NULL, 0);
	for (uint64 row = 0; row < n; row++)
		keep_message(runs, row);
}

static DfPlan cancels_plan = {
	"SELECT i.run, i.id, i.kind, i.event, i.payload, i.note, i.sent_by, i.sent_at "
	"FROM dataflows.inbox i WHERE i.run = $1 AND i.run IS NOT NULL AND i.state <> 'done' AND "
	"i.kind = 'cancel' ORDER BY i.id",
	SPI_OK_SELECT,
	1,
	{UUIDOID}};

void
df_load_cancels(DfRun *run)
{
	Datum values[1] = {UUIDPGetDatum(&run->id)};
	uint64 n = df_plan_run(&cancels_plan, values, NULL, 0);

	for (uint64 row = 0; row < n; row++)
		keep_message(list_make1(run), row);
}

/* as many of each workflow, so that a flood to one does not keep the others from being seen */
static DfPlan new_inbox_plan = {
	"SELECT coalesce(i.run, k.run), i.id, i.kind, i.event, i.payload, i.note, i.sent_by, "
	"i.sent_at, "
	"coalesce(r.state, k.state) IN ('waiting', 'rolling_back'), coalesce(r.lease, k.lease) IS NOT "
	"NULL, i.workflow "
	"FROM (SELECT n.* FROM unnest($1) AS w(name), LATERAL (SELECT * FROM dataflows.inbox q WHERE "
	"q.workflow = w.name"
	" AND q.state = 'new' AND q.id > $3 ORDER BY q.id LIMIT $2) n) i "
	"LEFT JOIN dataflows.run r ON r.run = i.run "
	"LEFT JOIN LATERAL " DF_HOLDER_SQL("i.workflow", "i.key") " k ON i.run IS NULL "
															  "ORDER BY i.workflow, i.id",
	SPI_OK_SELECT,
	3,
	{TEXTARRAYOID, INT8OID, INT8OID}};

List *
df_load_new_inbox(List *names, int each, int64 *after, MemoryContext cxt)
{
	Datum values[3] = {text_array(names), Int64GetDatum(each), Int64GetDatum(*after)};
	uint64 n = df_plan_run(&new_inbox_plan, values, NULL, 0);
	List *rows = NIL;
	char *workflow = "";
	int of_workflow = 0;

	*after = 0;
	for (uint64 i = 0; i < n; i++)
	{
		DfInboxRow *row = MemoryContextAllocZero(cxt, sizeof(DfInboxRow));
		MemoryContext old;
		char *its = df_copy_text(cxt, i, 10);

		message_from_row(&row->message, i, cxt);
		row->has_run = !df_is_null(i, 0);
		row->run = df_copy_uuid(i, 0);
		row->waiting = df_bool(i, 8, false);
		row->held = df_bool(i, 9, false);
		of_workflow = strcmp(workflow, its) == 0 ? of_workflow + 1 : 1;
		workflow = its;
		/* of a workflow that has more, the last one is where the next look begins */
		if (of_workflow == each && (*after == 0 || row->message.id < *after))
			*after = row->message.id;
		old = MemoryContextSwitchTo(cxt);
		rows = lappend(rows, row);
		MemoryContextSwitchTo(old);
	}
	return rows;
}

static DfPlan next_due_plan = {"SELECT min(d.wake_at) FROM unnest($1) AS w(name), LATERAL ("
							   " SELECT q.wake_at FROM dataflows.run q WHERE q.workflow = w.name "
							   "AND q.sql = $3 AND q.wake_at IS NOT NULL"
							   " AND q.lease IS NULL AND q.identity = $2" NOT_ABANDONED(
								   "q.run") " ORDER BY q.wake_at LIMIT 1) d",
							   SPI_OK_SELECT,
							   3,
							   {TEXTARRAYOID, INT8OID, BOOLOID}};

TimestampTz
df_next_due(List *names, bool sql, int64 identity)
{
	Datum values[3] = {text_array(names), Int64GetDatum(identity), BoolGetDatum(sql)};

	if (df_plan_run(&next_due_plan, values, NULL, 0) == 0)
		return DF_NEVER;
	return df_time(0, 0);
}
