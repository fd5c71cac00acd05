/*
 * session/schedule.c
 *	  schedule(), unschedule(), the function that pg_cron calls, and what the view of
 *	  the schedules reads.
 *
 * The first two run in a user's backend, in the caller's transaction. _fire() runs in a
 * session of pg_cron as the extension's owner, and starts the run with the rights of the
 * role that scheduled it, which are checked at each firing.  Rows of schedule and run are
 * written as the extension's owner.  Must never use the extension owner's rights instead of
 * the scheduler's.
 */
#include "postgres.h"

#include "catalog/pg_authid.h"
#include "commands/dbcommands.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "pgtime.h"
#include "store/rights.h"
#include "session/start.h"
#include "shared/clock.h"
#include "shared/wake.h"
#include "store/identity.h"
#include "store/cron_job.h"
#include "store/schedule_table.h"
#include "store/store.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(dataflows_schedule);
PG_FUNCTION_INFO_V1(dataflows_unschedule);
PG_FUNCTION_INFO_V1(dataflows_fire);
PG_FUNCTION_INFO_V1(dataflows_cron_job);

/* ---- arguments ------------------------------------------------------------ */

static char *
text_argument(FunctionCallInfo fcinfo, int arg, const char *what)
{
	char *value;

	if (PG_ARGISNULL(arg))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("%s must not be null", what),
				 errhint("Call dataflows.schedule(name, cron, workflow), as in ('report', '0 6 1 * "
						 "*', 'monthly-report').")));
	value = text_to_cstring(PG_GETARG_TEXT_PP(arg));
	if (value[0] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("%s must not be empty", what),
				 errhint("Call dataflows.schedule(name, cron, workflow), as in ('report', '0 6 1 * "
						 "*', 'monthly-report').")));
	return value;
}

static char *
name_argument(FunctionCallInfo fcinfo)
{
	char *name = text_argument(fcinfo, 0, "the name of a schedule");

	if (strlen(name) > DF_MAX_SCHEDULE_NAME)
		ereport(ERROR,
				(errcode(DF_ERR_LIMIT),
				 errmsg("the name of the schedule is too long"),
				 errdetail("It has %zu bytes; %d are allowed.", strlen(name), DF_MAX_SCHEDULE_NAME),
				 errhint("Choose a shorter one.")));
	if (!df_name_is_clean(name))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("schedule \"%s\" contains a control character or \"#\"", name),
				 errhint("Choose a name without them.")));
	return name;
}

static const Jsonb *
input_argument(FunctionCallInfo fcinfo, int arg)
{
	Jsonb *input;

	if (PG_ARGISNULL(arg))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("the input of a run must not be null"),
				 errhint("Give '{}' for runs without input.")));
	input = PG_GETARG_JSONB_P(arg);
	df_check_payload(input, "the input of a run");
	return input;
}

/* "30 seconds": pg_cron 1.5 and later have this form for less than a minute */
static bool
fires_by_second(const char *cron)
{
	return strstr(cron, "second") != NULL;
}

/* ---- schedule() ----------------------------------------------------------- */

static void
report_elsewhere(const DfSchedule *schedule, const char *database)
{
	const char *here = get_database_name(MyDatabaseId);

	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("cannot schedule workflow \"%s\": pg_cron runs in database \"%s\"",
					schedule->workflow, database),
			 errdetail("SQL in database \"%s\" cannot reach it.", here),
			 errhint("As a superuser in database \"%s\", call: %s", database,
					 df_cron_statement(schedule, here,
									   fires_by_second(schedule->cron) ? "second" : "minute"))));
}

static void
require_cron(const DfSchedule *schedule)
{
	const char *database;
	const char *here = get_database_name(MyDatabaseId);

	switch (df_cron_where(&database))
	{
		case DF_CRON_HERE:
			return;
		case DF_CRON_NOT_LOADED:
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("cannot schedule workflow \"%s\": pg_cron is not loaded",
							schedule->workflow),
					 errhint("Install pg_cron, add \"pg_cron\" to shared_preload_libraries, set "
							 "cron.database_name = '%s', restart the server and run CREATE "
							 "EXTENSION pg_cron.",
							 here)));
			break;
		case DF_CRON_ELSEWHERE:
			report_elsewhere(schedule, database);
			break;
		case DF_CRON_NOT_CREATED:
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("cannot schedule workflow \"%s\": extension \"pg_cron\" is not "
							"installed in this database",
							schedule->workflow),
					 errhint("Run CREATE EXTENSION pg_cron in database \"%s\".", here)));
			break;
		case DF_CRON_TOO_OLD:
			ereport(
				ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("cannot schedule workflow \"%s\": extension \"pg_cron\" is older than 1.4",
						schedule->workflow),
				 errhint("Install a newer version and run ALTER EXTENSION pg_cron UPDATE.")));
			break;
	}
}

