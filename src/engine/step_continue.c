/*
 * engine/step_continue.c
 *	  continue_with(): the end of a round, and the input of the next.
 *
 * The SQL function runs inside a body, in its read-only subtransaction, as the
 * workflow's owner, and leaves the body.  The next round begins in the worker
 * after that, on structs in memory, when all that the body began has ended.
 * Nothing here writes a row.
 */
#include "postgres.h"

#include "engine/body.h"
#include "engine/replay.h"
#include "engine/rollback_of.h"
#include "engine/run_steps.h"
#include "engine/step_api.h"
#include "engine/step_continue.h"
#include "engine/step_kind.h"
#include "engine/step_pivot.h"
#include "engine/transition.h"
#include "shared/clock.h"
#include "shared/json.h"
#include "shared/limits.h"
#include "types/run.h"
#include "utils/memutils.h"

PG_FUNCTION_INFO_V1(dataflows_continue_with);

/* leaves the body; the next round begins when all that the body began has ended */
Datum
dataflows_continue_with(PG_FUNCTION_ARGS)
{
	DfRun *run = df_entry_run("continue_with");
	Jsonb *input = df_arg_jsonb(fcinfo, 0);

	if (run->row.state == DF_RUN_ROLLING_BACK)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("continue_with cannot be called in on_failure"),
				 errhint("Start another run instead, with dataflows.start() in a step "
						 "dataflows.query().")));
	if (input == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("the input of the next round must not be NULL"),
				 errhint("Give '{}' for a round without input.")));
	df_check_payload(input, "the input of the next round");
	df_entry->next_input = df_json_copy(input, run->cxt);
	df_suspend_on(NULL, 0, false);
	PG_RETURN_NULL();
}

/* the step that ends the round keeps the input of the next one */
static DfStep *
add_step(DfRun *run, Jsonb *input)
{
	DfStep *step = MemoryContextAllocZero(run->cxt, sizeof(DfStep));
	DfJson json;

	step->n = df_run_next_n(run);
	(void) df_replay_find(run, "continue_with", &step->name);
	step->kind = DF_STEP_CONTINUE;
	step->row.started_at = df_now();
	step->row.output = input;
	df_json_begin(&json);
	df_json_int(&json, "round", run->row.round);
	step->row.options = df_json_end(&json, run->cxt);
	df_run_add_step(run, step);
	df_step_transition(run, step, DF_STEP_SUCCEED);
	return step;
}

void
df_run_begin_round(DfRun *run, Jsonb *input)
{
	const DfStep *pivot = df_run_pivot(run);

	df_rollback_end_round(run);
	if (pivot != NULL)
		run->row.pivot_n = pivot->n;
	run->row.round_n = add_step(run, input)->n;
	run->row.input = input;
	run->row.round++;
	run->row.body_hash = 0;
	run->row.drifted = false;
}

/* it is done as soon as it is there */
const DfStepOps df_continue_ops = {.kind = DF_STEP_CONTINUE};
