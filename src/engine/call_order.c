/*
 * engine/call_order.c
 *	  Whether the calls of one name come in the order in which they are recorded.
 *
 * Runs inside a body, in its read-only subtransaction, as the workflow's owner, on structs in
 * memory.  A loop over a table without ORDER BY may have another order at each entry: then
 * "user" and "user#2" would get each other's outputs, and a bill would go to the wrong
 * customer.  Must never refuse a body that only has a time or a random number in it.
 */
#include "postgres.h"

#include "engine/call_order.h"
#include "engine/drift.h"
#include "engine/replay.h"
#include "engine/step_api.h"
#include "shared/json.h"
#include "types/base.h"
#include "utils/memutils.h"

/* with how many others a body is compared but for the time in it: each is parsed for that */
#define MOST_PARSED 32

/*
 * a call without others of its name may get one in this entry; then it has to be known whether it
 * has asked for something else.  So it is looked at if that costs next to nothing
 */
#define MOST_OF_SINGLE 8192

bool
df_order_matters(const DfStep *step, const Jsonb *body)
{
	/* one that retry() renewed is rendered anew */
	return step->row.request != NULL &&
		(step->engine.ordinal > 1 || step->engine.next_same >= 0 || body == NULL ||
		 VARSIZE(body) <= MOST_OF_SINGLE);
}

static DfAsked
recorded_of(const DfStep *step)
{
	DfAsked asked = {step->row.request, step->row.body, NULL};

	if (step->row.headers != NULL)
		asked.headers = df_json_to_text(step->row.headers);
	return asked;
}

static bool
same_text(const char *one, const char *other)
{
	return strcmp(one != NULL ? one : "", other != NULL ? other : "") == 0;
}

static bool
asks_the_same(const DfStep *step, const DfAsked *called, bool but_clock)
{
	DfAsked recorded = recorded_of(step);

	return same_text(recorded.request, called->request) &&
		same_text(recorded.headers, called->headers) &&
		(but_clock ? df_step_asks_the_same(step, recorded.body, called->body)
				   : same_text(recorded.body, called->body));
}

static void
refuse(DfRun *run, const char *name, const DfStep *recorded)
{
	char *base = pnstrdup(name, strcspn(name, "#"));

	df_fatal(
		DF_ERR_RECORD_MISMATCH,
		MemoryContextStrdup(
			run->cxt,
			psprintf("the body calls step \"%s\" with what is recorded of step \"%s\": the calls "
					 "of this name have changed places",
					 name, recorded->name)),
		MemoryContextStrdup(
			run->cxt,
			psprintf("Give the query of the loop an ORDER BY that keeps its order, or put the item "
					 "into the name of the step, such as '%s:' || id, and give what is recorded "
					 "the new names: SELECT %s; Then: SELECT dataflows.retry('%s');",
					 base, df_drift_rename_call(run, recorded->name, "its name now"),
					 run->id_text)));
}

void
df_order_check(DfRun *run, DfStep *step, const DfAsked *called)
{
	int parsed = 0;

	if (df_drift_is_accepted(step) || asks_the_same(step, called, true))
		return;
	step->engine.asked_other = run->engine.entry_no;
	for (DfStep *other = df_replay_first(run, step->name); other != NULL;
		 other = df_replay_next_same(run, other))
		if (other != step && other->kind == step->kind && other->row.request != NULL &&
			asks_the_same(other, called, parsed++ < MOST_PARSED))
			refuse(run, step->name, other);
}

void
df_order_check_new(DfRun *run, const char *name, DfStepKind kind, const DfAsked *called)
{
	for (DfStep *other = df_replay_first(run, name); other != NULL;
		 other = df_replay_next_same(run, other))
		if (other->kind == kind && other->row.request != NULL &&
			other->engine.asked_other == run->engine.entry_no &&
			asks_the_same(other, called, true))
			refuse(run, name, other);
}
