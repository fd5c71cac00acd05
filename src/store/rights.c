/*
 * store/rights.c
 *	  Who may do what with a workflow and its runs.
 *
 * Runs in a user's backend, in its transaction, and in a body that calls another
 * workflow.  The role that is judged is an argument, because the user id may be
 * the extension's owner at that moment.  A member of the workflow's owner may do
 * everything; to others the owner gives rights, one by one, in the workflow's name.
 * EXECUTE on the function of the body says nothing here.  It reads catalogs, by oid
 * and without any search_path, the rows of rights, and for a renamed role the row that
 * says whether this database is held; it must never write.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_proc.h"
#include "miscadmin.h"
#include "shared/function.h"
#include "shared/uuid.h"
#include "store/identity.h"
#include "store/right_table.h"
#include "store/rights.h"
#include "store/store.h"
#include "store/version.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/syscache.h"

static bool
owner_exists(const DfWorkflowRow *workflow)
{
	return df_role_is_there(workflow->owner, workflow->owner_name);
}

/* a renamed role is called by its present name */
static const char *
owner_called(const DfWorkflowRow *workflow)
{
	return owner_exists(workflow) ? GetUserNameFromId(workflow->owner, false)
								  : workflow->owner_name;
}

/* ---- who sees a run ------------------------------------------------------- */

bool
df_is_owner(Oid role, Oid owner, const char *owner_name)
{
	return OidIsValid(owner) && owner_name != NULL && df_role_is_there(owner, owner_name) &&
		has_privs_of_role(role, owner);
}

bool
df_is_starter(Oid role, const char *started_by)
{
	Oid starter = get_role_oid(started_by, true);

	return OidIsValid(starter) && has_privs_of_role(role, starter);
}

DfSight
df_sight_of_all(Oid role)
{
	if (superuser_arg(role))
		return DF_SEES_ALL;
	return has_privs_of_role(role, ROLE_PG_MONITOR) ? DF_SEES_META : DF_SEES_NOTHING;
}

void
df_seen_run_read(DfSeenRun *run, uint64 row, int first, MemoryContext cxt)
{
	run->workflow = df_copy_text(cxt, row, first);
	run->owner =
		df_is_null(row, first + 1) ? InvalidOid : DatumGetObjectId(df_value(row, first + 1));
	run->owner_name = df_copy_text(cxt, row, first + 2);
	run->started_by = df_copy_text(cxt, row, first + 3);
}

DfSight
df_sight(Oid role, const DfSeenRun *run)
{
	DfWorkflowRow workflow;

	if (df_is_owner(role, run->owner, run->owner_name) || df_is_starter(role, run->started_by))
		return DF_SEES_ALL;
	if (df_sight_of_all(role) == DF_SEES_ALL)
		return DF_SEES_ALL;
	memset(&workflow, 0, sizeof(workflow));
	workflow.name = pstrdup(run->workflow);
	if (df_may(role, &workflow, DF_RIGHT_SEE, NULL))
		return DF_SEES_ALL;
	return df_sight_of_all(role);
}

void
df_require_sight(Oid role, const pg_uuid_t *run, DfSight seen, DfSight least)
{
	if (seen >= least)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("role \"%s\" may not see %srun \"%s\"", GetUserNameFromId(role, false),
					seen == DF_SEES_NOTHING ? "" : "the input of ",
					df_uuid_text(run)),
			 errhint("Act as a member of the role that owns its workflow, or of the one that "
					 "started it, or have the owner allow the right \"see\".")));
}

bool
df_may_own_extension(Oid role)
{
	return has_privs_of_role(role, df_extension_owner());
}

/* ---- who may do what with a workflow -------------------------------------- */

bool
df_may_own(Oid role, const DfWorkflowRow *workflow)
{
	if (owner_exists(workflow))
		return has_privs_of_role(role, workflow->owner);
	return superuser_arg(role);
}

static const struct
{
	DfRight right;
	const char *name;
} right_names[] = {
	{DF_RIGHT_START, "start"},
	{DF_RIGHT_SIGNAL, "signal"},
	{DF_RIGHT_SEE, "see"},
	{DF_RIGHT_CANCEL, "cancel"},
	{DF_RIGHT_OPERATE, "operate"},
};

