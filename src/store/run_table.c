/*
 * store/run_table.c
 *	  Statements on dataflows.run, for the worker that holds the runs.
 *
 * Runs in workers and sql workers, in their transaction, as the extension's
 * owner.  Claiming locks a run's row for this transaction; the lease is written
 * with whatever else becomes of the run.  An update is guarded by the lease that
 * the row had: a worker that lost it must never write.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "flow/flow.h"
#include "shared/clock.h"
#include "shared/uuid.h"
#include "store/columns.h"
#include "store/run_count_table.h"
#include "store/run_table.h"

/* ---- columns -------------------------------------------------------------- */

#define IN_KEY DF_IN_KEY
#define IN_READ DF_IN_READ
#define IN_UPDATE (DF_IN_OTHER << 0)
#define IN_ROUND (DF_IN_OTHER << 1) /* changed by continue_with() only */
#define IN_RARE (DF_IN_OTHER << 2) /* what an ordinary run has none of; all of it is read */

#define COLUMN(column, field, form, in) DF_COLUMN(DfRun, column, field, form, in)

/* clang-format off */
static const DfColumn run_columns[] = {
	COLUMN("run",          id,               UUID,      IN_KEY | IN_READ),
	COLUMN("workflow",     workflow_name,    TEXT,      IN_READ),
	COLUMN("key",          key,              TEXT,      IN_READ),
	COLUMN("started_by",   started_by,       TEXT,      IN_READ),
	COLUMN("started_at",   started_at,       TIME,      IN_READ),
	COLUMN("traceparent",  traceparent,      TEXT,      IN_READ),
	COLUMN("parent",       parent,           UUID,      IN_READ),
	COLUMN("parent_n",     parent_n,         COUNT,     IN_READ),
	COLUMN("input",        row.input,        JSONB,     IN_READ | IN_ROUND),
	COLUMN("state",        row.state,        RUN_STATE, IN_READ | IN_UPDATE),
	COLUMN("wake_at",      row.wake_at,      TIME,      IN_READ | IN_UPDATE),
	COLUMN("lease",        row.lease,        NONCE,     IN_READ | IN_UPDATE),
	COLUMN("old_lease",    saved.lease,      NONCE,     IN_KEY), /* what the row has to have */
	COLUMN("finished_at",  row.finished_at,  TIME,      IN_READ | IN_UPDATE),
	COLUMN("waiting_for",  row.waiting_for,  TEXT,      IN_UPDATE),
	COLUMN("entries",      row.entries,      COUNT,     IN_READ | IN_UPDATE),
	COLUMN("body_retries", row.body_retries, COUNT,     IN_READ | IN_RARE),
	COLUMN("body_hash",    row.body_hash,    NONCE,     IN_READ | IN_UPDATE),
	COLUMN("drifted",      row.drifted,      MARK,      IN_READ | IN_RARE),
	COLUMN("cause",        row.cause,        CAUSE,     IN_READ | IN_RARE),
	COLUMN("result",       row.result,       JSONB,     IN_READ | IN_UPDATE),
	COLUMN("error",        row.error,        JSONB,     IN_READ | IN_RARE),
	COLUMN("stuck",        row.stuck,        JSONB,     IN_READ | IN_RARE),
	COLUMN("key_held",     row.state,        KEY_HELD,  IN_UPDATE),
	COLUMN("sql",          row.sql,          BOOL,      IN_UPDATE),
	COLUMN("deadline",     row.deadline,     TIME,      IN_READ | IN_RARE),
	COLUMN("held_since",   row.held_since,   TIME,      IN_READ | IN_RARE),
	COLUMN("held_us",      row.held_us,      NONCE,     IN_READ | IN_RARE),
	COLUMN("round",        row.round,        ROUND,     IN_READ | IN_ROUND),
	COLUMN("round_n",      row.round_n,      INT,       IN_READ | IN_ROUND),
	COLUMN("pivot_n",      row.pivot_n,      COUNT,     IN_READ | IN_ROUND),
};
/* clang-format on */

static const DfTable run_table = {run_columns, lengthof(run_columns)};

DfRun *
df_run_find(List *runs, const pg_uuid_t *id)
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

/* their ids as a uuid[] */
Datum
df_run_ids(List *runs)
{
	Datum *ids = palloc(sizeof(Datum) * Max(1, list_length(runs)));
	int n = 0;
	ListCell *lc;

	foreach (lc, runs)
		ids[n++] = UUIDPGetDatum(&((DfRun *) lfirst(lc))->id);
	return df_array(UUIDOID, ids, NULL, n);
}

