/*
 * shared/jsonpath.c
 *	  Evaluates a jsonpath on a document, with the server's own functions.
 *
 * Used where users name a part of a response or of a webhook's body, in the caller's
 * transaction.  Needs no tables and no rights.  Never raise an error because of what a
 * document contains.
 */
#include "postgres.h"

#include "shared/json.h"
#include "shared/jsonpath.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/jsonpath.h"

static Datum
jsonpath_call(PGFunction function, const Jsonb *value, const char *path, bool *isnull)
{
	Datum result;

	LOCAL_FCINFO(fcinfo, 4);

	InitFunctionCallInfoData(*fcinfo, NULL, 4, InvalidOid, NULL, NULL);
	fcinfo->args[0].value = JsonbPGetDatum(value);
	fcinfo->args[1].value = DirectFunctionCall1(jsonpath_in, CStringGetDatum(path));
	fcinfo->args[2].value = JsonbPGetDatum(df_json_empty());
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
	bool isnull;
	Datum result;

	if (value == NULL)
		return false;
	result = jsonpath_call(jsonb_path_match, value, path, &isnull);
	return !isnull && DatumGetBool(result);
}

Jsonb *
df_jsonpath_first(const Jsonb *value, const char *path, int *matches)
{
	bool isnull;
	Datum result;
	Jsonb *all;
	DfJsonWalk walk;

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
	df_json_walk(&walk, all);
	(void) df_json_next(&walk);
	return df_json_of(&walk.value);
}