static bool
owner_is_there(const DfSchedule *schedule)
{
	return df_role_is_there(schedule->owner, schedule->owner_name);
}

static bool
may_change(Oid caller, const DfSchedule *schedule, MemoryContext cxt)
{
	DfWorkflowRow definition;

	if (superuser_arg(caller) ||
		(owner_is_there(schedule) && has_privs_of_role(caller, schedule->owner)))
		return true;
	return df_workflow_latest(schedule->workflow, &definition, cxt) &&
		df_may_own(caller, &definition);
}

static void
require_change(Oid caller, const DfSchedule *schedule, MemoryContext cxt)
{
	if (may_change(caller, schedule, cxt))
		return;
	ereport(
		ERROR,
		(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
		 errmsg("role \"%s\" may not change schedule \"%s\"", GetUserNameFromId(caller, false),
				schedule->name),
		 errdetail("It belongs to role \"%s\".", schedule->owner_name),
		 errhint("Choose another name, or act as a member of role \"%s\".", schedule->owner_name)));
}

/* another session may insert the name between our check and our INSERT */
static void
keep(const DfSchedule *schedule, MemoryContext cxt)
{
	DfSchedule old;

	while (!df_schedule_find(schedule->name, true, &old, cxt))
	{
		CHECK_FOR_INTERRUPTS();
		if (df_schedule_insert(schedule, df_now()))
			return;
	}
	require_change(schedule->owner, &old, cxt);
	df_schedule_update(schedule, df_now());
}

Datum
dataflows_schedule(PG_FUNCTION_ARGS)
{
	DfSchedule schedule;
	DfWorkflowRow definition;
	DfStore store;

	memset(&schedule, 0, sizeof(schedule));
	schedule.name = name_argument(fcinfo);
	schedule.cron = text_argument(fcinfo, 1, "the times of a schedule");
	schedule.workflow = text_argument(fcinfo, 2, "the workflow of a schedule");
	schedule.input = input_argument(fcinfo, 3);
	schedule.owner = GetUserId();
	schedule.owner_name = GetUserNameFromId(schedule.owner, false);
	df_require_writable("schedule a workflow");

	df_store_enter(&store);
	df_require_workflow(schedule.workflow, &definition, store.result_context);
	df_require_right(schedule.owner, &definition, DF_RIGHT_START, NULL, "schedule");
	require_cron(&schedule);
	keep(&schedule, store.result_context);
	df_cron_schedule(&schedule);
	df_store_leave(&store);
	PG_RETURN_VOID();
}

Datum
dataflows_unschedule(PG_FUNCTION_ARGS)
{
	char *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	Oid caller = GetUserId();
	DfSchedule schedule;
	DfStore store;
	bool found;

	df_require_writable("unschedule a workflow");
	df_store_enter(&store);
	found = df_schedule_find(name, true, &schedule, store.result_context);
	if (found)
	{
		require_change(caller, &schedule, store.result_context);
		df_schedule_delete(name);
		df_cron_unschedule(name);
	}
	df_store_leave(&store);
	PG_RETURN_BOOL(found);
}

/* ---- a firing ------------------------------------------------------------- */

/* the beginning of the minute or second that a firing belongs to */
static TimestampTz
slot_of(const char *cron, TimestampTz at)
{
	int64 unit = fires_by_second(cron) ? USECS_PER_SEC : USECS_PER_MINUTE;

	return at - at % unit;
}

