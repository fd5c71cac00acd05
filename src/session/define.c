/*
 * session/define.c
 *	  define_workflow(), drop_workflow().
 *
 * Runs in a user's backend, in the caller's transaction.  Resolves everything that depends
 * on the caller (search_path, rights) as the caller, before it enters the store; only the
 * finished row is written as the extension's owner.  Never change a version: each definition
 * creates a new one.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_authid.h"
#include "commands/dbcommands.h"
#include "common/hashfn.h"
#include "compat.h"
#include "fmgr.h"
#include "guc.h"
#include "miscadmin.h"
#include "store/right_table.h"
#include "store/rights.h"
#include "session/define.h"
#include "session/language_check.h"
#include "session/workflow_function.h"
#include "shared/fingerprint.h"
#include "shared/function.h"
#include "shared/retry_options.h"
#include "shared/slots.h"
#include "store/identity.h"
#include "store/store.h"
#include "store/version.h"
#include "store/workflow_table.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(dataflows_define_workflow);
PG_FUNCTION_INFO_V1(dataflows_drop_workflow);

enum
{
	ARG_NAME,
	ARG_FUNCTION,
	ARG_ON_FAILURE,
	ARG_RETRY,
	ARG_DEADLINE,
	ARG_ACCEPT_NOTIFY,
	ARG_UNDO_ON,
	ARG_NOTIFY,
	ARG_ON_ERROR
};

/* ---- the functions -------------------------------------------------------- */

static void
set_functions(DfWorkflowRow *row, FunctionCallInfo fcinfo)
{
	Oid owner;

	row->function = df_workflow_function(text_to_cstring(PG_GETARG_TEXT_PP(ARG_FUNCTION)),
										 row->owner, &row->function_owner);
	row->fingerprint = df_fingerprint(df_function_oid(row->function));
	if (PG_ARGISNULL(ARG_ON_FAILURE))
		return;
	row->on_failure = df_workflow_function(text_to_cstring(PG_GETARG_TEXT_PP(ARG_ON_FAILURE)),
										   row->owner, &owner);
	df_check_function_owners(row->function, row->function_owner, row->on_failure, owner);
	row->fingerprint = (int64) hash_combine64((uint64) row->fingerprint,
											  (uint64) df_fingerprint(
												  df_function_oid(row->on_failure)));
}

/* ---- the other arguments -------------------------------------------------- */

static char *
checked_workflow_name(FunctionCallInfo fcinfo)
{
	char *name = text_to_cstring(PG_GETARG_TEXT_PP(ARG_NAME));
	size_t len = strlen(name);

	if (len == 0 || len > DF_MAX_NAME)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a workflow's name has 1 to %d bytes, this one has %zu", DF_MAX_NAME, len),
				 errhint("Give a short name such as 'customer-onboarding'.")));
	for (const char *p = name; *p != '\0'; p++)
		if ((unsigned char) *p < ' ' || *p == 0x7f)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("a workflow's name contains a control character at byte %d",
							(int) (p - name) + 1),
					 errhint("Give a name of visible characters.")));
	return name;
}

/* raises an error unless it is one of `words`, which end with NULL */
static char *
checked_word(FunctionCallInfo fcinfo, int arg, const char *what, const char *const *words)
{
	char *given;
	StringInfoData hint;

	if (PG_ARGISNULL(arg))
		return pstrdup(words[0]);
	given = text_to_cstring(PG_GETARG_TEXT_PP(arg));
	initStringInfo(&hint);
	for (int i = 0; words[i] != NULL; i++)
	{
		if (strcmp(given, words[i]) == 0)
			return given;
		appendStringInfo(&hint, "%s\"%s\"", i == 0 ? "" : words[i + 1] == NULL ? " or "
																			   : ", ",
						 words[i]);
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("%s \"%s\" is not known", what, given),
			 errhint("Use %s.", hint.data)));
	return NULL;
}

/* on_error is what undo_on was called in 0.1, with words of its own */
static char *
checked_undo_on(FunctionCallInfo fcinfo)
{
	static const char *const words[] = {"failure", "error", "never", NULL};
	static const char *const old_words[] = {"undo", "stuck", NULL};
	char *undo_on = checked_word(fcinfo, ARG_UNDO_ON, "undo_on", words);
	char *on_error;

	if (PG_ARGISNULL(ARG_ON_ERROR))
		return undo_on;
	on_error = checked_word(fcinfo, ARG_ON_ERROR, "on_error", old_words);
	if (strcmp(undo_on, words[0]) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("undo_on and on_error are both given"),
				 errhint("Leave out on_error, the old name: \"undo\" is undo_on => 'failure', "
						 "\"stuck\" is undo_on => 'never'.")));
	return pstrdup(strcmp(on_error, "stuck") == 0 ? "never" : "failure");
}

