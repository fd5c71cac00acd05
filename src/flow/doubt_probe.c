/*
 * flow/doubt_probe.c
 *	  What becomes of a step when a probe for it was answered, or not.
 *
 * Called where flow/doubt.c is, whose rules hold here.  Pure: the case and what came go in, a
 * decision comes out.
 */
#include "postgres.h"

#include "flow/doubt_facts.h"
#include "flow/flow.h"
#include "flow/names.h"
#include "types/base.h"

/* of a step that retry() renewed: since then, or its last response left it open */
bool
df_was_sent(const DfStep *step)
{
	return step->row.attempts > 0 || step->row.evidence.ask_probe ||
		step->row.state == DF_STEP_DOUBT;
}

/* nothing of it is out, and nothing that was lost before retry() can be there */
static bool
is_certainly_not_carried_out(const DfStep *step)
{
	return step->row.state == DF_STEP_PENDING && step->row.evidence.lost == 0;
}

bool
df_probe_names_step(const DfDoubtCase *about)
{
	const DfStepSpec *spec = about->step->engine.spec;

	return spec->probe_names_key || (spec->probe_names_run && about->first_round);
}

/*
 * What the probe finds is this step's, as far as its output is concerned: its template says
 * so, or the same probe found nothing before the step was sent.  After a retry() of a step
 * with a loss it is neither: anybody may have made it since the probe found nothing.
 */
static bool
finds_its_own(const DfDoubtCase *about)
{
	const DfStep *step = about->step;

	return step->row.attempts > 0 || step->row.evidence.lost == 0 || df_probe_names_step(about);
}

/* a 2xx was seen, only its body was of no use */
bool
df_was_carried_out(const DfStep *step)
{
	return step->row.attempts > 0 && step->row.evidence.said == DF_MEANS_UNUSABLE;
}

/* the last attempt was refused for good, or met what was there already */
bool
df_was_refused(const DfStep *step)
{
	DfMeaning said = step->row.evidence.said;

	return step->row.attempts > 0 && (said == DF_MEANS_FAIL || said == DF_MEANS_KEPT);
}

/* the system said that there is something of ours, which a "not there" contradicts */
static bool
contradicts(const DfStep *step)
{
	if (df_was_carried_out(step))
		return true;
	return step->row.attempts > 0 && step->row.evidence.lost > 0 &&
		(step->row.status == 409 || step->row.evidence.said == DF_MEANS_KEPT);
}

/* the last response came, and does not tell: doubt => 'accept' is not about it */
bool
df_was_answered_doubtfully(const DfStep *step)
{
	return step->row.attempts > 0 && step->row.status != 0 && !df_was_refused(step) &&
		!contradicts(step);
}

/* its author said so */
bool
df_is_sent_in_doubt(const DfDoubtCase *about)
{
	const DfStep *step = about->step;

	return !about->unwanted &&
		(step->engine.spec->doubt == DF_DOUBT_RESEND ||
		 (step->engine.spec->doubt == DF_DOUBT_ACCEPT && df_was_answered_doubtfully(step)));
}

static bool
has_budget(const DfDoubtCase *about, const DfProbeCame *came)
{
	return about->step->row.attempts == 0 || df_next_try(about, came->retry_after_ms) != DF_NEVER;
}

static void
send_same(const DfDoubtCase *about, const DfProbeCame *came, DfDecision *made)
{
	TimestampTz at = df_next_try(about, came->retry_after_ms);

	made->verdict = DF_VERDICT_AGAIN_SAME;
	made->at = at != DF_NEVER ? at : about->now;
	made->evidence.ask_probe = false;
	if (made->evidence.key_spent)
		df_take_new_key(made);
}

static void
not_carried_out(const DfDoubtCase *about, DfDecision *made)
{
	made->evidence.may_resend = made->evidence.lost > 0;
	if (df_is_undoing(about))
	{
		made->verdict = DF_VERDICT_GONE;
		made->undo_to = DF_UNDO_GONE;
		return;
	}
	made->verdict = DF_VERDICT_NOT_DONE;
	made->event = DF_STEP_FAIL;
	made->evidence.ask_probe = false;
}

