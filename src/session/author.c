/*
 * session/author.c
 *	  Which roles may create triggers with start_on_insert(), signal_on_change() and
 *	  act_on_insert().
 *
 * Runs in a user's backend, at the beginning and the end of GRANT and REVOKE and at the end
 * of CREATE TRIGGER, in the caller's transaction and role, as a function of event triggers:
 * these work without preloading, too.  A trigger starts and signals with the rights of the
 * table's owner, no matter which role created it.  So only roles that may define workflows
 * may create one (EXECUTE on the three functions follows that on define_workflow()), and on
 * another role's table only for what they may start or signal themselves; act_on_insert(), whose
 * rows may be about any run of the owner, on no other role's table at all.  Must never fail a
 * command that is about something else.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_proc.h"
#include "commands/event_trigger.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/parsenodes.h"
#include "parser/parse_func.h"
#include "session/author.h"
#include "storage/lmgr.h"
#include "store/rights.h"
#include "store/store.h"
#include "store/workflow_table.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "compat.h"

PG_FUNCTION_INFO_V1(dataflows_guard_rights);

#define SCHEMA "dataflows"
#define AUTHORS_FUNCTION "define_workflow"
#define ACT_FUNCTION "act_on_insert"

static const char *const trigger_functions[] = {"start_on_insert", "signal_on_change",
												ACT_FUNCTION};

/* only the extension's owner creates functions in its schema */
static bool
is_ours(Oid function, const char *name)
{
	char *found = OidIsValid(function) ? get_func_name(function) : NULL;

	return found != NULL && strcmp(found, name) == 0 &&
		get_func_namespace(function) == get_namespace_oid(SCHEMA, true);
}

/* ---- GRANT and REVOKE ----------------------------------------------------- */

static ObjectWithArgs *
function_called(const char *name)
{
	ObjectWithArgs *function = makeNode(ObjectWithArgs);

	function->objname = list_make2(makeString(pstrdup(SCHEMA)), makeString(pstrdup(name)));
	return function;
}

List *
df_trigger_functions(void)
{
	List *result = NIL;

	/* a schema from before the update has fewer */
	for (int i = 0; i < lengthof(trigger_functions); i++)
		if (OidIsValid(LookupFuncWithArgs(OBJECT_FUNCTION, function_called(trigger_functions[i]),
										  true)))
			result = lappend(result, function_called(trigger_functions[i]));
	return result;
}

List *
df_author_functions(void)
{
	ObjectWithArgs *define = function_called(AUTHORS_FUNCTION);

	define->args_unspecified = true;
	return lcons(define, df_trigger_functions());
}

Oid
df_own_function(ObjectWithArgs *function)
{
	return LookupFuncWithArgs(OBJECT_FUNCTION, function, false);
}

static bool
names(const GrantStmt *grant, const char *function)
{
	ListCell *cell;

	if (grant->targtype != ACL_TARGET_OBJECT ||
		(grant->objtype != OBJECT_FUNCTION && grant->objtype != OBJECT_ROUTINE))
		return false;
	foreach (cell, grant->objects)
	{
		ObjectWithArgs *named = lfirst_node(ObjectWithArgs, cell);

		if (strcmp(strVal(llast(named->objname)), function) == 0 &&
			is_ours(LookupFuncWithArgs(grant->objtype, named, true), function))
			return true;
	}
	return false;
}

static bool
is_about_authors(const GrantStmt *grant)
{
	return names(grant, AUTHORS_FUNCTION);
}

static bool
is_about_all(const GrantStmt *grant)
{
	ListCell *cell;

	if (grant->targtype != ACL_TARGET_ALL_IN_SCHEMA)
		return false;
	foreach (cell, grant->objects)
		if (strcmp(strVal(lfirst(cell)), SCHEMA) == 0)
			return true;
	return false;
}

