/*
 * engine/options.c
 *	  What a body asked for with a step, read from its options.
 *
 * Runs in workers, on structs in memory; pure but for memory.  Options were
 * checked when the body called the step, so that nothing here raises.
 */
#include "postgres.h"

#include "engine/json.h"
#include "engine/options.h"
#include "utils/builtins.h"
#include "utils/jsonpath.h"
#include "utils/numeric.h"

const char *
df_step_method(const DfStep *step)
{
	const char *space = step->request != NULL ? strchr(step->request, ' ') : NULL;

	return space == NULL ? "GET" : pnstrdup(step->request, space - step->request);
}

const char *
df_step_path(const DfStep *step)
{
	const char *space = step->request != NULL ? strchr(step->request, ' ') : NULL;

	return space == NULL ? "/" : space + 1;
}

/* the statuses that are answers; DELETE has its own without being told */
const int *
df_step_accept(const DfStep *step, int *n)
{
	static const int gone[] = {404, 410};
	Jsonb	   *accept = df_json_get(step->options, "accept");
	JsonbIterator *it;
	JsonbValue	value;
	JsonbIteratorToken token;
	int		   *statuses;

	*n = 0;
	if (accept == NULL)
	{
		if (strcmp(df_step_method(step), "DELETE") != 0)
			return NULL;
		*n = lengthof(gone);
		return gone;
	}
	statuses = palloc(sizeof(int) * (JB_ROOT_COUNT(accept) + 1));
	it = JsonbIteratorInit(&accept->root);
	while ((token = JsonbIteratorNext(&it, &value, true)) != WJB_DONE)
		if (token == WJB_ELEM && value.type == jbvNumeric)
			statuses[(*n)++] = DatumGetInt32(DirectFunctionCall1(numeric_int4,
																 NumericGetDatum(value.val.numeric)));
	return statuses;
}

static Datum
jsonpath_call(PGFunction function, const Jsonb *value, const char *path, bool *isnull)
{
	static const char empty[] = "{}";
	Datum		result;

	LOCAL_FCINFO(fcinfo, 4);

	InitFunctionCallInfoData(*fcinfo, NULL, 4, InvalidOid, NULL, NULL);
	fcinfo->args[0].value = JsonbPGetDatum(value);
	fcinfo->args[1].value = DirectFunctionCall1(jsonpath_in, CStringGetDatum(path));
	fcinfo->args[2].value = DirectFunctionCall1(jsonb_in, CStringGetDatum(empty));
	fcinfo->args[3].value = BoolGetDatum(true);
	for (int i = 0; i < 4; i++)
		fcinfo->args[i].isnull = false;
	result = function(fcinfo);
	*isnull = fcinfo->isnull;
	return result;
}

void
df_jsonpath_check(const char *path, const char *what)
{
	if (strlen(path) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"%s\" must not be empty", what),
				 errhint("Give a jsonpath such as '$.state == \"paid\"'.")));
	(void) DirectFunctionCall1(jsonpath_in, CStringGetDatum(path));
}

bool
df_jsonpath_match(const Jsonb *value, const char *path)
{
	bool		isnull;
	Datum		result;

	if (value == NULL)
		return false;
	result = jsonpath_call(jsonb_path_match, value, path, &isnull);
	return !isnull && DatumGetBool(result);
}

/* the first match, and how many there are */
Jsonb *
df_jsonpath_first(const Jsonb *value, const char *path, int *matches)
{
	bool		isnull;
	Datum		result;
	Jsonb	   *all;
	JsonbValue *first;

	*matches = 0;
	if (value == NULL)
		return NULL;
	result = jsonpath_call(jsonb_path_query_array, value, path, &isnull);
	if (isnull)
		return NULL;
	all = DatumGetJsonbP(result);
	*matches = JB_ROOT_COUNT(all);
	if (*matches == 0)
		return NULL;
	first = getIthJsonbValueFromContainer(&all->root, 0);
	return JsonbValueToJsonb(first);
}

bool
df_step_until_met(const DfStep *step, const Jsonb *output)
{
	char	   *until = df_json_get_text(step->options, "until");

	return until == NULL || df_jsonpath_match(output, until);
}
