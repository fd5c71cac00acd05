/*
 * store/inbox_read.c
 *	  How a worker reads the inbox, and writes what became of the rows.
 *
 * Runs in workers and sql workers, in their transaction, as the extension's
 * owner.  It must never read more of the inbox than is asked for: thousands of
 * signals may wait for a run.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "shared/clock.h"
#include "store/alias_table.h"
#include "store/columns.h"
#include "store/run_table.h"
#include "store/inbox_read.h"
#include "store/store.h"

/* ---- reading -------------------------------------------------------------- */

#define COLUMN(column, field, form) DF_COLUMN(DfMessage, column, field, form, DF_IN_READ)

/* clang-format off */
static const DfColumn message_columns[] = {
	COLUMN("id",           id,           INT8),
	COLUMN("kind",         kind,         MESSAGE_KIND),
	COLUMN("event",        event,        TEXT),
	COLUMN("payload",      payload,      JSONB),
	COLUMN("note",         note,         TEXT),
	COLUMN("sent_by",      sent_by,      TEXT),
	COLUMN("on_behalf_of", on_behalf_of, TEXT),
	COLUMN("sent_at",      sent_at,      TIME),
};
/* clang-format on */

static const DfTable message_table = {message_columns, lengthof(message_columns)};

/* rows of an event that a wait can have one of; with `by` it may have to read more */
#define EVENT_ROWS 1000

/* the run stands behind the columns of the message */
static void
keep_message(const DfPlan *plan, List *runs, uint64 row)
{
	pg_uuid_t id = df_copy_uuid(row, plan->ncolumns);
	DfRun *run = df_run_find(runs, &id);
	DfMessage *message;

	if (run == NULL)
		return;
	message = MemoryContextAllocZero(run->cxt, sizeof(DfMessage));
	df_row_read(plan, row, message, run->cxt);
	run->engine.loaded_messages = df_append(run->cxt, run->engine.loaded_messages, message);
}

/* the run's own, then those by its key, then those by its further keys */
void
df_load_signals(List *runs, List *wanted)
{
	/* clang-format off */
	static DfPlan plan = {
		"SELECT {i.*}, w.run"
		" FROM unnest($1, $2, $3, $4, $5) AS w (run, workflow, key, event, rows),"
		"  LATERAL ("
		"   (SELECT x.*"
		"    FROM dataflows.inbox AS x"
		"    WHERE x.run = w.run AND x.run IS NOT NULL AND x.state <> 'done'"
		"    AND x.kind = 'signal' AND x.event = w.event"
		"    ORDER BY x.id"
		"    LIMIT w.rows)"
		"   UNION ALL ("
		"    SELECT x.*"
		"    FROM dataflows.inbox AS x"
		"    WHERE x.workflow = w.workflow AND x.key = w.key AND x.run IS NULL"
		"    AND x.state <> 'done' AND x.event = w.event"
		"    ORDER BY x.id"
		"    LIMIT w.rows)"
		"   UNION ALL ("
		"    SELECT x.*"
		"    FROM dataflows.alias AS a"
		"    JOIN dataflows.inbox AS x ON x.workflow = a.workflow AND x.key = a.key"
		"     AND x.run IS NULL AND x.state <> 'done' AND x.event = w.event"
		"    WHERE a.run = w.run AND a.key IS DISTINCT FROM w.key"
		"    ORDER BY x.id"
		"    LIMIT w.rows)) AS i"
		" ORDER BY i.id",
		SPI_OK_SELECT,
		DF_PARAMS(UUIDARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID, INT4ARRAYOID),
		DF_COLUMNS(message_table, DF_IN_READ)};
	/* clang-format on */
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
	n = df_plan_run(&plan, values, NULL, 0);
	for (uint64 row = 0; row < n; row++)
		keep_message(&plan, runs, row);
}

