/*
 * store/children.c
 *	  Statements between a run and those that it called.
 *
 * Runs in workers and sql workers, in the recording transaction, inside
 * df_store_enter/leave; df_run_depth() and df_child_read() inside bodies too.
 * A child is inserted once and is then a run like any other: nothing here may
 * update a run.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "flow/flow.h"
#include "shared/clock.h"
#include "shared/traceparent.h"
#include "store/children.h"
#include "store/columns.h"
#include "store/run_start.h"
#include "store/store.h"

/* how long an open transaction may keep all runs of this worker waiting */
#define KEY_WAIT "50ms"
/* and how often in one turn */
#define KEY_WAITS 4

static List *
oids_of_column(uint64 n, int column)
{
	List *oids = NIL;

	for (uint64 row = 0; row < n; row++)
		oids = list_append_unique_oid(oids, DatumGetObjectId(df_value(row, column)));
	return oids;
}

/* ---- new children --------------------------------------------------------- */

static DfNewChild *
find_child(List *children, const pg_uuid_t *id)
{
	ListCell *lc;

	foreach (lc, children)
		if (memcmp(&((DfNewChild *) lfirst(lc))->id, id, sizeof(*id)) == 0)
			return lfirst(lc);
	return NULL;
}

/* rows come back in the order of insertion, so that looking for each begins at the last */
static void
mark_inserted(List *children, uint64 n)
{
	ListCell *lc = list_head(children);

	for (uint64 row = 0; row < n; row++)
	{
		pg_uuid_t id = df_copy_uuid(row, 0);
		DfNewChild *child = NULL;

		while (lc != NULL && child == NULL)
		{
			child = lfirst(lc);
			lc = lnext(children, lc);
			if (memcmp(&child->id, &id, sizeof(id)) != 0)
				child = NULL;
		}
		if (child == NULL)
			child = find_child(children, &id);
		if (child == NULL)
			elog(ERROR, "a child run was inserted that no step called");
		child->inserted = true;
	}
}

static DfNewRun
run_of_child(const DfNewChild *child, const DfNewRun *common)
{
	DfNewRun run = *common;

	run.id = child->id;
	run.workflow = child->workflow;
	run.version = child->version;
	run.key = child->key;
	run.parent = &child->run->id;
	run.parent_n = child->step->n;
	run.input = child->input;
	run.traceparent = df_child_traceparent(child->run, child->step);
	return run;
}

List *
df_children_insert(List *children, int64 identity, const char *started_by)
{
	static DfPlan plan = {
		"WITH i AS ("
		"  INSERT INTO dataflows.run ({*})"
		"  SELECT *"
		"  FROM unnest({$[]})"
		"  ON CONFLICT (workflow, key)"
		"  WHERE key_held AND key IS NOT NULL DO NOTHING"
		"  RETURNING run, workflow, version)"
		" SELECT i.run, w.owner"
		" FROM i"
		" JOIN dataflows.workflow AS w ON w.name = i.workflow AND w.version = i.version",
		SPI_OK_SELECT,
		DF_NO_PARAMS,
		DF_COLUMNS(df_new_run_table, DF_IN_RUN)};
	DfNewRun common = {.identity = identity, .now = df_now(), .started_by = started_by};
	DfNewRun *rows = palloc(sizeof(DfNewRun) * Max(1, list_length(children)));
	DfBatch batch;
	uint64 n;
	int i = 0;
	ListCell *lc;

	df_batch_begin(&batch, &plan, list_length(children));
	foreach (lc, children)
	{
		rows[i] = run_of_child(lfirst(lc), &common);
		df_batch_add(&batch, &rows[i++], NULL);
	}
	n = df_batch_run(&batch, NULL);
	mark_inserted(children, n);
	return oids_of_column(n, 1);
}

static int
by_key(const ListCell *a, const ListCell *b)
{
	const DfNewChild *left = lfirst(a);
	const DfNewChild *right = lfirst(b);
	int order = strcmp(left->workflow, right->workflow);

	return order != 0 ? order : strcmp(left->key, right->key);
}

