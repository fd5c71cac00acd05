/*
 * engine/uncalled.c
 *	  The recorded steps that a body has not called when it returns.
 *
 * Runs in a worker, in its recording transaction, on structs in memory.  Never let an effect
 * go unseen because nobody calls its step any more, and never let a run wait for what nobody
 * asks for.
 */
#include "postgres.h"

#include "engine/drift.h"
#include "engine/replay.h"
#include "engine/run_failure.h"
#include "engine/step_error.h"
#include "engine/step_kind.h"
#include "engine/transition.h"
#include "engine/uncalled.h"
#include "types/base.h"

/* how many steps with an effect it has not called; *first is one of them */
static int
count_effects(const DfRun *run, int64 fingerprint, const DfStep **first)
{
	int n = 0;

	*first = NULL;
	for (int i = run->engine.nearlier; i < run->nsteps; i++)
	{
		const DfStep *step = run->steps[i];

		if (!df_replay_is_uncalled(run, step) || df_drift_effect(step, fingerprint) == NULL)
			continue;
		n++;
		if (*first == NULL)
			*first = step;
	}
	return n;
}

bool
df_uncalled_has_effect(const DfRun *run, int64 fingerprint)
{
	const DfStep *first;

	return df_replay_has_uncalled(run) && count_effects(run, fingerprint, &first) > 0;
}

static bool
stuck_for_effect(DfRun *run, int64 fingerprint)
{
	const DfStep *first;
	int n = count_effects(run, fingerprint, &first);

	if (n == 0)
		return false;
	df_run_get_stuck(
		run, DF_ERR_RECORD_MISMATCH,
		psprintf("the body returned without calling the recorded step \"%s\"%s", first->name,
				 n > 1 ? psprintf(" and %d more", n - 1) : ""),
		psprintf("If it is no longer called, and what it did stays: SELECT %s; If it has another "
				 "name now: SELECT %s; Or let the function call it again, and then: SELECT "
				 "dataflows.retry('%s');",
				 df_drift_accept_call(run, n > 1 ? NULL : first->name),
				 df_drift_rename_call(run, first->name, "its name now"), run->id_text));
	return true;
}

/* nobody waits for it any more, or a person has said that it need not be */
static bool
is_left_over(const DfStep *step, int64 fingerprint)
{
	if (step->row.state == DF_STEP_WAITING)
		return df_step_ops(step)->effect == NULL;
	return step->row.state == DF_STEP_PENDING && step->row.attempts == 0 &&
		step->row.accepted_hash == fingerprint;
}

bool
df_uncalled_at_end(DfRun *run, int64 fingerprint)
{
	if (!df_replay_has_uncalled(run))
		return false;
	if (stuck_for_effect(run, fingerprint))
		return true;
	for (int i = run->engine.nearlier; i < run->nsteps; i++)
	{
		DfStep *step = run->steps[i];

		if (!df_replay_is_uncalled(run, step) || !is_left_over(step, fingerprint))
			continue;
		step->row.error =
			df_error_text(run, "the function does not call this step any more", false);
		step->row.wake_at = DF_NEVER;
		step->engine.to_send = step->engine.to_run_sql = step->engine.to_insert_child = false;
		df_step_transition(run, step, DF_STEP_FAIL);
	}
	return false;
}
