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
#include "store/run_start.h"
#include "store/store.h"

bool
df_run_insert(const DfNewRun *run)
{
	static DfPlan plan = {
		"INSERT INTO dataflows.run (run, identity, started_at, wake_at, version, workflow, key,"
		" started_by, restarted_from, parent, parent_n, input, traceparent)"
		" VALUES ($1, $2, $3, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)"
		" ON CONFLICT (workflow, key) WHERE key_held AND key IS NOT NULL DO NOTHING",
		SPI_OK_INSERT,
		12,
		{UUIDOID, INT8OID, TIMESTAMPTZOID, INT4OID, TEXTOID, TEXTOID, TEXTOID, UUIDOID, UUIDOID,
		 INT4OID, JSONBOID, TEXTOID}};
	const char *trace = run->traceparent != NULL ? run->traceparent : df_traceparent;
	Datum values[12] = {0};
	char nulls[] = "            ";

	values[0] = UUIDPGetDatum(&run->id);
	values[1] = Int64GetDatum(run->identity);
	values[2] = TimestampTzGetDatum(run->now);
	values[3] = Int32GetDatum(run->version);
	values[4] = CStringGetTextDatum(run->workflow);
	if (run->key != NULL)
		values[5] = CStringGetTextDatum(run->key);
	else
		nulls[5] = 'n';
	values[6] = CStringGetTextDatum(run->started_by);
	if (run->restarted_from != NULL)
		values[7] = UUIDPGetDatum(run->restarted_from);
	else
		nulls[7] = 'n';
	if (run->parent != NULL)
	{
		values[8] = UUIDPGetDatum(run->parent);
		values[9] = Int32GetDatum(run->parent_n);
	}
	else
		nulls[8] = nulls[9] = 'n';
	values[10] = JsonbPGetDatum(run->input);
	if (trace[0] != '\0')
		values[11] = CStringGetTextDatum(trace);
	else
		nulls[11] = 'n';
	return df_plan_run(&plan, values, nulls, 0) == 1;
}

bool
df_run_of_key(const char *workflow, const char *key, pg_uuid_t *id)
{
	static DfPlan plan = {
		"SELECT run FROM dataflows.run WHERE workflow OPERATOR(pg_catalog.=) $1"
		" AND key OPERATOR(pg_catalog.=) $2 AND key_held AND key IS NOT NULL",
		SPI_OK_SELECT,
		2,
		{TEXTOID, TEXTOID}};
	Datum values[2];

	values[0] = CStringGetTextDatum(workflow);
	values[1] = CStringGetTextDatum(key);
	if (df_plan_run(&plan, values, NULL, 1) == 0)
		return false;
	*id = df_copy_uuid(0, 0);
	return true;
}

bool
df_run_old(const pg_uuid_t *id, DfOldRun *run, MemoryContext cxt)
{
	static DfPlan plan = {
		"SELECT r.workflow, r.key, r.state, r.input, w.owner, w.owner_name, r.started_by"
		" FROM dataflows.run AS r LEFT JOIN dataflows.workflow AS w"
		"  ON (w.name OPERATOR(pg_catalog.=) r.workflow AND w.version OPERATOR(pg_catalog.=) "
		"r.version)"
		" WHERE r.run OPERATOR(pg_catalog.=) $1",
		SPI_OK_SELECT,
		1,
		{UUIDOID}};
	Datum values[1];

	values[0] = UUIDPGetDatum(id);
	if (df_plan_run(&plan, values, NULL, 1) == 0)
		return false;
	run->workflow = df_copy_text(cxt, 0, 0);
	run->key = df_copy_text(cxt, 0, 1);
	run->state = df_copy_text(cxt, 0, 2);
	run->input = df_copy_jsonb(cxt, 0, 3);
	run->owner = df_is_null(0, 4) ? InvalidOid : DatumGetObjectId(df_value(0, 4));
	run->owner_name = df_copy_text(cxt, 0, 5);
	run->started_by = df_copy_text(cxt, 0, 6);
	return true;
}

/*
 * The rows are inserted in the order given: a caller that sorts them by key
 * cannot deadlock with another one that does.
 */
