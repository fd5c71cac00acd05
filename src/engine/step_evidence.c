/*
 * engine/step_evidence.c
 *	  Takes a step's case to flow/doubt.c, and keeps what is decided.
 *
 * Runs in a worker, on structs in memory.  The only place that changes the evidence of
 * a step; what it changes is written with the turn.  It decides nothing.
 */
#include "postgres.h"

#include "engine/hold.h"
#include "engine/step_evidence.h"
#include "engine/replay.h"
#include "engine/rollback_subject.h"
#include "engine/read_spec.h"
#include "engine/transition.h"
#include "guc.h"
#include "shared/clock.h"
#include "types/base.h"

/* of a body that is being rolled back, not of its on_failure */
static bool
is_unwanted(const DfRun *run, const DfStep *step)
{
	return run->row.state == DF_RUN_ROLLING_BACK && !df_is_handler_step(step);
}

DfDoubtCase
df_step_case(DfRun *run, DfStep *step, const DfSystemPolicy *policy)
{
	static const DfSystemPolicy none;
	DfDoubtCase about;

	memset(&about, 0, sizeof(about));
	(void) df_step_spec(run, step);
	about.step = step;
	about.policy = policy != NULL ? policy : &none;
	if (policy != NULL)
		about.retry = df_step_retry(run, step, &policy->retry);
	about.undo_for_ms = (int64) df_undo_for * 1000;
	about.first_round = run->row.round_n == 0;
	about.has_rollback = df_rollback_is_of(run, step);
	about.unwanted = is_unwanted(run, step);
	about.now = df_now();
	about.stopped_us = df_step_stopped_us(step, about.now);
	about.jitter = df_random();
	return about;
}

void
df_step_know(DfStep *step, const DfEvidence *evidence)
{
	memcpy(&step->row.evidence, evidence, sizeof(DfEvidence));
}

void
df_step_apply(DfRun *run, DfStep *step, const DfDecision *made)
{
	df_step_know(step, &made->evidence);
	if (made->event != DF_NO_EVENT)
		df_step_transition(run, step, (DfStepEvent) made->event);
	if (made->undo_to != DF_NO_EVENT)
		df_undo_transition(run, step, (DfUndoState) made->undo_to);
	if (made->new_key)
		step->row.renewals++;
	step->row.wake_at = made->at;
	step->engine.phase = made->phase;
}

/*
 * From now on its undo belongs there, and so do its further attempts.  A new step is about to
 * leave: known with the rest of its intent, it costs no second UPDATE of one that waits in line.
 */
void
df_step_goes_to(DfStep *step, const DfSystem *system)
{
	step->row.base_hash = system->url_hash;
	step->row.account_hash = system->account_hash;
	step->row.evidence.elsewhere = false;
}

/* whatever its system is when it is sent next */
void
df_step_is_not_elsewhere(DfStep *step)
{
	if (!step->row.evidence.elsewhere)
		return;
	step->row.base_hash = step->row.account_hash = 0;
	step->row.evidence.elsewhere = false;
}

DfPhase
df_step_phase(DfRun *run, DfStep *step)
{
	DfDoubtCase about = df_step_case(run, step, NULL);

	return df_decide_phase(&about);
}

bool
df_step_undo_needs_probe(DfRun *run, DfStep *step)
{
	DfDoubtCase about = df_step_case(run, step, NULL);

	return df_undo_needs_probe(&about);
}

TimestampTz
df_step_next_try(DfRun *run, DfStep *step, const DfResponse *response, const DfSystemPolicy *policy)
{
	DfDoubtCase about = df_step_case(run, step, policy);

	return df_next_try(&about, response->retry_after_ms);
}

TimestampTz
df_undo_next_try(DfRun *run, DfStep *step, const DfResponse *response, const DfSystemPolicy *policy)
{
	DfDoubtCase about = df_step_case(run, step, policy);

	return df_next_undo_try(&about, response->retry_after_ms);
}
