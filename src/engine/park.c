/*
 * engine/park.c
 *	  A run that has nothing to do at present is released, or retained in memory for
 *	  a moment.
 *
 * Runs in a worker, in its recording transaction, on structs in memory.  The row of
 * a released run says when, or for what event, it is to be claimed again.  Never
 * release a run that has a request in flight.
 */
#include "postgres.h"

#include "engine/child_run.h"
#include "engine/run_due.h"
#include "engine/run_failure.h"
#include "engine/park.h"
#include "engine/run_life.h"
#include "engine/run_steps.h"
#include "engine/step_alias.h"
#include "engine/step_kind.h"
#include "engine/transition.h"
#include "flow/flow.h"
#include "shared/clock.h"
#include "types/base.h"
#include "types/run.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/*
 * A run with so many steps is retained for so long while it waits for children or for
 * its next tries.  To load and enter it for each step that ends would cost the square
 * of their number.
 */
#define RETAIN_STEPS 16
#define RETAIN_MS 1000

/* releases the run so that it is claimed at once, with other steps loaded */
void
df_run_claim_anew(DfRun *run)
{
	run->row.sql = false;
	run->row.wake_at = df_now();
	run->row.waiting_for = NULL;
	df_run_release(run);
}

/* what the run waits for, in words; *event: for an event, a time or a child */
static char *
waits_for(DfRun *run, bool *event)
{
	char *what = NULL;

	*event = false;
	for (int i = 0; i < run->nsteps; i++)
	{
		DfStep *step = run->steps[i];
		const DfStepOps *ops = df_step_ops(step);
		char *words;

		if (df_step_ended(step) && !df_undo_in_progress(step))
			continue;
		if (ops->waits_for != NULL && (words = ops->waits_for(step)) != NULL)
		{
			*event = true;
			return MemoryContextStrdup(run->cxt, words);
		}
		if (what == NULL)
			what = MemoryContextStrdup(
				run->cxt,
				psprintf("%s of step \"%s\"%s",
						 df_undo_in_progress(step) ? "next try of the undo" : "next try",
						 step->name,
						 step->row.held_since != DF_NEVER ? ", whose system is held" : ""));
	}
	return what;
}

/* a child by key is to be started: only the recording shows whether another run has the key */
static bool
start_is_undecided(const DfRun *run)
{
	for (int i = 0; i < run->nsteps && run->engine.has_keyed_start; i++)
		if (run->steps[i]->engine.to_insert_child)
			return true;
	return false;
}

/* the next child may end soon, or the next try is due soon */
static bool
is_worth_retaining(DfRun *run)
{
	TimestampTz now = df_now();
	TimestampTz soon = TimestampTzPlusMilliseconds(now, RETAIN_MS);
	TimestampTz due;
	bool waits = false;

	if (run->nsteps < RETAIN_STEPS || df_run_due_query(run) != NULL)
		return false;
	due = df_run_next_step_due(run);
	if (due != DF_NEVER && due <= soon)
	{
		run->engine.retained_until = soon;
		return true;
	}
	for (int i = 0; i < run->nsteps && !waits; i++)
		waits = df_step_waits_for_child(run->steps[i]);
	if (!waits)
		return false;
	if (run->engine.retained_until == DF_NEVER)
		run->engine.retained_until = soon;
	return run->engine.retained_until > now;
}

/* the run waits for an event, a time or a child; false: it is retained */
static bool
park_live(DfRun *run, bool may_retain)
{
	bool event;
	char *what = waits_for(run, &event);

	if (event && run->row.state == DF_RUN_RUNNING)
	{
		df_run_transition(run, DF_RUN_WAIT);
		run->row.waiting_for = what;
	}
	if (may_retain && is_worth_retaining(run))
	{
		df_run_set_life(run, DF_LIFE_RETAINED);
		return false;
	}
	run->engine.retained_until = DF_NEVER;
	run->row.wake_at = df_run_next_due(run);
	run->row.waiting_for = what;
	run->row.sql = df_run_due_query(run) != NULL;
	if (run->row.sql)
		run->row.wake_at = df_now();
	if (!event && !run->row.sql && df_run_next_step_due(run) == DF_NEVER)
		df_run_get_stuck(run, ERRCODE_INTERNAL_ERROR, "it waits for nothing that could come", NULL);
	return true;
}

void
df_run_park(DfRun *run, bool may_retain)
{
	/* a stuck run waits for a person: it sends nothing */
	for (int i = 0; i < run->nsteps && run->row.state == DF_RUN_STUCK; i++)
		run->steps[i]->engine.to_send = false;
	if (run->row.state != DF_RUN_STUCK && df_run_alias_wanted(run) != NULL)
		run->engine.wants_alias = true;
	if (run->worker.in_flight > 0 || df_run_has_to_send(run) || run->engine.wants_inbox ||
		run->engine.wants_alias || run->engine.awaits_commit || start_is_undecided(run))
		return;
	run->row.sql = false;
	if (!df_run_is_terminal(run->row.state) && run->row.state != DF_RUN_STUCK)
	{
		if (!park_live(run, may_retain))
			return;
	}
	else
		run->row.wake_at = DF_NEVER;
	df_run_release(run);
}
