/*
 * store/forget_run.c
 *	  Statements that erase what the ended runs of one key held.
 *
 * Runs in a user's session, in its transaction, as the extension's owner.  With
 * adopt() it is the one place outside of the engine that changes runs and
 * steps.  It locks them first, touches none that has not ended, and never
 * changes a state.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "flow/flow.h"
#include "shared/uuid.h"
#include "store/forget_run.h"
#include "store/store.h"

/*
 * By both partial indexes on the key, and from run to restarted run: a restart
 * has the input of the old run also where the key was no longer free for it.
 * And from parent to child, whose input is the parent's: but only of workflows
 * of the same owner, for no role erases runs of another owner.
 */
#define RUNS_OF_KEY \
	"WITH RECURSIVE f (run) AS (" \
	"  (SELECT a.run FROM dataflows.run AS a" \
	"   WHERE a.workflow = $1 AND a.key = $2 AND a.key_held AND a.key IS NOT NULL" \
	"   UNION ALL" \
	"   SELECT b.run FROM dataflows.run AS b" \
	"   WHERE b.workflow = $1 AND b.key = $2 AND NOT b.key_held AND b.key IS NOT NULL)" \
	"  UNION" \
	"  SELECT c.run FROM f, dataflows.run AS c" \
	"  WHERE c.restarted_from = f.run" \
	"  OR (c.parent = f.run AND EXISTS (" \
	"   SELECT FROM dataflows.workflow AS w" \
	"   WHERE w.name = c.workflow AND w.version = c.version AND w.owner = $3)))"

void
df_forget_find(const DfForget *forget, DfForgetRuns *runs, MemoryContext cxt)
{
	/* clang-format off */
	static DfPlan plan = {
		RUNS_OF_KEY
		" SELECT r.run, r.state"
		" FROM dataflows.run AS r"
		" WHERE r.run = ANY (ARRAY(SELECT f.run FROM f))"
		" ORDER BY r.run"
		" FOR UPDATE",
		SPI_OK_SELECT,
		DF_PARAMS(TEXTOID, TEXTOID, OIDOID)};
	/* clang-format on */
	Datum values[3];
	uint64 n;

	values[0] = CStringGetTextDatum(forget->workflow);
	values[1] = CStringGetTextDatum(forget->key);
	values[2] = ObjectIdGetDatum(forget->owner);
	n = df_plan_run(&plan, values, NULL, 0);
	memset(runs, 0, sizeof(*runs));
	runs->ids = MemoryContextAlloc(cxt, Max(n, 1) * sizeof(Datum));
	for (uint64 row = 0; row < n; row++)
	{
		pg_uuid_t *id = MemoryContextAlloc(cxt, sizeof(pg_uuid_t));
		char *state = df_copy_text(cxt, row, 1);

		*id = df_copy_uuid(row, 0);
		runs->ids[runs->n++] = UUIDPGetDatum(id);
		if (df_run_is_terminal((DfRunState) df_run_state_of(state)))
			continue;
		runs->live = MemoryContextStrdup(
			cxt, df_uuid_text(id));
		runs->live_state = state;
	}
}

char *
df_forget_asked(const DfForgetRuns *runs, MemoryContext cxt)
{
	static DfPlan plan = {
		"SELECT i.kind"
		" FROM dataflows.inbox AS i"
		" WHERE i.run = ANY ($1) AND i.run IS NOT NULL AND i.state = 'new'"
		" AND i.kind <> 'signal' AND i.kind <> 'child'"
		" ORDER BY i.id",
		SPI_OK_SELECT,
		DF_PARAMS(UUIDARRAYOID)};
	Datum values[1];

	values[0] = df_array(UUIDOID, runs->ids, NULL, runs->n);
	if (df_plan_run(&plan, values, NULL, 1) == 0)
		return NULL;
	return df_copy_text(cxt, 0, 0);
}

#define FORGOTTEN "'{\"message\": \"forgotten\"}'::jsonb"

/*
 * the statements on rows that hang on the runs; what identifies a step in the record keeps its
 * method only
 */
