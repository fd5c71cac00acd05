/*
 * store/pause_log.c
 *	  For how long a workflow was paused, which pause() and resume() have left in the inbox,
 *	  or the children of a run were held.
 *
 * Runs in a worker, in its transaction, as the extension's owner, only when the time of
 * a step or of a run would have passed.  There are few such rows, and indexes have them.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"

#include "store/columns.h"
#include "store/pause_log.h"
#include "store/store.h"
#include "types/base.h"

/* one of the two that can be paused */
typedef struct Pausing
{
	bool known;
	bool paused;
} Pausing;

/* reads the rows in the order in which they were written */
static uint64
read_log(const char *workflow)
{
	static DfPlan plan = {
		"SELECT i.kind = 'pause', i.workflow = '', i.consumed_at"
		" FROM dataflows.inbox AS i"
		" WHERE i.run IS NULL AND i.state = 'done' AND i.consumed_at IS NOT NULL"
		" AND i.kind = ANY ('{pause,resume}') AND i.workflow = ANY (ARRAY[$1, ''])"
		" ORDER BY i.consumed_at, i.id",
		SPI_OK_SELECT,
		DF_PARAMS(TEXTOID)};
	Datum values[1] = {CStringGetTextDatum(workflow)};

	return df_plan_run(&plan, values, NULL, 0);
}

/* what it was before the first row that is left of it */
static void
find_beginning(uint64 n, Pausing *of)
{
	for (uint64 row = 0; row < n; row++)
	{
		Pausing *one = &of[df_bool(row, 1, false)];

		if (!one->known)
			one->paused = !df_bool(row, 0, false);
		one->known = true;
	}
}

int64
df_paused_us(const char *workflow, TimestampTz since, TimestampTz until)
{
	uint64 n = read_log(workflow);
	Pausing of[2] = {{false, false}, {false, false}}; /* the workflow, the database */
	TimestampTz before = since;
	int64 total = 0;

	find_beginning(n, of);
	for (uint64 row = 0; row <= n; row++)
	{
		TimestampTz at = row < n ? Min(Max(df_time(row, 2), since), until) : until;

		if (of[0].paused || of[1].paused)
			total += Max(0, at - before);
		before = Max(before, at);
		if (row < n)
			of[df_bool(row, 1, false)].paused = df_bool(row, 0, false);
	}
	return total;
}

int64
df_children_held_us(const pg_uuid_t *run, TimestampTz now, bool *now_held)
{
	static DfPlan plan = {
		"WITH RECURSIVE family AS ("
		"  SELECT r.run, r.held_us, r.held_since"
		"  FROM dataflows.run AS r"
		"  WHERE r.parent = $1 AND r.parent IS NOT NULL"
		"  UNION"
		"  SELECT r.run, r.held_us, r.held_since"
		"  FROM family AS f"
		"  JOIN dataflows.run AS r ON r.parent = f.run AND r.parent IS NOT NULL)"
		" SELECT f.held_us, f.held_since"
		" FROM family AS f"
		" WHERE f.held_us IS NOT NULL OR f.held_since IS NOT NULL",
		SPI_OK_SELECT,
		DF_PARAMS(UUIDOID)};
	Datum values[1] = {UUIDPGetDatum(run)};
	uint64 n = df_plan_run(&plan, values, NULL, 0);
	int64 total = 0;

	*now_held = false;
	for (uint64 row = 0; row < n; row++)
	{
		TimestampTz since = df_time(row, 1);
		int64 present = since != DF_NEVER ? Max(0, now - since) : 0;

		*now_held |= since != DF_NEVER;
		total += df_int64(row, 0, 0) + present;
	}
	return total;
}