/*
 * PostgreSQL fails the second of two concurrent GRANTs on one function ("tuple concurrently
 * updated"), and a parallel restore runs all of them at once: a session that changes one of
 * these functions waits here for one that changes another.
 */
void
df_wait_for_grants(void)
{
	Oid function = LookupFuncName(list_make2(makeString(pstrdup(SCHEMA)),
											 makeString(pstrdup(trigger_functions[0]))),
								  0, NULL, true);
	if (OidIsValid(function))
		LockDatabaseObject(ProcedureRelationId, function, 0, ShareUpdateExclusiveLock);
}

static void
wait_for_others(const GrantStmt *grant)
{
	bool ours = is_about_all(grant) || is_about_authors(grant);

	for (int i = 0; i < lengthof(trigger_functions); i++)
		ours = ours || names(grant, trigger_functions[i]);
	if (ours)
		df_wait_for_grants();
}

/*
 * repeats the command for the trigger functions, with the same grantor, grant options
 * and behaviour
 */
static void
follow(GrantStmt *grant)
{
	GrantStmt *same = copyObject(grant);

	same->objects = df_trigger_functions();
	ExecuteGrantStmt(same);
}

static bool
is_our_schema(const GrantStmt *grant)
{
	ListCell *cell;

	if (grant->objtype != OBJECT_SCHEMA || !grant->is_grant)
		return false;
	foreach (cell, grant->objects)
		if (strcmp(strVal(lfirst(cell)), SCHEMA) == 0)
			return true;
	return false;
}

List *
df_schema_creators(Oid schema)
{
	HeapTuple tuple = SearchSysCache1(NAMESPACEOID, ObjectIdGetDatum(schema));
	List *result = NIL;
	Datum datum;
	bool isnull;

	if (!HeapTupleIsValid(tuple))
		return NIL;
	datum = SysCacheGetAttr(NAMESPACEOID, tuple, Anum_pg_namespace_nspacl, &isnull);
	if (!isnull)
	{
		Acl *acl = DatumGetAclPCopy(datum);

		for (int i = 0; i < ACL_NUM(acl); i++)
		{
			const AclItem *item = &ACL_DAT(acl)[i];

			if ((ACLITEM_GET_PRIVS(*item) & ACL_CREATE) != 0 &&
				item->ai_grantee != ((Form_pg_namespace) GETSTRUCT(tuple))->nspowner)
				result = list_append_unique_oid(result, item->ai_grantee);
		}
	}
	ReleaseSysCache(tuple);
	return result;
}

char *
df_grantee_name(Oid role)
{
	return role == ACL_ID_PUBLIC ? pstrdup("PUBLIC")
								 : pstrdup(quote_identifier(GetUserNameFromId(role, false)));
}

static void
warn_of_creators(void)
{
	ListCell *cell;

	foreach (cell, df_schema_creators(get_namespace_oid(SCHEMA, true)))
	{
		char *name = df_grantee_name(lfirst_oid(cell));

		ereport(WARNING,
				(errcode(ERRCODE_WARNING),
				 errmsg("%s may create objects in schema \"%s\"", name, SCHEMA),
				 errdetail("A function there may be called instead of one of the extension, with "
						   "the rights of the caller."),
				 errhint("REVOKE CREATE ON SCHEMA %s FROM %s", SCHEMA, name)));
	}
}

/* ---- CREATE TRIGGER ------------------------------------------------------- */

static bool
is_our_trigger(const CreateTrigStmt *trigger)
{
	Oid function = LookupFuncName(trigger->funcname, 0, NULL, true);

	for (int i = 0; i < lengthof(trigger_functions); i++)
		if (is_ours(function, trigger_functions[i]))
			return true;
	return false;
}

static Oid
owner_of_table(const CreateTrigStmt *trigger)
{
	Oid table = RangeVarGetRelid(trigger->relation, NoLock, true);
	HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(table));
	Oid owner = InvalidOid;

	if (HeapTupleIsValid(tuple))
	{
		owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
		ReleaseSysCache(tuple);
	}
	return owner;
}

