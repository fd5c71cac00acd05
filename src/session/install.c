/*
 * session/install.c
 *	  Functions for the scripts of CREATE EXTENSION and ALTER EXTENSION UPDATE.
 *
 * Runs in the session of a superuser, in the script's transaction.  A role that owns the
 * extension's schema or may create in it could add functions that match a call better than
 * ours and run as the caller.  A new installation refuses such a schema; an update repairs
 * it.  Must never drop an object that somebody else created.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_class.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_trigger.h"
#include "commands/extension.h"
#include "commands/schemacmds.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/parsenodes.h"
#include "parser/parse_func.h"
#include "session/author.h"
#include "session/install.h"
#include "shared/extension.h"
#include "store/identity.h"
#include "store/right_table.h"
#include "store/store.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/catcache.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "compat.h"

PG_FUNCTION_INFO_V1(dataflows_guard_schema);
PG_FUNCTION_INFO_V1(dataflows_guard_grants);
PG_FUNCTION_INFO_V1(dataflows_guard_triggers);
PG_FUNCTION_INFO_V1(dataflows_rights_from_grants);

#define SCHEMA "dataflows"

/* ---- GRANT and REVOKE ----------------------------------------------------- */

RoleSpec *
df_role_spec(Oid role)
{
	RoleSpec *spec = makeNode(RoleSpec);

	spec->roletype = role == ACL_ID_PUBLIC ? ROLESPEC_PUBLIC : ROLESPEC_CSTRING;
	spec->rolename = role == ACL_ID_PUBLIC ? NULL : GetUserNameFromId(role, false);
	spec->location = -1;
	return spec;
}

void
df_change_grant(bool is_grant, ObjectType type, List *objects, const char *privilege, Oid role,
				bool grant_option, bool users)
{
	GrantStmt *grant = makeNode(GrantStmt);
	bool script = creating_extension;

	grant->is_grant = is_grant;
	grant->targtype = ACL_TARGET_OBJECT;
	grant->objtype = type;
	grant->objects = objects;
	if (privilege != NULL)
	{
		AccessPriv *right = makeNode(AccessPriv);

		right->priv_name = pstrdup(privilege);
		grant->privileges = list_make1(right);
	}
	grant->grantees = list_make1(df_role_spec(role));
	grant->grant_option = grant_option;
	grant->behavior = DROP_CASCADE;
	creating_extension = script && !users;
	ExecuteGrantStmt(grant);
	creating_extension = script;
	CommandCounterIncrement();
}

Acl *
df_function_acl(Oid function)
{
	HeapTuple tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	Acl *acl;
	Datum datum;
	bool isnull;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for function %u", function);
	datum = SysCacheGetAttr(PROCOID, tuple, Anum_pg_proc_proacl, &isnull);
	acl = isnull ? acldefault(OBJECT_FUNCTION, ((Form_pg_proc) GETSTRUCT(tuple))->proowner)
				 : DatumGetAclPCopy(datum);
	ReleaseSysCache(tuple);
	return acl;
}

/* ---- the schema ----------------------------------------------------------- */

static Oid
schema_owner(Oid schema)
{
	HeapTuple tuple = SearchSysCache1(NAMESPACEOID, ObjectIdGetDatum(schema));
	Oid owner;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for schema %u", schema);
	owner = ((Form_pg_namespace) GETSTRUCT(tuple))->nspowner;
	ReleaseSysCache(tuple);
	return owner;
}

/* superusers have all rights in any case */
static bool
is_trusted(Oid owner)
{
	return owner == GetUserId() || superuser_arg(owner);
}

List *
df_foreign_dependents(Oid class, Oid object)
{
	Relation depend = table_open(DependRelationId, AccessShareLock);
	Oid extension = df_extension_oid();
	List *result = NIL;
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple tuple;

	ScanKeyInit(&keys[0], Anum_pg_depend_refclassid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(class));
	ScanKeyInit(&keys[1], Anum_pg_depend_refobjid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(object));
	scan = systable_beginscan(depend, DependReferenceIndexId, true, NULL, 2, keys);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_depend row = (Form_pg_depend) GETSTRUCT(tuple);
		ObjectAddress *dependent;

		if (row->classid == ExtensionRelationId ||
			getExtensionOfObject(row->classid, row->objid) == extension)
			continue;
		dependent = palloc(sizeof(ObjectAddress));
		ObjectAddressSubSet(*dependent, row->classid, row->objid, row->objsubid);
		result = lappend(result, dependent);
	}
	systable_endscan(scan);
	table_close(depend, AccessShareLock);
	return result;
}

