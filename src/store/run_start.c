/*
 * store/run_start.c
 *	  Statements that insert runs, and signals of whole statements.
 *
 * Runs in user sessions mostly, in the caller's transaction, as the extension's
 * owner.  It inserts; it never updates a run, whose rows belong to the engine.
 * The state of a new run is the column's default.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "guc.h"
#include "shared/limits.h"
#include "store/alias_table.h"
#include "store/columns.h"
#include "store/run_start.h"
#include "store/store.h"

#define COLUMN(column, field, form, in) DF_COLUMN(DfNewRun, column, field, form, in)

/* clang-format off */
static const DfColumn new_run_columns[] = {
	COLUMN("run",            id,             UUID,     DF_IN_RUN),
	COLUMN("identity",       identity,       INT8,     DF_IN_RUN | DF_IN_RUNS),
	COLUMN("started_at",     now,            TIME,     DF_IN_RUN | DF_IN_RUNS),
	COLUMN("wake_at",        now,            TIME,     DF_IN_RUN | DF_IN_RUNS),
	COLUMN("version",        version,        INT,      DF_IN_RUN | DF_IN_RUNS),
	COLUMN("workflow",       workflow,       TEXT,     DF_IN_RUN | DF_IN_RUNS),
	COLUMN("key",            key,            TEXT,     DF_IN_RUN),
	COLUMN("started_by",     started_by,     TEXT,     DF_IN_RUN | DF_IN_RUNS),
	COLUMN("restarted_from", restarted_from, UUID_REF, DF_IN_RUN),
	COLUMN("parent",         parent,         UUID_REF, DF_IN_RUN),
	COLUMN("parent_n",       parent_n,       COUNT,    DF_IN_RUN),
	COLUMN("input",          input,          JSONB,    DF_IN_RUN),
	COLUMN("traceparent",    traceparent,    TEXT,     DF_IN_RUN | DF_IN_RUNS),
};
/* clang-format on */

const DfTable df_new_run_table = {new_run_columns, lengthof(new_run_columns)};

/* the session's, if the caller has not given one */
static DfNewRun
with_traceparent(const DfNewRun *run)
{
	DfNewRun result = *run;

	if (result.traceparent == NULL)
		result.traceparent = df_traceparent;
	if (result.traceparent[0] == '\0')
		result.traceparent = NULL;
	return result;
}

bool
df_run_insert(const DfNewRun *run)
{
	static DfPlan plan = {
		"INSERT INTO dataflows.run ({*})"
		" VALUES ({$})"
		" ON CONFLICT (workflow, key) WHERE key_held AND key IS NOT NULL DO NOTHING",
		SPI_OK_INSERT,
		DF_NO_PARAMS,
		DF_COLUMNS(df_new_run_table, DF_IN_RUN)};
	DfNewRun row = with_traceparent(run);

	return df_row_run(&plan, NULL, &row, NULL) == 1;
}

bool
df_run_of_key(const char *workflow, const char *key, pg_uuid_t *id, DfSeenRun *seen,
			  MemoryContext cxt)
{
	static DfPlan plan = {
		"SELECT r.run, " DF_SEEN_COLUMNS
		" FROM dataflows.run AS r"
		" LEFT JOIN dataflows.workflow AS w ON (w.name = r.workflow AND w.version = r.version)"
		" WHERE r.workflow = $1 AND r.key = $2 AND r.key_held AND r.key IS NOT NULL",
		SPI_OK_SELECT,
		DF_PARAMS(TEXTOID, TEXTOID)};
	Datum values[2];

	values[0] = CStringGetTextDatum(workflow);
	values[1] = CStringGetTextDatum(key);
	if (df_plan_run(&plan, values, NULL, 1) == 0)
		return false;
	*id = df_copy_uuid(0, 0);
	df_seen_run_read(seen, 0, 1, cxt);
	return true;
}

