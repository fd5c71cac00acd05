/*
 * engine/drift.c
 *	  What a body means that is not, or does not seem to be, the one that was recorded.
 *
 * Runs inside a body, in its read-only subtransaction, as the workflow's owner, on structs in
 * memory.  It is the same whether the function, one that it calls, or what they read has
 * changed.  Never let an effect happen twice because its step has another name.
 */
#include "postgres.h"

#include "engine/drift.h"
#include "engine/clock_values.h"
#include "engine/replay.h"
#include "engine/step_kind.h"
#include "flow/flow.h"
#include "shared/json.h"
#include "types/base.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

/* ---- who asked for a step ------------------------------------------------- */

bool
df_drift_is_other(const DfRun *run, const DfStep *step)
{
	if (step->row.body_hash != 0)
		return step->row.body_hash != df_entry->fingerprint;
	/* of version 0.1, which did not note it of on_failure */
	return !df_is_handler_step(step) && run->row.body_hash != df_entry->fingerprint;
}

bool
df_drift_is_accepted(const DfStep *step)
{
	return step->row.accepted_hash != 0 && step->row.accepted_hash == df_entry->fingerprint;
}

void
df_drift_note_body(const DfRun *run, DfStep *step)
{
	step->row.body_hash =
		run->row.body_hash == df_entry->fingerprint ? 0 : df_entry->fingerprint;
}

/* ---- what it asks for ------------------------------------------------------ */

bool
df_step_asks_the_same(const DfStep *step, const char *recorded, const char *called)
{
	Jsonb *one;
	Jsonb *other;

	if (strcmp(recorded != NULL ? recorded : "", called != NULL ? called : "") == 0)
		return true;
	if (recorded == NULL || called == NULL)
		return false;
	one = df_json_parse(recorded, strlen(recorded), CurrentMemoryContext);
	other = df_json_parse(called, strlen(called), CurrentMemoryContext);
	return one != NULL && other != NULL && df_same_but_clock(one, other, step->row.started_at);
}

/* ---- effects that a body does not call ------------------------------------ */

const char *
df_drift_effect(const DfStep *step, int64 fingerprint)
{
	const DfStepOps *ops = df_step_ops(step);

	if (ops->effect == NULL || step->row.state == DF_STEP_FAILED ||
		step->row.undo_state == DF_UNDO_UNDONE || step->row.undo_state == DF_UNDO_GONE)
		return NULL;
	if (step->row.accepted_hash != 0 && step->row.accepted_hash == fingerprint)
		return NULL;
	return ops->effect(step);
}

char *
df_drift_rename_call(const DfRun *run, const char *recorded, const char *now)
{
	return psprintf("dataflows.rename_step('%s', %s, %s)", run->id_text,
					quote_literal_cstr(recorded), quote_literal_cstr(now));
}

char *
df_drift_accept_call(const DfRun *run, const char *step)
{
	if (step == NULL)
		return psprintf("dataflows.accept_drift('%s')", run->id_text);
	return psprintf("dataflows.accept_drift('%s', %s)", run->id_text, quote_literal_cstr(step));
}

static void
refuse_new(DfRun *run, const char *name, const DfStep *recorded)
{
	df_fatal(
		DF_ERR_RECORD_MISMATCH,
		MemoryContextStrdup(
			run->cxt,
			psprintf("the body calls the new step \"%s\" before the recorded step \"%s\", which "
					 "asks for the same or much the same",
					 name, recorded->name)),
		MemoryContextStrdup(
			run->cxt,
			psprintf("If it is that step under a new name: SELECT %s; If it is one more, and what "
					 "is recorded stays: SELECT %s;",
					 df_drift_rename_call(run, recorded->name, name),
					 df_drift_accept_call(run, recorded->name))));
}

/* calls of one name: a recorded one comes behind only if a person has put it there */
static bool
has_same_base(const char *one, const char *other)
{
	size_t length = strcspn(one, "#");

	return strcspn(other, "#") == length && memcmp(one, other, length) == 0;
}

/* the same on another system, or with another method, and with the same content */
static bool
may_have_moved(DfRun *run, const DfStep *step, const char *effect, const char *asked,
			   const char *body)
{
	if (body == NULL || !df_drift_is_other(run, step) ||
		!df_step_asks_the_same(step, step->row.body, body))
		return false;
	if (step->kind == DF_STEP_HTTP)
		effect = psprintf("%.*s%s", (int) strcspn(asked, " "), asked,
						  effect + strcspn(effect, " "));
	return df_same_effect(step->kind, effect, asked);
}

static bool
may_be(DfRun *run, const DfStep *step, const char *system, const char *asked, const char *body)
{
	const char *effect = df_drift_effect(step, df_entry->fingerprint);

	if (effect == NULL)
		return false;
	if (strcmp(step->system ? step->system : "", system ? system : "") == 0 &&
		df_same_effect(step->kind, effect, asked))
		return true;
	return may_have_moved(run, step, effect, asked, body);
}

void
df_drift_check_new(DfRun *run, const char *name, DfStepKind kind, const char *system,
				   const char *asked, const char *body)
{
	if (!df_replay_has_uncalled(run))
		return;
	run->row.drifted = true;
	run->engine.astray = run->engine.entry_no;
	for (int i = run->engine.nearlier; asked != NULL && i < run->nsteps; i++)
	{
		DfStep *step = run->steps[i];

		if (step->kind == kind && df_replay_is_uncalled(run, step) &&
			may_be(run, step, system, asked, body) && !has_same_base(step->name, name))
			refuse_new(run, name, step);
	}
}

/* what the name would be if a call of it had been put before */
static char *
next_name(const DfStep *step)
{
	return psprintf("%.*s#%d", (int) strcspn(step->name, "#"), step->name,
					step->engine.ordinal + 1);
}

char *
df_drift_remedy(DfRun *run, const DfStep *step)
{
	return MemoryContextStrdup(
		run->cxt,
		psprintf("If what is recorded is what the body means: SELECT %s; If it is another step "
				 "now, such as \"%s\" if a call was put before it: SELECT %s; Or let the function "
				 "call it as it is recorded, and then: SELECT dataflows.retry('%s');",
				 df_drift_accept_call(run, step->name), next_name(step),
				 df_drift_rename_call(run, step->name, "its name now"), run->id_text));
}

/* what another kind of step gives is of no use to the call: it needs a step of its own */
char *
df_drift_remedy_of_kind(DfRun *run, const DfStep *step)
{
	return MemoryContextStrdup(
		run->cxt,
		psprintf("Give the recorded step another name, the one that it has now, or any: SELECT "
				 "%s; If the function does not call it any more, and what it did stays, "
				 "also: SELECT %s; Or let the function call it as it is recorded, and then: SELECT "
				 "dataflows.retry('%s');",
				 df_drift_rename_call(run, step->name, "its name now"),
				 df_drift_accept_call(run, "its name now"), run->id_text));
}
