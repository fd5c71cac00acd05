/*
 * engine/step_call.c
 *	  call(): a run of another workflow as a step.
 *
 * The SQL function runs inside a body, in its read-only subtransaction, as the
 * workflow's owner.  The id of the child run is made here and is in the step's
 * intent; the run itself is inserted when that is recorded (engine/child_run.c), so
 * that it exists if and only if the intent does.  The functions of the kind, at the
 * end, run in the worker.  Nothing here writes.
 */
#include "postgres.h"

#include "engine/body.h"
#include "engine/call_order.h"
#include "engine/child_run.h"
#include "engine/drift.h"
#include "engine/run_steps.h"
#include "engine/step_api.h"
#include "engine/step_kind.h"
#include "engine/transition.h"
#include "flow/flow.h"
#include "miscadmin.h"
#include "shared/clock.h"
#include "shared/json.h"
#include "shared/limits.h"
#include "shared/uuid.h"
#include "store/children.h"
#include "store/rights.h"
#include "store/store.h"
#include "types/run.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/uuid.h"

PG_FUNCTION_INFO_V1(dataflows_call);

/* calls within calls: more are an endless chain */
#define MAX_DEPTH 100

typedef struct Call
{
	char *step;
	char *workflow;
	Jsonb *input;
	char *key; /* NULL = none */
} Call;

static void
read_call(FunctionCallInfo fcinfo, Call *call)
{
	call->step = df_checked_name(fcinfo, 0, "step");
	call->workflow = df_arg_text(fcinfo, 1);
	call->input = df_arg_jsonb(fcinfo, 2);
	call->key = df_arg_text(fcinfo, 3);
	if (call->workflow == NULL || call->input == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s of step \"%s\" must not be NULL",
						call->workflow == NULL ? "workflow" : "input", call->step),
				 errhint("Give the name of a workflow, and '{}' as the input if it needs none.")));
	df_check_payload(call->input, psprintf("the input of step \"%s\"", call->step));
	df_check_key(call->key);
}

/* stops an endless chain of calls before it fills the disk */
static void
check_depth(DfRun *run, const char *step)
{
	bool related;

	if (run->engine.depth < 0)
		run->engine.depth = run->parent_n == 0 ? 0 : df_run_depth(&run->id, NULL, &related);
	if (run->engine.depth >= MAX_DEPTH)
		ereport(ERROR,
				(errcode(DF_ERR_LIMIT),
				 errmsg("step \"%s\" would be the %dth call within a call", step, MAX_DEPTH + 1),
				 errhint("Let the workflow do its work in a loop instead of calling itself.")));
}

/* the version of the workflow to start; the role of the body must have the right to start it */
static int
version_to_start(DfRun *run, const Call *call)
{
	DfWorkflowRow definition;
	DfStore store;
	Oid caller = GetUserId();

	df_store_enter(&store);
	check_depth(run, call->step);
	df_require_workflow(call->workflow, &definition, store.result_context);
	df_require_right(caller, &definition, DF_RIGHT_START, NULL, "start");
	df_store_leave(&store);
	return definition.version;
}

static char *
request_of(const Call *call)
{
	return call->key == NULL ? call->workflow
							 : psprintf("%s, key %s", call->workflow, call->key);
}

static DfAsked
asked_by(const Call *call)
{
	return (DfAsked){request_of(call), df_json_to_text(call->input), NULL};
}

/* fills in the intent, with the id that the child will have */
static void
render(DfRun *run, DfStep *step, const Call *call, int version)
{
	pg_uuid_t id = df_new_uuid();
	DfJson json;

	df_json_begin(&json);
	df_json_text(&json, "workflow", call->workflow);
	df_json_int(&json, "version", version);
	df_json_text(&json, "key", call->key);
	df_json_text(&json, "run", df_uuid_text(&id));
	step->row.options = df_json_end(&json, run->cxt);
	step->row.request = MemoryContextStrdup(run->cxt, request_of(call));
	step->row.body = MemoryContextStrdup(
		run->cxt, df_json_to_text(call->input));
	step->row.answer = NULL;
	step->engine.has_own_child = false;
	df_step_transition(run, step, DF_STEP_HOLD);
	step->engine.to_insert_child = run->engine.has_child_work = true;
	if (call->key != NULL)
		run->engine.has_keyed_start = true;
}

