/*
 * store/purge.c
 *	  Statements of a coordinator's purge: ended runs, expired signals and tokens,
 *	  old deliveries and notes.
 *
 * Runs in a coordinator, in its transaction, as the extension's owner.  Every
 * statement is bounded and goes by an index, and none waits for a row that a
 * transaction has locked: such a transaction may stay open for hours, and a purge
 * can wait.  It must never touch a run that has not ended.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/instrument.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "shared/clock.h"
#include "shared/trouble.h"
#include "flow/flow.h"
#include "store/purge.h"
#include "store/run_count_table.h"
#include "store/store.h"
#include "store/subxact.h"
#include "types/base.h"

/* rows that one statement changes at most */
#define BATCH 500
#define BATCH_SQL "500"
/* batches of new inbox rows that a sweep searches for orphans */
#define ORPHAN_BATCHES 20
/* as deep as calls within calls go */
#define MAX_LEVELS 101
/*
 * how long one run is waited for of which a transaction has locked a part, and how many in a
 * batch
 */
#define LOCKED_WAIT "10ms"
#define MAX_LOCKED 20

/* from where on this sweep reads: what lies before was deleted or passed over */
static struct
{
	TimestampTz finished_at;
	pg_uuid_t run;
	TimestampTz began_at; /* when it last began with the oldest */
	int64 idle_pages; /* since then: pages that were read in vain */
	bool first; /* nothing was read since */
} ended;

static struct
{
	char workflow[DF_MAX_NAME + 1];
	int64 id;
	int batches;
} orphans;

/*
 * Each sweep begins with the oldest.  But where it has to go through many rows to
 * find one to delete (dead ones that an old snapshot keeps, children of
 * runs that live on), it goes on where the last one ended, and begins again once an
 * hour.
 */
#define SLOW_PAGES 50000
#define BEGIN_ANEW_MS (60 * 60 * 1000)
/* a run may be committed later than it says that it ended */
#define COMMIT_MS (10 * 60 * 1000)

void
df_purge_begin(TimestampTz now)
{
	orphans.batches = 0;
	if (ended.idle_pages > SLOW_PAGES &&
		!TimestampDifferenceExceeds(ended.began_at, now, BEGIN_ANEW_MS))
	{
		if (!TIMESTAMP_NOT_FINITE(ended.finished_at))
			ended.finished_at = TimestampTzPlusMilliseconds(ended.finished_at, -COMMIT_MS);
		return;
	}
	memset(&ended, 0, sizeof(ended));
	ended.finished_at = DT_NOBEGIN;
	ended.began_at = now;
	ended.first = true;
}

/* ---- signals, tokens, deliveries, notes ----------------------------------- */

static bool
delete_batch(DfPlan *plan, TimestampTz time)
{
	Datum values[1];

	values[0] = TimestampTzGetDatum(time);
	return df_plan_run(plan, values, NULL, 0) == BATCH;
}

/* signals by key whose run never came */
bool
df_purge_signals(TimestampTz now)
{
	/* clang-format off */
	static DfPlan plan = {
		"DELETE FROM dataflows.inbox AS i"
		" WHERE i.id = ANY (ARRAY("
		"   SELECT k.id"
		"   FROM dataflows.inbox AS k"
		"   WHERE k.run IS NULL AND k.state = 'kept' AND k.expires_at <= $1"
		"   LIMIT " BATCH_SQL
		"   FOR UPDATE SKIP LOCKED))",
		SPI_OK_DELETE,
		DF_PARAMS(TIMESTAMPTZOID)};
	/* clang-format on */

	return delete_batch(&plan, now);
}

bool
df_purge_page_tokens(TimestampTz now)
{
	/* clang-format off */
	static DfPlan plan = {
		"DELETE FROM dataflows.page_token AS t"
		" WHERE t.hash = ANY (ARRAY("
		"   SELECT k.hash"
		"   FROM dataflows.page_token AS k"
		"   WHERE k.expires_at <= $1"
		"   LIMIT " BATCH_SQL
		"   FOR UPDATE SKIP LOCKED))",
		SPI_OK_DELETE,
		DF_PARAMS(TIMESTAMPTZOID)};
	/* clang-format on */

	return delete_batch(&plan, now);
}