static void
nobody_can_tell(const DfDoubtCase *about, DfVerdict verdict, DfDecision *made)
{
	if (df_is_undoing(about))
	{
		made->verdict = DF_VERDICT_UNDO_UNKNOWN;
		made->undo_to = DF_UNDO_FAILED;
	}
	else if (is_certainly_not_carried_out(about->step))
		not_carried_out(about, made);
	else
	{
		df_end_in_doubt(about, verdict, made);
		made->evidence.may_resend = false;
	}
}

static bool
may_be_sent_same(const DfDoubtCase *about, const DfProbeCame *came)
{
	const DfStep *step = about->step;

	if (!df_was_sent(step) || df_was_refused(step) || df_was_carried_out(step) ||
		!has_budget(about, came))
		return false;
	return df_is_harmless(about) || df_is_sent_in_doubt(about);
}

/* as the key, the method or `doubt` says */
static void
probe_cannot_tell(const DfDoubtCase *about, const DfProbeCame *came, DfDecision *made)
{
	const DfStep *step = about->step;

	/* what was never sent needs no guess: it is not sent before the probe says what exists */
	if (!df_was_sent(step) && step->row.evidence.lost == 0)
		not_carried_out(about, made);
	else if (df_is_undoing(about))
		nobody_can_tell(about, df_doubtful(about), made);
	else if (may_be_sent_same(about, came))
		send_same(about, came, made);
	else if (step->engine.spec->doubt == DF_DOUBT_ACCEPT && !df_was_answered_doubtfully(step))
		df_accept_doubt(made);
	else
		nobody_can_tell(about,
						df_was_carried_out(step) && !about->unwanted ? DF_VERDICT_STUCK
																	 : df_doubtful(about),
						made);
}

/* it is sent at once: what the probe has just seen may change soon */
static void
send_now(const DfDoubtCase *about, DfDecision *made)
{
	made->verdict = DF_VERDICT_SEND;
	made->evidence.may_resend = made->evidence.lost > 0;
	if (made->evidence.key_spent)
		df_take_new_key(made);
}

/* nothing of it is out, and none of it can be doubled */
static bool
is_nothing_out(const DfStep *step)
{
	return !df_was_sent(step) && step->row.evidence.lost == 0;
}

/*
 * A router says 404 of a path that is written wrongly, too.  After a loss only a path that is
 * known to be right counts, since the step would be sent a second time.
 */
static bool
is_believed(const DfDoubtCase *about, const DfProbeCame *came)
{
	return came->path == DF_PATH_KNOWN ||
		(came->path == DF_PATH_LIKELY && is_nothing_out(about->step));
}

/* whoever wrote the probe learns of it before anything is sent */
static void
look_at_probe(DfDecision *made)
{
	made->verdict = DF_VERDICT_PROBE_ASTRAY;
	made->event = DF_STEP_FAIL;
	made->evidence.said = DF_MEANS_STUCK;
	made->evidence.ask_probe = false;
}

static void
found_nothing(const DfDoubtCase *about, const DfProbeCame *came, DfDecision *made)
{
	const DfStep *step = about->step;

	if (is_nothing_out(step) && !is_believed(about, came) && !about->unwanted)
		look_at_probe(made);
	else if (!df_was_sent(step) && is_believed(about, came))
		send_now(about, made);
	else if (!df_was_sent(step))
		probe_cannot_tell(about, came, made);
	else if (about->now < df_settled_at(about))
	{
		made->verdict = DF_VERDICT_NOT_SETTLED;
		made->phase = DF_PHASE_PROBE;
		made->at = df_settled_at(about);
	}
	else if (contradicts(step) || !is_believed(about, came))
		probe_cannot_tell(about, came, made);
	else if (df_is_undoing(about) || about->unwanted || df_was_refused(step) ||
			 !has_budget(about, came))
		not_carried_out(about, made);
	else
		send_now(about, made);
}

/*
 * That the same probe found nothing before the step was sent is good enough to go on with
 * what it finds now, and not to delete it: between the two another run, or a person, may have
 * made it.
 */
static bool
may_be_anothers(const DfDoubtCase *about, const DfProbeCame *came)
{
	return !about->step->row.evidence.kept && !came->names_step && !df_probe_names_step(about);
}

