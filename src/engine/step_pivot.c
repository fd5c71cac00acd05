/*
 * engine/step_pivot.c
 *	  point_of_no_return(): what came before it is not undone any more.
 *
 * Runs inside a body, in its read-only subtransaction, as the workflow's owner.
 * Nothing here writes a row.
 */
#include "postgres.h"

#include "engine/body.h"
#include "engine/step_api.h"
#include "engine/transition.h"

PG_FUNCTION_INFO_V1(dataflows_point_of_no_return);

Datum
dataflows_point_of_no_return(PG_FUNCTION_ARGS)
{
	DfRun *run = df_entry_run("point_of_no_return");
	char *base = df_checked_name(fcinfo, 0, "step");
	char *name;
	DfStep *step = df_step_recorded(run, base, DF_STEP_PIVOT, &name);

	if (step == NULL)
		df_step_transition(run, df_step_new(run, name, DF_STEP_PIVOT), DF_STEP_SUCCEED);
	PG_RETURN_VOID();
}
