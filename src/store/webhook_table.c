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

#include "store/columns.h"
#include "store/store.h"
#include "store/webhook_table.h"

#define IN_ALL DF_IN_OTHER

#define COLUMN(column, field, form) DF_COLUMN(DfWebhook, column, field, form, IN_ALL)

/* clang-format off */
static const DfColumn webhook_columns[] = {
	COLUMN("path",          path,          TEXT),
	COLUMN("starts",        starts,        TEXT),
	COLUMN("signals",       signals,       TEXT),
	COLUMN("inserts",       inserts,       TEXT),
	COLUMN("event",         event,         TEXT),
	COLUMN("key",           key,           TEXT),
	COLUMN("verify",        verify,        TEXT),
	COLUMN("secret",        secret,        TEXT),
	COLUMN("filter",        filter,        TEXT),
	COLUMN("handler",       handler,       TEXT),
	COLUMN("handler_owner", handler_owner, OID),
	COLUMN("owner",         owner,         OID),
	COLUMN("owner_name",    owner_name,    TEXT),
	COLUMN("preset",        preset,        TEXT),
};
/* clang-format on */

static const DfTable webhook_table = {webhook_columns, lengthof(webhook_columns)};

bool
df_webhook_find(const char *path, DfWebhook *webhook, MemoryContext cxt)
{
	static DfPlan plan = {
		"SELECT {w.*} FROM dataflows.webhook AS w"
		" WHERE w.path = $1",
		SPI_OK_SELECT,
		DF_PARAMS(TEXTOID),
		DF_COLUMNS(webhook_table, IN_ALL)};
	Datum values[1] = {CStringGetTextDatum(path)};

	if (df_plan_run(&plan, values, NULL, 1) == 0)
		return false;
	df_row_read(&plan, 0, webhook, cxt);
	return true;
}

bool
df_webhook_insert(const DfWebhook *webhook, TimestampTz now)
{
	static DfPlan plan = {
		"INSERT INTO dataflows.webhook ({*}, created_at)"
		" VALUES ({$}, $1)"
		" ON CONFLICT (path) DO NOTHING",
		SPI_OK_INSERT,
		DF_PARAMS(TIMESTAMPTZOID),
		DF_COLUMNS(webhook_table, IN_ALL)};
	Datum own[1] = {TimestampTzGetDatum(now)};

	return df_row_run(&plan, own, webhook, NULL) == 1;
}

/* its deliveries go with it: another one on that path knows nothing of them */
void
df_webhook_delete(const char *path)
{
	static DfPlan deliveries = {
		"DELETE FROM dataflows.webhook_delivery AS d WHERE d.path = $1",
		SPI_OK_DELETE,
		DF_PARAMS(TEXTOID)};
	static DfPlan hook = {
		"DELETE FROM dataflows.webhook AS w WHERE w.path = $1",
		SPI_OK_DELETE,
		DF_PARAMS(TEXTOID)};
	Datum values[1] = {CStringGetTextDatum(path)};

	(void) df_plan_run(&deliveries, values, NULL, 0);
	(void) df_plan_run(&hook, values, NULL, 0);
}

/* ---- deliveries ----------------------------------------------------------- */

bool
df_delivery_find(const char *path, const char *event_id, Jsonb **answer, MemoryContext cxt)
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
	*answer = NULL;
	if (df_plan_run(&plan, values, NULL, 1) == 0)
		return false;
	*answer = df_copy_jsonb(cxt, 0, 0);
	return true;
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
	values[0] = CStringGetTextDatum(path);
	values[1] = event_id == NULL ? (Datum) 0 : CStringGetTextDatum(event_id);
	nulls[1] = event_id == NULL ? 'n' : ' ';
	values[2] = TimestampTzGetDatum(now);
	if (df_plan_run(&plan, values, nulls, 0) == 1)
	{
		*id = df_int64(0, 0, 0);
		return true;
	}
	(void) df_delivery_find(path, event_id, answer, cxt);
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