static void
refuse_owner(Oid owner)
{
	char *name = GetUserNameFromId(owner, false);

	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("schema \"%s\" exists already and belongs to role \"%s\"", SCHEMA, name),
			 errdetail("Its owner could add functions beside those of the extension, which would "
					   "run with the rights of the caller."),
			 errhint("Check what is in it, then run: DROP SCHEMA %s CASCADE, or, if it is empty: "
					 "ALTER SCHEMA %s OWNER TO %s",
					 SCHEMA, SCHEMA, quote_identifier(GetUserNameFromId(GetUserId(), false)))));
}

static void
refuse_creators(List *creators)
{
	char *name;

	if (creators == NIL)
		return;
	name = df_grantee_name(linitial_oid(creators));
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("%s may create objects in schema \"%s\"", name, SCHEMA),
			 errdetail("A function there may be called instead of one of the extension, with the "
					   "rights of the caller."),
			 errhint("REVOKE CREATE ON SCHEMA %s FROM %s", SCHEMA, name)));
}

static void
refuse_objects(List *objects)
{
	if (objects == NIL)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_DUPLICATE_SCHEMA), errmsg("schema \"%s\" is not empty", SCHEMA),
			 errdetail("It contains %s.", getObjectDescription(linitial(objects), false)),
			 errhint("Move what is in it to another schema, or drop it: the extension needs a "
					 "schema of its own.")));
}

/* ---- an installation that is there ---------------------------------------- */

static void
take_over(Oid schema, Oid owner)
{
	char *before = GetUserNameFromId(owner, false);
	Oid after = GetUserId();

	AlterSchemaOwner_oid(schema, after);
	CommandCounterIncrement();
	ereport(WARNING,
			(errcode(ERRCODE_WARNING),
			 errmsg("schema \"%s\" belonged to role \"%s\" and belongs to role \"%s\" now", SCHEMA,
					before, GetUserNameFromId(after, false)),
			 errdetail("Its owner could add functions beside those of the extension, which would "
					   "run with the rights of the caller."),
			 errhint("Check what this role has done: it may have replaced dataflows.start(), for "
					 "example.")));
}

static void
take_create_back(List *creators)
{
	ListCell *cell;

	foreach (cell, creators)
	{
		char *name = df_grantee_name(lfirst_oid(cell));

		df_change_grant(false, OBJECT_SCHEMA, list_make1(makeString(pstrdup(SCHEMA))), "create",
						lfirst_oid(cell), false, true);
		ereport(
			WARNING,
			(errcode(ERRCODE_WARNING_PRIVILEGE_NOT_REVOKED),
			 errmsg("%s could create objects in schema \"%s\"; this right was revoked", name,
					SCHEMA),
			 errhint("Create them in another schema.")));
	}
}

/*
 * an operator, or a function with the name of one of ours: there is no honest reason to
 * have it here
 */
static bool
shadows(const ObjectAddress *object, Oid schema)
{
	CatCList *list;
	bool found = false;
	char *name;

	if (object->classId == OperatorRelationId)
		return true;
	if (object->classId != ProcedureRelationId || (name = get_func_name(object->objectId)) == NULL)
		return false;
	list = SearchSysCacheList1(PROCNAMEARGSNSP, CStringGetDatum(name));
	for (int i = 0; i < list->n_members && !found; i++)
	{
		Form_pg_proc function = (Form_pg_proc) GETSTRUCT(&list->members[i]->tuple);

		found = function->pronamespace == schema &&
			df_extension_has(ProcedureRelationId, function->oid);
	}
	ReleaseSysCacheList(list);
	return found;
}

static void
judge_objects(List *objects, Oid schema)
{
	ListCell *cell;

	foreach (cell, objects)
	{
		ObjectAddress *object = lfirst(cell);
		char *description = getObjectDescription(object, false);

		if (shadows(object, schema))
			ereport(
				ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("%s may be called instead of what belongs to the extension", description),
				 errdetail("It is in schema \"%s\", and was not made by the extension; the update "
						   "does not run beside it.",
						   SCHEMA),
				 errhint("Find out who created it and what it does, drop it, and update again.")));
		ereport(WARNING,
				(errcode(ERRCODE_WARNING),
				 errmsg("%s is in schema \"%s\" and does not belong to the extension", description,
						SCHEMA),
				 errhint("Move it to another schema.")));
	}
}

