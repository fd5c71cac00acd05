/*
 * simulate/session_guard.c
 *	  Keeps the code of a simulated workflow from what is of the caller's session.
 *
 * Runs in a user's backend, in the subtransaction of simulate(), around the code of a workflow.
 * A worker's session is nobody's, and cleared after each query step; this one is the caller's.
 * What the rollback takes back is let through; what it does not (prepared statements, cursors
 * that are held, LISTEN) is refused before it is done.  Never refuse what the caller itself
 * does: the guard is put up for the code of workflows only.
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "simulate/session_guard.h"
#include "tcop/utility.h"

static bool stands = false;
static bool installed = false;
static ProcessUtility_hook_type previous_utility = NULL;

/* NULL = the rollback takes it back, or PostgreSQL refuses it itself */
static const char *
lasting_command(const Node *statement)
{
	switch (nodeTag(statement))
	{
		case T_PrepareStmt:
			return "PREPARE";
		case T_DeallocateStmt:
			return "DEALLOCATE";
		case T_DiscardStmt:
			return "DISCARD";
		case T_ListenStmt:
			return "LISTEN";
		case T_UnlistenStmt:
			return "UNLISTEN";
		case T_DeclareCursorStmt:
			return (((const DeclareCursorStmt *) statement)->options & CURSOR_OPT_HOLD) != 0
				? "DECLARE CURSOR WITH HOLD"
				: NULL;
		default:
			return NULL;
	}
}

static bool
makes_temporary_table(const Node *statement)
{
	const RangeVar *table = NULL;

	if (IsA(statement, CreateStmt))
		table = ((const CreateStmt *) statement)->relation;
	else if (IsA(statement, CreateTableAsStmt))
		table = ((const CreateTableAsStmt *) statement)->into->rel;
	return table != NULL && table->relpersistence == RELPERSISTENCE_TEMP;
}

static void
check(const Node *statement)
{
	const char *command = lasting_command(statement);

	if (command != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("%s is not simulated", command),
				 errdetail("It would change the session in which the simulation runs. A worker "
						   "does it, and clears its session after each query step."),
				 errhint("Test this step in a real run.")));
	if (InSecurityRestrictedOperation() && makes_temporary_table(statement))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("a temporary table is not simulated in the session of another role than "
						"the workflow's owner"),
				 errhint("Simulate the workflow as its owner.")));
}

static void
guard_utility(PlannedStmt *planned, const char *query, bool read_only_tree,
			  ProcessUtilityContext context, ParamListInfo params,
			  QueryEnvironment *environment, DestReceiver *receiver, QueryCompletion *completion)
{
	if (stands)
		check(planned->utilityStmt);
	(previous_utility ? previous_utility : standard_ProcessUtility)(
		planned, query, read_only_tree, context, params, environment, receiver, completion);
}

void
df_session_guard(bool up)
{
	stands = up;
	if (installed || !up)
		return;
	previous_utility = ProcessUtility_hook;
	ProcessUtility_hook = guard_utility;
	installed = true;
}