/* NOTIFY takes a channel that is shorter than NAMEDATALEN */
static char *
checked_channel(FunctionCallInfo fcinfo)
{
	char *channel;

	if (PG_ARGISNULL(ARG_NOTIFY))
		return NULL;
	channel = text_to_cstring(PG_GETARG_TEXT_PP(ARG_NOTIFY));
	if (channel[0] == '\0' || strlen(channel) >= NAMEDATALEN)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("notify names a channel of 1 to %d bytes, this one has %zu",
						NAMEDATALEN - 1, strlen(channel)),
				 errhint("Give the name that others LISTEN to, or leave it out.")));
	if (strcmp(channel, "dataflows") == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("channel \"dataflows\" is for signals to runs, not from them"),
				 errhint("Give another name.")));
	return channel;
}

/* the limit: added to the present time it still gives a valid time */
#define MAX_DEADLINE_DAYS 365000

static Interval *
checked_deadline(FunctionCallInfo fcinfo)
{
	Interval *deadline;
	int64 days;

	if (PG_ARGISNULL(ARG_DEADLINE))
		return NULL;
	deadline = PG_GETARG_INTERVAL_P(ARG_DEADLINE);
	days = (int64) deadline->month * DAYS_PER_MONTH + deadline->day;
	if ((double) days * USECS_PER_DAY + (double) deadline->time <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the deadline of a workflow must be more than zero"),
				 errhint("Give how long a run may take, such as '30 days', or leave it out.")));
	if (days > MAX_DEADLINE_DAYS || deadline->time / USECS_PER_DAY > MAX_DEADLINE_DAYS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the deadline of a workflow must not be longer than 1000 years"),
				 errhint("Leave it out for runs that may take for ever.")));
	return deadline;
}

void
df_check_new_owner(Oid owner, const char *owner_name, const char *workflow)
{
	HeapTuple tuple;
	bool may_login;

	if (object_aclcheck(DatabaseRelationId, MyDatabaseId, owner, ACL_CONNECT) != ACLCHECK_OK)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("role \"%s\" cannot own a workflow: it may not connect to this database",
						owner_name),
				 errdetail("The bodies of its workflows run in a session of that role."),
				 errhint("GRANT CONNECT ON DATABASE %s TO the role first.",
						 quote_identifier(get_database_name(MyDatabaseId)))));
	tuple = SearchSysCache1(AUTHOID, ObjectIdGetDatum(owner));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for role %u", owner);
	may_login = ((Form_pg_authid) GETSTRUCT(tuple))->rolcanlogin;
	ReleaseSysCache(tuple);
	if (DF_ROLE_NEEDS_LOGIN && !may_login)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("role \"%s\" cannot own a workflow: it may not log in", owner_name),
				 errdetail(
					 "Before PostgreSQL 17 a worker can only be the session of a role with LOGIN."),
				 errhint("ALTER ROLE %s LOGIN first; it needs no password.",
						 quote_identifier(owner_name))));
	if (superuser_arg(owner))
		ereport(df_allow_superuser_owner ? WARNING : ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 df_allow_superuser_owner
					 ? errmsg("the bodies of workflow \"%s\" run as superuser \"%s\"", workflow,
							  owner_name)
					 : errmsg("superuser \"%s\" cannot own workflow \"%s\"", owner_name, workflow),
				 df_allow_superuser_owner
					 ? 0
					 : errdetail("\"dataflows.allow_superuser_owner\" is off."),
				 errhint("Define it as a plain role: SET ROLE to it first.")));
}

static void
require_engine(void)
{
	if (df_shared == NULL)
		ereport(ERROR,
				(errcode(DF_ERR_NOT_LOADED), errmsg("the engine of \"dataflows\" is not loaded"),
				 errhint("Set shared_preload_libraries = 'dataflows' in postgresql.conf and "
						 "restart the server.")));
}

/* before the update of the schema the function has other arguments */
static void
require_schema(void)
{
	if (!df_schema_fits())
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("workflows cannot be defined in this database now: %s",
						df_schema_problem()),
				 errhint("%s", df_schema_remedy())));
}

/* ---- define_workflow() ---------------------------------------------------- */

/*
 * A name belongs to its owner, even after drop_workflow(), as long as the role exists: with
 * the same oid or, if that oid is unused or comes from another cluster, with the same name.
 */
static void
check_name_is_free(const DfWorkflowRow *latest, const DfWorkflowRow *mine)
{
	bool there = df_role_is_there(latest->owner, latest->owner_name);
	const char *owner = there ? GetUserNameFromId(latest->owner, false) : latest->owner_name;

	if (there && latest->owner == mine->owner)
		return;
	if (!there &&
		(strcmp(latest->owner_name, mine->owner_name) == 0 ||
		 !OidIsValid(get_role_oid(latest->owner_name, true))))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("workflow \"%s\" belongs to role \"%s\"", latest->name, owner),
			 errhint("SET ROLE %s first, or give the workflow another name.",
					 quote_identifier(owner))));
}

/*
 * Rights were given by the owner, for its own runs: another owner gives its own.  In a copy
 * the same name with another oid is the same owner.
 */
static bool
is_other_owner(const DfWorkflowRow *latest, const DfWorkflowRow *mine)
{
	return latest->owner != mine->owner &&
		(strcmp(latest->owner_name, mine->owner_name) != 0 || df_identity_is_ours());
}

