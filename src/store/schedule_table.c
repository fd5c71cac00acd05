/*
 * store/schedule_table.c
 *	  Statements on dataflows.schedule and on pg_cron.
 *
 * Runs in user sessions and in pg_cron's, in the caller's transaction, as the
 * extension's owner.  pg_cron may be missing: nothing of it is named before
 * df_cron_where() has seen that the schema "cron" and the function in it belong
 * to that extension.  A schema that is only called so is somebody's trap, and
 * must never be called as the extension's owner.
 */
#include "postgres.h"

#include "catalog/dependency.h"
#include "catalog/namespace.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "commands/dbcommands.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "store/schedule_table.h"
#include "store/store.h"

#define EQ " OPERATOR(pg_catalog.=) "

#define COLUMNS "s.name, s.cron, s.workflow, s.input, s.owner, s.owner_name, s.last_at, s.last_run"

/* ---- our rows ------------------------------------------------------------- */

bool
df_schedule_find(const char *name, bool lock, DfSchedule *schedule, MemoryContext cxt)
{
	/* clang-format off */
	static DfPlan look = {
		"SELECT " COLUMNS
		" FROM dataflows.schedule AS s"
		" WHERE s.name = $1",
		SPI_OK_SELECT,
		DF_PARAMS(TEXTOID)};
	/* clang-format on */
	/* clang-format off */
	static DfPlan look_and_lock = {
		"SELECT " COLUMNS
		" FROM dataflows.schedule AS s"
		" WHERE s.name = $1"
		" FOR UPDATE",
		SPI_OK_SELECT,
		DF_PARAMS(TEXTOID)};
	/* clang-format on */
	Datum values[1];

	values[0] = CStringGetTextDatum(name);
	if (df_plan_run(lock ? &look_and_lock : &look, values, NULL, 0) == 0)
		return false;
	schedule->name = df_copy_text(cxt, 0, 0);
	schedule->cron = df_copy_text(cxt, 0, 1);
	schedule->workflow = df_copy_text(cxt, 0, 2);
	schedule->input = df_copy_jsonb(cxt, 0, 3);
	schedule->owner = DatumGetObjectId(df_value(0, 4));
	schedule->owner_name = df_copy_text(cxt, 0, 5);
	schedule->last_at = df_time(0, 6);
	schedule->last_run = df_copy_uuid(0, 7);
	return true;
}

static void
values_of(const DfSchedule *schedule, TimestampTz now, Datum *values)
{
	values[0] = CStringGetTextDatum(schedule->name);
	values[1] = CStringGetTextDatum(schedule->cron);
	values[2] = CStringGetTextDatum(schedule->workflow);
	values[3] = JsonbPGetDatum(schedule->input);
	values[4] = ObjectIdGetDatum(schedule->owner);
	values[5] = CStringGetTextDatum(schedule->owner_name);
	values[6] = TimestampTzGetDatum(now);
}

bool
df_schedule_insert(const DfSchedule *schedule, TimestampTz now)
{
	static DfPlan plan = {
		"INSERT INTO dataflows.schedule (name, cron, workflow, input, owner, owner_name,"
		"  scheduled_at)"
		" VALUES ($1, $2, $3, $4, $5, $6, $7)"
		" ON CONFLICT (name) DO NOTHING",
		SPI_OK_INSERT,
		DF_PARAMS(TEXTOID, TEXTOID, TEXTOID, JSONBOID, OIDOID, TEXTOID, TIMESTAMPTZOID)};
	Datum values[7];

	values_of(schedule, now, values);
	return df_plan_run(&plan, values, NULL, 0) == 1;
}

