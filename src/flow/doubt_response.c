/*
 * flow/doubt_response.c
 *	  What becomes of a step when a response to it has come, or is lost.
 *
 * Called where flow/doubt.c is, whose rules hold here.  Pure: the case and what came go in, a
 * decision comes out.
 */
#include "postgres.h"

#include "flow/doubt_facts.h"
#include "flow/flow.h"
#include "flow/names.h"
#include "types/base.h"

/*
 * After a loss, an accepted status may be about what our own earlier attempt did, and then
 * there is something to undo.  A trusted key proves that the system has responded so to the
 * first attempt, too.  For methods that may be repeated the output is as wanted in any case.
 */
static bool
accepts_what_may_be_ours(const DfDoubtCase *about, int status)
{
	const DfStepSpec *spec = about->step->engine.spec;

	if (spec->method_class == DF_METHOD_IDEMPOTENT && spec->undo == NULL && !about->has_rollback)
		return false;
	return status == 409 || !df_key_is_trusted(about);
}

bool
df_is_answer(const DfCame *came)
{
	return came->fate == DF_FATE_RESPONSE || came->fate == DF_FATE_TOO_LARGE;
}

/*
 * After a loss, a "conflict" may be with our own earlier attempt, or with one of the
 * same key that the system is still working on.  A read has nothing to conflict with.  The
 * first response under a trusted key, once more, is about nothing that came after it.
 */
static bool
is_conflict_with_ourselves(const DfDoubtCase *about, const DfCame *came, DfMeaning meaning)
{
	const DfStepSpec *spec = about->step->engine.spec;

	if (about->step->row.evidence.lost == 0 || spec->method_class == DF_METHOD_SAFE ||
		spec->is_mail)
		return false;
	if (!df_is_answer(came) ||
		(came->replayed && df_key_is_trusted(about)))
		return false;
	if (meaning == DF_MEANS_KEPT)
		return accepts_what_may_be_ours(about, came->status);
	return came->status == 409;
}

/*
 * The system is still working on an attempt with this key that got no response.  Nothing
 * else can be meant: it would have answered as to the first attempt.
 */
static bool
is_in_progress(const DfDoubtCase *about, const DfCame *came)
{
	const DfStep *step = about->step;

	return came->status == 409 && df_evidence_in_doubt(&step->row.evidence) &&
		df_key_is_trusted(about) && !df_is_another_request(step);
}

/* the first time at once, later ones after a back-off */
static void
ask_probe(const DfDoubtCase *about, const DfCame *came, DfDecision *made)
{
	TimestampTz at = about->step->row.attempts > 1 ? df_next_try(about, came->retry_after_ms)
												   : DF_NEVER;

	made->verdict = DF_VERDICT_ASK_PROBE;
	made->event = df_event_lose(about);
	made->phase = DF_PHASE_PROBE;
	made->at = at != DF_NEVER ? at : about->now;
	made->evidence.ask_probe = true;
}

void
df_accept_doubt(DfDecision *made)
{
	made->verdict = DF_VERDICT_ACCEPTED;
	made->event = DF_STEP_SUCCEED;
	made->evidence.accepted = true;
	made->evidence.ask_probe = false;
}

/*
 * Only an author who said 'fail' is told by DF001.  In a run that is being rolled back the
 * step is a candidate for undo, and nobody waits for what came of it.
 */
DfVerdict
df_doubtful(const DfDoubtCase *about)
{
	return about->step->engine.spec->doubt == DF_DOUBT_FAIL || about->unwanted
		? DF_VERDICT_DOUBTFUL
		: DF_VERDICT_ASK_PERSON;
}

void
df_end_in_doubt(const DfDoubtCase *about, DfVerdict verdict, DfDecision *made)
{
	made->verdict = verdict;
	made->event = df_event_lose(about);
	made->evidence.ask_probe = false;
}

/*
 * doubt => 'accept' is about responses that never came.  One that came and does not tell,
 * such as a 500, is a reason to try again.
 */
static bool
is_accepted(const DfDoubtCase *about, const DfCame *came, DfMeaning meaning)
{
	return about->step->engine.spec->doubt == DF_DOUBT_ACCEPT &&
		!(df_is_answer(came) && meaning == DF_MEANS_DOUBT);
}