static void
check_recorded(DfRun *run, DfStep *step, const Call *call)
{
	char *workflow = df_json_get_text(step->row.options, "workflow");
	char *key = df_json_get_text(step->row.options, "key");
	DfAsked asked;

	if (df_order_matters(step, call->input))
	{
		asked = asked_by(call);
		df_order_check(run, step, &asked);
	}
	if (workflow == NULL || strcmp(workflow, call->workflow) != 0)
		df_step_mismatch(step, "workflow", workflow, call->workflow);
	if (strcmp(key != NULL ? key : "", call->key != NULL ? call->key : "") != 0)
		df_step_mismatch(step, "key", key, call->key);
	if (step->row.request != NULL && df_step_is_compared(step))
		df_step_compare(step, "input", step->row.body, df_json_to_text(call->input));
}

Datum
dataflows_call(PG_FUNCTION_ARGS)
{
	DfRun *run = df_entry_run("call");
	bool wait = PG_ARGISNULL(4) || PG_GETARG_BOOL(4);
	Call call;
	char *name;
	DfStep *step;

	read_call(fcinfo, &call);
	step = df_step_recorded(run, call.step, DF_STEP_CALL, &name);
	if (step == NULL)
	{
		/* all checks come before the step exists */
		int version = version_to_start(run, &call);
		DfAsked asked = asked_by(&call);

		df_order_check_new(run, name, DF_STEP_CALL, &asked);
		step = df_step_new_effect(run, name, DF_STEP_CALL, NULL, call.workflow, NULL);
		render(run, step, &call, version);
	}
	else if (step->row.request == NULL && !df_step_ended(step))
	{
		/* renewed by retry() */
		render(run, step, &call, version_to_start(run, &call));
		df_drift_note_body(run, step);
	}
	else
		check_recorded(run, step, &call);
	/* NULL at each entry, even when it has ended: wait_all() and response() tell the outcome */
	if (!wait)
		PG_RETURN_NULL();
	return df_step_await(fcinfo, step);
}

/* ---- in the worker -------------------------------------------------------- */

static void
loaded(DfStep *step)
{
	step->engine.has_own_child =
		step->row.answer != NULL && !df_json_get_bool(step->row.answer, "attached");
}

/* the run that is waited for, in words */
static char *
waits_for(const DfStep *step)
{
	char *workflow = df_json_get_text(step->row.options, "workflow");

	if (!df_step_waits_for_child(step))
		return NULL;
	if (step->row.answer == NULL && !step->engine.to_insert_child)
		return psprintf("key \"%s\" of workflow \"%s\"", df_json_get_text(step->row.options, "key"),
						workflow);
	return psprintf("run %s (%s)", df_child_id(step), workflow);
}

/* the old child is undone, or a person has abandoned it: the body calls another one */
static void
renewed(DfStep *step)
{
	step->row.answer = NULL;
	step->engine.has_own_child = false;
}

/*
 * A child of its own is undone whether it completed or was cancelled; undoing waits
 * for a live one, as for a request in flight.
 */
static void
undo_item(const DfStep *step, DfUndoItem *item)
{
	item->has_undo = step->engine.has_own_child;
	if (!step->engine.has_own_child)
		return;
	if (step->row.state == DF_STEP_WAITING)
		item->state = DF_STEP_SENT;
	else if (step->row.undo_state != DF_UNDO_NONE)
		item->state = DF_STEP_DONE;
}

static void
error_detail(const DfStep *step, DfJson *json)
{
	df_json_text(json, "run", df_json_get_text(step->row.error, "run"));
	df_json_text(json, "state", df_json_get_text(step->row.error, "state"));
	df_json_value(json, "error", df_json_get(step->row.error, "error"));
}

static Jsonb *
response(const DfStep *step)
{
	DfJson json;

	df_json_begin(&json);
	df_json_text(&json, "run", df_json_get_text(step->row.answer, "run"));
	df_json_bool(&json, "attached", df_json_get_bool(step->row.answer, "attached"));
	df_json_text(&json, "state",
				 step->row.state == DF_STEP_DONE ? df_run_state_name(DF_RUN_COMPLETED)
												 : df_json_get_text(step->row.error, "state"));
	df_json_value(&json, "body", step->row.output);
	df_json_value(&json, "error", df_json_get(step->row.error, "error"));
	return df_json_end(&json, CurrentMemoryContext);
}

/* a run that is there already is none of its own, but it may have to be waited for */
static const char *
effect(const DfStep *step)
{
	return step->row.request == NULL ? NULL : df_json_get_text(step->row.options, "workflow");
}

const DfStepOps df_call_ops = {
	.kind = DF_STEP_CALL,
	.loaded = loaded,
	.settle = df_child_settle,
	.waits_for = waits_for,
	.undo = df_child_undo,
	.undo_item = undo_item,
	.renewable = true,
	.renewed = renewed,
	.effect = effect,
	.error_detail = error_detail,
	.response = response,
};
