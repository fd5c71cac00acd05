/*
 * session/set_owner.c
 *	  set_owner(): a workflow goes to another role, with its live runs.
 *
 * Runs in a superuser's backend, in its transaction; rows are written as the extension's
 * owner.  The bodies run as the new owner from then on, so it must be a role that could have
 * defined the workflow, and never a superuser.
 */
#include "postgres.h"

#include "catalog/pg_proc.h"
#include "compat.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "session/define.h"
#include "shared/clock.h"
#include "shared/function.h"
#include "shared/wake.h"
#include "store/identity.h"
#include "store/rights.h"
#include "store/store.h"
#include "store/workflow_owner.h"
#include "store/workflow_table.h"
#include "utils/acl.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(dataflows_set_owner);

static void
check_caller(void)
{
	if (!superuser())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to give a workflow to another role"),
				 errhint("Ask a superuser to call dataflows.set_owner().")));
	if (!df_identity_is_ours())
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("this database is a copy, and its runs do not move"),
				 errhint("If nothing else runs them, call dataflows.adopt() first.")));
}

static void
check_target(Oid role, const char *name, const char *workflow)
{
	if (superuser_arg(role))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("superuser \"%s\" cannot become the owner of workflow \"%s\"", name,
						workflow),
				 errdetail("Its bodies would run with the rights of a superuser."),
				 errhint("Name a role without SUPERUSER.")));
	df_check_new_owner(role, name, workflow);
}

static void
check_function(Oid role, const char *name, const char *function)
{
	Oid oid = function == NULL ? InvalidOid : df_function_oid(function);

	if (!OidIsValid(oid) ||
		object_aclcheck(ProcedureRelationId, oid, role, ACL_EXECUTE) == ACLCHECK_OK)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("role \"%s\" may not execute function %s", name, function),
			 errhint("GRANT EXECUTE ON FUNCTION %s TO %s, or ALTER FUNCTION %s OWNER TO %s first.",
					 function, quote_identifier(name), function, quote_identifier(name))));
}

Datum
dataflows_set_owner(PG_FUNCTION_ARGS)
{
	char *workflow = text_to_cstring(PG_GETARG_TEXT_PP(0));
	Oid role = get_role_oid(NameStr(*PG_GETARG_NAME(1)), false);
	char *name = GetUserNameFromId(role, false);
	char *caller = GetUserNameFromId(GetUserId(), false);
	DfWorkflowRow latest;
	DfStore store;

	df_require_writable("give a workflow to another role");
	check_caller();
	check_target(role, name, workflow);
	df_store_enter(&store);
	df_workflow_lock(workflow);
	df_require_workflow(workflow, &latest, store.result_context);
	check_function(role, name, latest.function);
	check_function(role, name, latest.on_failure);
	df_workflow_give(workflow, latest.owner, role, name);
	df_workflow_send_on(workflow, caller, df_now());
	df_store_leave(&store);
	df_wake_owner(latest.owner);
	df_wake_owner(role);
	PG_RETURN_VOID();
}
