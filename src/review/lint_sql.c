/*
 * review/lint_sql.c
 *	  _lint(): what the source of a function says, as rows.
 *
 * Runs in a user's backend, in the caller's transaction and role, for explain() and for who
 * writes a function.  Reads catalogs only.  The function may be of any form: an author looks at
 * one before it fits a workflow.
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "review/lint.h"
#include "session/rows.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(dataflows_lint);

static List *
make_rows(FunctionCallInfo fcinfo, TupleDesc desc)
{
	List *rows = NIL;
	List *lints;
	List *calls;
	ListCell *lc;

	df_lint(PG_GETARG_OID(0), &lints, &calls);
	foreach (lc, lints)
	{
		const DfLint *lint = lfirst(lc);
		bool nulls[5] = {false, false, lint->step == NULL, false, false};
		Datum values[5];

		values[0] = Int32GetDatum(lint->line);
		values[1] = CStringGetTextDatum(df_lint_rule_name(lint->rule));
		values[2] = lint->step == NULL ? (Datum) 0 : CStringGetTextDatum(lint->step);
		values[3] = CStringGetTextDatum(lint->finding);
		values[4] = CStringGetTextDatum(lint->remedy);
		rows = lappend(rows, heap_form_tuple(desc, values, nulls));
	}
	return rows;
}

/* _lint(function regprocedure) */
Datum
dataflows_lint(PG_FUNCTION_ARGS)
{
	return df_return_rows(fcinfo, make_rows,
						  "Call SELECT * FROM dataflows._lint('schema.function(jsonb)').");
}