/* _guard_schema(installed boolean): true = an existing installation is updated */
Datum
dataflows_guard_schema(PG_FUNCTION_ARGS)
{
	bool installed = PG_GETARG_BOOL(0);
	Oid schema = get_namespace_oid(SCHEMA, false);
	Oid owner = schema_owner(schema);

	if (!installed)
	{
		if (!is_trusted(owner))
			refuse_owner(owner);
		refuse_creators(df_schema_creators(schema));
		refuse_objects(df_foreign_dependents(NamespaceRelationId, schema));
		PG_RETURN_VOID();
	}
	if (!is_trusted(owner))
		take_over(schema, owner);
	take_create_back(df_schema_creators(schema));
	judge_objects(df_foreign_dependents(NamespaceRelationId, schema), schema);
	PG_RETURN_VOID();
}

/* ---- default privileges --------------------------------------------------- */

static Acl *
relation_acl(Oid relation, char *kind)
{
	HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relation));
	Acl *acl = NULL;
	Datum datum;
	bool isnull;

	if (!HeapTupleIsValid(tuple))
		return NULL;
	*kind = ((Form_pg_class) GETSTRUCT(tuple))->relkind;
	datum = SysCacheGetAttr(RELOID, tuple, Anum_pg_class_relacl, &isnull);
	if (!isnull)
		acl = DatumGetAclPCopy(datum);
	ReleaseSysCache(tuple);
	return acl;
}

/* the script grants views to PUBLIC, and tables and sequences to nobody */
static void
guard_relation(Oid relation, bool tables_alone)
{
	char kind = RELKIND_INDEX;
	Acl *acl = relation_acl(relation, &kind);
	bool stored = kind == RELKIND_RELATION || kind == RELKIND_SEQUENCE;
	RangeVar *name = makeRangeVar(pstrdup(SCHEMA), get_rel_name(relation), -1);

	if (tables_alone && !stored)
		return;
	for (int i = 0; acl != NULL && i < ACL_NUM(acl); i++)
	{
		Oid grantee = ACL_DAT(acl)[i].ai_grantee;

		if (grantee != GetUserId() && (stored || grantee != ACL_ID_PUBLIC))
			df_change_grant(false, kind == RELKIND_SEQUENCE ? OBJECT_SEQUENCE : OBJECT_TABLE,
							list_make1(name), NULL, grantee, false, false);
	}
}

static void
guard_routine(Oid function)
{
	HeapTuple tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	ObjectWithArgs *name = makeNode(ObjectWithArgs);
	Form_pg_proc form;
	Acl *acl = df_function_acl(function);

	if (!HeapTupleIsValid(tuple))
		return;
	form = (Form_pg_proc) GETSTRUCT(tuple);
	name->objname =
		list_make2(makeString(pstrdup(SCHEMA)), makeString(pstrdup(NameStr(form->proname))));
	for (int i = 0; i < form->pronargs; i++)
		name->objargs =
			lappend(name->objargs, makeTypeNameFromOid(form->proargtypes.values[i], -1));
	ReleaseSysCache(tuple);
	for (int i = 0; i < ACL_NUM(acl); i++)
	{
		Oid grantee = ACL_DAT(acl)[i].ai_grantee;

		if (grantee != GetUserId() && grantee != ACL_ID_PUBLIC)
			df_change_grant(false, OBJECT_ROUTINE, list_make1(name), NULL, grantee, false, false);
	}
}

/*
 * _guard_grants(installed boolean): revokes what default privileges granted to roles on the
 * objects that this transaction created for the extension.  An update may have created views
 * and functions again that users had been granted: these grants stay.  The row in pg_depend
 * of a member is as old as its membership.
 */
Datum
dataflows_guard_grants(PG_FUNCTION_ARGS)
{
	bool installed = PG_GETARG_BOOL(0);
	Relation depend = table_open(DependRelationId, AccessShareLock);
	List *relations = NIL;
	List *functions = NIL;
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple tuple;
	ListCell *cell;

	ScanKeyInit(&keys[0], Anum_pg_depend_refclassid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(ExtensionRelationId));
	ScanKeyInit(&keys[1], Anum_pg_depend_refobjid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(df_extension_oid()));
	scan = systable_beginscan(depend, DependReferenceIndexId, true, NULL, 2, keys);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_depend row = (Form_pg_depend) GETSTRUCT(tuple);

		if (row->deptype != DEPENDENCY_EXTENSION ||
			!TransactionIdIsCurrentTransactionId(HeapTupleHeaderGetXmin(tuple->t_data)))
			continue;
		if (row->classid == RelationRelationId)
			relations = lappend_oid(relations, row->objid);
		else if (row->classid == ProcedureRelationId && !installed)
			functions = lappend_oid(functions, row->objid);
	}
	systable_endscan(scan);
	table_close(depend, AccessShareLock);
	foreach (cell, relations)
		guard_relation(lfirst_oid(cell), installed);
	foreach (cell, functions)
		guard_routine(lfirst_oid(cell));
	PG_RETURN_VOID();
}

