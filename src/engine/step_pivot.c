/*
 * engine/step_pivot.c
 *	  point_of_no_return(): what came before it is not undone any more.
 *
 * The SQL function runs inside a body, in its read-only subtransaction, as the
 * workflow's owner; the rest in a worker, on structs in memory.  Nothing here
 * writes a row.
 */
#include "postgres.h"

#include "engine/body.h"
#include "engine/step_api.h"
#include "engine/step_kind.h"
#include "engine/step_pivot.h"
#include "engine/transition.h"
#include "types/run.h"

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

const DfStep *
df_run_pivot(const DfRun *run)
{
	for (int i = run->nsteps - 1; i >= 0; i--)
		if (run->steps[i]->kind == DF_STEP_PIVOT)
			return run->steps[i];
	return NULL;
}

/* it is done as soon as the body has called it */
const DfStepOps df_pivot_ops = {.kind = DF_STEP_PIVOT};