uint64
df_runs_insert(const DfNewRun *common, const DfRows *rows)
{
	static DfPlan plan = {
		"INSERT INTO dataflows.run (run, identity, started_at, wake_at, version, workflow, key,"
		" started_by, input, traceparent)"
		" SELECT r.run, $4, $5, $5, $6, $7, r.key, $8, r.input, $9"
		" FROM ROWS FROM (pg_catalog.unnest($1), pg_catalog.unnest($2), pg_catalog.unnest($3))"
		" AS r (run, key, input)"
		" ON CONFLICT (workflow, key) WHERE key_held AND key IS NOT NULL DO NOTHING",
		SPI_OK_INSERT,
		9,
		{UUIDARRAYOID, TEXTARRAYOID, JSONBARRAYOID, INT8OID, TIMESTAMPTZOID, INT4OID, TEXTOID,
		 TEXTOID, TEXTOID}};
	Datum values[9];
	char nulls[] = "         ";

	values[0] = df_array(UUIDOID, rows->ids, NULL, rows->n);
	values[1] = df_array(TEXTOID, rows->keys, rows->no_key, rows->n);
	values[2] = df_array(JSONBOID, rows->values, NULL, rows->n);
	values[3] = Int64GetDatum(common->identity);
	values[4] = TimestampTzGetDatum(common->now);
	values[5] = Int32GetDatum(common->version);
	values[6] = CStringGetTextDatum(common->workflow);
	values[7] = CStringGetTextDatum(common->started_by);
	values[8] = CStringGetTextDatum(df_traceparent);
	nulls[8] = df_traceparent[0] == '\0' ? 'n' : ' ';
	return df_plan_run(&plan, values, nulls, 0);
}

uint64
df_signals_insert(const DfNewSignal *common, const DfRows *rows)
{
	static DfPlan plan = {
		"WITH k AS MATERIALIZED (SELECT DISTINCT u.key FROM pg_catalog.unnest($1) AS u (key)),"
		" crowded AS MATERIALIZED (SELECT k.key FROM k LEFT JOIN LATERAL " DF_HOLDER_SQL(
			"$3", "k.key") " AS h ON true"
						   "  WHERE (SELECT pg_catalog.count(*) FROM (SELECT FROM dataflows.inbox "
						   "AS i WHERE i.run OPERATOR(pg_catalog.=) h.run"
						   "    AND i.run IS NOT NULL AND i.state OPERATOR(pg_catalog.<>) 'done' "
						   "LIMIT $8) AS x) OPERATOR(pg_catalog.+)"
						   "   (SELECT pg_catalog.count(*) FROM (SELECT FROM dataflows.inbox AS i "
						   "WHERE i.workflow OPERATOR(pg_catalog.=) $3"
						   "    AND i.key OPERATOR(pg_catalog.=) k.key AND i.run IS NULL AND "
						   "i.state OPERATOR(pg_catalog.<>) 'done' LIMIT $8) AS x)"
						   "   OPERATOR(pg_catalog.>=) $8)"
						   " INSERT INTO dataflows.inbox (workflow, key, event, payload, sent_by, "
						   "sent_at, expires_at)"
						   " SELECT $3, r.key, $4, r.payload, $5, $6, $7"
						   " FROM ROWS FROM (pg_catalog.unnest($1), pg_catalog.unnest($2)) AS r "
						   "(key, payload)"
						   " WHERE NOT EXISTS (SELECT FROM crowded AS c WHERE c.key "
						   "OPERATOR(pg_catalog.=) r.key)",
		SPI_OK_INSERT,
		8,
		{TEXTARRAYOID, JSONBARRAYOID, TEXTOID, TEXTOID, TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID,
		 INT4OID}};
	Datum values[8];

	values[0] = df_array(TEXTOID, rows->keys, NULL, rows->n);
	values[1] = df_array(JSONBOID, rows->values, NULL, rows->n);
	values[2] = CStringGetTextDatum(common->workflow);
	values[3] = CStringGetTextDatum(common->event);
	values[4] = CStringGetTextDatum(common->sent_by);
	values[5] = TimestampTzGetDatum(common->now);
	values[6] = TimestampTzGetDatum(common->expires_at);
	values[7] = Int32GetDatum(DF_MAX_WAITING_SIGNALS);
	return rows->n - df_plan_run(&plan, values, NULL, 0);
}
