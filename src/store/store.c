/*
 * store/store.c
 *	  How a statement is run: user id, settings, SPI, prepared plans.
 *
 * Runs in every process that keeps or reads our tables, in the caller's
 * transaction, as the extension's owner.  It never begins or ends a transaction
 * (store/xact.c does) and never evaluates anything that a user wrote.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "shared/extension.h"
#include "store/column_map.h"
#include "store/store.h"
#include "store/version.h"
#include "types/base.h"

/*
 * Settings that our statements rely on and that a session may have changed.  The planner's
 * switches are here because every statement of ours goes by an index: a plan
 * made while a table was empty must not use a sequential scan for ever.  Nor a
 * bitmap scan: it reads and sorts all runs that are due for the few that are
 * claimed, and leaves the dead entries of those that ended in the index.
 */
static const struct
{
	const char *name;
	const char *value;
} store_settings[] = {
	{"search_path", "pg_catalog, pg_temp"},
	{"row_security", "off"},
	{"enable_seqscan", "off"},
	{"enable_bitmapscan", "off"},
	{"enable_hashjoin", "off"},
	{"enable_mergejoin", "off"},
	{"jit", "off"}, /* what is disabled costs so much that it would seem worth it */
};

/*
 * A schema that is only called dataflows is not the extension.  A table keeps
 * its oid for life, so its dependencies are checked once.
 */
static bool
is_ours(Oid table)
{
	static Oid known = InvalidOid;

	if (table == known)
		return true;
	if (!df_extension_has(RelationRelationId, table))
		return false;
	known = table;
	return true;
}

Oid
df_extension_owner(void)
{
	Oid schema = get_namespace_oid("dataflows", true);
	Oid table;
	Oid owner;
	HeapTuple tuple;

	if (!OidIsValid(schema))
		return InvalidOid;
	table = get_relname_relid("run", schema);
	if (!OidIsValid(table) || !is_ours(table))
		return InvalidOid;
	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(table));
	if (!HeapTupleIsValid(tuple))
		return InvalidOid;
	owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);
	return owner;
}

bool
df_extension_exists(void)
{
	return OidIsValid(df_extension_owner());
}

bool
df_extension_usable(void)
{
	return df_extension_exists() && df_schema_fits();
}

/*
 * until df_store_leave(): an error about what the schema of the other version lacks gets a hint
 */
static void
push_explanation(DfStore *store)
{
	store->explain.callback = NULL;
	if (df_schema_fits())
		return;
	store->explain.callback = df_schema_explain;
	store->explain.arg = NULL;
	store->explain.previous = error_context_stack;
	error_context_stack = &store->explain;
}

/* between df_store_enter_reading() and df_store_leave() */
static bool reading = false;

static void
enter(DfStore *store, Oid role, bool restricted)
{
	Oid owner = df_extension_owner();

	if (!OidIsValid(owner))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("extension \"dataflows\" is not installed in this database"),
				 errhint("Run CREATE EXTENSION dataflows in this database.")));

	store->result_context = CurrentMemoryContext;
	store->was_reading = reading;
	reading = false;
	store->gucs = NewGUCNestLevel();
	for (int i = 0; i < lengthof(store_settings); i++)
		(void) set_config_option(store_settings[i].name, store_settings[i].value,
								 PGC_SUSET, PGC_S_SESSION,
								 GUC_ACTION_SAVE, true, 0, false);
	df_as_role_begin(&store->before, OidIsValid(role) ? role : owner, restricted);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	push_explanation(store);
}

void
df_store_enter(DfStore *store)
{
	enter(store, InvalidOid, false);
}

void
df_store_enter_as(DfStore *store, Oid role)
{
	enter(store, role, true);
}

void
df_store_enter_reading(DfStore *store)
{
	enter(store, InvalidOid, false);
	reading = true;
}

void
df_store_leave(DfStore *store)
{
	reading = store->was_reading;
	if (store->explain.callback != NULL)
		error_context_stack = store->explain.previous;
	if (SPI_finish() != SPI_OK_FINISH)
		elog(ERROR, "SPI_finish failed");
	df_as_role_end(&store->before);
	AtEOXact_GUC(false, store->gucs);
	MemoryContextSwitchTo(store->result_context);
}

void
df_plan_prepare(DfPlan *plan)
{
	SPIPlanPtr prepared;

	if (plan->plan != NULL)
		return;
	if (plan->table == NULL)
		plan->nparams = plan->nargs;
	else if (!plan->expanded)
		df_columns_expand(plan);
	prepared = SPI_prepare_cursor(plan->sql, plan->nparams, plan->types, CURSOR_OPT_GENERIC_PLAN);
	if (prepared == NULL)
		elog(ERROR, "could not prepare \"%s\": %s", plan->sql, SPI_result_code_string(SPI_result));
	SPI_keepplan(prepared);
	plan->plan = prepared;
}

static uint64
checked(const DfPlan *plan, int code)
{
	if (code != plan->expect)
		elog(ERROR, "unexpected result %s of \"%s\"", SPI_result_code_string(code), plan->sql);
	return SPI_processed;
}

