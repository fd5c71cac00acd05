/*
 * store/plpgsql_check.c
 *	  Calls the extension plpgsql_check, where it is installed.
 *
 * Runs in a user's backend, in the caller's transaction.  The extension is found as the
 * extension's owner, in the catalogs; it is called as the caller, because what a function's
 * text means depends on the caller's rights and search_path.  Only names with a schema and
 * finished values are in that statement.  Never let an error of the checker out.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "commands/extension.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "store/plpgsql_check.h"
#include "store/store.h"
#include "store/subxact.h"

#define CHECKER "plpgsql_check"

typedef struct Check
{
	const char *schema;
	Oid function;
	List *findings;
	MemoryContext cxt;
} Check;

char *
df_plpgsql_check_schema(void)
{
	static DfPlan plan = {
		"SELECT n.nspname::text"
		" FROM pg_extension AS e"
		"  JOIN pg_depend AS d ON d.refclassid = 'pg_extension'::regclass"
		"   AND d.refobjid = e.oid AND d.deptype = 'e' AND d.classid = 'pg_proc'::regclass"
		"  JOIN pg_proc AS p ON p.oid = d.objid"
		"  JOIN pg_namespace AS n ON n.oid = p.pronamespace"
		" WHERE e.extname = $1 AND p.proname = 'plpgsql_check_function_tb'"
		"  AND p.proargtypes[0] = 'regprocedure'::regtype",
		SPI_OK_SELECT,
		DF_PARAMS(TEXTOID)};
	Datum values[1] = {CStringGetTextDatum(CHECKER)};
	DfStore store;
	char *schema = NULL;

	if (!OidIsValid(get_extension_oid(CHECKER, true)))
		return NULL;
	df_store_enter_reading(&store);
	if (df_plan_run(&plan, values, NULL, 1) > 0)
		schema = df_copy_text(store.result_context, 0, 0);
	df_store_leave(&store);
	return schema;
}

static DfFinding *
finding_of_row(uint64 row, MemoryContext cxt)
{
	DfFinding *finding = MemoryContextAllocZero(cxt, sizeof(DfFinding));

	finding->line = df_int32(row, 0, 0);
	finding->sqlstate = df_copy_text(cxt, row, 1);
	finding->statement = df_copy_text(cxt, row, 2);
	finding->message = df_copy_text(cxt, row, 3);
	finding->detail = df_copy_text(cxt, row, 4);
	finding->hint = df_copy_text(cxt, row, 5);
	return finding;
}

/*
 * Action of df_subxact().  Its warnings about style are left out: a parameter that a body does
 * not need, as "event" may be, is no fault of it.
 */
static void
run_check(void *arg)
{
	Check *check = arg;
	Oid types[1] = {REGPROCEDUREOID};
	Datum values[1] = {ObjectIdGetDatum(check->function)};
	char *sql = psprintf("SELECT c.lineno, c.sqlstate, c.statement, c.message, c.detail, c.hint"
						 " FROM %s.plpgsql_check_function_tb($1, fatal_errors => false,"
						 "  extra_warnings => false) AS c",
						 quote_identifier(check->schema));
	MemoryContext old;
	int code;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	code = SPI_execute_with_args(sql, 1, types, values, NULL, false, 0);
	if (code != SPI_OK_SELECT)
		elog(ERROR, "unexpected result %s of \"%s\"", SPI_result_code_string(code), sql);
	old = MemoryContextSwitchTo(check->cxt);
	for (uint64 row = 0; row < SPI_processed; row++)
		check->findings = lappend(check->findings, finding_of_row(row, check->cxt));
	MemoryContextSwitchTo(old);
	(void) SPI_finish();
}

List *
df_plpgsql_check(const char *schema, Oid function)
{
	Check check = {schema, function, NIL, CurrentMemoryContext};
	ErrorData *error;

	if (df_subxact(run_check, &check, false, &error))
		return check.findings;
	if (error->sqlerrcode == ERRCODE_QUERY_CANCELED)
		ThrowErrorData(error);
	elog(DEBUG1, "plpgsql_check could not check a function: %s", error->message);
	return NIL;
}
