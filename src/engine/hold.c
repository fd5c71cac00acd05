/*
 * engine/hold.c
 *	  Clocks that stand still while a step cannot be sent through no fault of its own:
 *	  its system asks for time, is paused, keeps failing or refuses our credentials.
 *
 * Runs in a worker, in its recording transaction, on structs in memory.  A step's clock is
 * that of retry's `for` and of until_timeout, or of the time that its undo is tried; a
 * run's is that of its deadline, and stands still while any of its steps is held.  Both
 * are recorded as the moment since when they stand still and the time that they stood
 * still before, so that a hold that ends early, or a crash, needs no correction.  Pauses of
 * the workflow or of the database touch no run: they are counted when a time would have
 * passed, from what pause() and resume() have left (store/pause_log.c).
 */
#include "postgres.h"

#include "engine/hold.h"
#include "engine/read_spec.h"
#include "engine/run_due.h"
#include "engine/run_steps.h"
#include "guc.h"
#include "shared/clock.h"
#include "types/base.h"
#include "utils/fmgrprotos.h"
#include "utils/timestamp.h"

void
df_step_hold_begins(DfRun *run, DfStep *step)
{
	TimestampTz now = df_now();

	if (step->row.held_since == DF_NEVER)
		step->row.held_since = now;
	if (run->row.held_since == DF_NEVER)
		run->row.held_since = now;
}

void
df_step_hold_ends(DfRun *run, DfStep *step)
{
	if (step->row.held_since == DF_NEVER)
		return;
	step->row.held_us += Max(0, df_now() - step->row.held_since);
	step->row.held_since = DF_NEVER;
	df_run_check_holds(run);
}

void
df_run_check_holds(DfRun *run)
{
	if (run->row.held_since == DF_NEVER)
		return;
	for (int i = 0; i < run->nsteps; i++)
	{
		const DfStep *step = run->steps[i];

		if (step->row.held_since != DF_NEVER &&
			(!df_step_ended(step) || df_undo_in_progress(step)))
			return;
	}
	run->row.held_us += Max(0, df_now() - run->row.held_since);
	run->row.held_since = DF_NEVER;
}

int64
df_step_stopped_us(const DfStep *step, TimestampTz now)
{
	int64 present = step->row.held_since != DF_NEVER ? Max(0, now - step->row.held_since) : 0;

	return step->row.held_us + step->engine.paused_us + present;
}

/* whether more than a limit has passed of a clock that stood still for some time; 0 = no limit */
static bool
has_passed(TimestampTz since, int64 limit_ms, int64 stopped_us)
{
	return limit_ms > 0 && since != DF_NEVER &&
		(df_now() - since - stopped_us) / 1000 >= limit_ms;
}

TimestampTz
df_step_asks_for_pauses(DfRun *run, DfStep *step, const DfSystemPolicy *policy)
{
	bool undo = df_undo_in_progress(step);
	TimestampTz since = undo ? step->row.undo_since : step->row.started_at;
	const DfStepSpec *spec = df_step_spec(run, step);
	int64 limit_ms = undo ? (int64) df_undo_for * 1000
						  : df_step_retry(run, step, &policy->retry).for_ms;

	/* of a poll the next one would be too late */
	if (!undo && spec->until != NULL && spec->until_timeout_ms > 0 &&
		has_passed(since, Max(1, spec->until_timeout_ms - spec->every_ms), step->row.held_us))
		return since;
	return has_passed(since, limit_ms, step->row.held_us) ? since : DF_NEVER;
}

TimestampTz
df_run_asks_for_pauses(const DfRun *run)
{
	TimestampTz deadline = df_run_deadline(run);

	if (deadline == DF_NEVER || deadline > df_now())
		return DF_NEVER;
	if (run->row.deadline == DF_NEVER)
		return run->started_at;
	/* retry() gave it its time anew */
	return DatumGetTimestampTz(
		DirectFunctionCall2(timestamptz_mi_interval, TimestampTzGetDatum(run->row.deadline),
							IntervalPGetDatum(&run->workflow->deadline)));
}