/* ---- claiming ------------------------------------------------------------- */

/* stand behind the columns of the map */
#define BEHIND "r.version, r.xmin"
#define NBEHIND 2

static DfRun *
run_from_row(const DfPlan *plan, uint64 row, MemoryContext parent, List **versions)
{
	MemoryContext cxt = AllocSetContextCreate(parent, "dataflows run", ALLOCSET_DEFAULT_SIZES);
	DfRun *run = MemoryContextAllocZero(cxt, sizeof(DfRun));
	char *id;

	run->cxt = cxt;
	df_row_read(plan, row, run, cxt);
	*versions = lappend_int(*versions, df_int32(row, plan->ncolumns, 0));
	run->row_version = DatumGetTransactionId(df_value(row, plan->ncolumns + 1));
	id = df_uuid_text(&run->id);
	strlcpy(run->id_text, id, sizeof(run->id_text));
	run->engine.depth = -1;
	df_run_saved(run);
	return run;
}

static List *
runs_of_result(const DfPlan *plan, uint64 n, MemoryContext parent, List **versions)
{
	List *runs = NIL;

	*versions = NIL;
	for (uint64 i = 0; i < n; i++)
		runs = lappend(runs, run_from_row(plan, i, parent, versions));
	return runs;
}

/* it was abandoned at rest: the coordinator is about to end it */
#define NOT_ABANDONED(run) \
	" AND NOT EXISTS (SELECT FROM dataflows.inbox AS x" \
	"  WHERE x.run = " run " AND x.kind = 'abandon' AND x.state = 'new'" \
	"  AND x.payload IS NOT NULL)"

/* `sql` is spelt as a comparison: with it the index gives runs in the order of wake_at */
List *
df_claim_due(List *names, bool sql, int64 identity, int each, int limit,
			 MemoryContext parent, List **versions)
{
	/* clang-format off */
	static DfPlan plan = {
		"SELECT {r.*}, " BEHIND
		" FROM unnest($1) AS w (name),"
		"  LATERAL ("
		"   SELECT q.xmin, q.*"
		"   FROM dataflows.run AS q"
		"   WHERE q.workflow = w.name AND q.sql = $6 AND q.wake_at <= $2 AND q.lease IS NULL"
		"   AND q.identity = $3" NOT_ABANDONED("q.run")
		"   ORDER BY q.wake_at"
		"   LIMIT $4"
		"   FOR NO KEY UPDATE SKIP LOCKED) AS r"
		" LIMIT $5",
		SPI_OK_SELECT,
		DF_PARAMS(TEXTARRAYOID, TIMESTAMPTZOID, INT8OID, INT8OID, INT8OID, BOOLOID),
		DF_COLUMNS(run_table, IN_READ)};
	/* clang-format on */
	Datum values[6];

	values[0] = df_text_array(names);
	values[1] = TimestampTzGetDatum(df_now());
	values[2] = Int64GetDatum(identity);
	values[3] = Int64GetDatum(each);
	values[4] = Int64GetDatum(limit);
	values[5] = BoolGetDatum(sql);
	return runs_of_result(&plan, df_plan_run(&plan, values, NULL, 0), parent, versions);
}

List *
df_claim_runs(List *ids, int64 identity, MemoryContext parent, List **versions)
{
	/* clang-format off */
	static DfPlan plan = {
		"SELECT {r.*}, " BEHIND
		" FROM dataflows.run AS r"
		" WHERE r.run = ANY ($1) AND r.lease IS NULL"
		" AND r.identity = $2" NOT_ABANDONED("r.run")
		" FOR NO KEY UPDATE SKIP LOCKED",
		SPI_OK_SELECT,
		DF_PARAMS(UUIDARRAYOID, INT8OID),
		DF_COLUMNS(run_table, IN_READ)};
	/* clang-format on */
	Datum *uuids = palloc(sizeof(Datum) * Max(1, list_length(ids)));
	Datum values[2];
	int count = 0;
	ListCell *lc;

	foreach (lc, ids)
		uuids[count++] = UUIDPGetDatum((pg_uuid_t *) lfirst(lc));
	values[0] = df_array(UUIDOID, uuids, NULL, count);
	values[1] = Int64GetDatum(identity);
	return runs_of_result(&plan, df_plan_run(&plan, values, NULL, 0), parent, versions);
}

