/*
 * store/rights.c
 *	  Who may do what with a workflow and its runs.
 *
 * Runs in a user's backend, in its transaction, and in a body that calls another
 * workflow.  The role that is judged is an argument, because the user id may be
 * the extension's owner at that moment.  It reads catalogs, by oid and
 * without any search_path, and for a renamed owner the row that says whether this
 * database is held; it must never write.
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
#include "store/rights.h"
#include "store/store.h"
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

DfSight
df_sight(Oid role, Oid owner, const char *owner_name, const char *started_by)
{
	if (df_is_owner(role, owner, owner_name) || df_is_starter(role, started_by))
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
					 "started it.")));
}

bool
df_may_own_extension(Oid role)
{
	return has_privs_of_role(role, df_extension_owner());
}

/* ---- who may use a workflow ----------------------------------------------- */

bool
df_may_own(Oid role, const DfWorkflowRow *workflow)
{
	if (owner_exists(workflow))
		return has_privs_of_role(role, workflow->owner);
	return superuser_arg(role);
}

/*
 * Whether EXECUTE on the function was granted to a role of which this one is a
 * member.  PUBLIC may execute every new function, so that it cannot count; nor
 * does an entry that the function's owner has by owning it: it was
 * granted by no role.  A function of another owner than at the definition is another
 * function.
 */
static bool
granted_by_name(Oid role, const DfWorkflowRow *workflow)
{
	HeapTuple tuple =
		SearchSysCache1(PROCOID, ObjectIdGetDatum(df_function_oid(workflow->function)));
	Oid owner;
	Datum datum;
	bool isnull;
	Acl *acl;
	bool granted = false;

	if (!HeapTupleIsValid(tuple))
		return false;
	owner = ((Form_pg_proc) GETSTRUCT(tuple))->proowner;
	datum = SysCacheGetAttr(PROCOID, tuple, Anum_pg_proc_proacl, &isnull);
	if (!isnull && owner == workflow->function_owner)
	{
		acl = DatumGetAclPCopy(datum);
		for (int i = 0; i < ACL_NUM(acl) && !granted; i++)
		{
			const AclItem *item = &ACL_DAT(acl)[i];

			granted = item->ai_grantee != ACL_ID_PUBLIC && item->ai_grantee != owner &&
				(ACLITEM_GET_PRIVS(*item) & ACL_EXECUTE) != 0 &&
				has_privs_of_role(role, item->ai_grantee);
		}
	}
	ReleaseSysCache(tuple);
	return granted;
}

bool
df_may_use(Oid role, const DfWorkflowRow *workflow)
{
	return df_may_own(role, workflow) || granted_by_name(role, workflow);
}

void
df_require_use(Oid role, const DfWorkflowRow *workflow, const char *verb)
{
	if (df_may_use(role, workflow))
		return;
	ereport(
		ERROR,
		(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
		 errmsg("role \"%s\" may not %s workflow \"%s\"", GetUserNameFromId(role, false), verb,
				workflow->name),
		 owner_exists(workflow)
			 ? errdetail("It belongs to role \"%s\", and EXECUTE on its function counts only where "
						 "it is granted by name, not to PUBLIC.",
						 owner_called(workflow))
			 : errdetail("The role \"%s\" that defined it does not exist any more, or another "
						 "role has its name.",
						 workflow->owner_name),
		 owner_exists(workflow)
			 ? errhint("Ask the owner to run GRANT EXECUTE ON FUNCTION %s TO %s, or act as a "
					   "member of the owner.",
					   workflow->function, quote_identifier(GetUserNameFromId(role, false)))
			 : df_identity_is_ours()
			 ? errhint("Define the workflow again as the role that should own it.")
			 : errhint("This database is a copy: if nothing else runs its runs, have a superuser "
					   "call dataflows.adopt().")));
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