/* when it fired last is kept, so that changing a schedule cannot fire a minute twice */
void
df_schedule_update(const DfSchedule *schedule, TimestampTz now)
{
	static DfPlan plan = {
		"UPDATE dataflows.schedule AS s"
		" SET cron = $2, workflow = $3, input = $4, owner = $5, owner_name = $6,"
		"  scheduled_at = $7"
		" WHERE s.name = $1",
		SPI_OK_UPDATE,
		DF_PARAMS(TEXTOID, TEXTOID, TEXTOID, JSONBOID, OIDOID, TEXTOID, TIMESTAMPTZOID)};
	Datum values[7];

	values_of(schedule, now, values);
	(void) df_plan_run(&plan, values, NULL, 0);
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
	(void) df_plan_run(&plan, values, NULL, 0);
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

/* ---- pg_cron -------------------------------------------------------------- */

static char *
job_name(const char *name)
{
	return psprintf("dataflows.%s", name);
}

/* cron.schedule(text, text, text), which 1.4 brought; InvalidOid if it is not the extension's */
static Oid
cron_function(Oid extension)
{
	Oid schema = get_namespace_oid("cron", true);
	Oid arguments[3] = {TEXTOID, TEXTOID, TEXTOID};
	Oid function;

	if (!OidIsValid(schema) || getExtensionOfObject(NamespaceRelationId, schema) != extension)
		return InvalidOid;
	function = GetSysCacheOid3(PROCNAMEARGSNSP, Anum_pg_proc_oid, CStringGetDatum("schedule"),
							   PointerGetDatum(buildoidvector(arguments, 3)),
							   ObjectIdGetDatum(schema));
	if (!OidIsValid(function) || getExtensionOfObject(ProcedureRelationId, function) != extension)
		return InvalidOid;
	return function;
}

static bool
cron_is_created(void)
{
	Oid extension = get_extension_oid("pg_cron", true);

	return OidIsValid(extension) && OidIsValid(cron_function(extension));
}

/* a setting of that name that nobody has defined is a line in a file, not the library */
DfCron
df_cron_where(const char **database)
{
	const char *here = get_database_name(MyDatabaseId);

	*database = GetConfigOption("cron.database_name", true, false);
	if (*database == NULL ||
		(GetConfigOptionFlags("cron.database_name", true) & GUC_CUSTOM_PLACEHOLDER) != 0)
		return DF_CRON_NOT_LOADED;
	if (strcmp(*database, here) != 0)
		return DF_CRON_ELSEWHERE;
	if (!OidIsValid(get_extension_oid("pg_cron", true)))
		return DF_CRON_NOT_CREATED;
	return cron_is_created() ? DF_CRON_HERE : DF_CRON_TOO_OLD;
}

/* the job is the extension owner's: who scheduled it needs neither rights in pg_cron nor a login */
void
df_cron_schedule(const DfSchedule *schedule)
{
	static DfPlan plan = {
		"SELECT cron.schedule($1, $2, $3)",
		SPI_OK_SELECT,
		DF_PARAMS(TEXTOID, TEXTOID, TEXTOID)};
	Datum values[3];

	values[0] = CStringGetTextDatum(job_name(schedule->name));
	values[1] = CStringGetTextDatum(schedule->cron);
	values[2] = CStringGetTextDatum(psprintf("SELECT dataflows._fire(%s)",
											 quote_literal_cstr(schedule->name)));
	(void) df_plan_run(&plan, values, NULL, 1);
}

void
df_cron_unschedule(const char *name)
{
	static DfPlan plan = {
		"SELECT cron.unschedule(j.jobid)"
		" FROM cron.job AS j"
		" WHERE j.jobname::text = $1 AND j.username = CURRENT_USER::text",
		SPI_OK_SELECT,
		DF_PARAMS(TEXTOID)};
	Datum values[1];

	if (!cron_is_created())
		return;
	values[0] = CStringGetTextDatum(job_name(name));
	(void) df_plan_run(&plan, values, NULL, 0);
}

static bool
has_job_here(const char *name)
{
	static DfPlan plan = {
		"SELECT FROM cron.job AS j"
		" WHERE j.jobname::text = $1 AND j.username = CURRENT_USER::text AND j.database = $2",
		SPI_OK_SELECT,
		DF_PARAMS(TEXTOID, TEXTOID)};
	Datum values[2];

	values[0] = CStringGetTextDatum(job_name(name));
	values[1] = CStringGetTextDatum(get_database_name(MyDatabaseId));
	return df_plan_run(&plan, values, NULL, 1) > 0;
}

static List *
all_schedules(MemoryContext cxt)
{
	static DfPlan plan = {
		"SELECT s.name FROM dataflows.schedule AS s ORDER BY s.name",
		SPI_OK_SELECT, 0};
	uint64 n = df_plan_run(&plan, NULL, NULL, 0);
	MemoryContext old = MemoryContextSwitchTo(cxt);
	List *names = NIL;

	for (uint64 row = 0; row < n; row++)
		names = lappend(names, df_copy_text(cxt, row, 0));
	MemoryContextSwitchTo(old);
	return names;
}

/* the jobs that a dump brought are of the database and the role of that time */
void
df_cron_adopt(void)
{
	MemoryContext cxt = CurrentMemoryContext;
	const char *database;
	List *names;
	ListCell *lc;

	if (df_cron_where(&database) != DF_CRON_HERE)
		return;
	names = all_schedules(cxt);
	foreach (lc, names)
	{
		DfSchedule schedule;

		if (has_job_here(lfirst(lc)) || !df_schedule_find(lfirst(lc), false, &schedule, cxt))
			continue;
		df_cron_unschedule(schedule.name);
		df_cron_schedule(&schedule);
	}
}

/* start() there and _fire() here make the same key of the same moment */
char *
df_cron_statement(const DfSchedule *schedule, const char *database, const char *unit)
{
	char *command = psprintf(
		"SELECT dataflows.start(%s, %s, %s || to_char(date_trunc('%s', now() AT TIME ZONE 'UTC'), "
		"'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'))",
		quote_literal_cstr(schedule->workflow),
		quote_literal_cstr(JsonbToCString(NULL, (JsonbContainer *) &schedule->input->root, 0)),
		quote_literal_cstr(psprintf("%s@", schedule->name)), unit);

	return psprintf("SELECT cron.schedule_in_database(%s, %s, %s, %s, %s)",
					quote_literal_cstr(psprintf("dataflows.%s.%s", database, schedule->name)),
					quote_literal_cstr(schedule->cron), quote_literal_cstr(command),
					quote_literal_cstr(database), quote_literal_cstr(schedule->owner_name));
}

static void
look_at_firing(int64 jobid, DfCronJob *job, MemoryContext cxt)
{
	static DfPlan plan = {
		"SELECT d.status, d.return_message"
		" FROM cron.job_run_details AS d"
		" WHERE d.jobid = $1"
		" ORDER BY d.runid DESC"
		" LIMIT 1",
		SPI_OK_SELECT,
		DF_PARAMS(INT8OID)};
	Datum values[1];

	values[0] = Int64GetDatum(jobid);
	if (df_plan_run(&plan, values, NULL, 1) == 0)
		return;
	job->status = df_copy_text(cxt, 0, 0);
	job->message = df_copy_text(cxt, 0, 1);
}

bool
df_cron_look(const char *name, DfCronJob *job, MemoryContext cxt)
{
	static DfPlan plan = {
		"SELECT j.jobid, j.active"
		" FROM cron.job AS j"
		" WHERE j.jobname::text = $1 AND j.username = CURRENT_USER::text",
		SPI_OK_SELECT,
		DF_PARAMS(TEXTOID)};
	Datum values[1];

	memset(job, 0, sizeof(*job));
	if (!cron_is_created())
		return false;
	values[0] = CStringGetTextDatum(job_name(name));
	if (df_plan_run(&plan, values, NULL, 1) == 0)
		return false;
	job->active = df_bool(0, 1, false);
	look_at_firing(df_int64(0, 0, 0), job, cxt);
	return true;
}