TimestampTz
df_next_due(List *names, bool sql, int64 identity)
{
	/* clang-format off */
	static DfPlan plan = {
		"SELECT min(d.wake_at)"
		" FROM unnest($1) AS w (name),"
		"  LATERAL ("
		"   SELECT q.wake_at"
		"   FROM dataflows.run AS q"
		"   WHERE q.workflow = w.name AND q.sql = $3 AND q.wake_at IS NOT NULL"
		"   AND q.lease IS NULL AND q.identity = $2" NOT_ABANDONED("q.run")
		"   ORDER BY q.wake_at"
		"   LIMIT 1) AS d",
		SPI_OK_SELECT,
		DF_PARAMS(TEXTARRAYOID, INT8OID, BOOLOID)};
	/* clang-format on */
	Datum values[3] = {df_text_array(names), Int64GetDatum(identity), BoolGetDatum(sql)};

	if (df_plan_run(&plan, values, NULL, 0) == 0)
		return DF_NEVER;
	return df_time(0, 0);
}

/* ---- runs that no worker has ---------------------------------------------- */

/* rows that a coordinator takes at once */
#define BATCH 500

/* the states from which the machine has an arrow for the event, as a text[] */
static Datum
states_with(DfRunEvent event)
{
	Datum names[DF_RUN_NSTATES];
	int n = 0;

	for (int state = 0; state < DF_RUN_NSTATES; state++)
		if (df_run_next(state, event) >= 0)
			names[n++] = CStringGetTextDatum(df_run_state_name(state));
	return df_array(TEXTOID, names, NULL, n);
}

/* of those that can get stuck: what is due, or what something has come for */
List *
df_claim_of_owner(Oid owner, const char *owner_name, int64 identity, bool inbox,
				  MemoryContext parent)
{
	static DfPlan due = {
		"SELECT {r.*}, " BEHIND
		" FROM dataflows.workflow AS w, dataflows.run AS r"
		" WHERE w.owner = $1 AND w.owner_name = $2"
		" AND r.workflow = w.name AND r.version = w.version"
		/* with `sql` compared the index run_due bounds wake_at */
		" AND r.sql = ANY ('{f,t}') AND r.wake_at IS NOT NULL AND r.wake_at <= $3"
		" AND r.lease IS NULL AND r.identity = $4 AND r.state = ANY ($5)"
		" LIMIT $6"
		" FOR NO KEY UPDATE OF r SKIP LOCKED",
		SPI_OK_SELECT,
		DF_PARAMS(OIDOID, TEXTOID, TIMESTAMPTZOID, INT8OID, TEXTARRAYOID, INT8OID),
		DF_COLUMNS(run_table, IN_READ)};
	static DfPlan asked = {
		"SELECT {r.*}, " BEHIND
		" FROM dataflows.workflow AS w, dataflows.run AS r"
		" WHERE w.owner = $1 AND w.owner_name = $2"
		" AND r.workflow = w.name AND r.version = w.version"
		" AND r.run = ANY (ARRAY("
		"  SELECT i.run FROM dataflows.inbox AS i"
		"  WHERE i.workflow = w.name AND i.state = 'new' AND i.sent_at <= $3))"
		" AND r.lease IS NULL AND r.identity = $4 AND r.state = ANY ($5)"
		" LIMIT $6"
		" FOR NO KEY UPDATE OF r SKIP LOCKED",
		SPI_OK_SELECT,
		DF_PARAMS(OIDOID, TEXTOID, TIMESTAMPTZOID, INT8OID, TEXTARRAYOID, INT8OID),
		DF_COLUMNS(run_table, IN_READ)};
	DfPlan *plan = inbox ? &asked : &due;
	Datum values[6];
	List *versions;

	values[0] = ObjectIdGetDatum(owner);
	values[1] = CStringGetTextDatum(owner_name);
	values[2] = TimestampTzGetDatum(df_now());
	values[3] = Int64GetDatum(identity);
	values[4] = states_with(DF_RUN_GET_STUCK);
	values[5] = Int64GetDatum(BATCH);
	return runs_of_result(plan, df_plan_run(plan, values, NULL, 0), parent, &versions);
}