void
df_load_cancels(DfRun *run)
{
	static DfPlan plan = {
		"SELECT {i.*}, i.run"
		" FROM dataflows.inbox AS i"
		" WHERE i.run = $1 AND i.run IS NOT NULL AND i.state <> 'done' AND i.kind = 'cancel'"
		" ORDER BY i.id",
		SPI_OK_SELECT,
		DF_PARAMS(UUIDOID),
		DF_COLUMNS(message_table, DF_IN_READ)};
	Datum values[1] = {UUIDPGetDatum(&run->id)};
	uint64 n = df_plan_run(&plan, values, NULL, 0);

	for (uint64 row = 0; row < n; row++)
		keep_message(&plan, list_make1(run), row);
}

/* as many of each workflow, so that a flood to one does not keep the others from being seen */
List *
df_load_new_inbox(List *names, int each, int64 *after, MemoryContext cxt)
{
	/* clang-format off */
	static DfPlan plan = {
		"SELECT {i.*}, coalesce(i.run, k.run),"
		"  coalesce(r.state, k.state) IN ('waiting', 'rolling_back'),"
		"  coalesce(r.lease, k.lease) IS NOT NULL, i.workflow"
		" FROM ("
		"  SELECT n.*"
		"  FROM unnest($1) AS w (name),"
		"   LATERAL ("
		"    SELECT *"
		"    FROM dataflows.inbox AS q"
		"    WHERE q.workflow = w.name AND q.state = 'new' AND q.id > $3"
		"    ORDER BY q.id"
		"    LIMIT $2) AS n) AS i"
		" LEFT JOIN dataflows.run AS r ON r.run = i.run"
		" LEFT JOIN LATERAL " DF_HOLDER_SQL("i.workflow", "i.key") " AS k ON i.run IS NULL"
		" ORDER BY i.workflow, i.id",
		SPI_OK_SELECT,
		DF_PARAMS(TEXTARRAYOID, INT8OID, INT8OID),
		DF_COLUMNS(message_table, DF_IN_READ)};
	/* clang-format on */
	Datum values[3] = {df_text_array(names), Int64GetDatum(each), Int64GetDatum(*after)};
	uint64 n = df_plan_run(&plan, values, NULL, 0);
	int behind = plan.ncolumns; /* those of the message */
	List *rows = NIL;
	char *workflow = "";
	int of_workflow = 0;

	*after = 0;
	for (uint64 i = 0; i < n; i++)
	{
		DfInboxRow *row = MemoryContextAllocZero(cxt, sizeof(DfInboxRow));
		char *its = df_copy_text(cxt, i, behind + 3);

		df_row_read(&plan, i, &row->message, cxt);
		row->has_run = !df_is_null(i, behind);
		row->run = df_copy_uuid(i, behind);
		row->waiting = df_bool(i, behind + 1, false);
		row->held = df_bool(i, behind + 2, false);
		of_workflow = strcmp(workflow, its) == 0 ? of_workflow + 1 : 1;
		workflow = its;
		/* of a workflow that has more, the next page begins behind the last one */
		if (of_workflow == each && (*after == 0 || row->message.id < *after))
			*after = row->message.id;
		rows = df_append(cxt, rows, row);
	}
	return rows;
}

List *
df_load_inbox_of(List *runs, MemoryContext cxt)
{
	static DfPlan plan = {
		"SELECT {i.*}, i.run"
		" FROM dataflows.inbox AS i"
		" WHERE i.run = ANY ($1) AND i.run IS NOT NULL AND i.state = 'new'"
		" ORDER BY i.id",
		SPI_OK_SELECT,
		DF_PARAMS(UUIDARRAYOID),
		DF_COLUMNS(message_table, DF_IN_READ)};
	Datum *ids = palloc(sizeof(Datum) * Max(1, list_length(runs)));
	Datum values[1];
	List *rows = NIL;
	uint64 n = 0;
	ListCell *lc;

	foreach (lc, runs)
		ids[n++] = UUIDPGetDatum((pg_uuid_t *) lfirst(lc));
	values[0] = df_array(UUIDOID, ids, NULL, n);
	n = df_plan_run(&plan, values, NULL, 0);
	for (uint64 i = 0; i < n; i++)
	{
		DfInboxRow *row = MemoryContextAllocZero(cxt, sizeof(DfInboxRow));

		df_row_read(&plan, i, &row->message, cxt);
		row->has_run = true;
		row->run = df_copy_uuid(i, plan.ncolumns);
		rows = df_append(cxt, rows, row);
	}
	return rows;
}

