/*
 * engine/step_error.c
 *	  The error of a step, as users and bodies see it.
 *
 * Runs in a worker, on structs in memory.  Written for people and bodies: no decision is
 * ever read back out of it.
 */
#include "postgres.h"

#include "engine/read_response.h"
#include "engine/step_error.h"
#include "shared/json.h"
#include "utils/fmgrprotos.h"

Jsonb *
df_step_error(DfRun *run, const DfResponse *response, const char *message, bool in_doubt,
			  bool whole)
{
	DfJson json;

	df_json_begin(&json);
	df_json_text(&json, "message", message != NULL ? message : df_response_what_came(response));
	if (response->status != 0)
		df_json_int(&json, "status", response->status);
	df_json_bool(&json, "in_doubt", in_doubt);
	df_response_put_body(&json, response, whole);
	return df_json_end(&json, run->cxt);
}

Jsonb *
df_error_text(DfRun *run, const char *message, bool in_doubt)
{
	DfJson json;

	df_json_begin(&json);
	df_json_text(&json, "message", message);
	df_json_bool(&json, "in_doubt", in_doubt);
	return df_json_end(&json, run->cxt);
}

/* one more thing to know beside what is known already */
Jsonb *
df_error_with(DfRun *run, Jsonb *error, const Jsonb *more)
{
	if (error == NULL)
		return df_json_copy(more, run->cxt);
	return df_json_copy(DatumGetJsonbP(DirectFunctionCall2(jsonb_concat, JsonbPGetDatum(error),
														   JsonbPGetDatum(more))),
						run->cxt);
}

Jsonb *
df_error_flag(DfRun *run, Jsonb *error, const char *flag, bool value)
{
	DfJson json;

	df_json_begin(&json);
	df_json_bool(&json, flag, value);
	return df_error_with(run, error, df_json_end(&json, CurrentMemoryContext));
}
