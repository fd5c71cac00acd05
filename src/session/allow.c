/*
 * session/allow.c
 *	  allow(), disallow(): rights in a workflow; allow_author(), disallow_author(): who may
 *	  define workflows.
 *
 * Runs in a user's backend, in the caller's transaction.  Rights in a workflow are rows, which
 * are written as the extension's owner once it is known that the caller is a member of the
 * workflow's owner.  Authors are EXECUTE on three functions, granted by PostgreSQL itself as
 * the caller.  Must never grant what the caller could not.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "compat.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "session/author.h"
#include "shared/clock.h"
#include "shared/limits.h"
#include "store/identity.h"
#include "store/right_table.h"
#include "store/rights.h"
#include "store/store.h"
#include "types/base.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

PG_FUNCTION_INFO_V1(dataflows_allow);
PG_FUNCTION_INFO_V1(dataflows_disallow);
PG_FUNCTION_INFO_V1(dataflows_allow_author);
PG_FUNCTION_INFO_V1(dataflows_disallow_author);

/* one call of allow() or disallow() */
typedef struct Call
{
	char *workflow;
	char *role_name;
	Oid role; /* InvalidOid = PUBLIC, or one that is not there */
	List *rights; /* their names */
	DfNewRight right;
} Call;

/* ---- arguments ------------------------------------------------------------ */

static void
require_given(FunctionCallInfo fcinfo, int arg, const char *what)
{
	if (PG_ARGISNULL(arg))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("%s must not be null", what),
				 errhint("Call dataflows.allow('workflow', 'role', 'start', 'signal').")));
}

static char *
checked_right(const char *name)
{
	if (df_right_of(name) != 0)
		return pstrdup(name);
	if (strncmp(name, DF_SIGNAL_PREFIX, strlen(DF_SIGNAL_PREFIX)) == 0)
	{
		df_check_event(name + strlen(DF_SIGNAL_PREFIX));
		return pstrdup(name);
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("right \"%s\" does not exist", name),
			 errhint("The rights are start, signal, signal:<event>, see, cancel and operate "
					 "(retry, resolve, rename_step, accept_drift, undo, abandon, pause, "
					 "resume).")));
	return NULL;
}

static List *
rights_argument(FunctionCallInfo fcinfo, int arg)
{
	List *rights = NIL;
	Datum *names;
	bool *nulls;
	int n;

	require_given(fcinfo, arg, "the rights");
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(arg), TEXTOID, -1, false, TYPALIGN_INT, &names, &nulls,
					  &n);
	for (int i = 0; i < n; i++)
	{
		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("a right must not be null"),
					 errhint("Leave it out, for example with array_remove(rights, NULL).")));
		rights = lappend(rights, checked_right(TextDatumGetCString(names[i])));
	}
	return rights;
}

static bool
is_every_role(const char *name)
{
	return strcmp(name, DF_EVERY_ROLE) == 0;
}

/* PUBLIC as GRANT writes it is every role, unless there is a role of that name */
static char *
role_argument(FunctionCallInfo fcinfo, int arg)
{
	char *name = pstrdup(NameStr(*PG_GETARG_NAME(arg)));

	if (pg_strcasecmp(name, DF_EVERY_ROLE) == 0 && !OidIsValid(get_role_oid(name, true)))
		return pstrdup(DF_EVERY_ROLE);
	return name;
}

static void
require_role(const Call *call)
{
	if (OidIsValid(call->role) || is_every_role(call->role_name))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("role \"%s\" does not exist", call->role_name),
			 errhint("Give its name as it is, without quotes inside: 'Shop Web', not "
					 "'\"Shop Web\"'; or 'public' for every role.")));
}

static void
read_call(FunctionCallInfo fcinfo, Call *call)
{
	require_given(fcinfo, 0, "the workflow");
	require_given(fcinfo, 1, "the role");
	memset(call, 0, sizeof(*call));
	call->workflow = text_to_cstring(PG_GETARG_TEXT_PP(0));
	call->role_name = role_argument(fcinfo, 1);
	if (!is_every_role(call->role_name))
		call->role = get_role_oid(call->role_name, true);
	call->rights = rights_argument(fcinfo, 2);
	call->right.workflow = call->workflow;
	call->right.role = call->role;
	call->right.role_name = call->role_name;
	call->right.by = GetUserNameFromId(GetUserId(), false);
	call->right.now = df_now();
	call->right.held = !df_identity_is_ours();
}

/* ---- allow() -------------------------------------------------------------- */

Datum
dataflows_allow(PG_FUNCTION_ARGS)
{
	Oid caller = GetUserId();
	DfWorkflowRow definition;
	DfStore store;
	ListCell *cell;
	Call call;

	df_require_writable("allow anything");
	read_call(fcinfo, &call);
	require_role(&call);
	if (call.rights == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("no right is given"),
				 errhint("Name at least one of start, signal, signal:<event>, see, cancel and "
						 "operate.")));
	df_store_enter(&store);
	df_workflow_lock(call.workflow);
	df_require_workflow(call.workflow, &definition, store.result_context);
	df_require_own(caller, &definition, "allow anything in");
	foreach (cell, call.rights)
	{
		call.right.right = lfirst(cell);
		df_right_insert(&call.right);
	}
	df_store_leave(&store);
	PG_RETURN_VOID();
}

/* ---- disallow() ----------------------------------------------------------- */

