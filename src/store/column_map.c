/*
 * store/column_map.c
 *	  From maps of columns: the text of statements and the types of their parameters.
 *
 * Runs wherever a statement is prepared, between df_store_enter() and
 * df_store_leave(); only allocates memory.  It knows no table: the maps are beside
 * the statements that use them.  It must never put a value into the text of a
 * statement.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "utils/memutils.h"

#include "store/column_map.h"

typedef struct FormTypes
{
	Oid one;
	Oid many;
} FormTypes;

/* clang-format off */
static const FormTypes form_types[] = {
	[DF_AS_TEXT]       = {TEXTOID,        TEXTARRAYOID},
	[DF_AS_JSONB]      = {JSONBOID,       JSONBARRAYOID},
	[DF_AS_INTERVAL]   = {INTERVALOID,    INTERVALARRAYOID},
	[DF_AS_UUID]       = {UUIDOID,        UUIDARRAYOID},
	[DF_AS_UUID_REF]   = {UUIDOID,        UUIDARRAYOID},
	[DF_AS_TIME]       = {TIMESTAMPTZOID, TIMESTAMPTZARRAYOID},
	[DF_AS_INT]        = {INT4OID,        INT4ARRAYOID},
	[DF_AS_COUNT]      = {INT4OID,        INT4ARRAYOID},
	[DF_AS_ROUND]      = {INT4OID,        INT4ARRAYOID},
	[DF_AS_HASH]       = {INT4OID,        INT4ARRAYOID},
	[DF_AS_INT8]       = {INT8OID,        INT8ARRAYOID},
	[DF_AS_NONCE]      = {INT8OID,        INT8ARRAYOID},
	[DF_AS_FLOAT8]     = {FLOAT8OID,      FLOAT8ARRAYOID},
	[DF_AS_BOOL]       = {BOOLOID,        BOOLARRAYOID},
	[DF_AS_MARK]       = {BOOLOID,        BOOLARRAYOID},
	[DF_AS_OID]        = {OIDOID,         OIDARRAYOID},
	[DF_AS_RUN_STATE]  = {TEXTOID,        TEXTARRAYOID},
	[DF_AS_CAUSE]      = {TEXTOID,        TEXTARRAYOID},
	[DF_AS_STEP_KIND]  = {TEXTOID,        TEXTARRAYOID},
	[DF_AS_STEP_STATE] = {TEXTOID,        TEXTARRAYOID},
	[DF_AS_UNDO_STATE] = {TEXTOID,        TEXTARRAYOID},
	[DF_AS_MESSAGE_KIND] = {TEXTOID,      TEXTARRAYOID},
	[DF_AS_WORD]       = {TEXTOID,        TEXTARRAYOID},
	[DF_AS_MEANING]    = {TEXTOID,        TEXTARRAYOID},
	[DF_AS_KEY_HELD]   = {BOOLOID,        BOOLARRAYOID},
};
/* clang-format on */

Oid
df_column_type(const DfColumn *column, bool array)
{
	return array ? form_types[column->form].many : form_types[column->form].one;
}

/* ---- marks ---------------------------------------------------------------- */

typedef struct Mark
{
	bool assigns; /* {* = ...}: without keys */
	bool values; /* parameters, not columns */
	bool arrays; /* parameters of array types */
	char alias[NAMEDATALEN]; /* "" = none */
} Mark;

/* "x.*" in a mark, where x is what the statement calls the table */
static bool
scan_alias(const char *text, int len, Mark *mark)
{
	if (len < 3 || len >= NAMEDATALEN + 2 || strncmp(text + len - 2, ".*", 2) != 0)
		return false;
	if (strspn(text, "abcdefghijklmnopqrstuvwxyz_") != len - 2)
		return false;
	strlcpy(mark->alias, text, len - 1);
	return true;
}

/* the length of the mark at the beginning of the text, 0 = there is none */
static int
scan_mark(const char *text, Mark *mark)
{
	static const char assign[] = "* = ";
	const char *end = strchr(text, '}');
	const char *inside = text + 1;
	int len;

	if (text[0] != '{' || end == NULL)
		return 0;
	memset(mark, 0, sizeof(*mark));
	if (strncmp(inside, assign, strlen(assign)) == 0)
	{
		mark->assigns = true;
		inside += strlen(assign);
	}
	len = end - inside;
	mark->arrays = !mark->assigns && len == 3 && strncmp(inside, "$[]", 3) == 0;
	mark->values = mark->arrays || (len == 1 && inside[0] == '$');
	if (mark->values || (!mark->assigns && len == 1 && inside[0] == '*') ||
		scan_alias(inside, len, mark))
		return end - text + 1;
	return 0;
}

static void
append_mark(StringInfo sql, const DfPlan *plan, const Mark *mark)
{
	const char *comma = "";

	for (int i = 0; i < plan->ncolumns; i++)
	{
		const DfColumn *column = plan->columns[i];

		if (mark->assigns && (column->in & DF_IN_KEY) != 0)
			continue;
		appendStringInfoString(sql, comma);
		if (mark->assigns)
			appendStringInfo(sql, "%s = ", column->name);
		if (mark->values)
			appendStringInfo(sql, "$%d", plan->nargs + i + 1);
		else if (mark->alias[0] != '\0')
			appendStringInfo(sql, "%s.%s", mark->alias, column->name);
		else
			appendStringInfoString(sql, column->name);
		comma = ", ";
	}
}

static void
choose_columns(DfPlan *plan)
{
	const DfTable *table = plan->table;

	plan->columns = MemoryContextAlloc(TopMemoryContext, sizeof(DfColumn *) * table->ncolumns);
	plan->ncolumns = 0;
	for (int i = 0; i < table->ncolumns; i++)
		if ((table->columns[i].in & plan->in) != 0)
			plan->columns[plan->ncolumns++] = &table->columns[i];
}

void
df_columns_expand(DfPlan *plan)
{
	MemoryContext old;
	StringInfoData sql;
	Mark mark;
	bool values = false;
	bool arrays = false;

	choose_columns(plan);
	old = MemoryContextSwitchTo(TopMemoryContext);
	initStringInfo(&sql);
	for (const char *c = plan->sql; *c != '\0';)
	{
		int len = scan_mark(c, &mark);

		if (len == 0)
		{
			appendStringInfoChar(&sql, *c++);
			continue;
		}
		append_mark(&sql, plan, &mark);
		values |= mark.values;
		arrays |= mark.arrays;
		c += len;
	}
	MemoryContextSwitchTo(old);
	if (values && plan->nargs + plan->ncolumns > DF_MAX_ARGS)
		elog(ERROR, "too many parameters for \"%s\"", plan->sql);
	for (int i = 0; i < plan->ncolumns && values; i++)
		plan->types[plan->nargs + i] = df_column_type(plan->columns[i], arrays);
	plan->nparams = plan->nargs + (values ? plan->ncolumns : 0);
	plan->sql = sql.data;
	plan->expanded = true;
}
