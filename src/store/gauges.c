/*
 * store/gauges.c
 *	  What is counted from the tables: runs by state, how late the engine and its purge are,
 *	  what needs a person, how large the tables are.
 *
 * Runs in the ingress process and in sessions that read them, in their transaction,
 * as the extension's owner.  All of it goes by partial indexes that hold what is
 * live, and each count stops at a limit: a monitor that asks every few seconds
 * must never cost more because much has ended or waits.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/guc.h"
#include "utils/timestamp.h"

#include "store/gauges.h"
#include "store/store.h"

#define CAP 100000
#define CAP_SQL "100000"

/* the partial indexes, whatever the statistics say */
static void
by_index(void)
{
	(void) set_config_option("enable_seqscan", "off", PGC_SUSET, PGC_S_SESSION, GUC_ACTION_SAVE,
							 true, 0, false);
}

static List *
add(List *gauges, DfGauge gauge, MemoryContext cxt)
{
	MemoryContext old = MemoryContextSwitchTo(cxt);
	DfGauge *copy = palloc(sizeof(DfGauge));

	*copy = gauge;
	gauges = lappend(gauges, copy);
	MemoryContextSwitchTo(old);
	return gauges;
}

/* rows of workflow, state or NULL, number */
static List *
add_counts(List *gauges, DfGaugeKind kind, uint64 rows, bool *capped, MemoryContext cxt)
{
	int64 all = 0;

	for (uint64 row = 0; row < rows; row++)
	{
		DfGauge gauge = {kind, df_copy_text(cxt, row, 0), df_copy_text(cxt, row, 1),
						 df_int64(row, 2, 0)};

		all += df_int64(row, 2, 0);
		gauges = add(gauges, gauge, cxt);
	}
	*capped |= all >= CAP;
	return gauges;
}

static List *
read_runs(List *gauges, bool *capped, MemoryContext cxt)
{
	/* clang-format off */
	static DfPlan plan = {
		"SELECT l.workflow, l.state, count(*)"
		" FROM ("
		"  (SELECT r.workflow, r.state"
		"   FROM dataflows.run AS r"
		"   WHERE r.wake_at IS NOT NULL"
		"   LIMIT " CAP_SQL ")"
		"  UNION ALL ("
		"   SELECT r.workflow, r.state"
		"   FROM dataflows.run AS r"
		"   WHERE r.wake_at IS NULL AND r.finished_at IS NULL"
		"   LIMIT " CAP_SQL ")) AS l"
		" GROUP BY l.workflow, l.state"
		" ORDER BY l.workflow, l.state",
		SPI_OK_SELECT, 0};
	/* clang-format on */

	return add_counts(gauges, DF_GAUGE_RUNS, df_plan_run(&plan, NULL, NULL, 0), capped, cxt);
}

static List *
read_inbox(List *gauges, bool *capped, MemoryContext cxt)
{
	/* clang-format off */
	static DfPlan plan = {
		"SELECT l.workflow, NULL::text, count(*)"
		" FROM ("
		"  SELECT i.workflow"
		"  FROM dataflows.inbox AS i"
		"  WHERE i.state = 'new'"
		"  LIMIT " CAP_SQL ") AS l"
		" GROUP BY l.workflow"
		" ORDER BY l.workflow",
		SPI_OK_SELECT, 0};
	/* clang-format on */

	return add_counts(gauges, DF_GAUGE_INBOX, df_plan_run(&plan, NULL, NULL, 0), capped, cxt);
}

static List *
read_pending_undo(List *gauges, bool *capped, MemoryContext cxt)
{
	/* clang-format off */
	static DfPlan plan = {
		"SELECT l.workflow, NULL::text, count(*)"
		" FROM ("
		"  SELECT ("
		"   SELECT r.workflow"
		"   FROM dataflows.run AS r"
		"   WHERE r.run = s.run AND r.finished_at IS NULL) AS workflow"
		"  FROM dataflows.step AS s"
		"  WHERE s.undo_state = 'undo_failed'"
		"  LIMIT " CAP_SQL ") AS l"
		" WHERE l.workflow IS NOT NULL"
		" GROUP BY l.workflow"
		" ORDER BY l.workflow",
		SPI_OK_SELECT, 0};
	/* clang-format on */

	return add_counts(gauges, DF_GAUGE_PENDING_UNDO, df_plan_run(&plan, NULL, NULL, 0), capped,
					  cxt);
}