/* the request: by whom, when and why */
static void
read_request(DfRun *run, uint64 row, int column)
{
	DfMessage *message = MemoryContextAllocZero(run->cxt, sizeof(DfMessage));
	MemoryContext old = MemoryContextSwitchTo(run->cxt);

	message->kind = DF_MESSAGE_ABANDON;
	message->sent_by = df_copy_text(run->cxt, row, column);
	message->sent_at = df_time(row, column + 1);
	message->note = df_copy_text(run->cxt, row, column + 2);
	run->engine.loaded_messages = list_make1(message);
	MemoryContextSwitchTo(old);
}

List *
df_claim_abandoned(Oid owner, MemoryContext parent)
{
	static DfPlan plan = {
		"SELECT {r.*}, " BEHIND ", i.sent_by, i.sent_at, i.note"
		" FROM dataflows.inbox AS i, dataflows.run AS r, dataflows.workflow AS w"
		" WHERE i.kind = 'abandon' AND i.state = 'new'"
		" AND r.run = i.run AND r.lease IS NULL AND r.state = ANY ($1)"
		" AND w.name = r.workflow AND w.version = r.version"
		/* the run was at rest when it was asked for, or has an owner who can have no worker */
		" AND (i.payload IS NOT NULL OR w.owner = $2)"
		" ORDER BY i.id LIMIT $3"
		" FOR NO KEY UPDATE OF r SKIP LOCKED",
		SPI_OK_SELECT,
		DF_PARAMS(TEXTARRAYOID, OIDOID, INT8OID),
		DF_COLUMNS(run_table, IN_READ)};
	Datum values[3] = {states_with(DF_RUN_ABANDON), ObjectIdGetDatum(owner), Int64GetDatum(BATCH)};
	uint64 n = df_plan_run(&plan, values, NULL, 0);
	List *runs = NIL;

	for (uint64 row = 0; row < n; row++)
	{
		pg_uuid_t id = df_copy_uuid(row, 0);
		List *version = NIL;
		DfRun *run;

		if (df_run_find(runs, &id) != NULL)
			continue; /* it was asked for twice */
		run = run_from_row(&plan, row, parent, &version);
		read_request(run, row, plan.ncolumns + NBEHIND);
		runs = lappend(runs, run);
	}
	return runs;
}

/* waits for locked rows, so that none is left out */
List *
df_claim_children(List *parents, MemoryContext parent)
{
	static DfPlan plan = {
		"SELECT {r.*}, " BEHIND
		" FROM dataflows.run AS r"
		" WHERE r.parent = ANY ($1) AND r.lease IS NULL AND r.state = ANY ($2)"
		" FOR NO KEY UPDATE",
		SPI_OK_SELECT,
		DF_PARAMS(UUIDARRAYOID, TEXTARRAYOID),
		DF_COLUMNS(run_table, IN_READ)};
	Datum values[2] = {df_run_ids(parents), states_with(DF_RUN_ABANDON)};
	List *versions;

	return runs_of_result(&plan, df_plan_run(&plan, values, NULL, 0), parent, &versions);
}

bool
df_claims_hold(List *runs)
{
	static DfPlan plan = {
		"SELECT FROM unnest($1, $2) AS u (run, row_version), dataflows.run AS r"
		" WHERE r.run = u.run AND r.lease IS NULL AND r.xmin = u.row_version"
		" FOR NO KEY UPDATE OF r",
		SPI_OK_SELECT,
		DF_PARAMS(UUIDARRAYOID, XIDARRAYOID)};
	Datum *ids = palloc(sizeof(Datum) * Max(1, list_length(runs)));
	Datum *versions = palloc(sizeof(Datum) * Max(1, list_length(runs)));
	Datum values[2];
	int n = 0;
	ListCell *lc;

	foreach (lc, runs)
	{
		DfRun *run = lfirst(lc);

		if (run->saved.lease != 0)
			continue;
		ids[n] = UUIDPGetDatum(&run->id);
		versions[n++] = TransactionIdGetDatum(run->row_version);
	}
	if (n == 0)
		return true;
	values[0] = df_array(UUIDOID, ids, NULL, n);
	values[1] = df_array(XIDOID, versions, NULL, n);
	return df_plan_run(&plan, values, NULL, 0) == n;
}

