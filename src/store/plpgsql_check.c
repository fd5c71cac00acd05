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

/* the columns of its result */
enum
{
	COL_LINE,
	COL_SQLSTATE,
	COL_STATEMENT,
	COL_MESSAGE,
	COL_DETAIL,
	COL_HINT,
	COL_LEVEL
};

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

	finding->line = df_int32(row, 0, COL_LINE);
	finding->sqlstate = df_copy_text(cxt, row, COL_SQLSTATE);
	finding->statement = df_copy_text(cxt, row, COL_STATEMENT);
	finding->message = df_copy_text(cxt, row, COL_MESSAGE);
	finding->detail = df_copy_text(cxt, row, COL_DETAIL);
	finding->hint = df_copy_text(cxt, row, COL_HINT);
	return finding;
}

static bool
begins_with(const char *text, const char *beginning)
{
	return text != NULL && strncmp(text, beginning, strlen(beginning)) == 0;
}

/* a number's text is JSON */
static bool
casts_number_to_json(const char *detail)
{
	static const char *const types[] = {"smallint", "integer", "bigint", "numeric"};

	for (int i = 0; detail != NULL && i < lengthof(types); i++)
		if (begins_with(detail, psprintf("cast \"%s\" value to \"json", types[i])))
			return true;
	return false;
}

/*
 * A warning about what works.  PL/pgSQL casts a value by its text where there is no other cast:
 * RETURN '{"a": true}' gives jsonb.  Such a cast that cannot work at all is no style.  Its
 * messages are not translated.
 */
static bool
is_style(const DfFinding *finding, const char *level)
{
	if (!begins_with(level, "warning"))
		return false;
	if (begins_with(finding->message, "unused variable"))
		return true;
	if (!begins_with(finding->message, "target type is different"))
		return false;
	return begins_with(finding->hint, "The input expression type does not have an assignment") ||
		casts_number_to_json(finding->detail);
}

static void
take_findings(Check *check)
{
	MemoryContext old = MemoryContextSwitchTo(check->cxt);

	for (uint64 row = 0; row < SPI_processed; row++)
	{
		DfFinding *finding = finding_of_row(row, check->cxt);

		if (!is_style(finding, df_copy_text(check->cxt, row, COL_LEVEL)))
			check->findings = lappend(check->findings, finding);
	}
	MemoryContextSwitchTo(old);
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
	char *sql = psprintf("SELECT c.lineno, c.sqlstate, c.statement, c.message, c.detail, c.hint,"
						 "  c.level"
						 " FROM %s.plpgsql_check_function_tb($1, fatal_errors => false,"
						 "  extra_warnings => false) AS c",
						 quote_identifier(check->schema));
	int code;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	code = SPI_execute_with_args(sql, 1, types, values, NULL, false, 0);
	if (code != SPI_OK_SELECT)
		elog(ERROR, "unexpected result %s of \"%s\"", SPI_result_code_string(code), sql);
	take_findings(check);
	(void) SPI_finish();
}

bool
df_plpgsql_check_is_there(void)
{
	return OidIsValid(get_extension_oid(CHECKER, true));
}

List *
df_plpgsql_check(const char *schema, Oid function, char **why)
{
	Check check = {schema, function, NIL, CurrentMemoryContext};
	ErrorData *error;

	*why = NULL;
	if (df_subxact(run_check, &check, false, &error))
		return check.findings;
	if (error->sqlerrcode == ERRCODE_QUERY_CANCELED)
		ThrowErrorData(error);
	*why = error->message;
	return NIL;
}
