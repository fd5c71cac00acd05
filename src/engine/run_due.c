/*
 * engine/run_due.c
 *	  When something of a run is due, and what becomes of its steps then.
 *
 * Runs in a worker, in its recording transaction, on structs in memory.  Only
 * ends waits and marks steps to_send or to_run_sql; it sends and writes nothing.
 */
#include "postgres.h"

#include "engine/run_due.h"
#include "engine/run_steps.h"
#include "engine/step_kind.h"
#include "flow/flow.h"
#include "shared/clock.h"
#include "types/base.h"
#include "types/run.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

bool
df_run_goes_forward(const DfRun *run)
{
	return run->row.state == DF_RUN_QUEUED || run->row.state == DF_RUN_RUNNING ||
		run->row.state == DF_RUN_WAITING;
}

/*
 * When the run fails unless it has ended; DF_NEVER = it has no deadline, or its clock stands
 * still, or it rolls back.
 */
TimestampTz
df_run_deadline(const DfRun *run)
{
	if (!df_run_goes_forward(run) || run->engine.fails_at == DF_NEVER ||
		TIMESTAMP_NOT_FINITE(run->engine.fails_at) || run->row.held_since != DF_NEVER)
		return DF_NEVER;
	return run->engine.fails_at + run->row.held_us + run->engine.paused_us;
}

TimestampTz
df_run_deadline_from(const DfRun *run, TimestampTz since)
{
	if (run->workflow == NULL || !run->workflow->has_deadline)
		return DF_NEVER;
	return DatumGetTimestampTz(DirectFunctionCall2(timestamptz_pl_interval,
												   TimestampTzGetDatum(since),
												   IntervalPGetDatum(&run->workflow->deadline)));
}

/* after retry(): the run has its whole time again */
void
df_run_renew_deadline(DfRun *run)
{
	run->row.deadline = run->engine.fails_at = df_run_deadline_from(run, df_now());
	run->row.held_us = run->engine.paused_us = 0;
	run->row.held_since = DF_NEVER;
}

/* the earliest time at which a step or an undo is due, DF_NEVER = no time */
TimestampTz
df_run_next_step_due(const DfRun *run)
{
	TimestampTz next = DF_NEVER;

	for (int i = 0; i < run->nsteps; i++)
	{
		const DfStep *step = run->steps[i];
		TimestampTz due = step->engine.to_send ? step->engine.not_before : step->row.wake_at;

		if (due == DF_NEVER || step->worker.in_flight)
			continue;
		if (!step->engine.to_send && df_step_ended(step) && !df_undo_in_progress(step))
			continue;
		if (next == DF_NEVER || due < next)
			next = due;
	}
	return next;
}

/* the earliest time at which something of this run is due, DF_NEVER = no time */
TimestampTz
df_run_next_due(const DfRun *run)
{
	TimestampTz next;
	TimestampTz deadline;

	/* it waits for a person, or has ended */
	if (run->row.state == DF_RUN_STUCK || df_run_is_terminal(run->row.state))
		return DF_NEVER;
	next = df_run_next_step_due(run);
	deadline = df_run_deadline(run);
	if (deadline != DF_NEVER && (next == DF_NEVER || deadline < next))
		next = deadline;
	if (run->life == DF_LIFE_RETAINED &&
		(next == DF_NEVER || run->engine.retained_until < next))
		return run->engine.retained_until;
	return next;
}

/* marks the steps whose next try is due as to be sent, or to be run */
void
df_run_send_due_steps(DfRun *run)
{
	TimestampTz now = df_now();

	for (int i = 0; i < run->nsteps; i++)
	{
		DfStep *step = run->steps[i];

		if (df_step_ops(step)->due == NULL || step->worker.in_flight || step->engine.to_send ||
			df_step_ended(step))
			continue;
		if (step->row.state != DF_STEP_PENDING && step->row.state != DF_STEP_DOUBT)
			continue;
		if (step->row.wake_at > now || step->row.request == NULL)
			continue;
		df_step_ops(step)->due(run, step);
	}
}

/* ends the waits whose event or time has come */
void
df_run_settle_waits(DfRun *run)
{
	TimestampTz now = df_now();

	for (int i = 0; i < run->nsteps; i++)
	{
		DfStep *step = run->steps[i];

		if (step->row.state == DF_STEP_WAITING && df_step_ops(step)->settle != NULL)
			df_step_ops(step)->settle(run, step, now);
	}
}