uint64
df_plan_run(DfPlan *plan, Datum *values, const char *nulls, long limit)
{
	df_plan_prepare(plan);
	return checked(plan, SPI_execute_plan(plan->plan, values, nulls, reading, limit));
}

uint64
df_plan_run_latest(DfPlan *plan, Datum *values, const char *nulls, long limit)
{
	df_plan_prepare(plan);
	return checked(plan,
				   SPI_execute_snapshot(plan->plan, values, nulls, GetLatestSnapshot(),
										InvalidSnapshot, true, false, limit));
}

uint64
df_plan_run_of_query(DfPlan *plan, Datum *values, const char *nulls, long limit)
{
	df_plan_prepare(plan);
	return checked(plan,
				   SPI_execute_snapshot(plan->plan, values, nulls, GetActiveSnapshot(),
										InvalidSnapshot, true, false, limit));
}

bool
df_is_null(uint64 row, int column)
{
	bool isnull;

	Assert(row < SPI_processed);
	(void) SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, column + 1, &isnull);
	return isnull;
}

Datum
df_value(uint64 row, int column)
{
	bool isnull;
	Datum value;

	Assert(row < SPI_processed);
	value = SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, column + 1, &isnull);
	Assert(SPI_result != SPI_ERROR_NOATTRIBUTE);
	return isnull ? (Datum) 0 : value;
}

List *
df_plan_oids(DfPlan *plan, MemoryContext cxt)
{
	uint64 n = df_plan_run(plan, NULL, NULL, 0);
	MemoryContext old = MemoryContextSwitchTo(cxt);
	List *oids = NIL;

	for (uint64 row = 0; row < n; row++)
		oids = lappend_oid(oids, DatumGetObjectId(df_value(row, 0)));
	MemoryContextSwitchTo(old);
	return oids;
}

char *
df_copy_text(MemoryContext cxt, uint64 row, int column)
{
	MemoryContext old;
	char *result;

	if (df_is_null(row, column))
		return NULL;
	old = MemoryContextSwitchTo(cxt);
	result = TextDatumGetCString(df_value(row, column));
	MemoryContextSwitchTo(old);
	return result;
}

List *
df_copy_texts(MemoryContext cxt, uint64 n, int column)
{
	MemoryContext old = MemoryContextSwitchTo(cxt);
	List *texts = NIL;

	for (uint64 row = 0; row < n; row++)
		texts = lappend(texts, df_copy_text(cxt, row, column));
	MemoryContextSwitchTo(old);
	return texts;
}

List *
df_append(MemoryContext cxt, List *list, void *item)
{
	MemoryContext old = MemoryContextSwitchTo(cxt);

	list = lappend(list, item);
	MemoryContextSwitchTo(old);
	return list;
}

Jsonb *
df_copy_jsonb(MemoryContext cxt, uint64 row, int column)
{
	MemoryContext old;
	Jsonb *result;

	if (df_is_null(row, column))
		return NULL;
	old = MemoryContextSwitchTo(cxt);
	result = DatumGetJsonbPCopy(df_value(row, column));
	MemoryContextSwitchTo(old);
	return result;
}

pg_uuid_t
df_copy_uuid(uint64 row, int column)
{
	pg_uuid_t result;

	if (df_is_null(row, column))
		memset(&result, 0, sizeof(result));
	else
		result = *DatumGetUUIDP(df_value(row, column));
	return result;
}

int64
df_int64(uint64 row, int column, int64 if_null)
{
	return df_is_null(row, column) ? if_null : DatumGetInt64(df_value(row, column));
}

int32
df_int32(uint64 row, int column, int32 if_null)
{
	return df_is_null(row, column) ? if_null : DatumGetInt32(df_value(row, column));
}

bool
df_bool(uint64 row, int column, bool if_null)
{
	return df_is_null(row, column) ? if_null : DatumGetBool(df_value(row, column));
}

TimestampTz
df_time(uint64 row, int column)
{
	return df_is_null(row, column) ? DF_NEVER : DatumGetTimestampTz(df_value(row, column));
}

Datum
df_array(Oid element_type, Datum *values, bool *nulls, int n)
{
	int16 length;
	bool by_value;
	char align;
	int dims[1];
	int lower[1] = {1};

	if (n == 0)
		return PointerGetDatum(construct_empty_array(element_type));
	dims[0] = n;
	get_typlenbyvalalign(element_type, &length, &by_value, &align);
	return PointerGetDatum(construct_md_array(values, nulls, 1, dims, lower,
											  element_type, length, by_value, align));
}

Datum
df_text_array(List *strings)
{
	Datum *values = palloc(sizeof(Datum) * Max(1, list_length(strings)));
	int n = 0;
	ListCell *lc;

	foreach (lc, strings)
		values[n++] = CStringGetTextDatum((char *) lfirst(lc));
	return df_array(TEXTOID, values, NULL, n);
}
