/*
 * session/replace_functions.c
 *	  Functions whose arguments change in an update: dropped, made anew, granted as before.
 *
 * Runs in the session of a superuser, in the transaction of ALTER EXTENSION UPDATE.  The
 * script first names all functions that it replaces, then creates them, and asks at its end
 * for the owners and grants that they had.  What a user granted or revoked must be the
 * same after the update, and in a dump.  Must never drop an object of a user.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/namespace.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "commands/alter.h"
#include "fmgr.h"
#include "nodes/makefuncs.h"
#include "session/install.h"
#include "shared/function.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/catcache.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#include "compat.h"

PG_FUNCTION_INFO_V1(dataflows_replace_functions);
PG_FUNCTION_INFO_V1(dataflows_functions_replaced);

typedef struct Replaced
{
	char *name;
	Oid owner;
	Acl *acl;
} Replaced;

/* in TopTransactionContext: valid in the transaction that filled it */
static List *replaced;
static LocalTransactionId replaced_in;

/* the only function of that name in our schema */
static Oid
function_of_name(const char *name)
{
	CatCList *list = SearchSysCacheList1(PROCNAMEARGSNSP, CStringGetDatum(name));
	Oid schema = get_namespace_oid("dataflows", false);
	Oid result = InvalidOid;

	for (int i = 0; i < list->n_members; i++)
	{
		Form_pg_proc function = (Form_pg_proc) GETSTRUCT(&list->members[i]->tuple);

		if (function->pronamespace != schema)
			continue;
		if (OidIsValid(result))
			elog(ERROR, "there are two functions dataflows.%s", name);
		result = function->oid;
	}
	ReleaseSysCacheList(list);
	if (!OidIsValid(result))
		elog(ERROR, "there is no function dataflows.%s", name);
	return result;
}

/* what of a user's needs the function: it could not be dropped */
static void
add_dependents(Oid function, StringInfo text)
{
	ListCell *lc;

	foreach (lc, df_foreign_dependents(ProcedureRelationId, function))
		appendStringInfo(text, "%s%s", text->len > 0 ? ", " : "",
						 getObjectDescription(lfirst(lc), false));
}

static void
remember(const char *name)
{
	MemoryContext old = MemoryContextSwitchTo(TopTransactionContext);
	Replaced *function = palloc(sizeof(Replaced));
	Oid oid = function_of_name(name);

	function->name = pstrdup(name);
	function->owner = df_function_owner(oid);
	function->acl = df_function_acl(oid);
	replaced = lappend(replaced, function);
	MemoryContextSwitchTo(old);
}

/* _replace_functions(names text[]): drops them, unless something of a user needs one */
Datum
dataflows_replace_functions(PG_FUNCTION_ARGS)
{
	StringInfoData dependents;
	Datum *names;
	int n;
	ListCell *cell;

	deconstruct_array(PG_GETARG_ARRAYTYPE_P(0), TEXTOID, -1, false, TYPALIGN_INT, &names, NULL, &n);
	replaced = NIL;
	replaced_in = df_compat_lxid();
	initStringInfo(&dependents);
	for (int i = 0; i < n; i++)
	{
		char *name = TextDatumGetCString(names[i]);

		add_dependents(function_of_name(name), &dependents);
		remember(name);
	}
	if (dependents.len > 0)
		ereport(ERROR,
				(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
				 errmsg("extension \"dataflows\" cannot be updated while other objects need "
						"functions that get new arguments"),
				 errdetail("They are needed by %s.", dependents.data),
				 errhint("Save what pg_get_functiondef() or pg_get_viewdef() says of each, drop "
						 "it, update the extension, and create it again.")));
	foreach (cell, replaced)
	{
		ObjectAddress object;

		ObjectAddressSet(object, ProcedureRelationId,
						 function_of_name(((Replaced *) lfirst(cell))->name));
		performDeletion(&object, DROP_RESTRICT, 0);
	}
	CommandCounterIncrement();
	PG_RETURN_VOID();
}

static ObjectWithArgs *
by_name(const char *name)
{
	ObjectWithArgs *function = makeNode(ObjectWithArgs);

	function->objname = list_make2(makeString("dataflows"), makeString(pstrdup(name)));
	function->args_unspecified = true;
	return function;
}

static bool
may_execute(const Acl *acl, Oid role, bool *grant_option)
{
	for (int i = 0; i < ACL_NUM(acl); i++)
	{
		const AclItem *item = &ACL_DAT(acl)[i];

		if (item->ai_grantee != role || (ACLITEM_GET_PRIVS(*item) & ACL_EXECUTE) == 0)
			continue;
		*grant_option = (ACLITEM_GET_GOPTIONS(*item) & ACL_EXECUTE) != 0;
		return true;
	}
	return false;
}

static void
change_owner(const Replaced *before)
{
	AlterOwnerStmt *statement = makeNode(AlterOwnerStmt);

	statement->objectType = OBJECT_FUNCTION;
	statement->object = (Node *) by_name(before->name);
	statement->newowner = df_role_spec(before->owner);
	(void) ExecAlterOwnerStmt(statement);
	CommandCounterIncrement();
}

/* the grants become those of before; each counts as its owner's */
static void
grant_as_before(const Replaced *before, Oid oid)
{
	List *function = list_make1(by_name(before->name));
	Acl *now = df_function_acl(oid);
	bool option = false;
	bool had;

	for (int i = 0; i < ACL_NUM(now); i++)
		if (ACL_DAT(now)[i].ai_grantee != before->owner &&
			!may_execute(before->acl, ACL_DAT(now)[i].ai_grantee, &had))
			df_change_grant(false, OBJECT_FUNCTION, function, "execute", ACL_DAT(now)[i].ai_grantee,
							false, true);
	for (int i = 0; i < ACL_NUM(before->acl); i++)
	{
		Oid role = ACL_DAT(before->acl)[i].ai_grantee;

		if (role != before->owner && may_execute(before->acl, role, &option) &&
			!may_execute(now, role, &had))
			df_change_grant(true, OBJECT_FUNCTION, function, "execute", role, option, true);
	}
}

/* _functions_replaced(): the new ones belong and are granted to whom the old ones were */
Datum
dataflows_functions_replaced(PG_FUNCTION_ARGS)
{
	ListCell *cell;

	if (replaced_in != df_compat_lxid())
		replaced = NIL;
	foreach (cell, replaced)
	{
		Replaced *before = lfirst(cell);
		Oid oid = function_of_name(before->name);

		change_owner(before);
		grant_as_before(before, oid);
	}
	replaced = NIL;
	PG_RETURN_VOID();
}
