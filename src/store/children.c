/*
 * store/children.c
 *	  Statements between a run and those that it called.
 *
 * Runs in workers and sql workers, in the recording transaction, inside
 * df_store_enter/leave; df_run_depth() and df_child_look() inside bodies too.
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
#include "store/store.h"

/* how long somebody's open transaction may keep all runs of this worker waiting */
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
			elog(ERROR, "a child run was inserted that nobody called");
		child->inserted = true;
	}
}

List *
df_children_insert(List *children, int64 identity, const char *started_by)
{
	static DfPlan plan = {
		"WITH i AS (INSERT INTO dataflows.run (run, identity, started_at, wake_at, version, "
		"workflow, key, "
		" started_by, parent, parent_n, input, traceparent) "
		" SELECT u.run, $9, $10, $10, u.version, u.workflow, u.key, $11, u.parent, u.parent_n, "
		"u.input, u.traceparent "
		" FROM unnest($1, $2, $3, $4, $5, $6, $7, $8) AS u(run, version, workflow, key, parent, "
		"parent_n, input, traceparent) "
		" ON CONFLICT (workflow, key) WHERE key_held AND key IS NOT NULL DO NOTHING "
		" RETURNING run, workflow, version) "
		"SELECT i.run, w.owner FROM i JOIN dataflows.workflow w ON w.name = i.workflow AND "
		"w.version = i.version",
		SPI_OK_SELECT,
		11,
		{UUIDARRAYOID, INT4ARRAYOID, TEXTARRAYOID, TEXTARRAYOID, UUIDARRAYOID, INT4ARRAYOID,
		 JSONBARRAYOID, TEXTARRAYOID, INT8OID, TIMESTAMPTZOID, TEXTOID}};
	static const Oid types[8] = {UUIDOID, INT4OID, TEXTOID, TEXTOID,
								 UUIDOID, INT4OID, JSONBOID, TEXTOID};
	int count = list_length(children);
	Datum *columns[8];
	bool *no_key = palloc(sizeof(bool) * Max(1, count));
	bool *no_trace = palloc(sizeof(bool) * Max(1, count));
	Datum values[11];
	uint64 n;
	int i = 0;
	ListCell *lc;

	for (int c = 0; c < 8; c++)
		columns[c] = palloc(sizeof(Datum) * Max(1, count));
	foreach (lc, children)
	{
		DfNewChild *child = lfirst(lc);
		char *trace = df_child_traceparent(child->run, child->step);

		no_key[i] = child->key == NULL;
		no_trace[i] = trace == NULL;
		columns[0][i] = UUIDPGetDatum(&child->id);
		columns[1][i] = Int32GetDatum(child->version);
		columns[2][i] = CStringGetTextDatum(child->workflow);
		columns[3][i] = no_key[i] ? (Datum) 0 : CStringGetTextDatum(child->key);
		columns[4][i] = UUIDPGetDatum(&child->run->id);
		columns[5][i] = Int32GetDatum(child->step->n);
		columns[6][i] = JsonbPGetDatum(child->input);
		columns[7][i++] = trace == NULL ? (Datum) 0 : CStringGetTextDatum(trace);
	}
	for (int c = 0; c < 8; c++)
		values[c] = df_array(types[c], columns[c], c == 3 ? no_key : c == 7 ? no_trace
																			: NULL,
							 count);
	values[8] = Int64GetDatum(identity);
	values[9] = TimestampTzGetDatum(df_now());
	values[10] = CStringGetTextDatum(started_by);
	n = df_plan_run(&plan, values, NULL, 0);
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

/* false: a key was waited for in vain, and nothing was inserted */
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
 * Normally no key is in anybody's hands, and one statement does.  Else the half
 * that has the trouble is looked for, but not for long: what is left is tried
 * again in another turn.
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

List *
df_family_insert(List *rows, const char *sent_by)
{
	static DfPlan plan = {
		"WITH t AS MATERIALIZED (SELECT u.run, r.workflow, r.key, u.kind, u.payload, u.note, "
		"w.owner "
		" FROM unnest($1, $2, $3, $4) AS u(run, kind, payload, note) JOIN dataflows.run r ON r.run "
		"= u.run "
		" JOIN dataflows.workflow w ON w.name = r.workflow AND w.version = r.version), "
		"i AS (INSERT INTO dataflows.inbox (run, workflow, key, kind, payload, note, sent_by, "
		"sent_at) "
		" SELECT t.run, t.workflow, t.key, t.kind, t.payload, t.note, $5, $6 FROM t) "
		"SELECT DISTINCT t.owner FROM t",
		SPI_OK_SELECT,
		6,
		{UUIDARRAYOID, TEXTARRAYOID, JSONBARRAYOID, TEXTARRAYOID, TEXTOID, TIMESTAMPTZOID}};
	static const Oid types[4] = {UUIDOID, TEXTOID, JSONBOID, TEXTOID};
	int count = list_length(rows);
	Datum *columns[4];
	bool *nulls[4];
	Datum values[6];
	int i = 0;
	ListCell *lc;

	for (int c = 0; c < 4; c++)
	{
		columns[c] = palloc(sizeof(Datum) * Max(1, count));
		nulls[c] = palloc0(sizeof(bool) * Max(1, count));
	}
	foreach (lc, rows)
	{
		DfFamilyRow *row = lfirst(lc);

		columns[0][i] = UUIDPGetDatum(&row->run);
		columns[1][i] = CStringGetTextDatum(df_message_kind_name(row->kind));
		nulls[2][i] = row->payload == NULL;
		columns[2][i] = row->payload == NULL ? (Datum) 0 : JsonbPGetDatum(row->payload);
		nulls[3][i] = row->note == NULL;
		columns[3][i] = row->note == NULL ? (Datum) 0 : CStringGetTextDatum(row->note);
		i++;
	}
	for (int c = 0; c < 4; c++)
		values[c] = df_array(types[c], columns[c], nulls[c], count);
	values[4] = CStringGetTextDatum(sent_by);
	values[5] = TimestampTzGetDatum(df_now());
	return oids_of_column(df_plan_run(&plan, values, NULL, 0), 0);
}

/* ---- looks ---------------------------------------------------------------- */

void
df_child_look(const pg_uuid_t *run, DfChildLook *look, MemoryContext cxt)
{
	static DfPlan plan = {"SELECT r.state, r.result, r.error, coalesce(r.error ? 'forgotten_at', "
						  "false), r.started_by, w.owner, w.owner_name "
						  "FROM dataflows.run r JOIN dataflows.workflow w ON w.name = r.workflow "
						  "AND w.version = r.version "
						  "WHERE r.run = $1",
						  SPI_OK_SELECT,
						  1,
						  {UUIDOID}};
	Datum values[1] = {UUIDPGetDatum(run)};

	memset(look, 0, sizeof(*look));
	look->found = df_plan_run(&plan, values, NULL, 1) > 0;
	if (!look->found)
		return;
	look->state = (DfRunState) df_run_state_of(df_copy_text(cxt, 0, 0));
	look->result = df_copy_jsonb(cxt, 0, 1);
	look->error = df_copy_jsonb(cxt, 0, 2);
	look->forgotten = df_bool(0, 3, false);
	look->started_by = df_copy_text(cxt, 0, 4);
	look->owner = DatumGetObjectId(df_value(0, 5));
	look->owner_name = df_copy_text(cxt, 0, 6);
}

int
df_run_depth(const pg_uuid_t *run, const pg_uuid_t *other, bool *related)
{
	static DfPlan plan = {
		"WITH RECURSIVE up (run, parent) AS (SELECT r.run, r.parent FROM dataflows.run r WHERE "
		"r.run = $1 "
		" UNION SELECT r.run, r.parent FROM up JOIN dataflows.run r ON r.run = up.parent) "
		"SELECT count(*)::int - 1, coalesce(bool_or(up.run = $2), false) FROM up",
		SPI_OK_SELECT,
		2,
		{UUIDOID, UUIDOID}};
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
		"WITH RECURSIVE reached (run) AS (SELECT $2 UNION SELECT (s.answer->>'run')::uuid "
		" FROM reached r JOIN dataflows.step s ON s.run = r.run "
		" WHERE s.kind = 'call' AND s.state = 'waiting' AND s.answer IS NOT NULL), "
		"called (run, other, attached) AS (SELECT s.run, (s.answer->>'run')::uuid, s.answer ? "
		"'attached' "
		" FROM reached r JOIN dataflows.step s ON s.run = r.run "
		" WHERE s.kind = 'call' AND s.state = 'waiting' AND s.answer IS NOT NULL), "
		"circle (run) AS (SELECT $1 UNION SELECT c.run FROM circle r JOIN called c ON c.other = "
		"r.run) "
		"SELECT c.run FROM called c JOIN circle r ON r.run = c.run JOIN circle o ON o.run = "
		"c.other "
		"WHERE c.attached ORDER BY c.run DESC LIMIT 1",
		SPI_OK_SELECT,
		2,
		{UUIDOID, UUIDOID}};
	Datum values[2] = {UUIDPGetDatum(run), UUIDPGetDatum(called)};

	if (df_plan_run(&plan, values, NULL, 1) == 0)
		return false;
	*youngest = df_copy_uuid(0, 0);
	return true;
}
