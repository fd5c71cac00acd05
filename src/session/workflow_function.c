/*
 * session/workflow_function.c
 *	  Which functions can be the body of a workflow.
 *
 * Runs in a user's backend, in the caller's transaction and role, whose search_path finds
 * the function.  Reads catalogs only.  Must judge a function in one way for all who ask:
 * define_workflow() and what tries a function before it is deployed.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "compat.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "parser/parse_func.h"
#include "session/workflow_function.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"
#include "utils/syscache.h"

#define FUNCTION_HINT \
	"Create it as FUNCTION name(event jsonb) RETURNS jsonb, VOLATILE, PARALLEL UNSAFE and " \
	"SECURITY INVOKER, which is what CREATE FUNCTION does if nothing else is said."

static bool
is_signature(const char *given)
{
	bool quoted = false;

	for (const char *p = given; *p != '\0'; p++)
	{
		if (*p == '"')
			quoted = !quoted;
		else if (*p == '(' && !quoted)
			return true;
	}
	return false;
}

static Oid
lookup_signature(const char *given)
{
	Datum result;

	LOCAL_FCINFO(fcinfo, 1);

	InitFunctionCallInfoData(*fcinfo, NULL, 1, InvalidOid, NULL, NULL);
	fcinfo->args[0].value = CStringGetTextDatum(given);
	fcinfo->args[0].isnull = false;
	result = to_regprocedure(fcinfo);
	return fcinfo->isnull ? InvalidOid : DatumGetObjectId(result);
}

/* finds it in the caller's search_path */
static Oid
lookup_function(const char *given)
{
	bool signature = is_signature(given);
	Oid argument = JSONBOID;
	Oid other = InvalidOid;
	Oid function;

	if (signature)
		function = lookup_signature(given);
	else
	{
		List *names = stringToQualifiedNameList(given, NULL);

		function = LookupFuncName(names, 1, &argument, true);
		if (!OidIsValid(function))
			other = LookupFuncName(names, -1, &argument, true);
	}
	if (!OidIsValid(function))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FUNCTION),
				 errmsg("function %s%s does not exist", given, signature ? "" : "(jsonb)"),
				 OidIsValid(other) ? errdetail("There is %s.", format_procedure(other)) : 0,
				 errhint(FUNCTION_HINT)));
	return function;
}

/* why a function cannot be a body; NULL = it can be one */
static const char *
unfit(const Form_pg_proc proc)
{
	if (proc->prokind != PROKIND_FUNCTION)
		return "is not a plain function";
	if (proc->pronargs != 1 || proc->proargtypes.values[0] != JSONBOID)
		return "does not take one argument of type jsonb";
	if (proc->prorettype != JSONBOID || proc->proretset)
		return "does not return one jsonb";
	if (proc->provolatile != PROVOLATILE_VOLATILE)
		return "is not VOLATILE";
	if (proc->proparallel != PROPARALLEL_UNSAFE)
		return "is not PARALLEL UNSAFE";
	if (proc->prosecdef)
		return "is SECURITY DEFINER";
	if (isAnyTempNamespace(proc->pronamespace))
		return "is in a temporary schema";
	return NULL;
}

char *
df_workflow_function(const char *given, Oid role, Oid *owner)
{
	Oid oid = lookup_function(given);
	HeapTuple tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(oid));
	Form_pg_proc proc;
	const char *reason;
	char *signature;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for function %u", oid);
	proc = (Form_pg_proc) GETSTRUCT(tuple);
	reason = unfit(proc);
	if (reason != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_FUNCTION_DEFINITION),
				 errmsg("function %s cannot be a workflow: it %s", given, reason),
				 errhint(FUNCTION_HINT)));
	if (object_aclcheck(ProcedureRelationId, oid, role, ACL_EXECUTE) != ACLCHECK_OK)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("role \"%s\" may not execute function %s",
						GetUserNameFromId(role, false), given),
				 errhint("The owner of a workflow runs its function: GRANT EXECUTE on it first.")));
	signature = psprintf("%s(jsonb)",
						 quote_qualified_identifier(get_namespace_name(proc->pronamespace),
													NameStr(proc->proname)));
	*owner = proc->proowner;
	ReleaseSysCache(tuple);
	return signature;
}

void
df_check_function_owners(const char *function, Oid owner, const char *on_failure,
						 Oid on_failure_owner)
{
	if (owner != on_failure_owner)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_FUNCTION_DEFINITION),
				 errmsg("functions %s and %s have different owners", function, on_failure),
				 errhint("Have both functions of a workflow owned by one role.")));
}