static int
compare_ids(const void *a, const void *b)
{
	int64 left = *(const int64 *) a;
	int64 right = *(const int64 *) b;

	return left < right ? -1 : left > right ? 1
											: 0;
}

List *
df_inbox_still_new(List *rows, MemoryContext cxt)
{
	static DfPlan plan = {
		"SELECT i.id FROM dataflows.inbox AS i"
		" WHERE i.id = ANY ($1) AND i.state = 'new'"
		" ORDER BY i.id",
		SPI_OK_SELECT,
		DF_PARAMS(INT8ARRAYOID)};
	Datum *ids = palloc(sizeof(Datum) * Max(1, list_length(rows)));
	int64 *found;
	Datum values[1];
	MemoryContext old;
	List *result = NIL;
	uint64 n = 0;
	ListCell *lc;

	foreach (lc, rows)
		ids[n++] = Int64GetDatum(((DfInboxRow *) lfirst(lc))->message.id);
	values[0] = df_array(INT8OID, ids, NULL, n);
	n = df_plan_run(&plan, values, NULL, 0);
	found = palloc(sizeof(int64) * Max(1, n));
	for (uint64 row = 0; row < n; row++)
		found[row] = DatumGetInt64(df_value(row, 0));
	old = MemoryContextSwitchTo(cxt);
	foreach (lc, rows)
		if (bsearch(&((DfInboxRow *) lfirst(lc))->message.id, found, n, sizeof(int64),
					compare_ids) != NULL)
			result = lappend(result, lfirst(lc));
	MemoryContextSwitchTo(old);
	return result;
}

/* ---- writing -------------------------------------------------------------- */

/* a row that was read, as it is written again; `run` where it was known by key only */
typedef struct ReadRow
{
	int64 id;
	const pg_uuid_t *run;
	int consumed_by;
} ReadRow;

/* clang-format off */
static const DfColumn read_columns[] = {
	DF_COLUMN(ReadRow, "id",          id,          INT8,     DF_IN_OTHER),
	DF_COLUMN(ReadRow, "run",         run,         UUID_REF, DF_IN_OTHER),
	DF_COLUMN(ReadRow, "consumed_by", consumed_by, COUNT,    DF_IN_OTHER),
};
/* clang-format on */

static const DfTable read_table = {read_columns, lengthof(read_columns)};

static DfPlan done_plan = {
	"UPDATE dataflows.inbox AS i"
	" SET state = 'done', run = u.run, consumed_by = u.consumed_by, consumed_at = $1,"
	"  payload = CASE WHEN i.kind <> 'child' THEN i.payload END"
	" FROM unnest({$[]}) AS u ({*})"
	" WHERE i.id = u.id AND i.state <> 'done'",
	SPI_OK_UPDATE,
	DF_PARAMS(TIMESTAMPTZOID),
	DF_COLUMNS(read_table, DF_IN_OTHER)};

#define KEEP \
	"UPDATE dataflows.inbox AS i" \
	" SET state = CASE WHEN i.kind = 'signal' THEN 'kept' ELSE 'done' END," \
	"  run = coalesce(i.run, u.run)" \
	" FROM unnest({$[]}) AS u ({*})"

