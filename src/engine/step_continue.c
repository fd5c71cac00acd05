/*
 * engine/step_continue.c
 *	  continue_with(): the end of a round, and the input of the next.
 *
 * Runs inside a body, in its read-only subtransaction, as the workflow's owner.
 * Nothing here writes a row.
 */
#include "postgres.h"

#include "engine/body.h"
#include "engine/step_api.h"
#include "shared/json.h"
#include "shared/limits.h"

PG_FUNCTION_INFO_V1(dataflows_continue_with);

/* the body is left here and now; what it began ends first, then the next round begins */
Datum
dataflows_continue_with(PG_FUNCTION_ARGS)
{
	DfRun *run = df_entry_run("continue_with");
	Jsonb *input = df_arg_jsonb(fcinfo, 0);

	if (run->row.state == DF_RUN_ROLLING_BACK)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("continue_with cannot be called in on_failure"),
				 errhint("Start another run instead, with dataflows.start() in a step "
						 "dataflows.query().")));
	if (input == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("the input of the next round must not be NULL"),
				 errhint("Give '{}' for a round without input.")));
	df_check_payload(input, "the input of the next round");
	df_entry->next_input = df_json_copy(input, run->cxt);
	df_suspend_on(NULL, 0, false);
	PG_RETURN_NULL();
}