void
df_count_crash(const pg_uuid_t *run)
{
	static DfPlan plan = {
		"UPDATE dataflows.run AS r"
		" SET entries = coalesce(r.entries, 0) + 1"
		" FROM ("
		"  SELECT q.run FROM dataflows.run AS q"
		"  WHERE q.run = $1 AND q.state = ANY ($2)"
		"  FOR UPDATE NOWAIT) AS x"
		" WHERE r.run = x.run",
		SPI_OK_UPDATE,
		DF_PARAMS(UUIDOID, TEXTARRAYOID)};
	Datum values[2] = {UUIDPGetDatum(run), states_with(DF_RUN_GET_STUCK)};

	(void) df_plan_run(&plan, values, NULL, 0);
}

/* ---- runs that are only read ----------------------------------------------- */

/* the ids in the first column of the last result, in cxt */
static pg_uuid_t *
ids_of_result(uint64 rows, MemoryContext cxt, int *n)
{
	pg_uuid_t *ids = MemoryContextAllocHuge(cxt, sizeof(pg_uuid_t) * Max(1, rows));

	for (uint64 i = 0; i < rows; i++)
		ids[i] = df_copy_uuid(i, 0);
	*n = (int) rows;
	return ids;
}

pg_uuid_t *
df_live_run_ids(const char *workflow, MemoryContext cxt, int *n)
{
	/* clang-format off */
	static DfPlan plan = {
		"SELECT c.run FROM ("
		"  SELECT r.run FROM dataflows.run AS r"
		"  WHERE r.workflow = $1 AND r.wake_at IS NULL AND r.finished_at IS NULL"
		"  UNION ALL"
		/* with `sql` compared the index run_due is used in its order */
		"  SELECT r.run FROM dataflows.run AS r"
		"  WHERE r.workflow = $1 AND r.sql = ANY ('{f,t}') AND r.wake_at IS NOT NULL"
		"  AND r.finished_at IS NULL) AS c"
		" ORDER BY c.run",
		SPI_OK_SELECT,
		DF_PARAMS(TEXTOID)};
	/* clang-format on */
	Datum values[1] = {CStringGetTextDatum(workflow)};

	return ids_of_result(df_plan_run(&plan, values, NULL, 0), cxt, n);
}

pg_uuid_t *
df_completed_run_ids(const char *workflow, TimestampTz since, int limit, MemoryContext cxt, int *n)
{
	static DfPlan plan = {
		"SELECT r.run FROM dataflows.run AS r"
		" WHERE r.workflow = $1 AND r.started_at >= $2 AND r.state = $3 AND r.cause IS NULL"
		" AND r.error IS NULL" /* what it said was not forgotten */
		" ORDER BY r.started_at DESC, r.run DESC LIMIT $4",
		SPI_OK_SELECT,
		DF_PARAMS(TEXTOID, TIMESTAMPTZOID, TEXTOID, INT8OID)};
	Datum values[4] = {CStringGetTextDatum(workflow), TimestampTzGetDatum(since),
					   CStringGetTextDatum(df_run_state_name(DF_RUN_COMPLETED)),
					   Int64GetDatum(limit)};

	return ids_of_result(df_plan_run(&plan, values, NULL, 0), cxt, n);
}

/* a run that has ended is read as if it had not: its body can be entered once more */
List *
df_read_runs(const pg_uuid_t *ids, int n, bool ended, MemoryContext parent, List **versions)
{
	/* clang-format off */
	static DfPlan of_live = {
		"SELECT {r.*}, " BEHIND
		" FROM dataflows.run AS r"
		" WHERE r.run = ANY ($1)"
		" ORDER BY r.run",
		SPI_OK_SELECT,
		DF_PARAMS(UUIDARRAYOID),
		DF_COLUMNS(run_table, IN_READ)};
	static DfPlan of_ended = {
		"SELECT {r.*}, r.version, NULL::xid"
		" FROM dataflows.run AS q, LATERAL jsonb_populate_record(q,"
		"  '{\"state\": \"running\", \"finished_at\": null, \"result\": null}') AS r"
		" WHERE q.run = ANY ($1)"
		" ORDER BY q.run",
		SPI_OK_SELECT,
		DF_PARAMS(UUIDARRAYOID),
		DF_COLUMNS(run_table, IN_READ)};
	/* clang-format on */
	DfPlan *plan = ended ? &of_ended : &of_live;
	Datum *uuids = palloc(sizeof(Datum) * Max(1, n));
	Datum values[1];

	for (int i = 0; i < n; i++)
		uuids[i] = UUIDPGetDatum(&ids[i]);
	values[0] = df_array(UUIDOID, uuids, NULL, n);
	return runs_of_result(plan, df_plan_run(plan, values, NULL, 0), parent, versions);
}

