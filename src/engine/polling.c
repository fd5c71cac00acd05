/*
 * engine/polling.c
 *	  Steps with `until`: asked again until the response meets it.
 *
 * Runs in a worker, in its recording transaction, on structs in memory.
 */
#include "postgres.h"

#include "engine/attempt.h"
#include "engine/polling.h"
#include "engine/step_error.h"
#include "engine/step_spec.h"
#include "engine/transition.h"
#include "flow/flow.h"
#include "shared/clock.h"
#include "shared/jsonpath.h"
#include "types/base.h"

bool
df_step_until_met(DfRun *run, DfStep *step, const Jsonb *output)
{
	const char *until = df_step_spec(run, step)->until;

	return until == NULL || df_jsonpath_match(output, until);
}

/* `until` is not met yet: ask again after `every` */
void
df_step_poll_again(DfRun *run, DfStep *step, const DfResponse *response)
{
	const DfStepSpec *spec = df_step_spec(run, step);
	int64 limit = spec->until_timeout_ms;
	TimestampTz at = df_now() + spec->every_ms * 1000;
	const char *why = "the answer does not meet \"until\" yet";

	step->status = response->status;
	if (limit > 0 && at > step->started_at + limit * 1000)
	{
		step->error =
			df_step_error(run, response, "\"until\" was not met within until_timeout", false);
		df_step_transition(run, step, DF_STEP_FAIL);
		df_attempt_note(run, step, response, "failed", DF_NEVER);
		return;
	}
	step->error = df_step_error(run, response, why, false);
	df_step_transition(run, step, DF_STEP_AGAIN);
	step->wake_at = at;
	df_attempt_note(run, step, response, "retry", at);
}
