/*
 * engine/new_sides.c
 *	  The undo and the probe that a changed function gives to a step that is recorded.
 *
 * Runs inside a body, in its read-only subtransaction, as the workflow's owner, on structs in
 * memory.  What a step did is as recorded; what takes it back, or asks for it, has not been sent
 * yet, and a mistake in it is repaired where it was made: in the function.  Never change an undo
 * that has begun, and never drop one because the function says nothing of it.
 */
#include "postgres.h"

#include "engine/body.h"
#include "engine/drift.h"
#include "engine/new_sides.h"
#include "engine/read_spec.h"
#include "engine/step_api.h"
#include "engine/step_evidence.h"
#include "engine/step_key.h"
#include "engine/undo_claim.h"
#include "engine/undo_outcome.h"
#include "shared/json.h"
#include "types/base.h"
#include "utils/memutils.h"

typedef enum Side
{
	SIDE_UNDO,
	SIDE_PROBE
} Side;
#define NSIDES (SIDE_PROBE + 1)

static const char *const names[NSIDES] = {"undo", "probe"};

/* which sides are taken from the call */
typedef bool Taken[NSIDES];

/* "undo", "undo_body" */
static bool
belongs_to(const char *key, Side side)
{
	size_t len = strlen(names[side]);

	return strncmp(key, names[side], len) == 0 && (key[len] == '\0' || key[len] == '_');
}

static bool
belongs_to_taken(const char *key, const Taken taken)
{
	for (int i = 0; i < NSIDES; i++)
		if (taken[i] && belongs_to(key, (Side) i))
			return true;
	return false;
}

static void
add(DfJson *json, const Jsonb *options, const Taken taken, bool of_taken)
{
	DfJsonWalk walk;

	if (options == NULL)
		return;
	df_json_walk(&walk, options);
	while (df_json_next(&walk))
		if (belongs_to_taken(walk.key, taken) == of_taken)
			df_json_value(json, walk.key, df_json_of(&walk.value));
}

static char *
side_text(const Jsonb *options, Side side)
{
	Taken one = {false};
	DfJson json;

	one[side] = true;
	df_json_begin(&json);
	add(&json, options, one, true);
	return df_json_to_text(df_json_end(&json, CurrentMemoryContext));
}

static bool
is_said_anew(const Jsonb *recorded, const Jsonb *called, Side side)
{
	return df_json_get_text(called, names[side]) != NULL &&
		strcmp(side_text(recorded, side), side_text(called, side)) != 0;
}

static Jsonb *
merged(const Jsonb *recorded, const Jsonb *called, const Taken taken, MemoryContext cxt)
{
	Jsonb *request = df_json_get(called, "request");
	DfJson json;

	df_json_begin(&json);
	add(&json, recorded, taken, false);
	add(&json, called, taken, true);
	/* the fields that the new templates name */
	if (request != NULL && df_json_get(recorded, "request") == NULL)
		df_json_value(&json, "request", request);
	return df_json_end(&json, cxt);
}

/* by the condition that was recorded; what `answers` called "kept" stays so */
static bool
is_kept_by_condition(DfRun *run, DfStep *step)
{
	return step->row.evidence.kept && step->row.evidence.said == DF_MEANS_DONE &&
		df_step_spec(run, step)->undo_if != NULL;
}

static void
forget_undo(DfStep *step, bool also_kept)
{
	DfEvidence evidence = step->row.evidence;

	step->row.undo = NULL;
	step->row.undo_body = NULL;
	step->row.undo_headers = NULL;
	if (!also_kept)
		return;
	evidence.kept = false;
	df_step_know(step, &evidence);
}

/* false: what it names is not in the response, and never comes */
static bool
render(DfRun *run, DfStep *step, char **why)
{
	if (step->row.state != DF_STEP_DONE && !step->row.evidence.carried_out)
		return true;
	return df_step_render_undo(run, step, why) || df_step_undo_waits_for_rollback(run, step) ||
		step->row.state != DF_STEP_DONE || !df_step_has_own_response(step);
}

static void
refuse(DfRun *run, const DfStep *step, const char *why)
{
	df_fatal(
		DF_ERR_RECORD_MISMATCH,
		MemoryContextStrdup(
			run->cxt, psprintf("the undo that the function gives to the recorded step \"%s\" "
							   "cannot be rendered: %s",
							   step->name, why)),
		MemoryContextStrdup(
			run->cxt,
			psprintf("Correct the undo in the function, and then: SELECT dataflows.retry('%s'); Or "
					 "keep the undo that is recorded: SELECT %s;",
					 run->id_text, df_drift_accept_call(run, step->name))));
}

void
df_take_new_sides(DfRun *run, DfStep *step, const Jsonb *called)
{
	DfStepRow before = step->row;
	Taken taken;
	bool was_kept;
	char *why = NULL;

	/* the response to what is in flight is judged by what was recorded then */
	if (called == NULL || step->worker.in_flight || step->row.undo_state != DF_UNDO_NONE ||
		!df_step_is_compared(step))
		return;
	for (int i = 0; i < NSIDES; i++)
		taken[i] = is_said_anew(step->row.options, called, (Side) i);
	if (!taken[SIDE_UNDO] && !taken[SIDE_PROBE])
		return;
	was_kept = is_kept_by_condition(run, step);
	step->row.options = merged(step->row.options, called, taken, run->cxt);
	df_drift_note_body(run, step);
	if (!taken[SIDE_UNDO])
		return;
	forget_undo(step, was_kept);
	if (render(run, step, &why))
		return;
	step->row = before;
	refuse(run, step, why);
}
