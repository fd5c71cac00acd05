/*
 * store/schedule_table.c
 *	  Statements on dataflows.schedule.
 *
 * Runs in user sessions and in pg_cron's, in the caller's transaction, as the
 * extension's owner.  It must never call pg_cron: store/cron_job.c does.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "store/columns.h"
#include "store/schedule_table.h"
#include "store/store.h"

#define IN_KEY DF_IN_KEY
#define IN_DEFINITION (DF_IN_OTHER << 0)
#define IN_FIRING (DF_IN_OTHER << 1) /* kept when the schedule changes */
#define IN_ALL (IN_KEY | IN_DEFINITION | IN_FIRING)

#define COLUMN(column, field, form, in) DF_COLUMN(DfSchedule, column, field, form, in)

/* clang-format off */
static const DfColumn schedule_columns[] = {
	COLUMN("name",       name,       TEXT,  IN_KEY),
	COLUMN("cron",       cron,       TEXT,  IN_DEFINITION),
	COLUMN("workflow",   workflow,   TEXT,  IN_DEFINITION),
	COLUMN("input",      input,      JSONB, IN_DEFINITION),
	COLUMN("owner",      owner,      OID,   IN_DEFINITION),
	COLUMN("owner_name", owner_name, TEXT,  IN_DEFINITION),
	COLUMN("last_at",    last_at,    TIME,  IN_FIRING),
	COLUMN("last_run",   last_run,   UUID,  IN_FIRING),
};
/* clang-format on */

static const DfTable schedule_table = {schedule_columns, lengthof(schedule_columns)};

bool
df_schedule_find(const char *name, bool lock, DfSchedule *schedule, MemoryContext cxt)
{
	static DfPlan find = {
		"SELECT {s.*} FROM dataflows.schedule AS s"
		" WHERE s.name = $1",
		SPI_OK_SELECT,
		DF_PARAMS(TEXTOID),
		DF_COLUMNS(schedule_table, IN_ALL)};
	static DfPlan find_and_lock = {
		"SELECT {s.*} FROM dataflows.schedule AS s"
		" WHERE s.name = $1"
		" FOR UPDATE",
		SPI_OK_SELECT,
		DF_PARAMS(TEXTOID),
		DF_COLUMNS(schedule_table, IN_ALL)};
	DfPlan *plan = lock ? &find_and_lock : &find;
	Datum values[1] = {CStringGetTextDatum(name)};

	if (df_plan_run(plan, values, NULL, 0) == 0)
		return false;
	df_row_read(plan, 0, schedule, cxt);
	return true;
}

bool
df_schedule_insert(const DfSchedule *schedule, TimestampTz now)
{
	static DfPlan plan = {
		"INSERT INTO dataflows.schedule ({*}, scheduled_at)"
		" VALUES ({$}, $1)"
		" ON CONFLICT (name) DO NOTHING",
		SPI_OK_INSERT,
		DF_PARAMS(TIMESTAMPTZOID),
		DF_COLUMNS(schedule_table, IN_KEY | IN_DEFINITION)};
	Datum own[1] = {TimestampTzGetDatum(now)};

	return df_row_run(&plan, own, schedule, NULL) == 1;
}

/* when it fired last is kept, so that changing a schedule cannot fire a minute twice */
void
df_schedule_update(const DfSchedule *schedule, TimestampTz now)
{
	static DfPlan plan = {
		"UPDATE dataflows.schedule AS s SET {* = $}, scheduled_at = $2"
		" WHERE s.name = $1",
		SPI_OK_UPDATE,
		DF_PARAMS(TEXTOID, TIMESTAMPTZOID),
		DF_COLUMNS(schedule_table, IN_DEFINITION)};
	Datum own[2] = {CStringGetTextDatum(schedule->name), TimestampTzGetDatum(now)};

	(void) df_row_run(&plan, own, schedule, NULL);
}

void
df_schedule_fired(const char *name, TimestampTz at, const pg_uuid_t *run)
{
	static DfPlan plan = {
		"UPDATE dataflows.schedule AS s"
		" SET last_at = $2, last_run = $3"
		" WHERE s.name = $1",
		SPI_OK_UPDATE,
		DF_PARAMS(TEXTOID, TIMESTAMPTZOID, UUIDOID)};
	Datum values[3];

	values[0] = CStringGetTextDatum(name);
	values[1] = TimestampTzGetDatum(at);
	values[2] = UUIDPGetDatum(run);
	(void) df_plan_run(&plan, values, run == NULL ? "  n" : NULL, 0);
}

void
df_schedule_delete(const char *name)
{
	static DfPlan plan = {
		"DELETE FROM dataflows.schedule AS s WHERE s.name = $1",
		SPI_OK_DELETE,
		DF_PARAMS(TEXTOID)};
	Datum values[1];

	values[0] = CStringGetTextDatum(name);
	(void) df_plan_run(&plan, values, NULL, 0);
}

List *
df_schedule_names(MemoryContext cxt)
{
	static DfPlan plan = {
		"SELECT s.name FROM dataflows.schedule AS s ORDER BY s.name",
		SPI_OK_SELECT, 0};

	return df_copy_texts(cxt, df_plan_run(&plan, NULL, NULL, 0), 0);
}