static bool
same_text(const char *one, const char *other)
{
	return one == NULL || other == NULL ? one == other : strcmp(one, other) == 0;
}

/* quote_all_identifiers writes a name otherwise */
static bool
same_function(const char *one, const char *other)
{
	if (one == NULL || other == NULL)
		return one == other;
	return strcmp(one, other) == 0 || df_function_oid(one) == df_function_oid(other);
}

/* nothing would be different in a new version */
static bool
is_same(const DfWorkflowRow *latest, const DfWorkflowRow *mine)
{
	return !latest->dropped && latest->owner == mine->owner &&
		latest->function_owner == mine->function_owner &&
		latest->fingerprint == mine->fingerprint &&
		same_function(latest->function, mine->function) &&
		same_function(latest->on_failure, mine->on_failure) &&
		same_text(latest->accept_notify, mine->accept_notify) &&
		same_text(latest->undo_on, mine->undo_on) && same_text(latest->notify, mine->notify) &&
		(latest->retry == NULL || mine->retry == NULL
			 ? latest->retry == mine->retry
			 : compareJsonbContainers(&latest->retry->root, &mine->retry->root) == 0) &&
		(latest->deadline == NULL || mine->deadline == NULL
			 ? latest->deadline == mine->deadline
			 : memcmp(latest->deadline, mine->deadline, sizeof(Interval)) == 0);
}

static bool
is_there_already(int version, const DfWorkflowRow *mine)
{
	DfWorkflowRow latest;

	return df_workflow_version(mine->name, version, &latest, CurrentMemoryContext) &&
		is_same(&latest, mine);
}

/*
 * inserts the next version, unless it would be the same; waits for other sessions that define
 * this name
 */
static void
insert_version(DfWorkflowRow *row)
{
	DfStore store;
	DfWorkflowRow latest;
	bool taken_over;

	df_store_enter(&store);
	df_installation_insert();
	do
	{
		CHECK_FOR_INTERRUPTS();
		row->version = 1;
		row->paused = false;
		taken_over = false;
		if (df_workflow_latest(row->name, &latest, store.result_context))
		{
			check_name_is_free(&latest, row);
			if (is_there_already(latest.version, row))
			{
				row->version = latest.version;
				break;
			}
			row->version = latest.version + 1;
			row->paused = latest.paused;
			taken_over = is_other_owner(&latest, row);
		}
	} while (!df_workflow_insert(row));
	if (taken_over)
		df_rights_drop(row->name);
	df_store_leave(&store);
}

Datum
dataflows_define_workflow(PG_FUNCTION_ARGS)
{
	static const char *const notify_words[] = {"run", "key", "none", NULL};
	DfWorkflowRow row;

	require_engine();
	require_schema();
	df_require_writable("define a workflow");
	if (PG_ARGISNULL(ARG_NAME) || PG_ARGISNULL(ARG_FUNCTION))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("name and function of a workflow must not be null"),
				 errhint("Call define_workflow('name', 'function').")));
	memset(&row, 0, sizeof(row));
	row.name = checked_workflow_name(fcinfo);
	row.owner = GetUserId();
	row.owner_name = GetUserNameFromId(row.owner, false);
	set_functions(&row, fcinfo);
	if (!PG_ARGISNULL(ARG_RETRY))
	{
		row.retry = PG_GETARG_JSONB_P(ARG_RETRY);
		df_retry_check(row.retry, "retry");
	}
	row.deadline = checked_deadline(fcinfo);
	row.accept_notify = checked_word(fcinfo, ARG_ACCEPT_NOTIFY, "accept_notify", notify_words);
	row.undo_on = checked_undo_on(fcinfo);
	row.notify = checked_channel(fcinfo);
	df_check_new_owner(row.owner, row.owner_name, row.name);

	insert_version(&row);
	df_language_check(row.function);
	if (row.on_failure != NULL)
		df_language_check(row.on_failure);
	PG_RETURN_INT32(row.version);
}

/* ---- drop_workflow() ------------------------------------------------------ */

/* A run that is started at this moment is not seen; it goes on, because its version stays. */
Datum
dataflows_drop_workflow(PG_FUNCTION_ARGS)
{
	char *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	Oid caller = GetUserId();
	DfStore store;
	DfWorkflowRow workflow;
	int64 live;

	df_require_writable("drop a workflow");
	df_store_enter(&store);
	df_workflow_lock(name);
	df_require_workflow(name, &workflow, store.result_context);
	df_require_own(caller, &workflow, "drop");
	live = df_workflow_live_runs(name);
	if (live > 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg_plural("workflow \"%s\" has " INT64_FORMAT " live run",
							   "workflow \"%s\" has " INT64_FORMAT " live runs", live, name, live),
				 errhint("Wait until its runs have ended, or cancel() them; abandon() those that "
						 "are stuck.")));
	df_workflow_mark_dropped(name);
	df_store_leave(&store);
	PG_RETURN_VOID();
}