/* a dropped workflow, too: its ended runs may still be seen */
static void
require_named(const char *workflow, DfWorkflowRow *definition, MemoryContext cxt)
{
	if (!df_workflow_latest(workflow, definition, cxt))
		ereport(ERROR,
				(errcode(DF_ERR_UNKNOWN), errmsg("workflow \"%s\" does not exist", workflow),
				 errhint("Look for its name in the view dataflows.workflows.")));
}

/* a right of every role, or of one that this one is a member of, is not taken with its own */
static void
notice_what_is_left(const Call *call, const DfWorkflowRow *definition)
{
	DfRights left;
	ListCell *cell;

	if (!OidIsValid(call->role))
		return;
	df_rights_read(call->role, definition, &left);
	foreach (cell, call->rights != NIL ? call->rights : df_right_names())
	{
		const char *right = lfirst(cell);
		const char *event = df_right_of(right) != 0 ? NULL : right + strlen(DF_SIGNAL_PREFIX);

		if (df_rights_have(&left, event != NULL ? DF_RIGHT_SIGNAL : df_right_of(right), event))
			ereport(NOTICE,
					(errmsg("role \"%s\" still has the right \"%s\" in workflow \"%s\"",
							call->role_name, right, call->workflow),
					 errdetail("It has it as a member of the owner or of another role, %s.",
							   event != NULL ? "from \"public\", or by the right \"signal\""
											 : "or from \"public\""),
					 errhint("Look into the view dataflows.rights.")));
	}
}

Datum
dataflows_disallow(PG_FUNCTION_ARGS)
{
	Oid caller = GetUserId();
	DfWorkflowRow definition;
	DfStore store;
	ListCell *cell;
	Call call;

	df_require_writable("disallow anything");
	read_call(fcinfo, &call);
	df_store_enter(&store);
	df_workflow_lock(call.workflow);
	require_named(call.workflow, &definition, store.result_context);
	df_require_own(caller, &definition, "disallow anything in");
	if (call.rights == NIL)
		df_right_delete(&call.right);
	foreach (cell, call.rights)
	{
		call.right.right = lfirst(cell);
		df_right_delete(&call.right);
	}
	notice_what_is_left(&call, &definition);
	df_store_leave(&store);
	PG_RETURN_VOID();
}

/* ---- authors -------------------------------------------------------------- */

/* PostgreSQL itself would only warn that nothing was granted */
static void
require_grant_option(Oid function, Oid caller)
{
	if (object_aclcheck(ProcedureRelationId, function, caller,
						ACL_GRANT_OPTION_FOR(ACL_EXECUTE)) == ACLCHECK_OK)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("role \"%s\" may not say who may define workflows",
					GetUserNameFromId(caller, false)),
			 errhint("Act as a member of the owner of extension \"dataflows\", or have it GRANT "
					 "EXECUTE ON FUNCTION dataflows.define_workflow, dataflows.start_on_insert, "
					 "dataflows.signal_on_change TO %s WITH GRANT OPTION.",
					 quote_identifier(GetUserNameFromId(caller, false)))));
}

/* a grant of another grantor, to another role or to PUBLIC, is not taken with this one */
static void
notice_author(const RoleSpec *role)
{
	Oid oid = role->roletype == ROLESPEC_PUBLIC ? InvalidOid : get_role_oid(role->rolename, false);
	ListCell *cell;

	if (!OidIsValid(oid))
		return;
	CommandCounterIncrement();
	foreach (cell, df_author_functions())
	{
		Oid function = df_own_function(lfirst_node(ObjectWithArgs, cell));

		if (object_aclcheck(ProcedureRelationId, function, oid, ACL_EXECUTE) != ACLCHECK_OK)
			continue;
		ereport(NOTICE,
				(errmsg("role \"%s\" still may execute dataflows.%s()", role->rolename,
						get_func_name(function)),
				 errdetail("It is a superuser or a member of another role that may, it was granted "
						   "to PUBLIC, or by another role than this one."),
				 errhint("\\df+ dataflows.define_workflow shows who may, and who granted it.")));
		return;
	}
}

static Datum
change_author(FunctionCallInfo fcinfo, bool is_grant)
{
	GrantStmt *grant = makeNode(GrantStmt);
	AccessPriv *execute = makeNode(AccessPriv);
	RoleSpec *role = makeNode(RoleSpec);
	ListCell *cell;

	require_given(fcinfo, 0, "the role");
	df_require_writable("say who may define workflows");
	role->roletype = ROLESPEC_CSTRING;
	role->rolename = role_argument(fcinfo, 0);
	role->location = -1;
	if (is_every_role(role->rolename))
	{
		role->roletype = ROLESPEC_PUBLIC;
		role->rolename = NULL;
	}
	execute->priv_name = pstrdup("execute");
	grant->is_grant = is_grant;
	grant->targtype = ACL_TARGET_OBJECT;
	grant->objtype = OBJECT_FUNCTION;
	grant->objects = df_author_functions();
	grant->privileges = list_make1(execute);
	grant->grantees = list_make1(role);
	grant->behavior = DROP_RESTRICT;
	foreach (cell, grant->objects)
		require_grant_option(df_own_function(lfirst_node(ObjectWithArgs, cell)), GetUserId());
	df_wait_for_grants();
	ExecuteGrantStmt(grant);
	if (!is_grant)
		notice_author(role);
	PG_RETURN_VOID();
}

Datum
dataflows_allow_author(PG_FUNCTION_ARGS)
{
	return change_author(fcinfo, true);
}

Datum
dataflows_disallow_author(PG_FUNCTION_ARGS)
{
	return change_author(fcinfo, false);
}