/* ---- the trigger functions, from 0.1 on ----------------------------------- */

static void
grant_to_all_of(List *function, const Acl *acl, Oid owner, bool and_public)
{
	for (int i = 0; i < ACL_NUM(acl); i++)
	{
		const AclItem *item = &ACL_DAT(acl)[i];

		if (item->ai_grantee == owner || (item->ai_grantee == ACL_ID_PUBLIC && !and_public) ||
			(ACLITEM_GET_PRIVS(*item) & ACL_EXECUTE) == 0)
			continue;
		df_change_grant(true, OBJECT_FUNCTION, function, "execute", item->ai_grantee,
						(ACLITEM_GET_GOPTIONS(*item) & ACL_EXECUTE) != 0, true);
	}
}

static void
revoke_from_all_of(List *function, const Acl *acl, Oid owner)
{
	for (int i = 0; i < ACL_NUM(acl); i++)
		if (ACL_DAT(acl)[i].ai_grantee != owner)
			df_change_grant(false, OBJECT_FUNCTION, function, "execute", ACL_DAT(acl)[i].ai_grantee,
							false, false);
}

static bool
public_may(const Acl *acl)
{
	for (int i = 0; i < ACL_NUM(acl); i++)
		if (ACL_DAT(acl)[i].ai_grantee == ACL_ID_PUBLIC)
			return true;
	return false;
}

/*
 * owners of tables with such a trigger: they must be able to create partitions, which
 * clones it
 */
static void
grant_to_owners_of_tables(List *function, Oid function_oid)
{
	Relation triggers = table_open(TriggerRelationId, AccessShareLock);
	SysScanDesc scan = systable_beginscan(triggers, InvalidOid, false, NULL, 0, NULL);
	List *owners = NIL;
	HeapTuple tuple;
	ListCell *cell;

	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_trigger trigger = (Form_pg_trigger) GETSTRUCT(tuple);
		HeapTuple table;

		if (trigger->tgfoid != function_oid)
			continue;
		table = SearchSysCache1(RELOID, ObjectIdGetDatum(trigger->tgrelid));
		if (!HeapTupleIsValid(table))
			continue;
		owners = list_append_unique_oid(owners, ((Form_pg_class) GETSTRUCT(table))->relowner);
		ReleaseSysCache(table);
	}
	systable_endscan(scan);
	table_close(triggers, AccessShareLock);
	foreach (cell, owners)
		if (!superuser_arg(lfirst_oid(cell)))
			df_change_grant(true, OBJECT_FUNCTION, function, "execute", lfirst_oid(cell), false,
							true);
}

/*
 * PUBLIC could create triggers with both functions.  From now on only these roles can:
 * those that may define workflows, that were granted it by name, or whose tables have such
 * triggers.  Everything is revoked first, because what a script leaves becomes the
 * extension's initial privileges, which no dump contains.
 */
static void
guard_function(ObjectWithArgs *function, const Acl *authors, Oid owner)
{
	Oid oid = LookupFuncWithArgs(OBJECT_FUNCTION, function, false);
	Acl *before = df_function_acl(oid);

	revoke_from_all_of(list_make1(function), before, owner);
	grant_to_all_of(list_make1(function), before, owner, false);
	if (!public_may(before))
		return;
	grant_to_all_of(list_make1(function), authors, owner, true);
	grant_to_owners_of_tables(list_make1(function), oid);
}

/* _guard_triggers(define_workflow oid) */
Datum
dataflows_guard_triggers(PG_FUNCTION_ARGS)
{
	Oid define = PG_GETARG_OID(0);
	HeapTuple tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(define));
	Oid owner;
	ListCell *cell;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for function %u", define);
	owner = ((Form_pg_proc) GETSTRUCT(tuple))->proowner;
	ReleaseSysCache(tuple);
	foreach (cell, df_trigger_functions())
		guard_function(lfirst_node(ObjectWithArgs, cell), df_function_acl(define), owner);
	PG_RETURN_VOID();
}

/* _rights_from_grants(): rights in workflows were EXECUTE on their functions */
Datum
dataflows_rights_from_grants(PG_FUNCTION_ARGS)
{
	bool held = !df_identity_is_ours();
	DfStore store;

	df_store_enter(&store);
	df_rights_from_grants(held);
	df_store_leave(&store);
	PG_RETURN_VOID();
}
