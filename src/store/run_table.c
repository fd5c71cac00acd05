/*
 * store/run_table.c
 *	  Statements on dataflows.run, for the worker that holds the runs.
 *
 * Runs in workers and sql workers, in their transaction, as the extension's
 * owner.  Claiming locks a run's row for this transaction; the lease is written
 * with whatever else becomes of the run.  An update is guarded by the lease that
 * the row had: who lost it must never write anything.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "flow/flow.h"
#include "shared/clock.h"
#include "store/columns.h"
#include "store/run_table.h"

/* ---- columns -------------------------------------------------------------- */

#define IN_KEY DF_IN_KEY
#define IN_READ DF_IN_READ
#define IN_UPDATE (DF_IN_OTHER << 0)
#define IN_ROUND (DF_IN_OTHER << 1) /* changed by continue_with() only */

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
	COLUMN("body_retries", row.body_retries, COUNT,     IN_READ | IN_UPDATE),
	COLUMN("body_hash",    row.body_hash,    NONCE,     IN_READ | IN_UPDATE),
	COLUMN("drifted",      row.drifted,      MARK,      IN_READ | IN_UPDATE),
	COLUMN("cause",        row.cause,        CAUSE,     IN_READ | IN_UPDATE),
	COLUMN("result",       row.result,       JSONB,     IN_READ | IN_UPDATE),
	COLUMN("error",        row.error,        JSONB,     IN_READ | IN_UPDATE),
	COLUMN("stuck",        row.stuck,        JSONB,     IN_READ | IN_UPDATE),
	COLUMN("key_held",     row.state,        KEY_HELD,  IN_UPDATE),
	COLUMN("sql",          row.sql,          BOOL,      IN_UPDATE),
	COLUMN("deadline",     row.deadline,     TIME,      IN_READ | IN_UPDATE),
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

/* ---- claiming ------------------------------------------------------------- */

/* the version stands behind the columns of the map */
static DfRun *
run_from_row(const DfPlan *plan, uint64 row, MemoryContext parent, List **versions)
{
	MemoryContext cxt = AllocSetContextCreate(parent, "dataflows run", ALLOCSET_DEFAULT_SIZES);
	DfRun *run = MemoryContextAllocZero(cxt, sizeof(DfRun));
	char *id;

	run->cxt = cxt;
	df_row_read(plan, row, run, cxt);
	*versions = lappend_int(*versions, df_int32(row, plan->ncolumns, 0));
	id = DatumGetCString(DirectFunctionCall1(uuid_out, UUIDPGetDatum(&run->id)));
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

/* somebody has abandoned it while it rested: the coordinator is about to end it */
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
		"SELECT {r.*}, r.version"
		" FROM unnest($1) AS w (name), LATERAL ("
		"  SELECT * FROM dataflows.run AS q"
		"  WHERE q.workflow = w.name AND q.sql = $6 AND q.wake_at <= $2"
		"  AND q.lease IS NULL AND q.identity = $3" NOT_ABANDONED("q.run")
		"  ORDER BY q.wake_at LIMIT $4"
		"  FOR NO KEY UPDATE SKIP LOCKED) AS r"
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
		"SELECT {r.*}, r.version"
		" FROM dataflows.run AS r"
		" WHERE r.run = ANY ($1) AND r.lease IS NULL AND r.identity = $2" NOT_ABANDONED("r.run")
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
		" FROM unnest($1) AS w (name), LATERAL ("
		"  SELECT q.wake_at FROM dataflows.run AS q"
		"  WHERE q.workflow = w.name AND q.sql = $3 AND q.wake_at IS NOT NULL"
		"  AND q.lease IS NULL AND q.identity = $2" NOT_ABANDONED("q.run")
		"  ORDER BY q.wake_at LIMIT 1) AS d",
		SPI_OK_SELECT,
		DF_PARAMS(TEXTARRAYOID, INT8OID, BOOLOID)};
	/* clang-format on */
	Datum values[3] = {df_text_array(names), Int64GetDatum(identity), BoolGetDatum(sql)};

	if (df_plan_run(&plan, values, NULL, 0) == 0)
		return DF_NEVER;
	return df_time(0, 0);
}

/* ---- writing -------------------------------------------------------------- */

/* continue_with(): rare, one by one; the lease was looked at with the rest of the row */
static void
update_rounds(List *runs)
{
	static DfPlan plan = {
		"UPDATE dataflows.run AS r SET {* = $}"
		" WHERE r.run = $1",
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

void
df_runs_update(List *runs)
{
	static DfPlan plan = {
		"UPDATE dataflows.run AS r SET {* = u.*}"
		" FROM unnest({$[]}) AS u ({*})"
		" WHERE r.run = u.run AND r.lease IS NOT DISTINCT FROM u.old_lease",
		SPI_OK_UPDATE,
		DF_NO_PARAMS,
		DF_COLUMNS(run_table, IN_KEY | IN_UPDATE)};
	DfBatch batch;
	ListCell *lc;

	df_batch_begin(&batch, &plan, list_length(runs));
	foreach (lc, runs)
		if (df_run_differs(lfirst(lc)))
			df_batch_add(&batch, lfirst(lc), NULL);
	if (df_batch_run(&batch, NULL) != batch.nrows)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("a run is no longer held by this worker")));
	if (batch.nrows > 0)
		update_rounds(runs);
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
		"UPDATE dataflows.run AS r SET lease = NULL, wake_at = $3"
		" WHERE r.run = $1"
		" AND (r.lease = $2 OR ($4 AND r.lease IS NULL AND r.wake_at <= $3))",
		SPI_OK_UPDATE,
		DF_PARAMS(UUIDOID, INT8OID, TIMESTAMPTZOID, BOOLOID)};
	Datum values[4] = {UUIDPGetDatum(&run->id), Int64GetDatum(lease),
					   TimestampTzGetDatum(df_now() + 10 * USECS_PER_SEC),
					   BoolGetDatum(run->saved.lease == 0)};

	(void) df_plan_run(&plan, values, NULL, 0);
}
