/*
 * engine/step_error.c
 *	  The error of a step, as users and bodies see it.
 *
 * Runs in a worker, on structs in memory.  Written for people and bodies.  No decision about
 * the step is read back out of it; what an uncaught DF001 means for the run is, by `why`.
 */
#include "postgres.h"

#include "engine/read_response.h"
#include "engine/step_error.h"
#include "flow/flow.h"
#include "flow/meaning.h"
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
	/* the usual message has it */
	if (message != NULL)
		df_json_text(&json, "said", df_response_words(response));
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

Jsonb *
df_error_why(DfRun *run, Jsonb *error, DfWhy why)
{
	DfJson json;

	df_json_begin(&json);
	df_json_text(&json, "why", df_why_name(why));
	return df_error_with(run, error, df_json_end(&json, CurrentMemoryContext));
}

/* as 0.1 read it */
static bool
is_refusal(int status)
{
	return status >= 300 && status <= 499 && status != 401 && status != 403 && status != 408 &&
		status != 425 && status != 429;
}

/* of a step that failed before reasons were recorded */
static DfWhy
guessed_why(const DfStep *step)
{
	switch (step->kind)
	{
		case DF_STEP_WAIT:
			return DF_WHY_TIMEOUT;
		case DF_STEP_CALL:
			return DF_WHY_CHILD;
		case DF_STEP_QUERY:
			return DF_WHY_ERROR;
		case DF_STEP_ALIAS:
			return DF_WHY_REFUSED;
		default:
			return is_refusal(step->row.status) ? DF_WHY_REFUSED : DF_WHY_LIMIT;
	}
}

DfWhy
df_step_why(const DfStep *step)
{
	int why = df_why_of(df_json_get_text(step->row.error, "why"));

	if (step->row.state == DF_STEP_DOUBT)
		return DF_WHY_IN_DOUBT;
	/* a person said that it is not there, and that the body is to be told so */
	if (step->row.evidence.resolved == DF_WORD_NOT_DONE)
		return DF_WHY_REFUSED;
	return why > 0 ? (DfWhy) why : guessed_why(step);
}
