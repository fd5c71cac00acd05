/*
 * shared/jsonpath.c
 *	  Evaluates a jsonpath on a document, with the server's own functions.
 *
 * Used where users name a part of a response or of a webhook's body, in the caller's
 * transaction.  Needs no tables and no rights.  Never raise an error because of what a
 * document contains.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "shared/json.h"
#include "shared/jsonpath.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/jsonpath.h"

static JsonPath *
parse(const char *path)
{
	return DatumGetJsonPathP(DirectFunctionCall1(jsonpath_in, CStringGetDatum(path)));
}

/* of what a document contains: a date out of range, a regular expression that is too complex */
static bool
is_about_document(int sqlstate)
{
	switch (ERRCODE_TO_CATEGORY(sqlstate))
	{
		case ERRCODE_DATA_EXCEPTION:
		case ERRCODE_FEATURE_NOT_SUPPORTED:
		case ERRCODE_PROGRAM_LIMIT_EXCEEDED:
			return true;
		default:
			return false;
	}
}

static Datum
jsonpath_call(PGFunction function, const Jsonb *value, const JsonPath *path, const Jsonb *vars,
			  bool *isnull)
{
	Datum result;

	LOCAL_FCINFO(fcinfo, 4);

	InitFunctionCallInfoData(*fcinfo, NULL, 4, InvalidOid, NULL, NULL);
	fcinfo->args[0].value = JsonbPGetDatum(value);
	fcinfo->args[1].value = PointerGetDatum(path);
	fcinfo->args[2].value = JsonbPGetDatum(vars != NULL ? vars : df_json_empty());
	fcinfo->args[3].value = BoolGetDatum(true);
	for (int i = 0; i < 4; i++)
		fcinfo->args[i].isnull = false;
	result = function(fcinfo);
	*isnull = fcinfo->isnull;
	return result;
}

/*
 * "Silent" does not silence all errors: comparing dates that have a time zone with those
 * that have none, and documents that are too deep, raise them.  Evaluating takes no lock
 * and no snapshot, so that its error needs no subtransaction to be caught.
 */
static Datum
jsonpath_call_quietly(PGFunction function, const Jsonb *value, const JsonPath *path,
					  const Jsonb *vars, bool *isnull)
{
	MemoryContext old = CurrentMemoryContext;
	volatile Datum result = (Datum) 0;
	volatile bool failed = false;

	PG_TRY();
	{
		result = jsonpath_call(function, value, path, vars, isnull);
	}
	PG_CATCH();
	{
		if (!is_about_document(geterrcode()))
			PG_RE_THROW();
		MemoryContextSwitchTo(old);
		FlushErrorState();
		failed = true;
	}
	PG_END_TRY();
	if (failed)
		*isnull = true;
	return result;
}

/* ---- what a path is made of ------------------------------------------------ */

typedef struct Survey
{
	const char *variables; /* those that are known */
	char *unknown; /* the first other one */
	bool reads_body;
	bool asks_existence; /* by exists() */
	bool tells_absent; /* `!=`, or `== null`: what is absent is not told from what is equal */
} Survey;

static bool
is_known(const char *variables, const char *name, int len)
{
	const char *word = variables;

	while (*word != '\0')
	{
		int length = strcspn(word, " ");

		if (length == len && strncmp(word, name, len) == 0)
			return true;
		word += length + (word[length] == ' ');
	}
	return false;
}

static void
survey_variable(JsonPathItem *item, Survey *found)
{
	int32 len;
	char *name = jspGetString(item, &len);

	if (found->unknown == NULL && !is_known(found->variables, name, len))
		found->unknown = pnstrdup(name, len);
}

static void survey(JsonPathItem *item, bool outside, Survey *found);

/* a comparison of the predicate itself, not in a filter or in exists() */
static void
survey_comparison(JsonPathItem *item, JsonPathItem *left, JsonPathItem *right, Survey *found)
{
	bool with_null = left->type == jpiNull || right->type == jpiNull;

	if (item->type == jpiNotEqual ? !with_null : item->type == jpiEqual && with_null)
		found->tells_absent = true;
}