/* of user mappings that are gone, or have another token; no server keeps one that long unused */
bool
df_purge_refresh_tokens(TimestampTz now)
{
	/* clang-format off */
	static DfPlan plan = {
		"DELETE FROM dataflows.refresh_token AS t"
		" WHERE t.family = ANY (ARRAY("
		"   SELECT k.family"
		"   FROM dataflows.refresh_token AS k"
		"   WHERE k.refreshed_at < $1 - interval '400 days'"
		"   LIMIT " BATCH_SQL
		"   FOR UPDATE SKIP LOCKED))",
		SPI_OK_DELETE,
		DF_PARAMS(TIMESTAMPTZOID)};
	/* clang-format on */

	return delete_batch(&plan, now);
}

/* the rows of pause() and resume(): they belong to no run with which they would be deleted */
bool
df_purge_notes(TimestampTz before)
{
	/* clang-format off */
	static DfPlan plan = {
		"DELETE FROM dataflows.inbox AS i"
		" WHERE i.id = ANY (ARRAY("
		"   SELECT k.id"
		"   FROM dataflows.inbox AS k"
		"   WHERE k.run IS NULL AND k.state = 'done' AND k.consumed_at < $1"
		"   LIMIT " BATCH_SQL
		"   FOR UPDATE SKIP LOCKED))",
		SPI_OK_DELETE,
		DF_PARAMS(TIMESTAMPTZOID)};
	/* clang-format on */

	return delete_batch(&plan, before);
}

bool
df_purge_deliveries(TimestampTz before)
{
	/* clang-format off */
	static DfPlan plan = {
		"DELETE FROM dataflows.webhook_delivery AS d"
		" WHERE d.id = ANY (ARRAY("
		"   SELECT k.id"
		"   FROM dataflows.webhook_delivery AS k"
		"   WHERE k.at < $1"
		"   ORDER BY k.at"
		"   LIMIT " BATCH_SQL
		"   FOR UPDATE SKIP LOCKED))",
		SPI_OK_DELETE,
		DF_PARAMS(TIMESTAMPTZOID)};
	/* clang-format on */

	return delete_batch(&plan, before);
}

/* ---- requests for runs that have been purged ------------------------------ */

/* the next new rows, in the order of the index; n = how many were read */
static int
read_orphans(Datum *ids, uint64 *n)
{
	/* clang-format off */
	static DfPlan plan = {
		"SELECT k.workflow, k.id,"
		"  NOT EXISTS (SELECT FROM dataflows.run AS r WHERE r.run = k.run)"
		" FROM dataflows.inbox AS k"
		" WHERE k.state = 'new' AND k.run IS NOT NULL AND (k.workflow, k.id) > ($1, $2)"
		" ORDER BY k.workflow, k.id"
		" LIMIT " BATCH_SQL,
		SPI_OK_SELECT,
		DF_PARAMS(TEXTOID, INT8OID)};
	/* clang-format on */
	Datum values[2];
	int found = 0;

	values[0] = CStringGetTextDatum(orphans.workflow);
	values[1] = Int64GetDatum(orphans.id);
	*n = df_plan_run(&plan, values, NULL, 0);
	for (uint64 row = 0; row < *n; row++)
		if (df_bool(row, 2, false))
			ids[found++] = df_value(row, 1);
	if (*n > 0)
	{
		strlcpy(orphans.workflow, df_copy_text(CurrentMemoryContext, *n - 1, 0),
				sizeof(orphans.workflow));
		orphans.id = df_int64(*n - 1, 1, 0);
	}
	return found;
}

/* so many rows in each sweep, around and around */
bool
df_purge_orphans(TimestampTz now)
{
	static DfPlan plan = {
		"DELETE FROM dataflows.inbox AS i"
		" WHERE i.id = ANY (ARRAY("
		"   SELECT k.id"
		"   FROM dataflows.inbox AS k"
		"   WHERE k.id = ANY ($1)"
		"   FOR UPDATE SKIP LOCKED))",
		SPI_OK_DELETE,
		DF_PARAMS(INT8ARRAYOID)};
	Datum ids[BATCH];
	Datum values[1];
	uint64 n;
	int found = read_orphans(ids, &n);

	if (found > 0)
	{
		values[0] = df_array(INT8OID, ids, NULL, found);
		(void) df_plan_run(&plan, values, NULL, 0);
	}
	if (n == BATCH)
		return ++orphans.batches < ORPHAN_BATCHES;
	orphans.workflow[0] = '\0';
	orphans.id = 0;
	return false;
}

