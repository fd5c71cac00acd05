/*
 * worker/utility_hook.c
 *	  Commands for which our processes must leave a database, or which wake them.
 *
 * Runs in user sessions, in their transaction and role, before DROP and ALTER
 * EXTENSION dataflows and before commands that need a database without sessions:
 * DROP DATABASE, ALTER DATABASE ... RENAME and SET TABLESPACE, CREATE DATABASE ...
 * TEMPLATE.  The database is held in shared memory, its processes get SIGTERM and
 * are waited for.  The hold ends with the transaction, and the launcher starts them
 * again.  A role that may not run the command disturbs nobody.  COMMIT PREPARED and
 * ROLLBACK PREPARED wake the engine, or have it started.
 *
 * Never fail a command here, but for what worker/owner_commands.c refuses: if a process does
 * not leave, the command itself reports that the database is in use.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_database.h"
#include "catalog/pg_extension.h"
#include "commands/dbcommands.h"
#include "commands/defrem.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "tcop/utility.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#include "compat.h"
#include "shared/clock.h"
#include "shared/extension.h"
#include "shared/slots.h"
#include "shared/wake.h"
#include "worker/owner_commands.h"
#include "worker/system_commands.h"
#include "worker/utility_hook.h"

/* how long to wait for the processes of a database, and how often to check */
#define PATIENCE_MS 5000
#define CHECK_MS 10
/* SIGTERM is repeated, because a process may miss one while it starts */
#define REPEAT_MS 200

static ProcessUtility_hook_type previous_utility = NULL;

/* this transaction creates or alters a database */
static bool rescan_at_commit = false;

static int
count_processes(Oid database)
{
	int n = 0;

	LWLockAcquire(df_shared->lock, LW_SHARED);
	for (int i = 0; i < df_shared->nslots; i++)
	{
		DfSlot *slot = &df_shared->slots[i];

		if (slot->kind != DF_SLOT_FREE && slot->database == database &&
			slot->pid != 0 && slot->pid != MyProcPid)
			n++;
	}
	LWLockRelease(df_shared->lock);
	return n;
}

static void
wait_for_processes(Oid database)
{
	TimestampTz deadline = TimestampTzPlusMilliseconds(df_now(), PATIENCE_MS);
	int waited = 0;

	while (count_processes(database) > 0)
	{
		if (waited % REPEAT_MS == 0)
			(void) df_hold_terminate(database);
		if (df_now() > deadline)
		{
			ereport(LOG,
					(errcode(ERRCODE_OBJECT_IN_USE),
					 errmsg("dataflows processes of database %u did not end within %d ms",
							database, PATIENCE_MS)));
			return;
		}
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 CHECK_MS, PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
		waited += CHECK_MS;
	}
}

static void
clear_database(Oid database)
{
	if (df_hold_database(database))
		wait_for_processes(database);
}

/* InvalidOid unless the user owns the database */
static Oid
own_database(const char *name)
{
	Oid database = name == NULL ? InvalidOid : get_database_oid(name, true);

	if (OidIsValid(database) && object_ownercheck(DatabaseRelationId, database, GetUserId()))
		return database;
	return InvalidOid;
}

static DefElem *
find_option(List *options, const char *name)
{
	ListCell *cell;

	foreach (cell, options)
	{
		DefElem *option = lfirst_node(DefElem, cell);

		if (strcmp(option->defname, name) == 0)
			return option;
	}
	return NULL;
}

static Oid
template_of(CreatedbStmt *statement)
{
	DefElem *option = find_option(statement->options, "template");

	if (option == NULL || option->arg == NULL)
		return InvalidOid;
	return own_database(defGetString(option));
}

static bool
may_change_extension(void)
{
	Oid extension = df_extension_oid();

	return OidIsValid(extension) && object_ownercheck(ExtensionRelationId, extension, GetUserId());
}

