/*
 * engine/undo_claim.c
 *	  Whether an undo is the step's to send: by its condition, and by what it would take away.
 *
 * Runs in a worker, in its recording transaction, on structs in memory, and changes none.
 * Judged from what is recorded of the step, so that it comes to the same at any time.  What
 * follows is decided in flow/undo.c.
 */
#include "postgres.h"

#include "engine/read_spec.h"
#include "engine/rollback_subject.h"
#include "engine/step_key.h"
#include "engine/template.h"
#include "engine/undo_claim.h"
#include "shared/json.h"
#include "shared/jsonpath.h"

/* the step that has been carried out */
static DfStep *
subject_of(DfRun *run, DfStep *step)
{
	DfStep *subject = df_rollback_subject(run, step);

	return subject != NULL ? subject : step;
}

static Jsonb *
variables_of(const DfStep *subject, bool own_response)
{
	DfJson json;

	df_json_begin(&json);
	if (own_response)
	{
		df_json_int(&json, "status", subject->row.status);
		df_json_value(&json, "headers", df_step_response_headers(subject));
	}
	else
	{
		df_json_null(&json, "status");
		df_json_null(&json, "headers");
	}
	return df_json_end(&json, CurrentMemoryContext);
}

/* other kinds than requests have no status: their output alone tells */
static DfUndoWitness
witness_of(const DfStep *subject)
{
	if (subject->row.state != DF_STEP_DONE && !subject->row.evidence.carried_out)
		return DF_WITNESS_NOBODY;
	if (subject->kind != DF_STEP_HTTP || df_step_has_own_response(subject))
		return DF_WITNESS_RESPONSE;
	return subject->row.evidence.resolved == DF_WORD_DONE ? DF_WITNESS_PERSON : DF_WITNESS_NOBODY;
}

/* an attempt before the one that was answered may have been carried out, too */
static bool
is_one_of_several(DfStep *step, const DfStep *subject)
{
	if (subject->row.evidence.lost > 0 || subject->row.evidence.maybe_twice)
		return true;
	/* the evidence is forgotten where the step itself has no condition */
	return subject != step && subject->row.attempts > 1;
}

DfUndoClaim
df_step_undo_claim(DfRun *run, DfStep *step)
{
	const char *condition = df_step_spec(run, step)->undo_if;
	DfStep *subject = subject_of(run, step);
	DfUndoWitness witness = witness_of(subject);
	DfTruth truth = DF_UNKNOWN;

	if (subject->row.evidence.maybe_not_ours)
		return DF_CLAIM_OPEN;
	if (condition == NULL)
		return DF_CLAIM_OURS;
	if (witness != DF_WITNESS_NOBODY)
		truth = df_jsonpath_surely(subject->row.output, condition,
								   variables_of(subject, witness == DF_WITNESS_RESPONSE));
	return df_undo_claim(truth, witness, is_one_of_several(step, subject));
}

bool
df_step_undo_waits_for_rollback(DfRun *run, DfStep *step)
{
	DfStep *subject = subject_of(run, step);

	if (subject->row.evidence.maybe_not_ours)
		return true;
	return df_step_spec(run, step)->undo_if != NULL &&
		df_step_undo_claim(run, step) == DF_CLAIM_OPEN &&
		(witness_of(subject) == DF_WITNESS_NOBODY || is_one_of_several(step, subject));
}

/* it names the resource, which a person has to look at */
static char *
why_maybe_not_ours(DfRun *run, DfStep *step)
{
	const DfStepSpec *spec = df_step_spec(run, step);
	DfTemplateVars vars;
	char *problem;
	char *undo;

	df_step_vars(run, step, &vars);
	undo = df_template_path(spec->undo, &vars, &problem);
	return psprintf("\"%s\" is not sent: the probe that has found the resource names neither the "
					"run nor the idempotency key, so another run, or a person, may have made it",
					undo != NULL ? undo : spec->undo);
}

char *
df_step_undo_claim_why(DfRun *run, DfStep *step)
{
	DfStep *subject = subject_of(run, step);
	const char *why;

	if (subject->row.evidence.maybe_not_ours)
		return why_maybe_not_ours(run, step);
	if (witness_of(subject) == DF_WITNESS_NOBODY)
		why = "the response to it was never received";
	else if (is_one_of_several(step, subject))
		why = "an earlier attempt got no answer, and may have made what the last one found";
	else
		why = "the answer does not tell";
	return psprintf("whether it is to be undone, by the condition \"%s\", is not known: %s",
					df_step_spec(run, step)->undo_if, why);
}