static void
adopt(const DfDoubtCase *about, const DfProbeCame *came, DfDecision *made)
{
	DfEvidence *evidence = &made->evidence;

	made->verdict = DF_VERDICT_ADOPTED;
	if (about->step->row.state != DF_STEP_DONE)
		made->event = DF_STEP_SUCCEED;
	evidence->lost = 0;
	evidence->may_resend = evidence->ask_probe = false;
	evidence->accepted = evidence->maybe_twice = false;
	evidence->maybe_not_ours = may_be_anothers(about, came);
}

static void
existed(DfDecision *made)
{
	made->verdict = DF_VERDICT_EXISTED;
	made->event = DF_STEP_FAIL;
	made->evidence.existed = true;
	made->evidence.ask_probe = false;
}

/* a person has settled it by hand while the probe was in flight */
static bool
comes_too_late(const DfStep *step)
{
	if (step->row.undo_state != DF_UNDO_NONE)
		return step->row.undo_state != DF_UNDO_DUE;
	return step->row.state != DF_STEP_PENDING && step->row.state != DF_STEP_DOUBT;
}

static bool
ask_again(const DfDoubtCase *about, const DfProbeCame *came, DfDecision *made)
{
	if (made->meaning == DF_MEANS_RETRY &&
		df_asks_for_time(came->fate, came->status, came->retry_after_ms))
		made->at = df_asked_until(about, came->retry_after_ms);
	else if (made->meaning == DF_MEANS_RETRY || made->meaning == DF_MEANS_DOUBT)
		made->at = df_next_probe(about, came->retry_after_ms);
	else if (made->meaning == DF_MEANS_CREDENTIALS)
		made->at = about->now + about->policy->retry.initial_ms * 1000;
	if (made->at == DF_NEVER)
		return false;
	made->verdict = DF_VERDICT_PROBE_AGAIN;
	made->phase = DF_PHASE_PROBE;
	return true;
}

/* the system said that there is one already: the probe is asked which */
bool
df_looks_for_kept(const DfStep *step)
{
	return step->row.evidence.kept && step->row.state == DF_STEP_PENDING;
}

/* it is not ours, whatever is found: there is nothing to undo */
static void
kept_is_found(const DfDoubtCase *about, const DfProbeCame *came, int found, DfDecision *made)
{
	TimestampTz settled = df_settled_at(about);
	TimestampTz next = about->now + about->policy->retry.initial_ms * 1000;

	if (found == 1)
		adopt(about, came, made);
	else if (about->now < settled)
	{
		made->verdict = DF_VERDICT_NOT_SETTLED;
		made->phase = DF_PHASE_PROBE;
		made->at = Min(next, settled);
	}
	else
	{
		made->verdict = DF_VERDICT_KEPT_UNSEEN;
		made->event = DF_STEP_FAIL;
		made->evidence.said = DF_MEANS_STUCK;
		made->evidence.kept = false;
	}
}

DfDecision
df_decide_probe(const DfDoubtCase *about, const DfProbeCame *came)
{
	DfCame plain = {.fate = came->fate,
					.status = came->status,
					.method = came->method,
					.retry_after_ms = came->retry_after_ms,
					.limit_used_up = came->limit_used_up,
					.said = came->said};
	DfDecision made = df_decision(about, df_probe_meaning(&plain));
	int found = came->found;
	bool sent = df_was_sent(about->step);

	if (comes_too_late(about->step))
		return made;
	/* one resource could belong to either */
	if (found == 1 && sent && came->of_another)
		found = DF_FOUND_UNKNOWN;
	made.evidence.probed_at = about->now;
	made.evidence.probe_found = found == 0 && !is_believed(about, came) ? DF_FOUND_UNKNOWN : found;
	if (ask_again(about, came, &made))
		return made;
	if (df_looks_for_kept(about->step))
		kept_is_found(about, came, found, &made);
	else if (found == 0)
		found_nothing(about, came, &made);
	else if (found == 1 && sent && finds_its_own(about))
		adopt(about, came, &made);
	else if (found >= 1 && !sent && about->step->row.evidence.lost == 0)
		existed(&made);
	else
		probe_cannot_tell(about, came, &made);
	return made;
}
