/*
 * store/cron_job.c
 *	  Statements on the jobs of pg_cron that fire our schedules.
 *
 * Runs in user sessions, in the caller's transaction, as the extension's owner.
 * pg_cron may be missing: nothing of it is named before df_cron_where() has seen
 * that the schema "cron" and the function in it belong to that extension.  A
 * schema that is only called so may be a trap, and must never be called as the
 * extension's owner.
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

#include "shared/json.h"
#include "store/cron_job.h"
#include "store/schedule_table.h"
#include "store/store.h"

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

/* a setting that no library has defined is a line in a file, and pg_cron is not loaded */
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

/* the job belongs to the extension's owner: a schedule needs no rights in pg_cron and no login */
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
	names = df_schedule_names(cxt);
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
		quote_literal_cstr(df_json_to_text(schedule->input)),
		quote_literal_cstr(psprintf("%s@", schedule->name)), unit);

	return psprintf("SELECT cron.schedule_in_database(%s, %s, %s, %s, %s)",
					quote_literal_cstr(psprintf("dataflows.%s.%s", database, schedule->name)),
					quote_literal_cstr(schedule->cron), quote_literal_cstr(command),
					quote_literal_cstr(database), quote_literal_cstr(schedule->owner_name));
}

static void
read_last_firing(int64 jobid, DfCronJob *job, MemoryContext cxt)
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
df_cron_job_read(const char *name, DfCronJob *job, MemoryContext cxt)
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
	read_last_firing(df_int64(0, 0, 0), job, cxt);
	return true;
}
