/*
 * flow/doubt_person.c
 *	  What retry() and resolve() change about a step.
 *
 * Called where flow/doubt.c is, whose rules hold here.  Pure: the case and what came go in, a
 * decision comes out.
 */
#include "postgres.h"

#include "flow/doubt_facts.h"
#include "flow/flow.h"
#include "flow/names.h"
#include "types/base.h"

/* nobody else can: neither what the body asked for nor a 2xx that cannot be read tells it */
bool
df_asks_person(const DfStep *step)
{
	if (step->row.evidence.said == DF_MEANS_STUCK)
		return step->row.state == DF_STEP_FAILED || step->row.state == DF_STEP_DOUBT;
	return step->row.state == DF_STEP_DOUBT && step->row.finished_at != DF_NEVER &&
		(step->engine.spec->doubt != DF_DOUBT_FAIL || df_was_carried_out(step));
}

DfRenewal
df_decide_renewal(const DfDoubtCase *about)
{
	const DfStep *step = about->step;
	/* a system that fails says little about what it did */
	bool ask = step->row.status / 100 == 5 && step->engine.spec->probe != NULL;
	DfRenewal renewal;

	memset(&renewal, 0, sizeof(renewal));
	renewal.evidence = step->row.evidence;
	renewal.evidence.ask_probe = ask || renewal.evidence.ask_probe;
	renewal.stays_in_doubt = df_evidence_in_doubt(&step->row.evidence);
	if (renewal.stays_in_doubt)
	{
		/* whoever called retry() has looked */
		if (renewal.evidence.said == DF_MEANS_STUCK)
			renewal.evidence.said = DF_MEANS_DOUBT;
		return renewal;
	}
	renewal.evidence.ask_probe = ask;
	renewal.evidence.existed = false;
	renewal.new_key = !step->engine.spec->has_key || step->row.status / 100 == 4 ||
		(step->row.state == DF_STEP_FAILED && step->row.evidence.said == DF_MEANS_STUCK) ||
		step->row.evidence.key_spent;
	/* what it has made is there, and it will make another */
	if (renewal.new_key && renewal.evidence.carried_out)
		renewal.evidence.maybe_twice = true;
	renewal.evidence.key_spent = false;
	renewal.evidence.said = DF_MEANS_DONE;
	return renewal;
}

/* nothing is unknown any more, but for what the probe said last */
static void
settle_by_word(DfEvidence *evidence, DfWord word)
{
	evidence->lost = 0;
	evidence->may_resend = evidence->ask_probe = false;
	evidence->accepted = evidence->maybe_twice = evidence->existed = false;
	evidence->maybe_not_ours = false;
	evidence->elsewhere = false;
	evidence->key_spent = evidence->key_spent && word != DF_WORD_RESEND;
	evidence->resolved = word;
}

DfDecision
df_decide_word(const DfDoubtCase *about, DfWord word)
{
	const DfStep *step = about->step;
	DfDecision made = df_decision(about, DF_MEANS_DOUBT);
	bool undo_failed = step->row.undo_state == DF_UNDO_FAILED;

	if (word == DF_WORD_UNDONE || (word == DF_WORD_SKIPPED && undo_failed))
	{
		made.verdict = DF_VERDICT_UNDONE;
		if (undo_failed || step->row.undo_state == DF_UNDO_DUE)
			made.undo_to = DF_UNDO_UNDONE;
	}
	else if (word == DF_WORD_NOT_DONE)
	{
		made.verdict = DF_VERDICT_NOT_DONE;
		if (step->row.state == DF_STEP_DOUBT)
			made.event = DF_STEP_FAIL;
		if (undo_failed)
			made.undo_to = DF_UNDO_UNDONE;
	}
	else if (word == DF_WORD_RESEND)
	{
		/* a body that has learned of the doubt must see the same again */
		if (!df_asks_person(step) || step->row.state != DF_STEP_DOUBT)
			return made;
		made.verdict = DF_VERDICT_SEND;
		made.event = DF_STEP_RENEW;
	}
	else if (step->row.state == DF_STEP_DOUBT) /* done, skipped */
	{
		made.verdict = DF_VERDICT_DONE;
		made.event = DF_STEP_SUCCEED;
	}
	else if (word == DF_WORD_DONE && undo_failed && step->row.evidence.maybe_not_ours)
		made.verdict = DF_VERDICT_DONE; /* it is ours: to be undone after all */
	else
		return made;
	settle_by_word(&made.evidence, word);
	return made;
}

bool
df_word_revives_undo(const DfStep *step, DfWord word)
{
	return word == DF_WORD_DONE && step->row.undo != NULL && step->row.undo_state == DF_UNDO_FAILED;
}
