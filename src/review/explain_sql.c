/*
 * review/explain_sql.c
 *	  explain() as rows, and explain_text() as a text to read.
 *
 * Runs in a user's backend, in the caller's transaction and role.  Only writes here what
 * explain.c has found.
 */
#include "postgres.h"

#include "fmgr.h"
#include "review/explain.h"
#include "session/rows.h"
#include "shared/json.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(dataflows_explain);
PG_FUNCTION_INFO_V1(dataflows_explain_text);

static const char *const part_names[DF_EXPLAIN_NPARTS] = {
	[DF_EXPLAIN_PATH] = "path",
	[DF_EXPLAIN_UNDO] = "undo",
	[DF_EXPLAIN_LINT] = "lint",
};

/* ---- rows ------------------------------------------------------------------ */

#define NCOLUMNS 14

static void
put_text(Datum *values, bool *nulls, int column, const char *text)
{
	nulls[column] = text == NULL;
	values[column] = text == NULL ? (Datum) 0 : CStringGetTextDatum(text);
}

static HeapTuple
tuple_of(const DfExplainRow *row, int n, TupleDesc desc)
{
	Datum values[NCOLUMNS];
	bool nulls[NCOLUMNS] = {false};
	int column = 0;

	values[column++] = Int32GetDatum(n);
	put_text(values, nulls, column++, part_names[row->part]);
	put_text(values, nulls, column++, row->step);
	nulls[column] = row->line == 0;
	values[column++] = Int32GetDatum(row->line);
	put_text(values, nulls, column++, row->kind);
	put_text(values, nulls, column++, row->system);
	put_text(values, nulls, column++, row->request);
	nulls[column] = row->body == NULL;
	values[column++] = row->body == NULL ? (Datum) 0 : JsonbPGetDatum(row->body);
	put_text(values, nulls, column++, row->key);
	put_text(values, nulls, column++, row->probe);
	put_text(values, nulls, column++, row->doubt);
	put_text(values, nulls, column++, row->undo);
	put_text(values, nulls, column++, row->finding);
	put_text(values, nulls, column++, row->remedy);
	Assert(column == NCOLUMNS);
	return heap_form_tuple(desc, values, nulls);
}

static List *
explain_rows(FunctionCallInfo fcinfo, TupleDesc desc)
{
	DfExplanation explanation;
	List *tuples = NIL;
	ListCell *lc;

	df_explain(fcinfo, &explanation);
	foreach (lc, explanation.rows)
		tuples = lappend(tuples, tuple_of(lfirst(lc), list_length(tuples) + 1, desc));
	return tuples;
}

Datum
dataflows_explain(PG_FUNCTION_ARGS)
{
	return df_return_rows(fcinfo, explain_rows,
						  "Call it as SELECT * FROM dataflows.explain(...).");
}

/* ---- a text ---------------------------------------------------------------- */

static void
write_head(StringInfo text, const DfExplainRow *row, int n)
{
	appendStringInfo(text, "%3d. ", n);
	if (row->step != NULL)
		appendStringInfo(text, "%s", row->step);
	if (row->kind != NULL)
		appendStringInfo(text, row->step != NULL ? " (%s" : "(%s", row->kind);
	if (row->line != 0)
		appendStringInfo(text, ", line %d", row->line);
	appendStringInfoString(text, ")");
}

static void
write_detail(StringInfo text, const char *name, const char *value)
{
	if (value != NULL)
		appendStringInfo(text, "       %s: %s\n", name, value);
}

static void
write_step(StringInfo text, const DfExplainRow *row, int n)
{
	if (row->step == NULL)
	{
		appendStringInfo(text, "  The run: %s\n", row->finding);
		return;
	}
	write_head(text, row, n);
	if (row->request != NULL)
		appendStringInfo(text, " %s", row->request);
	if (row->system != NULL)
		appendStringInfo(text, " at %s", row->system);
	appendStringInfo(text, " - %s\n", row->finding);
	write_detail(text, "body", row->body != NULL ? df_json_to_text(row->body) : NULL);
	write_detail(text, "key", row->key);
	write_detail(text, "probe", row->probe);
	write_detail(text, "doubt", row->doubt);
	write_detail(text, "undo", row->undo);
}

static void
write_finding(StringInfo text, const DfExplainRow *row, int n)
{
	appendStringInfo(text, "%3d. ", n);
	if (row->line != 0)
		appendStringInfo(text, "line %d: ", row->line);
	appendStringInfo(text, "%s (%s)\n", row->finding, row->kind);
	if (row->remedy != NULL)
		appendStringInfo(text, "       %s\n", row->remedy);
}

static void
write_part(StringInfo text, const DfExplanation *explanation, DfExplainPart part,
		   const char *title)
{
	int n = 0;
	ListCell *lc;

	appendStringInfo(text, "%s%s\n", text->len > 0 ? "\n" : "", title);
	foreach (lc, explanation->rows)
	{
		const DfExplainRow *row = lfirst(lc);

		if (row->part != part)
			continue;
		if (part == DF_EXPLAIN_LINT)
			write_finding(text, row, ++n);
		else
			write_step(text, row, ++n);
	}
	if (n == 0)
		appendStringInfoString(text, "  Nothing.\n");
}

Datum
dataflows_explain_text(PG_FUNCTION_ARGS)
{
	DfExplanation explanation;
	StringInfoData text;

	df_explain(fcinfo, &explanation);
	initStringInfo(&text);
	write_part(&text, &explanation, DF_EXPLAIN_PATH, "Path");
	write_part(&text, &explanation, DF_EXPLAIN_UNDO,
			   explanation.sim->asked_to_undo ? "Undo, if the run failed at its end" : "Undo");
	write_part(&text, &explanation, DF_EXPLAIN_LINT, "Findings");
	/* without the last end of a line */
	PG_RETURN_TEXT_P(cstring_to_text_with_len(text.data, text.len - 1));
}