/* DROP EXTENSION dataflows, or DROP SCHEMA dataflows CASCADE, by a role that may */
static bool
drops_us(DropStmt *statement)
{
	ListCell *cell;

	if (statement->removeType != OBJECT_EXTENSION && statement->removeType != OBJECT_SCHEMA)
		return false;
	foreach (cell, statement->objects)
	{
		if (strcmp(strVal(lfirst(cell)), "dataflows") == 0)
			return may_change_extension();
	}
	return false;
}

/* ALTER EXTENSION dataflows UPDATE, by a role that may: no process may be using the old schema */
static bool
updates_us(AlterExtensionStmt *statement)
{
	return strcmp(statement->extname, "dataflows") == 0 && may_change_extension();
}

/* the database whose processes must end before the command; else InvalidOid */
static Oid
database_to_clear(Node *command)
{
	switch (nodeTag(command))
	{
		case T_DropdbStmt:
			return own_database(((DropdbStmt *) command)->dbname);
		case T_RenameStmt:
			if (((RenameStmt *) command)->renameType == OBJECT_DATABASE)
				return own_database(((RenameStmt *) command)->subname);
			return InvalidOid;
		case T_AlterDatabaseStmt:
			if (find_option(((AlterDatabaseStmt *) command)->options, "tablespace") != NULL)
				return own_database(((AlterDatabaseStmt *) command)->dbname);
			return InvalidOid;
		case T_CreatedbStmt:
			return template_of((CreatedbStmt *) command);
		case T_DropStmt:
			return drops_us((DropStmt *) command) ? MyDatabaseId : InvalidOid;
		case T_AlterExtensionStmt:
			return updates_us((AlterExtensionStmt *) command) ? MyDatabaseId : InvalidOid;
		default:
			return InvalidOid;
	}
}

/* the launcher may not know the database yet, or may connect to it only now */
static bool
changes_databases(Node *command)
{
	return IsA(command, CreatedbStmt) || IsA(command, AlterDatabaseStmt);
}

/* the former makes rows visible that we do not know of, either may end a lock that blocked us */
static bool
ends_prepared(Node *command)
{
	TransactionStmt *statement = (TransactionStmt *) command;

	return IsA(command, TransactionStmt) &&
		(statement->kind == TRANS_STMT_COMMIT_PREPARED ||
		 statement->kind == TRANS_STMT_ROLLBACK_PREPARED);
}

/* the prepared transaction may have created the extension, which the launcher does not know */
static void
after_prepared(void)
{
	df_wake_everybody();
	if (!df_slot_has_coordinator(MyDatabaseId) && OidIsValid(df_extension_oid()))
		df_wake_launcher();
}

static void
utility(PlannedStmt *planned, const char *query, bool read_only_tree,
		ProcessUtilityContext context, ParamListInfo params,
		QueryEnvironment *environment, DestReceiver *receiver, QueryCompletion *completion)
{
	Node *command = planned->utilityStmt;
	bool prepared = ends_prepared(command);

	df_owner_command_check(command);
	if (df_shared != NULL)
	{
		Oid database = database_to_clear(command);

		if (OidIsValid(database))
			clear_database(database);
		rescan_at_commit |= changes_databases(command);
	}

	(previous_utility ? previous_utility : standard_ProcessUtility)(
		planned, query, read_only_tree, context, params, environment, receiver, completion);

	df_owner_command_done(command);
	df_system_command_done(command);
	if (df_shared != NULL && prepared)
		after_prepared();
}

/* the transaction has ended: processes of a database that it held may come back */
static void
at_xact_end(XactEvent event, void *arg)
{
	/* a prepared one may end in another session, or never: its locks are enough */
	if (event != XACT_EVENT_COMMIT && event != XACT_EVENT_ABORT && event != XACT_EVENT_PREPARE)
		return;
	df_hold_release();
	if (rescan_at_commit && event != XACT_EVENT_ABORT)
		df_launcher_rescan();
	rescan_at_commit = false;
}

void
df_utility_hook_install(void)
{
	previous_utility = ProcessUtility_hook;
	ProcessUtility_hook = utility;
	RegisterXactCallback(at_xact_end, NULL);
}