/* `event` NULL = the trigger starts; one that stands in a column may be any */
static bool
may_use_named(Oid role, const char *workflow, const char *event)
{
	const char *one = event != NULL && event[0] == '@' ? NULL : event;
	DfWorkflowRow definition;
	DfStore store;
	bool may;

	df_store_enter(&store);
	may = df_workflow_latest(workflow, &definition, store.result_context) && !definition.dropped &&
		df_may(role, &definition, event == NULL ? DF_RIGHT_START : DF_RIGHT_SIGNAL, one);
	df_store_leave(&store);
	return may;
}

static void
refuse_act(const CreateTrigStmt *trigger, Oid role, Oid owner)
{
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("role \"%s\" may not make trigger \"%s\" on table \"%s\"",
					GetUserNameFromId(role, false), trigger->trigname,
					trigger->relation->relname),
			 errdetail("Its rows would act with all rights of the table's owner, role \"%s\".",
					   GetUserNameFromId(owner, false)),
			 errhint("Have role \"%s\" make the trigger, or use a table of your own.",
					 GetUserNameFromId(owner, false))));
}

/* a trigger without arguments raises an error when it fires, so it starts nothing */
static void
check_trigger(const CreateTrigStmt *trigger)
{
	Oid role = GetUserId();
	Oid owner = owner_of_table(trigger);
	const char *workflow = trigger->args == NIL ? NULL : strVal(linitial(trigger->args));
	const char *event = list_length(trigger->args) < 3 ? NULL : strVal(lsecond(trigger->args));

	if (!OidIsValid(owner) || has_privs_of_role(role, owner))
		return;
	if (is_ours(LookupFuncName(trigger->funcname, 0, NULL, true), ACT_FUNCTION))
		refuse_act(trigger, role, owner);
	if (workflow == NULL || may_use_named(role, workflow, event))
		return;
	ereport(
		ERROR,
		(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
		 errmsg("role \"%s\" may not make trigger \"%s\" on table \"%s\" for workflow \"%s\"",
				GetUserNameFromId(role, false), trigger->trigname, trigger->relation->relname,
				workflow),
		 errdetail("It would act with the right of the table's owner, role \"%s\", and role \"%s\" "
				   "has none to use that workflow.",
				   GetUserNameFromId(owner, false), GetUserNameFromId(role, false)),
		 errhint("Have role \"%s\" make the trigger, or have the owner of the workflow call "
				 "dataflows.allow(%s, %s, '%s').",
				 GetUserNameFromId(owner, false), quote_literal_cstr(workflow),
				 quote_literal_cstr(GetUserNameFromId(role, false)),
				 event == NULL ? "start" : "signal")));
}

/* ---- the event triggers --------------------------------------------------- */

static void
at_end(Node *command)
{
	if (IsA(command, GrantStmt) && is_about_authors((GrantStmt *) command))
		follow((GrantStmt *) command);
	else if (IsA(command, GrantStmt) && is_our_schema((GrantStmt *) command))
		warn_of_creators();
	else if (IsA(command, CreateTrigStmt) && is_our_trigger((CreateTrigStmt *) command))
		check_trigger((CreateTrigStmt *) command);
}

Datum
dataflows_guard_rights(PG_FUNCTION_ARGS)
{
	EventTriggerData *event;

	if (!CALLED_AS_EVENT_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_EVENT_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"dataflows._guard_rights\" was not called by an event trigger"),
				 errhint("It is internal: the event triggers dataflows_rights and "
						 "dataflows_rights_order call it.")));
	event = (EventTriggerData *) fcinfo->context;
	if (strcmp(event->event, "ddl_command_end") == 0)
		at_end(event->parsetree);
	else if (IsA(event->parsetree, GrantStmt))
		wait_for_others((GrantStmt *) event->parsetree);
	PG_RETURN_NULL();
}