/* false: the wait for a key was given up, and nothing was inserted */
static bool
insert_or_give_up(List *children, int64 identity, const char *started_by, List **owners)
{
	MemoryContext cxt = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	List *volatile found = NIL;
	ErrorData *volatile error = NULL;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(cxt);
	PG_TRY();
	{
		int level = NewGUCNestLevel();

		(void) set_config_option("lock_timeout", KEY_WAIT, PGC_SUSET, PGC_S_SESSION,
								 GUC_ACTION_SAVE, true, 0, false);
		found = df_children_insert(children, identity, started_by);
		AtEOXact_GUC(false, level);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(cxt);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(cxt);
	CurrentResourceOwner = owner;
	if (error != NULL && error->sqlerrcode != ERRCODE_LOCK_NOT_AVAILABLE &&
		error->sqlerrcode != ERRCODE_T_R_DEADLOCK_DETECTED)
		ReThrowError(error);
	*owners = list_concat_unique_oid(*owners, found);
	return error == NULL;
}

/*
 * Normally no open transaction holds a key, and one statement does.  Otherwise the
 * batch is halved to find the row with that key, but not for long: what is left is
 * tried again in another turn.
 */
static void
insert_halves(List *children, int64 identity, const char *started_by, int *waits, List **owners)
{
	int n = list_length(children);
	ListCell *lc;

	if (*waits > 0)
	{
		if (insert_or_give_up(children, identity, started_by, owners))
			return;
		--*waits;
		if (n > 1)
		{
			insert_halves(list_truncate(list_copy(children), n / 2), identity, started_by, waits,
						  owners);
			insert_halves(list_copy_tail(children, n / 2), identity, started_by, waits, owners);
			return;
		}
	}
	foreach (lc, children)
		((DfNewChild *) lfirst(lc))->busy = true;
}

List *
df_children_insert_keyed(List **children, int64 identity, const char *started_by)
{
	List *owners = NIL;
	int waits = KEY_WAITS;

	/* two that insert in the order of keys do not wait for each other */
	list_sort(*children, by_key);
	insert_halves(*children, identity, started_by, &waits, &owners);
	return owners;
}

/* ---- messages ------------------------------------------------------------- */

#define COLUMN(column, field, form) DF_COLUMN(DfChildMessage, column, field, form, DF_IN_OTHER)

/* clang-format off */
static const DfColumn message_columns[] = {
	COLUMN("run",     run,     UUID),
	COLUMN("kind",    kind,    MESSAGE_KIND),
	COLUMN("payload", payload, JSONB),
	COLUMN("note",    note,    TEXT),
};
/* clang-format on */

static const DfTable message_table = {message_columns, lengthof(message_columns)};

List *
df_child_messages_insert(List *rows, const char *sent_by)
{
	static DfPlan plan = {
		"WITH t AS MATERIALIZED ("
		"  SELECT {u.*}, r.workflow, r.key, w.owner"
		"  FROM unnest({$[]}) AS u ({*})"
		"  JOIN dataflows.run AS r ON r.run = u.run"
		"  JOIN dataflows.workflow AS w ON w.name = r.workflow AND w.version = r.version),"
		"  i AS ("
		"   INSERT INTO dataflows.inbox ({*}, workflow, key, sent_by, sent_at)"
		"   SELECT {t.*}, t.workflow, t.key, $1, $2"
		"   FROM t)"
		" SELECT DISTINCT t.owner FROM t",
		SPI_OK_SELECT,
		DF_PARAMS(TEXTOID, TIMESTAMPTZOID),
		DF_COLUMNS(message_table, DF_IN_OTHER)};
	Datum own[2] = {CStringGetTextDatum(sent_by), TimestampTzGetDatum(df_now())};
	DfBatch batch;
	ListCell *lc;

	df_batch_begin(&batch, &plan, list_length(rows));
	foreach (lc, rows)
		df_batch_add(&batch, lfirst(lc), NULL);
	return oids_of_column(df_batch_run(&batch, own), 0);
}

/* ---- reading -------------------------------------------------------------- */

void
df_child_read(const pg_uuid_t *run, DfChildRun *child, MemoryContext cxt)
{
	static DfPlan plan = {
		"SELECT r.state, r.result, r.error, coalesce(r.error ? 'forgotten_at', false),"
		"  " DF_SEEN_COLUMNS
		" FROM dataflows.run AS r"
		" JOIN dataflows.workflow AS w ON w.name = r.workflow AND w.version = r.version"
		" WHERE r.run = $1",
		SPI_OK_SELECT,
		DF_PARAMS(UUIDOID)};
	Datum values[1] = {UUIDPGetDatum(run)};

	memset(child, 0, sizeof(*child));
	child->found = df_plan_run(&plan, values, NULL, 1) > 0;
	if (!child->found)
		return;
	child->state = (DfRunState) df_run_state_of(df_copy_text(cxt, 0, 0));
	child->result = df_copy_jsonb(cxt, 0, 1);
	child->error = df_copy_jsonb(cxt, 0, 2);
	child->forgotten = df_bool(0, 3, false);
	df_seen_run_read(&child->seen, 0, 4, cxt);
}

int
df_run_depth(const pg_uuid_t *run, const pg_uuid_t *other, bool *related)
{
	static DfPlan plan = {
		"WITH RECURSIVE up (run, parent) AS ("
		"  SELECT r.run, r.parent"
		"  FROM dataflows.run AS r"
		"  WHERE r.run = $1"
		"  UNION"
		"  SELECT r.run, r.parent"
		"  FROM up"
		"  JOIN dataflows.run AS r ON r.run = up.parent)"
		" SELECT count(*)::int - 1, coalesce(bool_or(up.run = $2), false)"
		" FROM up",
		SPI_OK_SELECT,
		DF_PARAMS(UUIDOID, UUIDOID)};
	Datum values[2] = {UUIDPGetDatum(run), UUIDPGetDatum(other)};

	(void) df_plan_run(&plan, values, other == NULL ? " n" : NULL, 1);
	*related = df_bool(0, 1, false);
	return df_int32(0, 0, 0);
}

/*
 * By calls, from run to run: a run ends only when all that it called have ended,
 * whether it asked for that or not.  Of the runs that are reached those are in a
 * circle that reach this one.
 */
bool
df_run_in_circle(const pg_uuid_t *run, const pg_uuid_t *called, pg_uuid_t *youngest)
{
	static DfPlan plan = {
		"WITH RECURSIVE reached (run) AS ("
		"  SELECT $2"
		"  UNION"
		"  SELECT (s.answer->>'run')::uuid"
		"  FROM reached r"
		"  JOIN dataflows.step AS s ON s.run = r.run"
		"  WHERE s.kind = 'call' AND s.state = 'waiting' AND s.answer IS NOT NULL),"
		"  called (run, other, attached) AS ("
		"   SELECT s.run, (s.answer->>'run')::uuid, s.answer ? 'attached'"
		"   FROM reached r"
		"   JOIN dataflows.step AS s ON s.run = r.run"
		"   WHERE s.kind = 'call' AND s.state = 'waiting' AND s.answer IS NOT NULL),"
		"  circle (run) AS ("
		"   SELECT $1"
		"   UNION"
		"   SELECT c.run"
		"   FROM circle r"
		"   JOIN called c ON c.other = r.run)"
		" SELECT c.run"
		" FROM called c"
		" JOIN circle r ON r.run = c.run"
		" JOIN circle o ON o.run = c.other"
		" WHERE c.attached"
		" ORDER BY c.run DESC"
		" LIMIT 1",
		SPI_OK_SELECT,
		DF_PARAMS(UUIDOID, UUIDOID)};
	Datum values[2] = {UUIDPGetDatum(run), UUIDPGetDatum(called)};

	if (df_plan_run(&plan, values, NULL, 1) == 0)
		return false;
	*youngest = df_copy_uuid(0, 0);
	return true;
}