static void
survey_operands(JsonPathItem *item, bool outside, Survey *found)
{
	JsonPathItem left;
	JsonPathItem right;

	jspGetLeftArg(item, &left);
	jspGetRightArg(item, &right);
	if (outside)
		survey_comparison(item, &left, &right, found);
	survey(&left, outside, found);
	survey(&right, outside, found);
}

static void
survey_argument(JsonPathItem *item, bool outside, Survey *found)
{
	JsonPathItem argument;

	jspGetArg(item, &argument);
	survey(&argument, outside, found);
}

static void
survey_subscripts(JsonPathItem *item, Survey *found)
{
	for (int i = 0; i < item->content.array.nelems; i++)
	{
		JsonPathItem from;
		JsonPathItem to;

		if (jspGetArraySubscript(item, &from, &to, i))
			survey(&to, false, found);
		survey(&from, false, found);
	}
}

static void
survey_item(JsonPathItem *item, bool outside, Survey *found)
{
	JsonPathItem argument;

	switch (item->type)
	{
		case jpiRoot:
			found->reads_body = true;
			break;
		case jpiVariable:
			survey_variable(item, found);
			break;
		case jpiAnd:
		case jpiOr:
		case jpiEqual:
		case jpiNotEqual:
		case jpiLess:
		case jpiGreater:
		case jpiLessOrEqual:
		case jpiGreaterOrEqual:
		case jpiAdd:
		case jpiSub:
		case jpiMul:
		case jpiDiv:
		case jpiMod:
		case jpiStartsWith:
			survey_operands(item, outside, found);
			break;
		case jpiNot:
		case jpiIsUnknown:
		case jpiPlus:
		case jpiMinus:
			survey_argument(item, outside, found);
			break;
		case jpiExists:
			found->asks_existence = true;
			/* FALLTHROUGH */
		case jpiFilter:
			survey_argument(item, false, found);
			break;
		case jpiLikeRegex:
			jspInitByBuffer(&argument, item->base, item->content.like_regex.expr);
			survey(&argument, outside, found);
			break;
		case jpiIndexArray:
			survey_subscripts(item, found);
			break;
		default:
			break; /* a literal, a name or a method */
	}
}

static void
survey(JsonPathItem *item, bool outside, Survey *found)
{
	JsonPathItem next;

	check_stack_depth();
	survey_item(item, outside, found);
	while (jspGetNext(item, &next))
	{
		*item = next;
		survey_item(item, outside, found);
	}
}

static Survey
survey_of(JsonPath *path, const char *variables)
{
	Survey found = {.variables = variables};
	JsonPathItem root;

	jspInit(&root, path);
	survey(&root, true, &found);
	return found;
}

bool
df_jsonpath_reads_body(const char *path)
{
	return survey_of(parse(path), "").reads_body;
}

/* ---- checks ---------------------------------------------------------------- */

/* jsonpath_in() takes no lock and no snapshot: its error needs no subtransaction to be caught */
static JsonPath *
parse_or_say(const char *path, char **problem)
{
	MemoryContext old = CurrentMemoryContext;
	JsonPath *volatile parsed = NULL;

	PG_TRY();
	{
		parsed = parse(path);
	}
	PG_CATCH();
	{
		int category = ERRCODE_TO_CATEGORY(geterrcode());
		ErrorData *error;

		if (category != ERRCODE_SYNTAX_ERROR_OR_ACCESS_RULE_VIOLATION &&
			category != ERRCODE_DATA_EXCEPTION)
			PG_RE_THROW();
		MemoryContextSwitchTo(old);
		error = CopyErrorData();
		FlushErrorState();
		*problem = error->message;
	}
	PG_END_TRY();
	return parsed;
}

char *
df_jsonpath_problem(const char *path, const char *variables)
{
	char *problem = NULL;
	JsonPath *parsed;
	Survey found;

	if (*path == '\0')
		return pstrdup("it is empty");
	parsed = parse_or_say(path, &problem);
	if (parsed == NULL)
		return problem;
	found = survey_of(parsed, variables);
	if (found.unknown == NULL)
		return NULL;
	return psprintf("there is no variable \"$%s\"", found.unknown);
}

