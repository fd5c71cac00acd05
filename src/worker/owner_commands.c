/*
 * worker/owner_commands.c
 *	  Commands about roles that own workflows: DROP OWNED, REASSIGN OWNED, DROP ROLE,
 *	  ALTER ROLE ... RENAME.
 *
 * Runs in user sessions, in their transaction and role, around the command; reads and writes
 * our tables as the extension's owner.  The first two act on this database only, so that its
 * tables tell all that is lost.  DROP ROLE acts on all of them: live runs of another database
 * get stuck there, and lose nothing.  Must never tell a role that may not run the command what
 * there is.
 *
 * DROP OWNED drops functions, credentials and grants, and DROP ROLE leaves nobody as whom
 * bodies could run: both are refused as long as there are live runs.  REASSIGN OWNED loses
 * nothing: runs whose function has another owner get stuck, and set_owner() sends them on.  So
 * it only warns.
 */
#include "postgres.h"

#include "catalog/pg_authid.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "utils/acl.h"
#include "utils/builtins.h"

#include "shared/clock.h"
#include "store/identity.h"
#include "store/right_table.h"
#include "store/store.h"
#include "store/workflow_owner.h"
#include "worker/owner_commands.h"

static List *
live_workflows(Oid role)
{
	List *found;
	DfStore store;

	df_store_enter(&store);
	found = df_live_workflows_of(role, store.result_context);
	df_store_leave(&store);
	return found;
}

/* which workflows, and how many runs of each */
static char *
in_words(List *workflows)
{
	StringInfoData words;
	ListCell *lc;

	initStringInfo(&words);
	foreach (lc, workflows)
	{
		DfLiveWorkflow *workflow = lfirst(lc);

		appendStringInfo(&words, "%s\"%s\" (" INT64_FORMAT ")", words.len == 0 ? "" : ", ",
						 workflow->name, workflow->runs);
	}
	return words.data;
}

/* `level` is ERROR or WARNING, `what` completes "role owns workflows with live runs" */
static void
report(int level, Oid role, List *workflows, const char *what)
{
	const char *name = GetUserNameFromId(role, false);
	const char *first = ((DfLiveWorkflow *) linitial(workflows))->name;

	ereport(level,
			(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
			 errmsg("role \"%s\" owns workflows with live runs, %s", name, what),
			 errdetail_plural("Workflow and number of live runs: %s.",
							  "Workflows and numbers of live runs: %s.",
							  list_length(workflows), in_words(workflows)),
			 errhint("Give each workflow to another role, as a superuser: SELECT "
					 "dataflows.set_owner(%s, 'other role'); or cancel() or abandon() its runs.",
					 quote_literal_cstr(first))));
}

static void
check_role(Oid role, int level, const char *what)
{
	List *workflows = OidIsValid(role) ? live_workflows(role) : NIL;

	if (workflows != NIL)
		report(level, role, workflows, what);
}

/* roles that the user may do this to; of others the command itself complains */
static void
check_owned(List *roles, int level, const char *what)
{
	ListCell *lc;

	foreach (lc, roles)
	{
		Oid role = get_rolespec_oid(lfirst_node(RoleSpec, lc), true);

		if (OidIsValid(role) && has_privs_of_role(GetUserId(), role))
			check_role(role, level, what);
	}
}

static void
check_dropped(List *roles)
{
	ListCell *lc;

	if (!has_createrole_privilege(GetUserId()))
		return;
	foreach (lc, roles)
		check_role(get_rolespec_oid(lfirst_node(RoleSpec, lc), true), ERROR,
				   "and nobody else can run their bodies");
}

static bool
is_about_owners(Node *command)
{
	switch (nodeTag(command))
	{
		case T_DropOwnedStmt:
		case T_ReassignOwnedStmt:
		case T_DropRoleStmt:
			return true;
		case T_RenameStmt:
			return ((RenameStmt *) command)->renameType == OBJECT_ROLE;
		default:
			return false;
	}
}

void
df_owner_command_check(Node *command)
{
	/* in a copy an oid may be another role's */
	if (!is_about_owners(command) || !df_extension_usable() || !df_identity_is_ours())
		return;
	switch (nodeTag(command))
	{
		case T_DropOwnedStmt:
			check_owned(((DropOwnedStmt *) command)->roles, ERROR,
						"whose functions, credentials and rights would be lost");
			break;
		case T_ReassignOwnedStmt:
			check_owned(((ReassignOwnedStmt *) command)->roles, WARNING,
						"which are stuck when their functions belong to another role");
			break;
		case T_DropRoleStmt:
			check_dropped(((DropRoleStmt *) command)->roles);
			break;
		default:
			break;
	}
}

/* as DROP OWNED revokes what a role was granted on objects */
static void
drop_rights(List *roles)
{
	ListCell *lc;

	foreach (lc, roles)
		df_rights_drop_of_role(get_rolespec_oid(lfirst_node(RoleSpec, lc), true));
}

/* in other databases the next sweep tidies up behind a role */
void
df_owner_command_done(Node *command)
{
	DfStore store;

	if (!is_about_owners(command) || IsA(command, ReassignOwnedStmt) || !df_extension_usable() ||
		!df_identity_is_ours())
		return;
	CommandCounterIncrement();
	df_store_enter(&store);
	if (IsA(command, DropOwnedStmt))
		drop_rights(((DropOwnedStmt *) command)->roles);
	else
		(void) df_update_owner_names(df_now());
	df_store_leave(&store);
}
