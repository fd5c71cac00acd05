/*
 * engine/step_kind.c
 *	  The kinds of steps: one table of functions, one row per kind.
 *
 * Runs in workers, on structs in memory.  Nothing here writes or sends.
 */
#include "postgres.h"

#include "engine/step_error.h"
#include "engine/step_kind.h"
#include "engine/transition.h"

static const DfStepOps *const kinds[] = {
	[DF_STEP_HTTP] = &df_http_ops,
	[DF_STEP_WAIT] = &df_wait_ops,
	[DF_STEP_SLEEP] = &df_sleep_ops,
	[DF_STEP_UNDO] = &df_undo_ops,
	[DF_STEP_QUERY] = &df_query_ops,
	[DF_STEP_ONCE] = &df_once_ops,
	[DF_STEP_CALL] = &df_call_ops,
	[DF_STEP_MAIL] = &df_mail_ops,
	[DF_STEP_PIVOT] = &df_pivot_ops,
	[DF_STEP_ALIAS] = &df_alias_ops,
	[DF_STEP_CONTINUE] = &df_continue_ops,
};

StaticAssertDecl(lengthof(kinds) == DF_STEP_NKINDS, "every kind of step has its functions");

/* ---- a row that was damaged ------------------------------------------------ */

/* whether it has an effect is not known either: its run must not end as rolled back */
static void
unknown_undo(DfRun *run, DfStep *step)
{
	step->row.undo_error = df_error_text(run, "the row of the step names no kind of step", false);
	df_undo_transition(run, step, DF_UNDO_FAILED);
}

/*
 * Nothing is done for it, and a request of it counts neither as lost nor as sent.  The
 * body is entered (see df_run_loaded), and its call does not match the record.
 */
static const DfStepOps unknown_ops = {.undo = unknown_undo};

/* ---- the table ------------------------------------------------------------- */

bool
df_step_kind_is_known(const DfStep *step)
{
	return (uint32) step->kind < lengthof(kinds);
}

const DfStepOps *
df_step_ops(const DfStep *step)
{
	if (!df_step_kind_is_known(step))
		return &unknown_ops;
	Assert(kinds[step->kind]->kind == step->kind);
	return kinds[step->kind];
}

void
df_step_render_anew(DfStep *step)
{
	step->row.renewals++;
	step->row.request = NULL;
}