/* what is paused, or of another identity, is not late */
static List *
read_due(List *gauges, TimestampTz now, int64 identity, MemoryContext cxt)
{
	/* clang-format off */
	static DfPlan plan = {
		"SELECT g.name, d.n, extract(epoch FROM $1 - d.oldest)::float8"
		" FROM (SELECT DISTINCT w.name FROM dataflows.workflow AS w WHERE NOT w.paused) AS g,"
		"  LATERAL ("
		"   SELECT count(*) AS n, min(q.wake_at) AS oldest"
		"   FROM ("
		"    SELECT r.wake_at"
		"    FROM dataflows.run AS r"
		"    WHERE r.workflow = g.name AND r.sql = ANY ('{f,t}') AND r.wake_at IS NOT NULL"
		"    AND r.wake_at <= $1 AND r.lease IS NULL AND r.identity = $2"
		"    LIMIT " CAP_SQL ") AS q) AS d"
		" WHERE d.n > 0"
		" ORDER BY g.name",
		SPI_OK_SELECT,
		DF_PARAMS(TIMESTAMPTZOID, INT8OID)};
	/* clang-format on */
	Datum values[2] = {TimestampTzGetDatum(now), Int64GetDatum(identity)};
	uint64 rows = df_plan_run(&plan, values, NULL, 0);

	for (uint64 row = 0; row < rows; row++)
	{
		DfGauge due = {DF_GAUGE_DUE, df_copy_text(cxt, row, 0), NULL, df_int64(row, 1, 0)};

		gauges = add(gauges, due, cxt);
	}
	for (uint64 row = 0; row < rows; row++)
	{
		DfGauge oldest = {DF_GAUGE_OLDEST_DUE, df_copy_text(cxt, row, 0), NULL,
						  DatumGetFloat8(df_value(row, 2))};

		gauges = add(gauges, oldest, cxt);
	}
	return gauges;
}

/*
 * How far the purge is.  A child stays as long as its parent: where the oldest are all
 * children, nothing is said.
 */
static List *
read_oldest_ended(List *gauges, TimestampTz now, MemoryContext cxt)
{
	/* clang-format off */
	static DfPlan plan = {
		"SELECT extract(epoch FROM $1 - o.finished_at)::float8"
		" FROM ("
		"  SELECT r.finished_at, r.parent"
		"  FROM dataflows.run AS r"
		"  WHERE r.finished_at IS NOT NULL"
		"  ORDER BY r.finished_at, r.run"
		"  LIMIT 1000) AS o"
		" WHERE o.parent IS NULL"
		" ORDER BY o.finished_at"
		" LIMIT 1",
		SPI_OK_SELECT, DF_PARAMS(TIMESTAMPTZOID)};
	/* clang-format on */
	Datum values[1] = {TimestampTzGetDatum(now)};
	DfGauge oldest = {DF_GAUGE_OLDEST_ENDED, NULL, NULL, 0};

	if (df_plan_run(&plan, values, NULL, 0) > 0)
		oldest.value = Max(0, DatumGetFloat8(df_value(0, 0)));
	return add(gauges, oldest, cxt);
}

static List *
read_table_bytes(List *gauges, MemoryContext cxt)
{
	/* clang-format off */
	static DfPlan plan = {
		"SELECT t.name, pg_total_relation_size("
		"  ('dataflows.' || t.name)::regclass)"
		" FROM unnest('{run,step,attempt,inbox}'::text[]) AS t (name)",
		SPI_OK_SELECT, 0};
	/* clang-format on */
	uint64 rows = df_plan_run(&plan, NULL, NULL, 0);

	for (uint64 row = 0; row < rows; row++)
	{
		DfGauge bytes = {DF_GAUGE_TABLE_BYTES, df_copy_text(cxt, row, 0), NULL,
						 df_int64(row, 1, 0)};

		gauges = add(gauges, bytes, cxt);
	}
	return gauges;
}

List *
df_gauges_read(TimestampTz now, int64 identity, MemoryContext cxt)
{
	List *gauges = NIL;
	bool is_capped = false;
	DfGauge capped = {DF_GAUGE_CAPPED, NULL, NULL, 0};

	by_index();
	gauges = read_runs(gauges, &is_capped, cxt);
	gauges = read_due(gauges, now, identity, cxt);
	gauges = read_inbox(gauges, &is_capped, cxt);
	gauges = read_pending_undo(gauges, &is_capped, cxt);
	gauges = read_oldest_ended(gauges, now, cxt);
	gauges = read_table_bytes(gauges, cxt);
	capped.value = is_capped;
	return add(gauges, capped, cxt);
}

List *
df_workflow_owners(MemoryContext cxt)
{
	static DfPlan plan = {
		"SELECT DISTINCT w.name, w.owner, w.owner_name"
		" FROM dataflows.workflow AS w",
		SPI_OK_SELECT, 0};
	uint64 rows = df_plan_run(&plan, NULL, NULL, 0);
	List *owners = NIL;

	for (uint64 row = 0; row < rows; row++)
	{
		MemoryContext old = MemoryContextSwitchTo(cxt);
		DfWorkflowOwner *owner = palloc(sizeof(DfWorkflowOwner));

		owners = lappend(owners, owner);
		MemoryContextSwitchTo(old);
		owner->workflow = df_copy_text(cxt, row, 0);
		owner->owner = DatumGetObjectId(df_value(row, 1));
		owner->owner_name = df_copy_text(cxt, row, 2);
	}
	return owners;
}
