/*
 * engine/step_kind.c
 *	  The kinds of steps: one table of functions, one row per kind.
 *
 * Runs in workers, on structs in memory.  Nothing here writes or sends.
 */
#include "postgres.h"

#include "engine/step_kind.h"

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

const DfStepOps *
df_step_ops(const DfStep *step)
{
	Assert(kinds[step->kind]->kind == step->kind);
	return kinds[step->kind];
}

void
df_step_render_anew(DfStep *step)
{
	step->row.renewals++;
	step->row.request = NULL;
}