/* it must not be sent any more, and may have been carried out */
static void
give_up_in_doubt(const DfDoubtCase *about, const DfCame *came, DfDecision *made)
{
	if (about->step->engine.spec->probe != NULL)
		ask_probe(about, came, made);
	else if (is_accepted(about, came, made->meaning))
		df_accept_doubt(made);
	else
		df_end_in_doubt(about, df_doubtful(about), made);
}

/*
 * What an earlier attempt left in doubt is not settled by a refusal of a later one:
 * the effect of the first may be there.  But a system whose key is trusted would have
 * responded as it did the first time.
 */
static void
fail(const DfDoubtCase *about, const DfCame *came, DfDecision *made)
{
	bool settles = came->fate == DF_FATE_RESPONSE && made->meaning == DF_MEANS_FAIL &&
		!about->step->engine.spec->is_mail && df_key_is_trusted(about);

	if (df_evidence_in_doubt(&made->evidence) && !settles)
	{
		give_up_in_doubt(about, came, made);
		return;
	}
	if (settles)
		made->evidence.lost = 0;
	made->verdict = DF_VERDICT_FAILED;
	made->event = DF_STEP_FAIL;
}

static void
again(const DfDoubtCase *about, const DfCame *came, DfDecision *made)
{
	made->at = df_next_try(about, came->retry_after_ms);
	if (made->at == DF_NEVER)
	{
		fail(about, came, made);
		return;
	}
	made->verdict = DF_VERDICT_AGAIN;
	made->event = df_evidence_in_doubt(&made->evidence) ? DF_STEP_LOSE : DF_STEP_AGAIN;
}

static void
again_same(const DfDoubtCase *about, const DfCame *came, DfDecision *made)
{
	made->at = df_next_try(about, came->retry_after_ms);
	if (made->at == DF_NEVER)
	{
		give_up_in_doubt(about, came, made);
		return;
	}
	made->verdict = DF_VERDICT_AGAIN_SAME;
	made->event = df_event_lose(about);
}

static void
stay_in_doubt(const DfDoubtCase *about, const DfCame *came, DfDecision *made)
{
	const DfStepSpec *spec = about->step->engine.spec;

	if (spec->probe == NULL &&
		(spec->doubt == DF_DOUBT_RESEND ||
		 (spec->doubt == DF_DOUBT_ACCEPT && !is_accepted(about, came, made->meaning))))
		again_same(about, came, made);
	else
		give_up_in_doubt(about, came, made);
}

/* the same request, as far as its author is concerned; not for the system, if its key is spent */
void
df_take_new_key(DfDecision *made)
{
	made->new_key = true;
	made->evidence.key_spent = false;
}

/*
 * The same response would come for ever.  What may be repeated, or is certainly not carried
 * out, is sent with another key; the rest is in doubt at once.
 */
static void
key_is_spent(const DfDoubtCase *about, const DfCame *came, DfDecision *made)
{
	const DfStepSpec *spec = about->step->engine.spec;
	bool in_doubt = df_evidence_in_doubt(&made->evidence);

	made->evidence.key_spent = true;
	if (in_doubt && spec->method_class == DF_METHOD_EFFECT &&
		!(spec->probe == NULL && spec->doubt == DF_DOUBT_RESEND))
	{
		give_up_in_doubt(about, came, made);
		return;
	}
	if (in_doubt)
		again_same(about, came, made);
	else
		again(about, came, made);
	if (made->verdict == DF_VERDICT_AGAIN || made->verdict == DF_VERDICT_AGAIN_SAME)
		df_take_new_key(made);
}

static void
may_be_carried_out(const DfDoubtCase *about, const DfCame *came, DfDecision *made)
{
	if (about->step->engine.spec->method_class == DF_METHOD_SAFE)
		again(about, came, made);
	else if (df_is_harmless(about))
		again_same(about, came, made);
	else
		stay_in_doubt(about, came, made);
}

/* a response that leaves no doubt: the system did nothing */
static bool
did_nothing(const DfDoubtCase *about, const DfCame *came)
{
	if (about->step->engine.spec->method_class == DF_METHOD_SAFE)
		return true;
	return (came->status >= 300 && came->status <= 499) || came->status == 501;
}