static char *
key_of(const char *name, TimestampTz slot)
{
	pg_time_t at = timestamptz_to_time_t(slot);
	struct pg_tm *tm = pg_gmtime(&at);

	return psprintf("%s@%04d-%02d-%02dT%02d:%02d:%02dZ", name, tm->tm_year + 1900, tm->tm_mon + 1,
					tm->tm_mday, tm->tm_hour, tm->tm_min, tm->tm_sec);
}

static void
require_owner(const DfSchedule *schedule)
{
	if (owner_is_there(schedule))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("schedule \"%s\" cannot fire: role \"%s\" does not exist any more, or another "
					"role has its name",
					schedule->name, schedule->owner_name),
			 errhint("Have a role that may start workflow \"%s\" call dataflows.schedule() again, "
					 "or call dataflows.unschedule().",
					 schedule->workflow)));
}

/* if a copy started scheduled runs, all of them would move when it is adopted */
static void
require_not_held(const char *name)
{
	if (df_identity_is_ours())
		return;
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("schedule \"%s\" does not fire: this database is held", name),
			 errhint("If nothing else runs its runs, let a superuser call dataflows.adopt().")));
}

/*
 * Locks the row, so that the second of two firings for one minute sees the effect of the
 * first, even if that run has already failed and released its key.  NULL: a run holds the key
 * that the schedule's owner may not see.
 */
Datum
dataflows_fire(PG_FUNCTION_ARGS)
{
	char *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	pg_uuid_t *result = palloc0(sizeof(pg_uuid_t));
	TimestampTz slot;
	DfSchedule schedule;
	DfWorkflowRow definition;
	DfNewRun run;
	DfStore store;
	bool seen;

	df_require_writable("start a run");
	require_not_held(name);
	memset(&run, 0, sizeof(run));
	run.id = df_new_uuid();
	run.identity = df_identity_hash();

	df_store_enter(&store);
	if (!df_schedule_find(name, true, &schedule, store.result_context))
		ereport(ERROR,
				(errcode(DF_ERR_UNKNOWN), errmsg("schedule \"%s\" does not exist", name),
				 errhint("Call dataflows.schedule() again, or remove the job from pg_cron with "
						 "cron.unschedule().")));
	slot = slot_of(schedule.cron, df_now());
	if (schedule.last_at == slot)
	{
		df_store_leave(&store);
		if (memcmp(&schedule.last_run, result, sizeof(*result)) == 0)
			PG_RETURN_NULL();
		*result = schedule.last_run;
		PG_RETURN_UUID_P(result);
	}
	require_owner(&schedule);
	run.started_by = schedule.owner_name;
	run.key = key_of(name, slot);
	run.input = schedule.input;
	df_start_common(schedule.workflow, schedule.owner, &run, &definition, store.result_context);
	seen = df_start_insert_or_find(&run, schedule.owner, store.result_context);
	df_schedule_fired(name, slot, seen ? &run.id : NULL);
	df_store_leave(&store);

	df_wake_owner(definition.owner);
	if (!seen)
		PG_RETURN_NULL();
	*result = run.id;
	PG_RETURN_UUID_P(result);
}

/* ---- what the view asks --------------------------------------------------- */

/*
 * _cron_job(name, OUT active, OUT last_status, OUT last_message): NULLs if the caller may
 * not see the schedule
 */
Datum
dataflows_cron_job(PG_FUNCTION_ARGS)
{
	char *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	Oid caller = GetUserId();
	DfSchedule schedule;
	DfCronJob job;
	DfStore store;
	TupleDesc shape;
	Datum values[3] = {0};
	bool nulls[3] = {true, true, true};

	if (get_call_result_type(fcinfo, NULL, &shape) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	df_store_enter(&store);
	if (df_schedule_find(name, false, &schedule, store.result_context) &&
		(has_privs_of_role(caller, ROLE_PG_MONITOR) ||
		 may_change(caller, &schedule, store.result_context)))
	{
		bool has_job = df_cron_job_read(name, &job, store.result_context);

		values[0] = BoolGetDatum(has_job && job.active);
		nulls[0] = false;
		nulls[1] = job.status == NULL;
		nulls[2] = job.message == NULL;
	}
	df_store_leave(&store);
	if (!nulls[1])
		values[1] = CStringGetTextDatum(job.status);
	if (!nulls[2])
		values[2] = CStringGetTextDatum(job.message);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(shape), values, nulls)));
}