static const char *
right_name(DfRight right)
{
	for (int i = 0; i < lengthof(right_names); i++)
		if (right_names[i].right == right)
			return right_names[i].name;
	return "unknown";
}

List *
df_right_names(void)
{
	List *names = NIL;

	for (int i = 0; i < lengthof(right_names); i++)
		names = lappend(names, pstrdup(right_names[i].name));
	return names;
}

int
df_right_of(const char *name)
{
	for (int i = 0; i < lengthof(right_names); i++)
		if (strcmp(right_names[i].name, name) == 0)
			return right_names[i].right;
	return 0;
}

/* the row is for every role, or for one of which this one is a member */
static bool
is_for(const DfRightRow *row, Oid role)
{
	if (!OidIsValid(row->role))
		return strcmp(row->role_name, DF_EVERY_ROLE) == 0;
	return has_privs_of_role(role, row->role) && df_role_is_there(row->role, row->role_name);
}

static void
add_rights(DfRights *rights, Oid role, const List *rows)
{
	ListCell *cell;

	foreach (cell, rows)
	{
		const DfRightRow *row = lfirst(cell);

		if (!is_for(row, role))
			continue;
		if (strncmp(row->right, DF_SIGNAL_PREFIX, strlen(DF_SIGNAL_PREFIX)) == 0)
			rights->events = lappend(rights->events, row->right + strlen(DF_SIGNAL_PREFIX));
		else
			rights->given |= df_right_of(row->right);
	}
}

/*
 * While the schema is still that of 0.1 it has no rights: EXECUTE on the function, granted by
 * name to a role of which this one is a member, is what the update will turn into them.
 */
static void
add_rights_of_0_1(DfRights *rights, Oid role, const DfWorkflowRow *workflow)
{
	HeapTuple tuple =
		SearchSysCache1(PROCOID, ObjectIdGetDatum(df_function_oid(workflow->function)));
	Oid owner;
	Datum datum;
	bool isnull;

	if (!HeapTupleIsValid(tuple))
		return;
	owner = ((Form_pg_proc) GETSTRUCT(tuple))->proowner;
	datum = SysCacheGetAttr(PROCOID, tuple, Anum_pg_proc_proacl, &isnull);
	if (!isnull && owner == workflow->function_owner)
	{
		Acl *acl = DatumGetAclPCopy(datum);

		for (int i = 0; i < ACL_NUM(acl); i++)
		{
			const AclItem *item = &ACL_DAT(acl)[i];

			if (item->ai_grantee != ACL_ID_PUBLIC && item->ai_grantee != owner &&
				(ACLITEM_GET_PRIVS(*item) & ACL_EXECUTE) != 0 &&
				has_privs_of_role(role, item->ai_grantee))
				rights->given |= DF_RIGHT_START | DF_RIGHT_SIGNAL | DF_RIGHT_CANCEL;
		}
	}
	ReleaseSysCache(tuple);
}

void
df_rights_read_of_query(Oid role, const DfWorkflowRow *workflow, bool of_query, DfRights *rights)
{
	MemoryContext cxt = CurrentMemoryContext;
	DfStore store;
	List *rows;

	memset(rights, 0, sizeof(*rights));
	rights->owns = workflow->owner_name != NULL && df_may_own(role, workflow);
	if (rights->owns)
		return;
	if (!df_schema_fits())
	{
		if (workflow->function != NULL)
			add_rights_of_0_1(rights, role, workflow);
		return;
	}
	df_store_enter(&store);
	rows = df_rights_list(workflow->name, role, of_query, cxt);
	df_store_leave(&store);
	add_rights(rights, role, rows);
}

void
df_rights_read(Oid role, const DfWorkflowRow *workflow, DfRights *rights)
{
	df_rights_read_of_query(role, workflow, false, rights);
}

bool
df_rights_have(const DfRights *rights, DfRight right, const char *event)
{
	ListCell *cell;

	if (rights->owns || (rights->given & right) != 0)
		return true;
	if (right != DF_RIGHT_SIGNAL || event == NULL)
		return false;
	foreach (cell, rights->events)
		if (strcmp(lfirst(cell), event) == 0)
			return true;
	return false;
}