/*
 * Whoever looks may have it sent again, by retry(), unless that could make a second one: then it
 * is in doubt like any other.  If nobody wants the step any more, nobody has to look: what may
 * have been carried out is undone, and the rest was refused.
 */
static void
said_stuck(const DfDoubtCase *about, const DfCame *came, DfDecision *made)
{
	bool failed = did_nothing(about, came) && !df_evidence_in_doubt(&made->evidence);

	if (about->unwanted)
		made->verdict = failed ? DF_VERDICT_FAILED : DF_VERDICT_DOUBTFUL;
	else
		made->verdict = DF_VERDICT_SAID_STUCK;
	made->event = failed ? DF_STEP_FAIL : df_event_lose(about);
	if (!did_nothing(about, came) && !about->unwanted && !df_is_harmless(about))
	{
		made->evidence.lost++;
		made->evidence.lost_at = about->now;
	}
	made->evidence.said = DF_MEANS_STUCK;
	made->evidence.ask_probe = false;
}

/* only what the step itself has made could be found, and that is not what was there already */
static bool
probe_finds_own_only(const DfStepSpec *spec)
{
	return spec->probe_names_run || spec->probe_names_key;
}

/* what was there already is told from what the probe finds */
static void
kept(const DfDoubtCase *about, const DfCame *came, DfDecision *made)
{
	const DfStepSpec *spec = about->step->engine.spec;

	made->evidence.kept = true;
	if (came->status / 100 == 2 || spec->probe == NULL || probe_finds_own_only(spec) ||
		about->unwanted)
	{
		made->verdict = DF_VERDICT_KEPT;
		made->event = DF_STEP_SUCCEED;
		return;
	}
	made->verdict = DF_VERDICT_FIND_KEPT;
	made->event = DF_STEP_AGAIN;
	made->phase = DF_PHASE_PROBE;
	made->at = about->now;
}

static void
unusable(const DfDoubtCase *about, const DfCame *came, DfDecision *made)
{
	const DfStepSpec *spec = about->step->engine.spec;

	if (spec->method_class == DF_METHOD_SAFE)
	{
		made->verdict = DF_VERDICT_UNREADABLE;
		made->event = DF_STEP_FAIL;
	}
	else if (spec->probe != NULL)
		ask_probe(about, came, made);
	else if (spec->doubt == DF_DOUBT_ACCEPT)
		df_accept_doubt(made);
	else
		df_end_in_doubt(about, DF_VERDICT_STUCK, made);
}

/* a 2xx proves what became of the attempts before it only if they are one request */
static void
settle_by_success(const DfDoubtCase *about, DfEvidence *evidence)
{
	DfEvidence nothing;

	if (evidence->lost > 0 && !df_is_harmless(about))
	{
		evidence->maybe_twice = df_evidence_in_doubt(evidence);
		return;
	}
	/* whether this one, or the lost one, found nothing there yet is not told */
	if (evidence->lost > 0 && (about->step->engine.spec->undo_if != NULL || about->has_rollback) &&
		!df_key_is_trusted(about))
		return;
	memset(&nothing, 0, sizeof(nothing));
	*evidence = nothing;
}

/* the system may ask for a longer pause than `every` is, but not for more than is left */
static void
poll_again(const DfDoubtCase *about, const DfCame *came, DfDecision *made)
{
	const DfStepSpec *spec = about->step->engine.spec;
	TimestampTz at = about->now + spec->every_ms * 1000;
	TimestampTz asked = about->now + Max(0, came->retry_after_ms) * 1000;
	TimestampTz end = spec->until_timeout_ms > 0
		? about->step->row.started_at + about->stopped_us + spec->until_timeout_ms * 1000
		: PG_INT64_MAX;

	if (at > end)
	{
		made->verdict = DF_VERDICT_UNTIL_TIMEOUT;
		made->event = DF_STEP_FAIL;
		return;
	}
	made->verdict = DF_VERDICT_POLL;
	made->event = df_evidence_in_doubt(&made->evidence) ? DF_STEP_LOSE : DF_STEP_AGAIN;
	made->at = Max(at, Min(asked, end));
}