bool
df_run_old(const pg_uuid_t *id, DfOldRun *run, MemoryContext cxt)
{
	static DfPlan plan = {
		"SELECT r.key, r.state, r.input, " DF_SEEN_COLUMNS
		" FROM dataflows.run AS r"
		" LEFT JOIN dataflows.workflow AS w ON (w.name = r.workflow AND w.version = r.version)"
		" WHERE r.run = $1",
		SPI_OK_SELECT,
		DF_PARAMS(UUIDOID)};
	Datum values[1];

	values[0] = UUIDPGetDatum(id);
	if (df_plan_run(&plan, values, NULL, 1) == 0)
		return false;
	run->key = df_copy_text(cxt, 0, 0);
	run->state = df_copy_text(cxt, 0, 1);
	run->input = df_copy_jsonb(cxt, 0, 2);
	df_seen_run_read(&run->seen, 0, 3, cxt);
	return true;
}

/* ---- whole statements ----------------------------------------------------- */

/*
 * The rows are inserted in the order given: a caller that sorts them by key
 * cannot deadlock with another one that does.
 */
uint64
df_runs_insert(const DfNewRun *common, const DfRows *rows)
{
	static DfPlan plan = {
		"INSERT INTO dataflows.run (run, key, input, {*})"
		" SELECT r.run, r.key, r.input, {$}"
		" FROM unnest($1, $2, $3) AS r (run, key, input)"
		" ON CONFLICT (workflow, key) WHERE key_held AND key IS NOT NULL DO NOTHING",
		SPI_OK_INSERT,
		DF_PARAMS(UUIDARRAYOID, TEXTARRAYOID, JSONBARRAYOID),
		DF_COLUMNS(df_new_run_table, DF_IN_RUNS)};
	DfNewRun row = with_traceparent(common);
	Datum values[3];

	values[0] = df_array(UUIDOID, rows->ids, NULL, rows->n);
	values[1] = df_array(TEXTOID, rows->keys, rows->no_key, rows->n);
	values[2] = df_array(JSONBOID, rows->values, NULL, rows->n);
	return df_row_run(&plan, values, &row, NULL);
}

/* no signal is inserted for a key if too many wait for it or for its run */
uint64
df_signals_insert(const DfNewMessage *common, const DfRows *rows)
{
	/* clang-format off */
	static DfPlan plan = {
		"WITH k AS MATERIALIZED (SELECT DISTINCT u.key FROM unnest($1) AS u (key)),"
		" crowded AS MATERIALIZED ("
		"  SELECT k.key FROM k"
		"  LEFT JOIN LATERAL " DF_HOLDER_SQL("$3", "k.key") " AS h ON true"
		"  WHERE (SELECT count(*) FROM ("
		"   (SELECT FROM dataflows.inbox AS i"
		"    WHERE i.run = h.run AND i.run IS NOT NULL AND i.state <> 'done'"
		"    LIMIT $4)"
		"   UNION ALL"
		"   (SELECT FROM dataflows.inbox AS i"
		"    WHERE i.workflow = $3 AND i.key = k.key AND i.run IS NULL AND i.state <> 'done'"
		"    LIMIT $4)) AS x) >= $4)"
		" INSERT INTO dataflows.inbox (key, payload, event, {*})"
		" SELECT r.key, r.payload, r.event, {$}"
		" FROM unnest($1, $2, $5) AS r (key, payload, event)"
		" WHERE NOT EXISTS (SELECT FROM crowded AS c WHERE c.key = r.key)",
		SPI_OK_INSERT,
		DF_PARAMS(TEXTARRAYOID, JSONBARRAYOID, TEXTOID, INT4OID, TEXTARRAYOID),
		DF_COLUMNS(df_new_message_table, DF_IN_SIGNALS)};
	/* clang-format on */
	Datum values[5];

	values[0] = df_array(TEXTOID, rows->keys, NULL, rows->n);
	values[1] = df_array(JSONBOID, rows->values, NULL, rows->n);
	values[2] = CStringGetTextDatum(common->workflow);
	values[3] = Int32GetDatum(DF_MAX_WAITING_SIGNALS);
	values[4] = df_array(TEXTOID, rows->events, NULL, rows->n);
	return rows->n - df_row_run(&plan, values, common, NULL);
}
