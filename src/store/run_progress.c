/*
 * store/run_progress.c
 *	  What await() and status() read.
 *
 * Runs in user sessions, in the caller's transaction, as the extension's owner.
 * It must never write or lock anything.  Whether the caller may see what is read
 * is checked afterwards.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "flow/flow.h"
#include "store/run_progress.h"
#include "store/store.h"

/*
 * A run that waits for an event moves all the same if something has come for
 * it that the engine has not read yet; so does one that is stuck or completed,
 * if there is an operator request for it.  A sleeping run moves by itself.
 */
bool
df_run_progress(const pg_uuid_t *run, DfRunProgress *progress, MemoryContext cxt)
{
	static DfPlan plan = {
		"SELECT r.state,"
		"  CASE WHEN r.state = 'waiting'"
		"   THEN EXISTS ("
		"    SELECT FROM dataflows.step AS s"
		"    WHERE s.run = r.run AND s.kind = 'wait' AND s.state = 'waiting')"
		"   ELSE true END,"
		"  EXISTS ("
		"   SELECT FROM dataflows.inbox AS i"
		"   WHERE i.run = r.run AND i.run IS NOT NULL AND i.state = 'new'"
		"   AND (i.kind <> 'signal' OR r.state = 'waiting'))"
		"  OR (r.state = 'waiting' AND EXISTS ("
		"   SELECT FROM dataflows.inbox AS i"
		"   WHERE i.workflow = r.workflow AND i.key = r.key AND i.run IS NULL"
		"   AND i.state <> 'done' AND i.state = 'new')),"
		"  r.xmin, " DF_SEEN_COLUMNS
		" FROM dataflows.run AS r"
		" LEFT JOIN dataflows.workflow AS w ON (w.name = r.workflow AND w.version = r.version)"
		" WHERE r.run = $1",
		SPI_OK_SELECT,
		DF_PARAMS(UUIDOID)};
	Datum values[1];
	int state;
	bool ended;
	bool at_rest;

	values[0] = UUIDPGetDatum(run);
	if (df_plan_run_latest(&plan, values, NULL, 1) == 0)
		return false;
	progress->state = df_copy_text(cxt, 0, 0);
	state = df_run_state_of(progress->state);
	ended = state == DF_RUN_STUCK || (state >= 0 && df_run_is_terminal((DfRunState) state));
	at_rest = ended || (state == DF_RUN_WAITING && df_bool(0, 1, false));
	progress->ended = ended && !df_bool(0, 2, false);
	progress->settled = at_rest && !df_bool(0, 2, false);
	progress->xmin = DatumGetTransactionId(df_value(0, 3));
	df_seen_run_read(&progress->seen, 0, 4, cxt);
	return true;
}

int64
df_count_live_runs(void)
{
	static DfPlan plan = {
		"SELECT"
		"  (SELECT count(*) FROM dataflows.run AS r"
		"   WHERE r.wake_at IS NOT NULL AND r.finished_at IS NULL)"
		"  + (SELECT count(*) FROM dataflows.run AS r"
		"   WHERE r.wake_at IS NULL AND r.finished_at IS NULL)",
		SPI_OK_SELECT, 0};

	(void) df_plan_run_latest(&plan, NULL, NULL, 0);
	return df_int64(0, 0, 0);
}

List *
df_owners_read(int64 identity, MemoryContext cxt)
{
	static DfPlan plan = {
		"SELECT g.owner, g.owner_name, count(*)::int4,"
		"  count(*) FILTER (WHERE g.paused)::int4, min(d.wake_at),"
		"  coalesce(bool_or(n.found), false)"
		" FROM ("
		"  SELECT w.name, w.owner, w.owner_name, bool_or(w.paused) AS paused"
		"  FROM dataflows.workflow AS w"
		"  WHERE NOT w.dropped"
		"  GROUP BY w.name, w.owner, w.owner_name) AS g"
		" LEFT JOIN LATERAL ("
		"  SELECT min(e.wake_at) AS wake_at"
		"  FROM (VALUES (false), (true)) AS k (sql),"
		"   LATERAL ("
		"    SELECT r.wake_at"
		"    FROM dataflows.run AS r"
		"    WHERE r.workflow = g.name AND r.sql = k.sql AND r.wake_at IS NOT NULL"
		"    AND r.lease IS NULL AND r.identity = $1"
		"    ORDER BY r.wake_at"
		"    LIMIT 1) AS e) AS d ON true"
		" LEFT JOIN LATERAL ("
		"  SELECT true AS found"
		"  FROM dataflows.inbox AS i"
		"  WHERE i.workflow = g.name AND i.state = 'new'"
		"  LIMIT 1) AS n ON true"
		" GROUP BY g.owner, g.owner_name"
		" ORDER BY g.owner_name, g.owner",
		SPI_OK_SELECT,
		DF_PARAMS(INT8OID)};
	Datum values[1];
	uint64 n;
	List *result = NIL;

	values[0] = Int64GetDatum(identity);
	n = df_plan_run_latest(&plan, values, NULL, 0);
	for (uint64 row = 0; row < n; row++)
	{
		DfOwnerWork *work = MemoryContextAlloc(cxt, sizeof(DfOwnerWork));

		work->owner = DatumGetObjectId(df_value(row, 0));
		work->name = df_copy_text(cxt, row, 1);
		work->workflows = df_int32(row, 2, 0);
		work->paused = df_int32(row, 3, 0);
		work->wake_at = df_time(row, 4);
		work->inbox = df_bool(row, 5, false);
		result = df_append(cxt, result, work);
	}
	return result;
}
