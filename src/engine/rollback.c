/*
 * engine/rollback.c
 *	  Undoing a run, last step first, and on_failure afterwards.
 *
 * Runs in a worker, in its recording transaction, on structs in memory.  flow/undo.c
 * decides the order.  Marks what is to be sent or run; never undo a step that is in
 * flight or whose doubt may still be resolved.
 */
#include "postgres.h"

#include "engine/blocked.h"
#include "engine/child_run.h"
#include "engine/entry.h"
#include "engine/park.h"
#include "engine/replay.h"
#include "engine/rollback.h"
#include "engine/run_due.h"
#include "engine/run_failure.h"
#include "engine/run_steps.h"
#include "engine/step_error.h"
#include "engine/step_kind.h"
#include "engine/step_pivot.h"
#include "engine/read_spec.h"
#include "engine/transition.h"
#include "flow/flow.h"
#include "shared/clock.h"
#include "shared/json.h"
#include "types/base.h"
#include "types/run.h"

/*
 * Fails the steps that were never sent and those that wait.  Child runs are asked to
 * cancel, and waited for; not those from before the point of no return.
 */
static void
drop_unsent_steps(DfRun *run)
{
	const DfStep *pivot = df_run_pivot(run);

	for (int i = 0; i < run->nsteps; i++)
	{
		DfStep *step = run->steps[i];

		if (df_is_handler_step(step) || step->worker.in_flight)
			continue;
		if (step->row.state != DF_STEP_PENDING && step->row.state != DF_STEP_WAITING)
			continue;
		if (step->engine.has_own_child)
		{
			if (pivot == NULL || i >= pivot->engine.index)
				df_child_cancel(run, step);
			continue;
		}
		step->engine.to_send = step->engine.to_run_sql = step->engine.to_insert_child = false;
		step->row.error = df_error_text(run, "given up: the run is rolling back", false);
		df_step_transition(run, step, DF_STEP_FAIL);
	}
}

static void
begin_undo(DfRun *run, DfStep *step)
{
	if (step->row.undo_state == DF_UNDO_NONE)
		df_undo_transition(run, step, DF_UNDO_DUE);
	df_step_ops(step)->undo(run, step);
}

/* of many runs whose system has moved, all are to be found by the same words */
static const char *
what_is_left(const DfRun *run)
{
	for (int i = 0; i < run->nsteps; i++)
	{
		const DfStep *step = run->steps[i];

		if (step->row.undo_state == DF_UNDO_FAILED && step->row.evidence.elsewhere)
			return psprintf("not everything could be undone: step \"%s\" at system \"%s\": %s",
							step->name, step->system,
							df_json_get_text(step->row.undo_error, "message"));
	}
	return "not everything could be undone";
}

static void
rollback_finished(DfRun *run, bool stuck)
{
	if (stuck)
		df_run_get_stuck(run, DF_ERR_STEP_FAILED, what_is_left(run),
						 psprintf("Do what this shows: SELECT step, why, remedy FROM "
								  "dataflows.pending_undo WHERE run = '%s'; or repair the cause "
								  "and have it tried again: SELECT dataflows.retry('%s');",
								  run->id_text, run->id_text));
	else if (run->workflow->on_failure != NULL && run->row.cause != DF_CAUSE_UNDO)
	{
		df_run_settle_waits(run);
		if (run->row.state == DF_RUN_ROLLING_BACK && df_run_unblocked(run))
			df_run_enter(run, true);
		if (run->row.state == DF_RUN_ROLLING_BACK && run->life == DF_LIFE_ACTIVE)
			df_run_send_due_steps(run);
	}
	else
		df_run_transition(
			run, run->row.cause == DF_CAUSE_CANCELLED ? DF_RUN_CANCEL_DONE : DF_RUN_ROLLBACK_DONE);
}

static void
plan_items(DfRun *run, DfUndoItem *items, int *nitems)
{
	const DfStep *pivot = df_run_pivot(run);

	*nitems = 0;
	for (int i = 0; i < run->nsteps; i++)
	{
		DfStep *step = run->steps[i];
		DfUndoItem *item;

		if (df_is_handler_step(step))
			break;
		item = &items[(*nitems)++];
		item->n = step->n;
		/* if its doubt may still be resolved, wait for that as for a response */
		item->state = df_step_ended(step) ? step->row.state : DF_STEP_SENT;
		item->undo_state = step->row.undo_state;
		item->has_undo = df_step_ops(step)->undo != NULL && !step->row.evidence.kept &&
			(step->row.undo != NULL || df_step_spec(run, step)->undo != NULL);
		item->before_pivot = pivot != NULL && i < pivot->engine.index;
		if (df_step_ops(step)->undo_item != NULL)
			df_step_ops(step)->undo_item(step, item);
	}
}

/* the steps that are here are undone: load older ones, of earlier rounds, if there are any */
static void
undo_earlier_rounds(DfRun *run, bool stuck)
{
	if (run->engine.earlier == DF_EARLIER_NEWEST)
		df_run_claim_anew(run);
	else
		rollback_finished(run, stuck || run->engine.earlier_failed);
}

void
df_run_roll_back(DfRun *run)
{
	DfUndoItem *items;
	int nitems;
	int index;

	drop_unsent_steps(run);
	if (run->row.round_n > 0 && run->engine.earlier == DF_EARLIER_UNREAD)
	{
		if (run->worker.in_flight == 0)
			df_run_claim_anew(run);
		return;
	}
	if (run->row.cause != DF_CAUSE_NONE)
		df_run_send_due_steps(run);
	for (;;)
	{
		items = palloc(sizeof(DfUndoItem) * Max(1, run->nsteps));
		plan_items(run, items, &nitems);
		switch (df_undo_plan(items, nitems, &index))
		{
			case DF_PLAN_WAIT:
				return;
			case DF_PLAN_UNDO:
				begin_undo(run, run->steps[index]);
				if (!df_undo_in_progress(run->steps[index]))
					continue;
				return;
			case DF_PLAN_DONE:
				undo_earlier_rounds(run, false);
				return;
			case DF_PLAN_STUCK:
				undo_earlier_rounds(run, true);
				return;
		}
	}
}