/* ---- writing -------------------------------------------------------------- */

/* continue_with(): rare, one by one; the lease was checked with the rest of the row */
static void
update_rounds(List *runs)
{
	static DfPlan plan = {
		"UPDATE dataflows.run AS r SET {* = $} WHERE r.run = $1",
		SPI_OK_UPDATE,
		DF_PARAMS(UUIDOID),
		DF_COLUMNS(run_table, IN_ROUND)};
	ListCell *lc;

	foreach (lc, runs)
	{
		DfRun *run = lfirst(lc);
		Datum key[1] = {UUIDPGetDatum(&run->id)};

		if (run->row.round != run->saved.round)
			(void) df_row_run(&plan, key, run, NULL);
	}
}

static void
count_ended(List *runs)
{
	DfRunCounts counts = {NIL};
	ListCell *lc;

	foreach (lc, runs)
	{
		const DfRun *run = lfirst(lc);

		if (run->row.state == run->saved.state)
			continue;
		df_run_counts_add(&counts, run->workflow_name, run->row.state, 1);
		df_run_counts_add(&counts, run->workflow_name, run->saved.state, -1);
	}
	df_run_counts_write(&counts);
}

#define UPDATE_RUNS \
	"UPDATE dataflows.run AS r" \
	" SET {* = u.*}" \
	" FROM unnest({$[]}) AS u ({*})" \
	" WHERE r.run = u.run AND r.lease IS NOT DISTINCT FROM u.old_lease"

/* half the columns make half the work */
static DfPlan update_runs = {
	UPDATE_RUNS,
	SPI_OK_UPDATE,
	DF_NO_PARAMS,
	DF_COLUMNS(run_table, IN_KEY | IN_UPDATE)};

static DfPlan update_rare_runs = {
	UPDATE_RUNS,
	SPI_OK_UPDATE,
	DF_NO_PARAMS,
	DF_COLUMNS(run_table, IN_KEY | IN_UPDATE | IN_RARE)};

void
df_runs_update(List *runs)
{
	DfBatch ordinary;
	DfBatch rare;
	uint64 updated;
	ListCell *lc;

	df_batch_begin(&ordinary, &update_runs, list_length(runs));
	df_batch_begin(&rare, &update_rare_runs, list_length(runs));
	foreach (lc, runs)
		if (df_run_differs(lfirst(lc)))
			df_batch_add(df_run_rare_differs(lfirst(lc)) ? &rare : &ordinary, lfirst(lc), NULL);
	updated = df_batch_run(&ordinary, NULL) + df_batch_run(&rare, NULL);
	if (updated != ordinary.nrows + rare.nrows)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("a run is no longer held by this worker")));
	if (updated == 0)
		return;
	update_rounds(runs);
	count_ended(runs);
}

void
df_record_entry(DfRun *run, int64 lease)
{
	static DfPlan plan = {
		"UPDATE dataflows.run AS r"
		" SET entries = coalesce(r.entries, 0) + 1, lease = $2, wake_at = least(r.wake_at, $4)"
		" WHERE r.run = $1 AND r.lease IS NOT DISTINCT FROM $3",
		SPI_OK_UPDATE,
		DF_PARAMS(UUIDOID, INT8OID, INT8OID, TIMESTAMPTZOID)};
	Datum values[4] = {UUIDPGetDatum(&run->id), Int64GetDatum(lease),
					   Int64GetDatum(run->saved.lease), TimestampTzGetDatum(df_now())};

	if (df_plan_run(&plan, values, run->saved.lease == 0 ? "  n " : "    ", 0) != 1)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("run \"%s\" is no longer held by this worker", run->id_text)));
}

void
df_record_release(const DfRun *run, int64 lease)
{
	static DfPlan plan = {
		"UPDATE dataflows.run AS r"
		" SET lease = NULL, wake_at = $3"
		" WHERE r.run = $1 AND (r.lease = $2 OR ($4 AND r.lease IS NULL AND r.wake_at <= $3))",
		SPI_OK_UPDATE,
		DF_PARAMS(UUIDOID, INT8OID, TIMESTAMPTZOID, BOOLOID)};
	Datum values[4] = {UUIDPGetDatum(&run->id), Int64GetDatum(lease),
					   TimestampTzGetDatum(df_now() + 10 * USECS_PER_SEC),
					   BoolGetDatum(run->saved.lease == 0)};

	(void) df_plan_run(&plan, values, NULL, 0);
}
