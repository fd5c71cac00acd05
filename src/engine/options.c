/*
 * engine/options.c
 *	  What a body asked for with a step, read from its options.
 *
 * Runs in workers, on structs in memory; pure but for memory.  Options were
 * checked when the body called the step, so that nothing here raises.
 */
#include "postgres.h"

#include "shared/json.h"
#include "engine/options.h"
#include "shared/jsonpath.h"
#include "utils/builtins.h"
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
	Jsonb *accept = df_json_get(step->options, "accept");
	JsonbIterator *it;
	JsonbValue value;
	JsonbIteratorToken token;
	int *statuses;

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
			statuses[(*n)++] = DatumGetInt32(
				DirectFunctionCall1(numeric_int4, NumericGetDatum(value.val.numeric)));
	return statuses;
}

bool
df_step_until_met(const DfStep *step, const Jsonb *output)
{
	char *until = df_json_get_text(step->options, "until");

	return until == NULL || df_jsonpath_match(output, until);
}