/* clang-format off */
static DfPlan kept_plan = {
	KEEP " WHERE i.id = u.id AND i.state = 'new'",
	SPI_OK_UPDATE,
	DF_NO_PARAMS,
	DF_COLUMNS(read_table, DF_IN_OTHER)};
/* clang-format on */

/*
 * Another worker may have claimed the run meanwhile and begun to wait, after it
 * had read the inbox: such a row stays new, and that worker reads it because the
 * sender has woken all workers.  The lock does not conflict with locks that only
 * keep the run from being purged.  A row that another transaction has locked
 * (forget() does, until it ends) is passed over.
 */
/* clang-format off */
static DfPlan kept_at_rest_plan = {
	KEEP
	" LEFT JOIN LATERAL (SELECT r.run FROM dataflows.run AS r"
	"  WHERE r.run = u.run AND r.lease IS NULL"
	"  AND r.state <> 'waiting' AND r.state <> 'rolling_back'"
	"  FOR NO KEY UPDATE SKIP LOCKED) AS l ON true"
	" WHERE i.id = u.id AND i.state = 'new' AND (u.run IS NULL OR l.run IS NOT NULL)"
	" AND i.id = ANY (ARRAY(SELECT x.id FROM dataflows.inbox AS x"
	"  WHERE x.id = ANY ($1)" /* the ids, the first column */
	"  FOR UPDATE SKIP LOCKED))",
	SPI_OK_UPDATE,
	DF_NO_PARAMS,
	DF_COLUMNS(read_table, DF_IN_OTHER)};
/* clang-format on */

static void
add_row(DfBatch *batch, int64 id, const pg_uuid_t *run, int consumed_by)
{
	ReadRow row = {id, run, consumed_by};

	df_batch_add(batch, &row, NULL);
}

/*
 * Each message is consumed by one wait only: if a row is done already, another run
 * has it and this turn is wrong.
 */
static void
write_done(DfBatch *batch)
{
	Datum now[1] = {TimestampTzGetDatum(df_now())};

	if (df_batch_run(batch, now) != batch->nrows)
		elog(ERROR, "a message of the inbox was consumed by another run");
}

void
df_record_messages(List *runs)
{
	DfBatch done;
	DfBatch kept;
	int n = 0;
	ListCell *lc;
	ListCell *mc;

	foreach (lc, runs)
		n += list_length(((DfRun *) lfirst(lc))->messages);
	if (n == 0)
		return;
	df_batch_begin(&done, &done_plan, n);
	df_batch_begin(&kept, &kept_plan, n);
	foreach (lc, runs)
	{
		DfRun *run = lfirst(lc);

		foreach (mc, run->messages)
		{
			DfMessage *message = lfirst(mc);

			if (message->done)
				add_row(&done, message->id, &run->id, message->consumed_by);
			else if (message->is_new)
				add_row(&kept, message->id, &run->id, 0);
		}
	}
	write_done(&done);
	(void) df_batch_run(&kept, NULL);
}

void
df_record_kept(List *rows)
{
	DfBatch batch;
	ListCell *lc;

	df_batch_begin(&batch, &kept_at_rest_plan, list_length(rows));
	foreach (lc, rows)
	{
		DfInboxRow *row = lfirst(lc);

		add_row(&batch, row->message.id, row->has_run ? &row->run : NULL, 0);
	}
	(void) df_batch_run(&batch, NULL);
}

void
df_inbox_close(List *runs)
{
	static DfPlan plan = {
		"UPDATE dataflows.inbox AS i"
		" SET state = 'done', consumed_at = $2"
		" WHERE i.run = ANY ($1) AND i.run IS NOT NULL AND i.state <> 'done'",
		SPI_OK_UPDATE,
		DF_PARAMS(UUIDARRAYOID, TIMESTAMPTZOID)};
	Datum values[2] = {df_run_ids(runs), TimestampTzGetDatum(df_now())};

	(void) df_plan_run(&plan, values, NULL, 0);
}
