/*
 * engine/step_sleep.c
 *	  sleep(), sleep_until(): a step that waits for a time.
 *
 * The SQL functions run inside a body, in its read-only subtransaction, as the
 * workflow's owner.  The time is decided once, when the step begins, and recorded
 * with it.  What ends the sleep runs in a worker, on structs in memory.
 */
#include "postgres.h"

#include "engine/body.h"
#include "engine/step_api.h"
#include "engine/step_kind.h"
#include "engine/transition.h"
#include "types/base.h"
#include "types/run.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(dataflows_sleep);
PG_FUNCTION_INFO_V1(dataflows_sleep_until);

static Datum
sleep_step(FunctionCallInfo fcinfo, const char *function, bool until)
{
	DfRun *run = df_entry_run(function);
	char *base = df_checked_name(fcinfo, 0, "step");
	char *name;
	DfStep *step = df_step_recorded(run, base, DF_STEP_SLEEP, &name);

	if (step == NULL)
	{
		if (PG_ARGISNULL(1))
			ereport(
				ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("step \"%s\" sleeps for NULL", base),
				 errhint(
					 "Give an interval to dataflows.sleep(), a time to dataflows.sleep_until().")));
		step = df_step_begin_wait(run, name, DF_STEP_SLEEP,
								  until ? df_time_given(PG_GETARG_TIMESTAMPTZ(1))
										: df_time_from_now(fcinfo, 1, "duration", base),
								  NULL);
	}
	(void) df_step_await(fcinfo, step);
	PG_RETURN_VOID();
}

Datum
dataflows_sleep(PG_FUNCTION_ARGS)
{
	return sleep_step(fcinfo, "sleep", false);
}

Datum
dataflows_sleep_until(PG_FUNCTION_ARGS)
{
	return sleep_step(fcinfo, "sleep_until", true);
}

static void
settle(DfRun *run, DfStep *step, TimestampTz now)
{
	if (step->row.wake_at != DF_NEVER && step->row.wake_at <= now)
		df_step_transition(run, step, DF_STEP_SUCCEED);
}

static char *
waits_for(const DfStep *step)
{
	return step->row.state == DF_STEP_WAITING ? step->name : NULL;
}

const DfStepOps df_sleep_ops = {
	.kind = DF_STEP_SLEEP,
	.settle = settle,
	.waits_for = waits_for,
};
