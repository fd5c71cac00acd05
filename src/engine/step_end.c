/*
 * engine/step_end.c
 *	  How a step that calls a system ends: done, accepted in doubt, or left to a person.
 *
 * Runs in a worker, in its recording transaction, on structs in memory.  outcome.c and
 * probe.c apply here what flow/doubt.c has decided.  Never decide anything here.
 */
#include "postgres.h"

#include "engine/read_response.h"
#include "engine/read_spec.h"
#include "engine/rollback_of.h"
#include "engine/run_failure.h"
#include "engine/step_end.h"
#include "engine/step_error.h"
#include "engine/step_key.h"
#include "engine/transition.h"
#include "engine/undo_claim.h"
#include "engine/undo_outcome.h"
#include "flow/flow.h"
#include "shared/clock.h"
#include "shared/json.h"
#include "shared/metrics.h"
#include "types/base.h"
#include "utils/builtins.h"

/*
 * What would take the step back is frozen now.  If it cannot be, somebody should know at
 * once; but that an attempt was lost is not news, and matters only if the run fails.
 */
static void
render_undos(DfRun *run, DfStep *step)
{
	DfStep *which = step;
	char *why = NULL;

	if ((df_step_render_undo(run, step, &why) || df_step_undo_waits_for_rollback(run, step)) &&
		(df_rollback_render_of(run, step, &which, &why) ||
		 df_step_undo_waits_for_rollback(run, which)))
		return;
	df_run_get_stuck(
		run, DF_ERR_STEP_FAILED,
		psprintf("the undo of step \"%s\" cannot be rendered: %s", which->name, why),
		psprintf("Correct the undo in the function, then SELECT dataflows.retry('%s'); has it "
				 "rendered anew. Without that the run goes on, too, and this step is left for a "
				 "person if it is undone later. To undo the rest of it now: SELECT "
				 "dataflows.cancel('%s', 'why');",
				 run->id_text, run->id_text));
}

void
df_step_done(DfRun *run, DfStep *step, const DfResponse *response, Jsonb *output)
{
	step->row.status = response->status;
	step->row.output = output;
	step->row.answer = df_response_headers(response, run->cxt);
	step->row.error = NULL;
	df_step_transition(run, step, DF_STEP_SUCCEED);
	render_undos(run, step);
}

/* doubt => 'accept': adds what was accepted to what the error says already */
void
df_step_say_accepted(DfRun *run, DfStep *step)
{
	step->row.error = df_error_flag(run, step->row.error, "accepted", true);
}

void
df_step_ends_in_doubt(DfStep *step)
{
	step->row.finished_at = df_now();
	df_metric_add(DF_METRIC_STEPS, step->system, df_step_kind_name(step->kind), "in_doubt", 1);
}

/* what a person must do about a step in doubt, with the calls to make */
char *
df_step_remedy(DfRun *run, DfStep *step)
{
	char *name = quote_literal_cstr(step->name);
	/* a body that has learned of the doubt must see the same again */
	bool resend = run->row.cause == DF_CAUSE_NONE &&
		df_step_spec(run, step)->doubt != DF_DOUBT_FAIL;
	const char *same = step->row.evidence.elsewhere
		? psprintf("If it is the same system and account as before: SELECT dataflows.retry('%s'); "
				   "If it is not, look where the step was sent. ",
				   run->id_text)
		: "";

	return psprintf("%sLook in system \"%s\" for what the step was to do (its key is \"%s\"). If "
					"it is there: SELECT dataflows.resolve('%s', %s, 'done', 'who saw it', "
					"'{\"id\": \"...\"}'); with the resource as the output. If it is not: %sSELECT "
					"dataflows.resolve('%s', %s, 'not_done', 'who looked');",
					same,
					step->system, df_step_key(run, step), run->id_text, name,
					resend ? psprintf("have it sent again: SELECT dataflows.resolve('%s', %s, "
									  "'resend', 'who looked'); or, to fail the step: ",
									  run->id_text, name)
						   : "",
					run->id_text, name);
}

/* nobody can tell what came of it, and its author did not ask to be told by DF001 */
void
df_step_ask_person(DfRun *run, DfStep *step)
{
	char *why = df_json_get_text(step->row.error, "message");

	df_run_get_stuck(run, DF_ERR_STEP_FAILED,
					 psprintf("step \"%s\" is in doubt at system \"%s\": %s", step->name,
							  step->system, why != NULL ? why : "no answer came"),
					 df_step_remedy(run, step));
}