bool
df_may(Oid role, const DfWorkflowRow *workflow, DfRight right, const char *event)
{
	DfRights rights;

	df_rights_read(role, workflow, &rights);
	return df_rights_have(&rights, right, event);
}

/* without the name of the owner nobody would know whom to ask */
static int
hint_to_ask(Oid role, const DfWorkflowRow *workflow, DfRight right, const char *event)
{
	const char *word = event == NULL ? right_name(right)
									 : psprintf("%s%s", DF_SIGNAL_PREFIX, event);

	if (owner_exists(workflow))
		return errhint("Ask a member of the owner to call dataflows.allow(%s, %s, %s), or act as "
					   "a member of the owner.",
					   quote_literal_cstr(workflow->name),
					   quote_literal_cstr(GetUserNameFromId(role, false)),
					   quote_literal_cstr(word));
	if (df_identity_is_ours())
		return errhint("Define the workflow again as the role that should own it.");
	return errhint("This database is a copy: if nothing else runs its runs, have a superuser "
				   "call dataflows.adopt().");
}

void
df_refuse_right(Oid role, const DfWorkflowRow *workflow, DfRight right, const char *event,
				const char *verb)
{
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("role \"%s\" may not %s workflow \"%s\"", GetUserNameFromId(role, false), verb,
					workflow->name),
			 owner_exists(workflow)
				 ? errdetail("It belongs to role \"%s\", and the right \"%s\" was not given.",
							 owner_called(workflow), right_name(right))
				 : errdetail("The role \"%s\" that defined it does not exist any more, or another "
							 "role has its name.",
							 workflow->owner_name),
			 hint_to_ask(role, workflow, right, event)));
}

void
df_require_right(Oid role, const DfWorkflowRow *workflow, DfRight right, const char *event,
				 const char *verb)
{
	if (!df_may(role, workflow, right, event))
		df_refuse_right(role, workflow, right, event, verb);
}

void
df_require_own(Oid role, const DfWorkflowRow *workflow, const char *verb)
{
	if (df_may_own(role, workflow))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("role \"%s\" may not %s workflow \"%s\"",
					GetUserNameFromId(role, false), verb, workflow->name),
			 errdetail("It belongs to role \"%s\".", owner_called(workflow)),
			 errhint("Act as a member of role \"%s\".", owner_called(workflow))));
}

/* an oid from another cluster may be somebody else's here */
void
df_require_owner_there(const DfWorkflowRow *workflow)
{
	if (df_role_is_there(workflow->owner, workflow->owner_name))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("role \"%s\", the owner of workflow \"%s\", does not exist",
					workflow->owner_name, workflow->name),
			 errhint("Give the workflow to a role that exists, as a superuser: SELECT "
					 "dataflows.set_owner(%s, 'role');",
					 quote_literal_cstr(workflow->name))));
}

void
df_require_workflow(const char *name, DfWorkflowRow *row, MemoryContext cxt)
{
	if (!df_workflow_latest(name, row, cxt))
		ereport(ERROR,
				(errcode(DF_ERR_UNKNOWN), errmsg("workflow \"%s\" does not exist", name),
				 errhint("Define it with dataflows.define_workflow(), or look for its name in the "
						 "view dataflows.workflows.")));
	if (row->dropped)
		ereport(ERROR,
				(errcode(DF_ERR_UNKNOWN),
				 errmsg("workflow \"%s\" was dropped", name),
				 errhint("Define it again with dataflows.define_workflow().")));
}

void
df_require_writable(const char *what)
{
	if (!XactReadOnly)
		return;
	ereport(
		ERROR,
		(errcode(ERRCODE_READ_ONLY_SQL_TRANSACTION),
		 errmsg("cannot %s in a read-only transaction", what),
		 RecoveryInProgress()
			 ? errhint("Connect to the primary server.")
			 : errhint(
				   "Use a transaction that is READ WRITE; the body of a workflow is never one.")));
}
