/*
 * store/due.c
 *	  Statements of the coordinator: who has something due, whose lease is void.
 *
 * Runs in a coordinator, in its transaction, as the extension's owner.  It
 * must never evaluate anything of a user's, nor wait for rows that a transaction has
 * locked, and no statement here may take longer because runs have finished or
 * wait: all go by partial indexes.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "shared/clock.h"
#include "store/due.h"
#include "store/identity.h"

/* ---- what is due ---------------------------------------------------------- */

static DfDueOwner *
copy_due_owner(MemoryContext cxt, uint64 row)
{
	DfDueOwner *due = MemoryContextAlloc(cxt, sizeof(DfDueOwner));

	due->owner = DatumGetObjectId(df_value(row, 0));
	due->name = df_copy_text(cxt, row, 1);
	due->wake_at = df_time(row, 2);
	due->inbox = df_bool(row, 3, false);
	return due;
}

/*
 * A row per owner.  The versions of a workflow normally have one owner, so the
 * first due run that is read is also the one that is wanted.
 */
List *
df_due_owners(bool sql, MemoryContext cxt)
{
	static DfPlan plan = {
		"SELECT g.owner, g.owner_name, min(d.wake_at), bool_or(n.found)"
		" FROM ("
		"  SELECT w.name, w.owner, w.owner_name, array_agg(w.version) AS versions"
		"  FROM dataflows.workflow AS w"
		"  WHERE NOT w.paused"
		"  GROUP BY w.name, w.owner, w.owner_name) AS g"
		" LEFT JOIN LATERAL ("
		"  SELECT r.wake_at"
		"  FROM dataflows.run AS r"
		"  WHERE r.workflow = g.name AND r.sql = $2 AND r.version = ANY (g.versions)"
		"  AND r.wake_at IS NOT NULL AND r.lease IS NULL AND r.identity = $1"
		"  ORDER BY r.wake_at"
		"  LIMIT 1) AS d ON true"
		" LEFT JOIN LATERAL ("
		"  SELECT true AS found"
		"  FROM dataflows.inbox AS i"
		"  LEFT JOIN dataflows.run AS r ON r.run = i.run"
		"  WHERE NOT $2 AND i.workflow = g.name AND i.state = 'new'"
		"  AND (i.run IS NULL OR (r.version = ANY (g.versions) AND r.identity = $1))"
		"  LIMIT 1) AS n ON true"
		" WHERE d.wake_at IS NOT NULL OR n.found"
		" GROUP BY g.owner, g.owner_name"
		" ORDER BY min(d.wake_at) NULLS LAST",
		SPI_OK_SELECT,
		DF_PARAMS(INT8OID, BOOLOID)};
	Datum values[2];
	uint64 n;
	List *result = NIL;

	values[0] = Int64GetDatum(df_identity_hash());
	values[1] = BoolGetDatum(sql);
	n = df_plan_run(&plan, values, NULL, 0);
	for (uint64 row = 0; row < n; row++)
	{
		DfDueOwner *due = copy_due_owner(cxt, row);

		due->sql = sql;
		result = df_append(cxt, result, due);
	}
	return result;
}

/* ---- leases --------------------------------------------------------------- */

/* that `sql` has any value is written as a comparison: with it the index run_due bounds wake_at */

/* the leases of runs that were due by then; a leased run keeps its wake_at */
static uint64
read_leases(TimestampTz up_to)
{
	static DfPlan plan = {
		"SELECT DISTINCT l.lease"
		" FROM (SELECT DISTINCT w.name FROM dataflows.workflow AS w) AS g, LATERAL ("
		"  SELECT r.lease"
		"  FROM dataflows.run AS r"
		"  WHERE r.workflow = g.name AND r.sql = ANY ('{f,t}')"
		"  AND r.wake_at IS NOT NULL AND r.wake_at <= $1 AND r.lease IS NOT NULL) AS l",
		SPI_OK_SELECT,
		DF_PARAMS(TIMESTAMPTZOID)};
	Datum values[1];

	values[0] = TimestampTzGetDatum(up_to);
	return df_plan_run(&plan, values, NULL, 0);
}

/* but for rows that a transaction has locked */
static void
void_leases(Datum *leases, int n, TimestampTz up_to)
{
	static DfPlan plan = {
		"UPDATE dataflows.run AS u"
		" SET lease = NULL, wake_at = $3"
		" WHERE u.run = ANY (ARRAY("
		"  SELECT r.run"
		"  FROM (SELECT DISTINCT w.name FROM dataflows.workflow AS w) AS g, dataflows.run AS r"
		"  WHERE r.workflow = g.name AND r.sql = ANY ('{f,t}')"
		"  AND r.wake_at IS NOT NULL AND r.wake_at <= $2 AND r.lease = ANY ($1)"
		"  FOR NO KEY UPDATE OF r SKIP LOCKED))",
		SPI_OK_UPDATE,
		DF_PARAMS(INT8ARRAYOID, TIMESTAMPTZOID, TIMESTAMPTZOID)};
	Datum values[3];

	values[0] = df_array(INT8OID, leases, NULL, n);
	values[1] = TimestampTzGetDatum(up_to);
	values[2] = TimestampTzGetDatum(df_now());
	(void) df_plan_run(&plan, values, NULL, 0);
}

static int
find_dead(TimestampTz up_to, bool (*is_alive)(int64 lease), Datum **dead)
{
	uint64 n = read_leases(up_to);
	int n_dead = 0;

	*dead = palloc(sizeof(Datum) * (n + 1));
	for (uint64 row = 0; row < n; row++)
	{
		int64 lease = df_int64(row, 0, 0);

		if (!is_alive(lease))
			(*dead)[n_dead++] = Int64GetDatum(lease);
	}
	return n_dead;
}

bool
df_return_leases(TimestampTz up_to, bool (*is_alive)(int64 lease))
{
	Datum *dead;
	int n = find_dead(up_to, is_alive, &dead);

	if (n == 0)
		return true;
	void_leases(dead, n, up_to);
	return find_dead(up_to, is_alive, &dead) == 0;
}

bool
df_give_back_lease(int64 lease)
{
	Datum value = Int64GetDatum(lease);
	TimestampTz now = df_now();
	uint64 n;

	void_leases(&value, 1, now);
	n = read_leases(now);
	for (uint64 row = 0; row < n; row++)
		if (df_int64(row, 0, 0) == lease)
			return false;
	return true;
}