/* ---- ended runs ----------------------------------------------------------- */

typedef struct Purge
{
	TimestampTz before;
	const Datum *runs;
	int n;
	const char *lock_wait; /* NULL = as usual */
	int deleted;
} Purge;

/*
 * The next runs that ended before that time.  A child whose parent stays is left
 * out, since the parent may still have to undo it: it is deleted with the parent.
 * Returns how many were read; those that may go are put into runs.
 */
static uint64
read_ended(TimestampTz before, Datum *runs, int *found)
{
	/* clang-format off */
	static DfPlan plan = {
		"SELECT r.run, r.finished_at,"
		"  EXISTS ("
		"   SELECT FROM dataflows.run AS p"
		"   WHERE p.run = r.parent AND (p.finished_at IS NULL OR p.finished_at >= $3))"
		" FROM dataflows.run AS r"
		" WHERE r.finished_at IS NOT NULL AND r.finished_at < $3"
		" AND (r.finished_at, r.run) > ($1, $2)"
		" ORDER BY r.finished_at, r.run"
		" LIMIT " BATCH_SQL,
		SPI_OK_SELECT,
		DF_PARAMS(TIMESTAMPTZOID, UUIDOID, TIMESTAMPTZOID)};
	/* clang-format on */
	Datum values[3];
	uint64 n;

	values[0] = TimestampTzGetDatum(ended.finished_at);
	values[1] = UUIDPGetDatum(&ended.run);
	values[2] = TimestampTzGetDatum(before);
	n = df_plan_run(&plan, values, NULL, 0);
	*found = 0;
	for (uint64 row = 0; row < n; row++)
		if (!df_bool(row, 2, false))
			runs[(*found)++] = df_value(row, 0);
	return n;
}

static int
read_children(const Datum *parents, int n, TimestampTz before, Datum *children)
{
	/* clang-format off */
	static DfPlan plan = {
		"SELECT r.run"
		" FROM dataflows.run AS r"
		" WHERE r.parent = ANY ($1) AND r.finished_at < $2"
		" LIMIT " BATCH_SQL,
		SPI_OK_SELECT,
		DF_PARAMS(UUIDARRAYOID, TIMESTAMPTZOID)};
	/* clang-format on */
	Datum values[2];
	uint64 found;

	values[0] = df_array(UUIDOID, (Datum *) parents, NULL, n);
	values[1] = TimestampTzGetDatum(before);
	found = df_plan_run(&plan, values, NULL, 0);
	for (uint64 row = 0; row < found; row++)
		children[row] = df_value(row, 0);
	return (int) found;
}

/* of these runs those that no transaction has locked and whose children are deleted */
static Datum
lock_runs(const Purge *purge, DfRunCounts *counts, int *n)
{
	static DfPlan plan = {
		"SELECT r.run, r.workflow, r.state"
		" FROM dataflows.run AS r"
		" WHERE r.run = ANY ($1) AND r.finished_at < $2"
		" AND NOT EXISTS ("
		"  SELECT FROM dataflows.run AS c"
		"  WHERE c.parent = r.run AND c.finished_at < $2)"
		" FOR UPDATE OF r SKIP LOCKED",
		SPI_OK_SELECT,
		DF_PARAMS(UUIDARRAYOID, TIMESTAMPTZOID)};
	Datum values[2];
	Datum runs[BATCH];

	values[0] = df_array(UUIDOID, (Datum *) purge->runs, NULL, purge->n);
	values[1] = TimestampTzGetDatum(purge->before);
	*n = (int) df_plan_run(&plan, values, NULL, 0);
	for (int row = 0; row < *n; row++)
	{
		runs[row] = df_value(row, 0);
		df_run_counts_add(counts, TextDatumGetCString(df_value(row, 1)),
						  (DfRunState) df_run_state_of(TextDatumGetCString(df_value(row, 2))), -1);
	}
	return df_array(UUIDOID, runs, NULL, *n);
}