/* with each repetition until `until` is met there may be one thing more to undo */
static bool
makes_another(const DfDoubtCase *about)
{
	const DfStepSpec *spec = about->step->engine.spec;

	return about->step->row.evidence.carried_out && (spec->undo != NULL || about->has_rollback) &&
		spec->method_class == DF_METHOD_EFFECT && !df_key_is_trusted(about);
}

static void
carried_out(const DfDoubtCase *about, const DfCame *came, DfDecision *made)
{
	settle_by_success(about, &made->evidence);
	made->evidence.maybe_twice |= makes_another(about);
	if (came->until_met == DF_UNKNOWN)
	{
		said_stuck(about, came, made);
		return;
	}
	if (came->until_met == DF_FALSE)
	{
		/* it goes on, or fails; there is something to undo in any case */
		made->evidence.carried_out =
			about->step->engine.spec->method_class != DF_METHOD_SAFE;
		poll_again(about, came, made);
		return;
	}
	made->verdict = DF_VERDICT_DONE;
	made->event = DF_STEP_SUCCEED;
}

/* the attempt is given back: it waits until somebody has repaired the credentials */
static void
wait_for_credentials(const DfDoubtCase *about, DfDecision *made)
{
	made->verdict = DF_VERDICT_CREDENTIALS;
	made->event = df_evidence_in_doubt(&made->evidence) ? DF_STEP_LOSE : DF_STEP_AGAIN;
	made->at = about->now + about->policy->retry.initial_ms * 1000;
}

static void
wait_as_asked(const DfDoubtCase *about, const DfCame *came, DfDecision *made)
{
	made->verdict = DF_VERDICT_ASKED;
	made->event = df_evidence_in_doubt(&made->evidence) ? DF_STEP_LOSE : DF_STEP_AGAIN;
	made->at = df_asked_until(about, came->retry_after_ms);
}

/* what this attempt adds to what is known */
static void
note_attempt(const DfDoubtCase *about, DfMeaning meaning, DfEvidence *evidence)
{
	evidence->ask_probe = false;
	evidence->said = meaning;
	if (about->step->engine.spec->method_class == DF_METHOD_SAFE)
		return;
	if (meaning == DF_MEANS_DOUBT || meaning == DF_MEANS_UNUSABLE)
	{
		evidence->lost++;
		evidence->lost_at = about->now;
		evidence->may_resend = false;
	}
}

/* a response after which the same request would be sent again */
static bool
repeats(const DfDoubtCase *about, DfMeaning meaning)
{
	return about->step->engine.spec->method_class != DF_METHOD_SAFE &&
		(meaning == DF_MEANS_DOUBT || meaning == DF_MEANS_RETRY);
}

DfDecision
df_decide_response(const DfDoubtCase *about, const DfCame *came)
{
	DfDecision made = df_decision(about, df_response_meaning(about->step->engine.spec, came));

	note_attempt(about, made.meaning, &made.evidence);
	if (is_conflict_with_ourselves(about, came, made.meaning))
	{
		if (is_in_progress(about, came))
			again_same(about, came, &made);
		else
		{
			/* what the probe did not find is there after all, it seems */
			made.evidence.may_resend = false;
			stay_in_doubt(about, came, &made);
		}
		return made;
	}
	if (came->replayed && df_is_answer(came) && repeats(about, made.meaning))
	{
		key_is_spent(about, came, &made);
		return made;
	}
	switch (made.meaning)
	{
		case DF_MEANS_DONE:
			carried_out(about, came, &made);
			break;
		case DF_MEANS_UNUSABLE:
			unusable(about, came, &made);
			break;
		case DF_MEANS_KEPT:
			kept(about, came, &made);
			break;
		case DF_MEANS_RETRY:
			if (!about->step->engine.spec->is_mail &&
				df_asks_for_time(came->fate, came->status, came->retry_after_ms))
				wait_as_asked(about, came, &made);
			else if (df_evidence_in_doubt(&made.evidence))
				may_be_carried_out(about, came, &made);
			else
				again(about, came, &made);
			break;
		case DF_MEANS_FAIL:
			fail(about, came, &made);
			break;
		case DF_MEANS_STUCK:
			said_stuck(about, came, &made);
			break;
		case DF_MEANS_CREDENTIALS:
			wait_for_credentials(about, &made);
			break;
		case DF_MEANS_DOUBT:
			may_be_carried_out(about, came, &made);
			break;
	}
	return made;
}