static void
erase_parts(const DfForget *forget, Datum runs)
{
	/* clang-format off */
	static DfPlan plans[] = {
		{"UPDATE dataflows.step AS s"
		 " SET request = CASE WHEN s.kind = 'http' THEN split_part(s.request, ' ', 1) END,"
		 "  headers = NULL, body = NULL, options = NULL, output = NULL, answer = NULL,"
		 "  error = CASE WHEN s.error IS NOT NULL THEN " FORGOTTEN " END,"
		 "  undo = NULL, undo_body = NULL, undo_headers = NULL, probe_said = NULL,"
		 "  body_hash = NULL, accepted_hash = NULL,"
		 "  undo_error = CASE WHEN s.undo_error IS NOT NULL THEN " FORGOTTEN " END"
		 " WHERE s.run = ANY ($1)",
		 SPI_OK_UPDATE, DF_PARAMS(UUIDARRAYOID)},
		{"UPDATE dataflows.attempt AS a SET error = NULL"
		 " WHERE a.run = ANY ($1)",
		 SPI_OK_UPDATE, DF_PARAMS(UUIDARRAYOID)},
		{"UPDATE dataflows.inbox AS i"
		 " SET payload = NULL, note = NULL, on_behalf_of = NULL,"
		 "  key = CASE WHEN i.key IS NOT NULL THEN $2 END"
		 " WHERE i.run = ANY ($1) AND i.run IS NOT NULL",
		 SPI_OK_UPDATE, DF_PARAMS(UUIDARRAYOID, TEXTOID)},
		{"DELETE FROM dataflows.inbox AS i"
		 " USING dataflows.alias AS a"
		 " WHERE a.run = ANY ($1)"
		 " AND i.workflow = a.workflow AND i.key = a.key AND i.run IS NULL",
		 SPI_OK_DELETE, DF_PARAMS(UUIDARRAYOID)},
		{"DELETE FROM dataflows.alias AS a"
		 " WHERE a.run = ANY ($1)",
		 SPI_OK_DELETE, DF_PARAMS(UUIDARRAYOID)},
	};
	/* clang-format on */
	Datum values[2];

	values[0] = runs;
	values[1] = CStringGetTextDatum(forget->pseudonym);
	for (int i = 0; i < lengthof(plans); i++)
		(void) df_plan_run(&plans[i], values, NULL, 0);
}

/* the key is given up: the pseudonym must never be in the way of a run */
static void
erase_runs(const DfForget *forget, Datum runs)
{
	static DfPlan plan = {
		"UPDATE dataflows.run AS r"
		" SET key = CASE WHEN r.key IS NOT NULL THEN $2 END, key_held = false, input = '{}',"
		"  result = NULL, waiting_for = NULL, stuck = NULL,"
		"  error = jsonb_strip_nulls(jsonb_build_object('message', 'forgotten', 'sqlstate',"
		"      r.error ->> 'sqlstate', 'forgotten_by',"
		"      coalesce(r.error ->> 'forgotten_by', $3), 'forgotten_at',"
		"      coalesce(r.error -> 'forgotten_at', to_jsonb($4))))"
		" WHERE r.run = ANY ($1)",
		SPI_OK_UPDATE,
		DF_PARAMS(UUIDARRAYOID, TEXTOID, TEXTOID, TIMESTAMPTZOID)};
	Datum values[4];

	values[0] = runs;
	values[1] = CStringGetTextDatum(forget->pseudonym);
	values[2] = CStringGetTextDatum(forget->by);
	values[3] = TimestampTzGetDatum(forget->now);
	(void) df_plan_run(&plan, values, NULL, 0);
}

/*
 * signals by key that no run has taken, or ever will: one that has expired is still there until
 * the sweep
 */
static void
delete_waiting_signals(const DfForget *forget)
{
	static DfPlan plan = {
		"DELETE FROM dataflows.inbox AS i"
		" WHERE i.workflow = $1 AND i.key = $2 AND i.run IS NULL",
		SPI_OK_DELETE,
		DF_PARAMS(TEXTOID, TEXTOID)};
	Datum values[2];

	values[0] = CStringGetTextDatum(forget->workflow);
	values[1] = CStringGetTextDatum(forget->key);
	(void) df_plan_run(&plan, values, NULL, 0);
}

void
df_forget_erase(const DfForget *forget, const DfForgetRuns *runs)
{
	Datum ids = df_array(UUIDOID, runs->ids, NULL, runs->n);

	erase_parts(forget, ids);
	erase_runs(forget, ids);
	delete_waiting_signals(forget);
}

/*
 * The lock keeps forget() away until what the caller is about to write is visible,
 * and waits for a forget() that is under way.  It is the weakest row lock, which
 * blocks no update of the engine.
 */
bool
df_run_is_forgotten(const pg_uuid_t *run)
{
	static DfPlan plan = {
		"SELECT coalesce(r.error ? 'forgotten_at', false)"
		" FROM dataflows.run AS r"
		" WHERE r.run = $1"
		" FOR KEY SHARE",
		SPI_OK_SELECT,
		DF_PARAMS(UUIDOID)};
	Datum values[1];

	values[0] = UUIDPGetDatum(run);
	return df_plan_run(&plan, values, NULL, 0) > 0 && df_bool(0, 0, false);
}