/* all of a run or nothing of it */
static void
delete_runs(void *arg)
{
	/* clang-format off */
	static DfPlan plans[] = {
		{"DELETE FROM dataflows.alias AS x WHERE x.run = ANY ($1)",
		 SPI_OK_DELETE, DF_PARAMS(UUIDARRAYOID)},
		{"DELETE FROM dataflows.attempt AS x WHERE x.run = ANY ($1)",
		 SPI_OK_DELETE, DF_PARAMS(UUIDARRAYOID)},
		{"DELETE FROM dataflows.step AS x WHERE x.run = ANY ($1)",
		 SPI_OK_DELETE, DF_PARAMS(UUIDARRAYOID)},
		{"DELETE FROM dataflows.inbox AS x WHERE x.run = ANY ($1) AND x.run IS NOT NULL",
		 SPI_OK_DELETE, DF_PARAMS(UUIDARRAYOID)},
		{"DELETE FROM dataflows.run AS x WHERE x.run = ANY ($1)",
		 SPI_OK_DELETE, DF_PARAMS(UUIDARRAYOID)},
	};
	/* clang-format on */
	Purge *purge = arg;
	DfRunCounts counts = {NIL};
	Datum values[1];
	int n;
	int level = NewGUCNestLevel();

	if (purge->lock_wait != NULL)
		(void) set_config_option("lock_timeout", purge->lock_wait, PGC_SUSET, PGC_S_SESSION,
								 GUC_ACTION_SAVE, true, 0, false);
	values[0] = lock_runs(purge, &counts, &n);
	for (int i = 0; n > 0 && i < lengthof(plans); i++)
		(void) df_plan_run(&plans[i], values, NULL, 0);
	df_run_counts_write(&counts);
	AtEOXact_GUC(false, level);
	purge->deleted += n;
}

/* false: a lock was in the way, and nothing was deleted */
static bool
try_delete(Purge *purge)
{
	int before = purge->deleted;
	ErrorData *error;

	if (df_subxact(delete_runs, purge, true, &error))
		return true;
	purge->deleted = before;
	if (!df_error_is_lock(error->sqlerrcode))
		ReThrowError(error);
	return false;
}

/* if a step is locked, say: the other runs are deleted, its run in a later sweep */
static void
delete_level(Purge *purge)
{
	Purge one = *purge;
	int locked = 0;

	if (purge->n == 0 || try_delete(purge))
		return;
	one.n = 1;
	one.lock_wait = LOCKED_WAIT;
	for (int i = 0; i < purge->n && locked < MAX_LOCKED; i++)
	{
		one.runs = &purge->runs[i];
		if (!try_delete(&one))
			locked++;
	}
	purge->deleted = one.deleted;
}

/*
 * Children go before their parent, so that none is left behind.  False: one run
 * has more of them than a batch, and the same runs are to be read again.
 */
static bool
delete_families(TimestampTz before, const Datum *runs, int n, int *deleted)
{
	Datum *levels[MAX_LEVELS];
	int counts[MAX_LEVELS];
	int depth = 1;
	bool whole = true;
	Purge purge = {before};

	levels[0] = (Datum *) runs;
	counts[0] = n;
	while (depth < MAX_LEVELS)
	{
		levels[depth] = palloc(sizeof(Datum) * BATCH);
		counts[depth] = read_children(levels[depth - 1], counts[depth - 1], before, levels[depth]);
		if (counts[depth] == 0)
			break;
		whole &= counts[depth] < BATCH;
		depth++;
	}
	while (depth-- > 0)
	{
		purge.runs = levels[depth];
		purge.n = counts[depth];
		delete_level(&purge);
	}
	*deleted = purge.deleted;
	return whole || purge.deleted == 0;
}

static int64
pages_read(void)
{
	return pgBufferUsage.shared_blks_hit + pgBufferUsage.shared_blks_read;
}

bool
df_purge_runs(TimestampTz before)
{
	int64 began = pages_read();
	Datum runs[BATCH];
	int found;
	int deleted = 0;
	uint64 n = read_ended(before, runs, &found);
	int64 pages = pages_read() - began;
	bool whole = true;
	TimestampTz last_at = n > 0 ? df_time(n - 1, 1) : DF_NEVER;
	pg_uuid_t last = {{0}};

	if (n > 0)
		last = df_copy_uuid(n - 1, 0);
	if (found > 0)
		whole = delete_families(before, runs, found, &deleted);
	if (ended.first || deleted == 0)
		ended.idle_pages += pages;
	ended.first = false;
	if (n > 0 && whole)
	{
		ended.finished_at = last_at;
		ended.run = last;
	}
	return n == BATCH || !whole;
}