void
df_jsonpath_check(const char *path, const char *what, const char *variables)
{
	char *problem = NULL;
	JsonPath *parsed;
	Survey found;

	if (strlen(path) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"%s\" must not be empty", what),
				 errhint("Give a jsonpath such as '$.state == \"paid\"'.")));
	parsed = parse_or_say(path, &problem);
	if (parsed == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("\"%s\" is no jsonpath (%s)", what, problem),
				 errhint("Give one such as '$.state == \"paid\"': strings are in double quotes, "
						 "and what is to be equal is compared by ==.")));
	found = survey_of(parsed, variables);
	if (found.unknown == NULL)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("\"%s\" names a variable \"$%s\" that there is not", what, found.unknown),
			 variables[0] == '\0' ? errhint("Name parts of the document, such as '$.state'.")
								  : errhint("Use $ for the body, $status and $headers.")));
}

/* ---- evaluation ------------------------------------------------------------ */

static DfTruth
evaluate(const Jsonb *value, const JsonPath *path, const Jsonb *vars)
{
	bool isnull;
	Datum result = jsonpath_call_quietly(jsonb_path_match, value, path, vars, &isnull);

	if (isnull)
		return DF_UNKNOWN;
	return DatumGetBool(result) ? DF_TRUE : DF_FALSE;
}

bool
df_jsonpath_match(const Jsonb *value, const char *path)
{
	return value != NULL && evaluate(value, parse(path), NULL) == DF_TRUE;
}

/*
 * In lax mode a comparison with what is not there is false, so that '$.ok != true' holds
 * neither for {"ok": true} nor for {}.  In strict mode only the second is unknown.  What is
 * no object and no array has no members at all.
 */
DfTruth
df_jsonpath_holds(const Jsonb *value, const char *path, const Jsonb *vars)
{
	JsonPath *parsed = parse(path);
	Survey found = survey_of(parsed, DF_RESPONSE_VARIABLES);
	DfTruth truth = DF_UNKNOWN;
	bool flat;

	if (found.unknown != NULL) /* evaluating it would raise an error */
		return DF_UNKNOWN;
	flat = found.reads_body && (value == NULL || JB_ROOT_IS_SCALAR(value));
	if (value == NULL)
		value = df_json_read("null");
	if (!flat)
		truth = evaluate(value, parsed, vars);
	if (!flat && (truth != DF_FALSE || !found.tells_absent))
		return truth;
	parsed->header &= ~JSONPATH_LAX;
	if (flat)
		return evaluate(value, parsed, vars);
	return evaluate(value, parsed, vars) == DF_UNKNOWN ? DF_UNKNOWN : DF_FALSE;
}

DfTruth
df_jsonpath_surely(const Jsonb *value, const char *path, const Jsonb *vars)
{
	DfTruth truth = df_jsonpath_holds(value, path, vars);
	JsonPath *parsed = parse(path);

	/* an author who names the mode means it */
	path += strspn(path, " \t\r\n");
	if (truth != DF_FALSE || pg_strncasecmp(path, "lax", 3) == 0 ||
		survey_of(parsed, DF_RESPONSE_VARIABLES).asks_existence)
		return truth;
	parsed->header &= ~JSONPATH_LAX;
	if (value == NULL)
		value = df_json_read("null");
	return evaluate(value, parsed, vars) == DF_UNKNOWN ? DF_UNKNOWN : DF_FALSE;
}

Jsonb *
df_jsonpath_first(const Jsonb *value, const char *path, const Jsonb *vars, int *matches)
{
	bool isnull;
	Datum result;
	Jsonb *all;
	DfJsonWalk walk;

	*matches = 0;
	if (value == NULL)
		return NULL;
	result = jsonpath_call_quietly(jsonb_path_query_array, value, parse(path), vars, &isnull);
	if (isnull)
		return NULL;
	all = DatumGetJsonbP(result);
	*matches = JB_ROOT_COUNT(all);
	if (*matches == 0)
		return NULL;
	df_json_walk(&walk, all);
	(void) df_json_next(&walk);
	return df_json_of(&walk.value);
}
