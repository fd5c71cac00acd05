/*
 * store/webhook_table.c
 *	  Statements on webhooks and their deliveries.
 *
 * Runs in sessions that create webhooks, in the ingress process and in sessions
 * that call receive_webhook(), and (the purge) in coordinators; in the caller's
 * transaction, as the extension's owner.  It must never see a secret: the row
 * names the system that has it.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "store/store.h"
#include "store/webhook_table.h"

#define EQ " OPERATOR(pg_catalog.=) "
#define LT " OPERATOR(pg_catalog.<) "

bool
df_webhook_find(const char *path, DfWebhook *webhook, MemoryContext cxt)
{
	static DfPlan plan = {
		"SELECT w.path, w.starts, w.signals, w.event, w.key, w.verify, w.secret, w.filter,"
		"  w.handler, w.handler_owner, w.owner, w.owner_name"
		" FROM dataflows.webhook AS w"
		" WHERE w.path = $1",
		SPI_OK_SELECT,
		DF_PARAMS(TEXTOID)};
	Datum values[1];

	values[0] = CStringGetTextDatum(path);
	if (df_plan_run(&plan, values, NULL, 1) == 0)
		return false;
	webhook->path = df_copy_text(cxt, 0, 0);
	webhook->starts = df_copy_text(cxt, 0, 1);
	webhook->signals = df_copy_text(cxt, 0, 2);
	webhook->event = df_copy_text(cxt, 0, 3);
	webhook->key = df_copy_text(cxt, 0, 4);
	webhook->verify = df_copy_text(cxt, 0, 5);
	webhook->secret = df_copy_text(cxt, 0, 6);
	webhook->filter = df_copy_text(cxt, 0, 7);
	webhook->handler = df_copy_text(cxt, 0, 8);
	webhook->handler_owner = df_is_null(0, 9) ? InvalidOid : DatumGetObjectId(df_value(0, 9));
	webhook->owner = DatumGetObjectId(df_value(0, 10));
	webhook->owner_name = df_copy_text(cxt, 0, 11);
	return true;
}

static void
set_text(Datum *values, char *nulls, int i, const char *text)
{
	values[i] = text == NULL ? (Datum) 0 : CStringGetTextDatum(text);
	nulls[i] = text == NULL ? 'n' : ' ';
}

bool
df_webhook_insert(const DfWebhook *webhook, TimestampTz now)
{
	static DfPlan plan = {
		"INSERT INTO dataflows.webhook (path, starts, signals, event, key, verify, secret,"
		"  filter, handler, handler_owner, owner, owner_name, created_at)"
		" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)"
		" ON CONFLICT (path) DO NOTHING",
		SPI_OK_INSERT,
		DF_PARAMS(TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, OIDOID, OIDOID, TEXTOID, TIMESTAMPTZOID)};
	Datum values[13];
	char nulls[14] = "             ";

	set_text(values, nulls, 0, webhook->path);
	set_text(values, nulls, 1, webhook->starts);
	set_text(values, nulls, 2, webhook->signals);
	set_text(values, nulls, 3, webhook->event);
	set_text(values, nulls, 4, webhook->key);
	set_text(values, nulls, 5, webhook->verify);
	set_text(values, nulls, 6, webhook->secret);
	set_text(values, nulls, 7, webhook->filter);
	set_text(values, nulls, 8, webhook->handler);
	values[9] = ObjectIdGetDatum(webhook->handler_owner);
	nulls[9] = OidIsValid(webhook->handler_owner) ? ' ' : 'n';
	values[10] = ObjectIdGetDatum(webhook->owner);
	set_text(values, nulls, 11, webhook->owner_name);
	values[12] = TimestampTzGetDatum(now);
	return df_plan_run(&plan, values, nulls, 0) == 1;
}

/* its deliveries go with it: another one on that path knows nothing of them */
void
df_webhook_delete(const char *path)
{
	static DfPlan plans[] = {
		{"DELETE FROM dataflows.webhook_delivery AS d WHERE d.path" EQ "$1",
		 SPI_OK_DELETE,
		 1,
		 {TEXTOID}},
		{"DELETE FROM dataflows.webhook AS w WHERE w.path" EQ "$1", SPI_OK_DELETE, 1, {TEXTOID}},
	};
	Datum values[1];

	values[0] = CStringGetTextDatum(path);
	for (int i = 0; i < lengthof(plans); i++)
		(void) df_plan_run(&plans[i], values, NULL, 0);
}

/* ---- deliveries ----------------------------------------------------------- */

static void
find_delivery(const char *path, const char *event_id, Jsonb **answer, MemoryContext cxt)
{
	static DfPlan plan = {
		"SELECT d.answer"
		" FROM dataflows.webhook_delivery AS d"
		" WHERE d.path = $1 AND d.event_id = $2",
		SPI_OK_SELECT,
		DF_PARAMS(TEXTOID, TEXTOID)};
	Datum values[2];

	values[0] = CStringGetTextDatum(path);
	values[1] = CStringGetTextDatum(event_id);
	*answer = df_plan_run(&plan, values, NULL, 1) == 0 ? NULL : df_copy_jsonb(cxt, 0, 0);
}

bool
df_delivery_insert(const char *path, const char *event_id, TimestampTz now,
				   int64 *id, Jsonb **answer, MemoryContext cxt)
{
	static DfPlan plan = {
		"INSERT INTO dataflows.webhook_delivery (path, event_id, at)"
		" VALUES ($1, $2, $3)"
		" ON CONFLICT (path, event_id)"
		" WHERE event_id IS NOT NULL DO NOTHING"
		" RETURNING id",
		SPI_OK_INSERT_RETURNING,
		DF_PARAMS(TEXTOID, TEXTOID, TIMESTAMPTZOID)};
	Datum values[3];
	char nulls[4] = "   ";

	*answer = NULL;
	set_text(values, nulls, 0, path);
	set_text(values, nulls, 1, event_id);
	values[2] = TimestampTzGetDatum(now);
	if (df_plan_run(&plan, values, nulls, 0) == 1)
	{
		*id = df_int64(0, 0, 0);
		return true;
	}
	find_delivery(path, event_id, answer, cxt);
	return false;
}

void
df_delivery_answered(int64 id, const char *outcome, const pg_uuid_t *run, const Jsonb *answer)
{
	static DfPlan plan = {
		"UPDATE dataflows.webhook_delivery AS d"
		" SET outcome = $2, run = $3, answer = $4"
		" WHERE d.id = $1",
		SPI_OK_UPDATE,
		DF_PARAMS(INT8OID, TEXTOID, UUIDOID, JSONBOID)};
	Datum values[4];
	char nulls[5] = "    ";

	values[0] = Int64GetDatum(id);
	values[1] = CStringGetTextDatum(outcome);
	values[2] = UUIDPGetDatum(run);
	nulls[2] = run == NULL ? 'n' : ' ';
	values[3] = JsonbPGetDatum(answer);
	(void) df_plan_run(&plan, values, nulls, 0);
}

uint64
df_deliveries_purge(TimestampTz before)
{
	static DfPlan plan = {
		"DELETE FROM dataflows.webhook_delivery AS d"
		" WHERE d.id = ANY (ARRAY("
		"   SELECT k.id"
		"   FROM dataflows.webhook_delivery AS k"
		"   WHERE k.at < $1"
		"   ORDER BY k.at"
		"   LIMIT 500))",
		SPI_OK_DELETE,
		DF_PARAMS(TIMESTAMPTZOID)};
	Datum values[1];

	values[0] = TimestampTzGetDatum(before);
	return df_plan_run(&plan, values, NULL, 0);
}
