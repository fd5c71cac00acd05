/*
 * engine/rollback_of.c
 *	  on_rollback() of another step: when it is rendered.
 *
 * Runs in a worker and inside bodies, on structs in memory.  It is rendered as soon as its
 * step is done, like the undo of that step itself.  Never send anything here.
 */
#include "postgres.h"

#include "engine/rollback_of.h"
#include "engine/rollback_subject.h"
#include "engine/step_evidence.h"
#include "engine/transition.h"
#include "engine/undo_outcome.h"
#include "shared/clock.h"

/* what is known of the step is known of what takes it back */
static void
follow(DfStep *step, const DfStep *subject)
{
	DfEvidence evidence = step->row.evidence;

	evidence.maybe_twice = subject->row.evidence.maybe_twice;
	if (evidence.maybe_twice != step->row.evidence.maybe_twice)
		df_step_know(step, &evidence);
	step->row.finished_at = df_now();
}

bool
df_rollback_render_of(DfRun *run, DfStep *subject, DfStep **which, char **why)
{
	for (int i = run->engine.nearlier; run->engine.has_rollback && i < run->nsteps; i++)
	{
		DfStep *step = run->steps[i];

		if (step->row.undo != NULL || step->row.evidence.kept ||
			df_rollback_subject(run, step) != subject)
			continue;
		*which = step;
		follow(step, subject);
		if (!df_step_render_undo(run, step, why))
			return false;
		/* a person has said that the step was carried out, and what it made */
		if (step->row.undo_state == DF_UNDO_FAILED)
		{
			df_undo_transition(run, step, DF_UNDO_DUE);
			step->row.undo_since = df_now();
		}
	}
	return true;
}

void
df_rollback_end_round(DfRun *run)
{
	char *why;

	for (int i = run->engine.nearlier; run->engine.has_rollback && i < run->nsteps; i++)
	{
		DfStep *step = run->steps[i];
		DfStep *subject = df_rollback_subject(run, step);
		DfEvidence evidence = step->row.evidence;

		if (step->row.undo != NULL || subject == NULL)
			continue;
		if ((subject->row.state == DF_STEP_FAILED && !subject->row.evidence.carried_out) ||
			subject->row.evidence.kept)
		{
			evidence.kept = true;
			df_step_know(step, &evidence);
		}
		else
			/* if it cannot be rendered, a rollback will say so */
			(void) df_step_render_undo(run, step, &why);
	}
}
