/*
 * flow/doubt.c
 *	  The one place that decides what becomes of a step that may have been carried out.
 *
 * Called by a worker when there is news of a step (a response, a loss, a person's
 * word), or a request is about to be sent for it, in no transaction.  Pure: the case
 * and what came go in, a decision comes out.
 *
 * What holds of every decision here:
 *
 * - Success is never guessed.  What may have been carried out is harmless to repeat,
 *   or in doubt.
 * - A loss is remembered until something proves what became of that attempt: a
 *   response under the same key, what a probe finds, a person's word.  A refusal, fresh
 *   credentials, a renewal and a restart prove nothing.
 * - A system that replays a response which does not help will do so for ever: its key is
 *   spent, and what is sent after all has another one.
 * - A probe that finds nothing (may_resend) permits another attempt; it is no proof,
 *   for a system may carry a request out late.  So a conflict afterwards contradicts it.
 * - What existed before the first attempt is never taken over, "not there" is not
 *   believed before the system has settled, and what a 2xx once said was carried out is
 *   never sent again.
 */
#include "postgres.h"

#include "flow/doubt.h"
#include "flow/flow.h"
#include "flow/names.h"
#include "types/base.h"

/* a probe that gets no response is given up after this, if the step has no limit of its own */
#define PROBE_FOR_MS (INT64CONST(24) * 3600 * 1000)

/* ---- facts ---------------------------------------------------------------- */

/* the header in which the system looks for it now is the one in which it was sent */
static bool
key_is_where_it_was(const DfDoubtCase *about)
{
	const char *was = about->step->engine.spec->key_place.header;
	const char *is = about->policy->key_header;

	return was == NULL || is == NULL || pg_strcasecmp(was, is) == 0;
}

/* the same key would find the first attempt, if it was carried out; effect: of a POST or PATCH */
static bool
key_holds(const DfDoubtCase *about, TimestampTz since, bool effect)
{
	const DfKeyPlace *place = &about->step->engine.spec->key_place;
	bool in_request = effect && (place->field != NULL || place->parameter != NULL);

	return ((about->policy->key_trusted && key_is_where_it_was(about)) || in_request) &&
		about->now - since < about->policy->key_ttl_ms * 1000;
}

static bool
key_is_trusted(const DfDoubtCase *about)
{
	const DfStep *step = about->step;

	return key_holds(about, step->row.started_at,
					 step->engine.spec->method_class == DF_METHOD_EFFECT);
}

/*
 * retry() had it rendered anew: to send it is not to repeat what was lost.  Once it was
 * sent, the attempts before count as those that the probe did not find.
 */
static bool
is_another_request(const DfStep *step)
{
	return step->row.attempts == 0 && step->row.renewals > 0 && step->row.evidence.lost > 0;
}

/* GET, HEAD, PUT, DELETE may always be sent again; the others by a trusted key */
static bool
is_harmless(const DfDoubtCase *about)
{
	const DfStepSpec *spec = about->step->engine.spec;

	if (spec->is_mail || is_another_request(about->step))
		return false;
	if (about->step->row.evidence.key_spent)
		return spec->method_class != DF_METHOD_EFFECT;
	return spec->method_class != DF_METHOD_EFFECT ||
		key_is_trusted(about);
}

static bool
is_undoing(const DfDoubtCase *about)
{
	return about->step->row.undo_state == DF_UNDO_DUE;
}

TimestampTz
df_settled_at(const DfDoubtCase *about)
{
	const DfStep *step = about->step;

	return (step->row.sent_at != DF_NEVER ? step->row.sent_at : step->row.started_at) +
		about->policy->settle_ms * 1000;
}

static DfRetryQuestion
retry_question(const DfDoubtCase *about, int attempts, TimestampTz since, int64 retry_after_ms)
{
	DfRetryQuestion question;

	question.policy = about->retry;
	question.attempts = Max(1, attempts);
	question.first_at = since == DF_NEVER ? DF_NEVER : since + about->stopped_us;
	question.now = about->now;
	question.retry_after_ms = retry_after_ms;
	question.jitter = about->jitter;
	return question;
}

TimestampTz
df_next_try(const DfDoubtCase *about, int64 retry_after_ms)
{
	const DfStep *step = about->step;
	/* a poll that got a response is an attempt, but no failure */
	int attempts = step->engine.spec->until != NULL ? 1 : step->row.attempts;
	DfRetryQuestion question =
		retry_question(about, attempts, step->row.started_at, retry_after_ms);

	return df_retry_at(&question);
}

/* an undo has a budget of its own, whatever the step's was */
TimestampTz
df_next_undo_try(const DfDoubtCase *about, int64 retry_after_ms)
{
	const DfStep *step = about->step;
	DfRetryQuestion question =
		retry_question(about, step->row.undo_attempts, step->row.undo_since, retry_after_ms);

	question.policy = about->policy->retry;
	question.policy.max_attempts = 0;
	question.policy.for_ms = about->undo_for_ms;
	return df_retry_at(&question);
}

/*
 * When to ask again after no response.  Probes are not counted: their back-off
 * grows with the age of the doubt.
 */
static TimestampTz
next_probe(const DfDoubtCase *about, int64 retry_after_ms)
{
	TimestampTz since = is_undoing(about) ? about->step->row.undo_since : df_settled_at(about);
	int64 age_ms = Max(0, about->now - since) / 1000;
	DfRetryQuestion question = retry_question(about, 1, since, retry_after_ms);

	question.policy.max_attempts = 0;
	if (is_undoing(about))
		question.policy.for_ms = about->undo_for_ms;
	else if (question.policy.for_ms <= 0)
		question.policy.for_ms = PROBE_FOR_MS;
	while (question.attempts < 30 &&
		   (Max(1, question.policy.initial_ms) << question.attempts) < age_ms)
		question.attempts++;
	return df_retry_at(&question);
}

/*
 * A system that asks for time is not to blame, nor is the step: that uses no attempt, and
 * the clocks stand still.
 */
static bool
asks_for_time(DfFate fate, int status, int64 retry_after_ms)
{
	return fate == DF_FATE_RESPONSE && (status == 429 || retry_after_ms >= 0);
}

/* when it wants to be asked again; if it does not say, later the longer it has been so */
static TimestampTz
asked_until(const DfDoubtCase *about, int64 retry_after_ms)
{
	int64 age_ms = about->stopped_us / 1000;
	DfRetryQuestion question =
		retry_question(about, 1, about->now, retry_after_ms > 0 ? retry_after_ms : -1);

	question.policy.max_attempts = 0;
	question.policy.for_ms = 0;
	question.policy.initial_ms = Max(1, question.policy.initial_ms);
	while (question.attempts < 30 && (question.policy.initial_ms << question.attempts) < age_ms)
		question.attempts++;
	return df_retry_at(&question);
}

static DfDecision
decision(const DfDoubtCase *about, DfMeaning meaning)
{
	DfDecision made;

	memset(&made, 0, sizeof(made));
	made.meaning = meaning;
	made.event = made.undo_to = DF_NO_EVENT;
	made.phase = DF_PHASE_DO;
	made.evidence = about->step->row.evidence;
	return made;
}

/* its state says so from now on; one that is in doubt already stays there */
static int
event_lose(const DfDoubtCase *about)
{
	return about->step->row.state == DF_STEP_DOUBT ? DF_NO_EVENT : DF_STEP_LOSE;
}

/* ---- a response to the step itself ---------------------------------------- */

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
	return status == 409 || !key_is_trusted(about);
}

static bool
is_answer(const DfCame *came)
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
	if (!is_answer(came) ||
		(came->replayed && key_is_trusted(about)))
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
		key_is_trusted(about) && !is_another_request(step);
}

/* the first time at once, later ones after a back-off */
static void
ask_probe(const DfDoubtCase *about, const DfCame *came, DfDecision *made)
{
	TimestampTz at = about->step->row.attempts > 1 ? df_next_try(about, came->retry_after_ms)
												   : DF_NEVER;

	made->verdict = DF_VERDICT_ASK_PROBE;
	made->event = event_lose(about);
	made->phase = DF_PHASE_PROBE;
	made->at = at != DF_NEVER ? at : about->now;
	made->evidence.ask_probe = true;
}

static void
accept(DfDecision *made)
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
static DfVerdict
doubtful(const DfDoubtCase *about)
{
	return about->step->engine.spec->doubt == DF_DOUBT_FAIL || about->unwanted
		? DF_VERDICT_DOUBTFUL
		: DF_VERDICT_ASK_PERSON;
}

static void
end_in_doubt(const DfDoubtCase *about, DfVerdict verdict, DfDecision *made)
{
	made->verdict = verdict;
	made->event = event_lose(about);
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
		!(is_answer(came) && meaning == DF_MEANS_DOUBT);
}

/* it must not be sent any more, and may have been carried out */
static void
give_up_in_doubt(const DfDoubtCase *about, const DfCame *came, DfDecision *made)
{
	if (about->step->engine.spec->probe != NULL)
		ask_probe(about, came, made);
	else if (is_accepted(about, came, made->meaning))
		accept(made);
	else
		end_in_doubt(about, doubtful(about), made);
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
		!about->step->engine.spec->is_mail && key_is_trusted(about);

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
	made->event = event_lose(about);
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
static void
take_new_key(DfDecision *made)
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
		take_new_key(made);
}

static void
may_be_carried_out(const DfDoubtCase *about, const DfCame *came, DfDecision *made)
{
	if (about->step->engine.spec->method_class == DF_METHOD_SAFE)
		again(about, came, made);
	else if (is_harmless(about))
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
 * Whoever looks may send it again, by retry().  If nobody wants the step any more, nobody
 * has to look: what may have been carried out is undone, and the rest was refused.
 */
static void
said_stuck(const DfDoubtCase *about, const DfCame *came, DfDecision *made)
{
	bool failed = did_nothing(about, came) && !df_evidence_in_doubt(&made->evidence);

	if (about->unwanted)
		made->verdict = failed ? DF_VERDICT_FAILED : DF_VERDICT_DOUBTFUL;
	else
		made->verdict = DF_VERDICT_SAID_STUCK;
	made->event = failed ? DF_STEP_FAIL : event_lose(about);
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
		accept(made);
	else
		end_in_doubt(about, DF_VERDICT_STUCK, made);
}

/* a 2xx proves what became of the attempts before it only if they are one request */
static void
settle_by_success(const DfDoubtCase *about, DfEvidence *evidence)
{
	DfEvidence nothing;

	if (evidence->lost > 0 && !is_harmless(about))
	{
		evidence->maybe_twice = df_evidence_in_doubt(evidence);
		return;
	}
	/* whether this one, or the lost one, found nothing there yet is not told */
	if (evidence->lost > 0 && (about->step->engine.spec->undo_if != NULL || about->has_rollback) &&
		!key_is_trusted(about))
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
		spec->method_class == DF_METHOD_EFFECT && !key_is_trusted(about);
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
	made->at = asked_until(about, came->retry_after_ms);
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
	DfDecision made = decision(about, df_response_meaning(about->step->engine.spec, came));

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
	if (came->replayed && is_answer(came) && repeats(about, made.meaning))
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
				asks_for_time(came->fate, came->status, came->retry_after_ms))
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

/* ---- a probe -------------------------------------------------------------- */

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

static bool
probe_names_step(const DfDoubtCase *about)
{
	const DfStepSpec *spec = about->step->engine.spec;

	return spec->probe_names_key || (spec->probe_names_run && about->first_round);
}

/*
 * What the probe finds is this step's: its template says so, or the same probe found
 * nothing before the step was sent.  After a retry() of a step with a loss it is neither:
 * anybody may have made it since the probe found nothing.
 */
static bool
finds_its_own(const DfDoubtCase *about)
{
	const DfStep *step = about->step;

	return step->row.attempts > 0 || step->row.evidence.lost == 0 || probe_names_step(about);
}

/* a 2xx was seen, only its body was of no use */
static bool
was_carried_out(const DfStep *step)
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
	if (was_carried_out(step))
		return true;
	return step->row.attempts > 0 && step->row.evidence.lost > 0 &&
		(step->row.status == 409 || step->row.evidence.said == DF_MEANS_KEPT);
}

/* the last response came, and does not tell: doubt => 'accept' is not about it */
static bool
was_answered_doubtfully(const DfStep *step)
{
	return step->row.attempts > 0 && step->row.status != 0 && !df_was_refused(step) &&
		!contradicts(step);
}

/* its author said so */
static bool
is_sent_in_doubt(const DfDoubtCase *about)
{
	const DfStep *step = about->step;

	return !about->unwanted &&
		(step->engine.spec->doubt == DF_DOUBT_RESEND ||
		 (step->engine.spec->doubt == DF_DOUBT_ACCEPT && was_answered_doubtfully(step)));
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
		take_new_key(made);
}

static void
not_carried_out(const DfDoubtCase *about, DfDecision *made)
{
	made->evidence.may_resend = made->evidence.lost > 0;
	if (is_undoing(about))
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
	if (is_undoing(about))
	{
		made->verdict = DF_VERDICT_UNDO_UNKNOWN;
		made->undo_to = DF_UNDO_FAILED;
	}
	else if (is_certainly_not_carried_out(about->step))
		not_carried_out(about, made);
	else
	{
		end_in_doubt(about, verdict, made);
		made->evidence.may_resend = false;
	}
}

static bool
may_be_sent_same(const DfDoubtCase *about, const DfProbeCame *came)
{
	const DfStep *step = about->step;

	if (!df_was_sent(step) || df_was_refused(step) || was_carried_out(step) ||
		!has_budget(about, came))
		return false;
	return is_harmless(about) || is_sent_in_doubt(about);
}

/* as the key, the method or `doubt` says */
static void
probe_cannot_tell(const DfDoubtCase *about, const DfProbeCame *came, DfDecision *made)
{
	const DfStep *step = about->step;

	/* what was never sent needs no guess: it is not sent before the probe says what exists */
	if (!df_was_sent(step) && step->row.evidence.lost == 0)
		not_carried_out(about, made);
	else if (is_undoing(about))
		nobody_can_tell(about, doubtful(about), made);
	else if (may_be_sent_same(about, came))
		send_same(about, came, made);
	else if (step->engine.spec->doubt == DF_DOUBT_ACCEPT && !was_answered_doubtfully(step))
		accept(made);
	else
		nobody_can_tell(about,
						was_carried_out(step) && !about->unwanted ? DF_VERDICT_STUCK
																  : doubtful(about),
						made);
}

/* it is sent at once: what the probe has just seen may change soon */
static void
send_now(const DfDoubtCase *about, DfDecision *made)
{
	made->verdict = DF_VERDICT_SEND;
	made->evidence.may_resend = made->evidence.lost > 0;
	if (made->evidence.key_spent)
		take_new_key(made);
}

static void
found_nothing(const DfDoubtCase *about, const DfProbeCame *came, DfDecision *made)
{
	const DfStep *step = about->step;

	if (!df_was_sent(step))
		send_now(about, made);
	else if (about->now < df_settled_at(about))
	{
		made->verdict = DF_VERDICT_NOT_SETTLED;
		made->phase = DF_PHASE_PROBE;
		made->at = df_settled_at(about);
	}
	else if (contradicts(step))
		probe_cannot_tell(about, came, made);
	else if (is_undoing(about) || about->unwanted || df_was_refused(step) ||
			 !has_budget(about, came))
		not_carried_out(about, made);
	else
		send_now(about, made);
}

static void
adopt(const DfDoubtCase *about, DfDecision *made)
{
	DfEvidence *evidence = &made->evidence;

	made->verdict = DF_VERDICT_ADOPTED;
	if (about->step->row.state != DF_STEP_DONE)
		made->event = DF_STEP_SUCCEED;
	evidence->lost = 0;
	evidence->may_resend = evidence->ask_probe = false;
	evidence->accepted = evidence->maybe_twice = false;
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
		asks_for_time(came->fate, came->status, came->retry_after_ms))
		made->at = asked_until(about, came->retry_after_ms);
	else if (made->meaning == DF_MEANS_RETRY || made->meaning == DF_MEANS_DOUBT)
		made->at = next_probe(about, came->retry_after_ms);
	else if (made->meaning == DF_MEANS_CREDENTIALS)
		made->at = about->now + about->policy->retry.initial_ms * 1000;
	if (made->at == DF_NEVER)
		return false;
	made->verdict = DF_VERDICT_PROBE_AGAIN;
	made->phase = DF_PHASE_PROBE;
	return true;
}

/* the system said that there is one already: the probe is asked which */
static bool
looks_for_kept(const DfStep *step)
{
	return step->row.evidence.kept && step->row.state == DF_STEP_PENDING;
}

/* it is not ours, whatever is found: there is nothing to undo */
static void
kept_is_found(const DfDoubtCase *about, int found, DfDecision *made)
{
	TimestampTz settled = df_settled_at(about);
	TimestampTz next = about->now + about->policy->retry.initial_ms * 1000;

	if (found == 1)
		adopt(about, made);
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
	DfDecision made = decision(about, df_probe_meaning(&plain));
	int found = came->found;
	bool sent = df_was_sent(about->step);

	if (comes_too_late(about->step))
		return made;
	/* one resource could belong to either */
	if (found == 1 && sent && came->of_another)
		found = DF_FOUND_UNKNOWN;
	made.evidence.probed_at = about->now;
	made.evidence.probe_found = found;
	if (ask_again(about, came, &made))
		return made;
	if (looks_for_kept(about->step))
		kept_is_found(about, found, &made);
	else if (found == 0)
		found_nothing(about, came, &made);
	else if (found == 1 && sent && finds_its_own(about))
		adopt(about, &made);
	else if (found >= 1 && !sent && about->step->row.evidence.lost == 0)
		existed(&made);
	else
		probe_cannot_tell(about, came, &made);
	return made;
}

/* ---- an undo -------------------------------------------------------------- */

/*
 * What there is may be somebody else's, also if the undo could be sent without having
 * seen it: only a probe that finds nothing, or a person, can say more.
 */
bool
df_undo_needs_probe(const DfDoubtCase *about)
{
	const DfStep *step = about->step;

	return step->row.state == DF_STEP_DOUBT && step->engine.spec->probe != NULL &&
		!finds_its_own(about);
}

/*
 * From when on it is believed that what the undo names is not there.  Before, it may still
 * come, of a step in doubt; and a system that has just confirmed the step may itself not
 * find it yet.
 */
static TimestampTz
undo_settled_at(const DfDoubtCase *about)
{
	const DfStep *step = about->step;
	TimestampTz settled = df_settled_at(about);

	if ((step->row.state != DF_STEP_DONE && !step->row.evidence.carried_out) ||
		step->row.finished_at == DF_NEVER)
		return settled;
	return Max(settled, step->row.finished_at + about->policy->settle_ms * 1000);
}

/* it would not be there in any case */
static bool
is_elsewhere(const DfDoubtCase *about)
{
	return about->policy->url_hash != 0 && about->step->row.base_hash != 0 &&
		about->policy->url_hash != about->step->row.base_hash;
}

/*
 * doubt => 'resend': an earlier attempt may have made one more, and the undo names the
 * last one's only
 */
static bool
leaves_a_second(const DfStep *step)
{
	return (step->row.state == DF_STEP_DONE || step->row.evidence.carried_out) &&
		step->row.evidence.maybe_twice &&
		step->engine.spec->undo_needs_response;
}

static DfMethodClass
undo_method(const DfStep *step)
{
	char method[16];
	size_t len = step->row.undo == NULL ? 0 : strcspn(step->row.undo, " ");

	if (len >= sizeof(method))
		return DF_METHOD_EFFECT;
	memcpy(method, step->row.undo == NULL ? "" : step->row.undo, len);
	method[len] = '\0';
	return df_method_class(method);
}

/*
 * An undo that may have been carried out is as much in doubt as any other request: a
 * DELETE may be repeated, its second 404 or 410 means gone; a POST, a refund say, only
 * with a key that the system honours, or if the step says so.
 */
static bool
may_repeat_undo(const DfDoubtCase *about, bool replayed)
{
	const DfStep *step = about->step;

	if (undo_method(step) != DF_METHOD_EFFECT)
		return true;
	/* a system that replays a response does so again */
	if (replayed)
		return false;
	return step->engine.spec->doubt == DF_DOUBT_RESEND ||
		(step->row.undo_since != DF_NEVER && key_holds(about, step->row.undo_since, true));
}

static void
undo_ends(DfVerdict verdict, DfUndoState to, DfDecision *made)
{
	made->verdict = verdict;
	made->undo_to = to;
	made->phase = DF_PHASE_UNDO;
}

static void
undo_again(const DfDoubtCase *about, const DfCame *came, DfDecision *made)
{
	made->at = df_next_undo_try(about, came->retry_after_ms);
	if (made->at == DF_NEVER)
		undo_ends(DF_VERDICT_UNDO_FAILED, DF_UNDO_FAILED, made);
	else
		undo_ends(DF_VERDICT_UNDO_AGAIN, DF_UNDO_DUE, made);
}

/* it is said that there is nothing to undo */
static void
gone(const DfDoubtCase *about, const DfCame *came, DfDecision *made)
{
	if (is_elsewhere(about))
		undo_ends(DF_VERDICT_UNDO_ELSEWHERE, DF_UNDO_FAILED, made);
	else if (came->foreign)
		undo_again(about, came, made);
	else if (about->now < undo_settled_at(about))
	{
		undo_ends(DF_VERDICT_UNDO_NOT_SETTLED, DF_UNDO_DUE, made);
		made->at = undo_settled_at(about);
	}
	else if (leaves_a_second(about->step))
		undo_ends(DF_VERDICT_UNDO_LEFT_A_SECOND, DF_UNDO_FAILED, made);
	else
		undo_ends(DF_VERDICT_GONE, DF_UNDO_GONE, made);
}

static void
undo_later(TimestampTz at, DfDecision *made)
{
	undo_ends(DF_VERDICT_UNDO_ASKED, DF_UNDO_DUE, made);
	made->at = at;
}

DfDecision
df_decide_undo(const DfDoubtCase *about, const DfCame *came)
{
	DfDecision made = decision(about, df_undo_meaning(came));

	switch (made.meaning)
	{
		case DF_MEANS_DONE:
			if (leaves_a_second(about->step))
				undo_ends(DF_VERDICT_UNDO_LEFT_A_SECOND, DF_UNDO_FAILED, &made);
			else
				undo_ends(DF_VERDICT_UNDONE, DF_UNDO_UNDONE, &made);
			break;
		case DF_MEANS_KEPT:
			gone(about, came, &made);
			break;
		case DF_MEANS_DOUBT:
			if (may_repeat_undo(about, came->replayed && is_answer(came)))
				undo_again(about, came, &made);
			else
				undo_ends(DF_VERDICT_UNDO_DOUBTFUL, DF_UNDO_FAILED, &made);
			break;
		case DF_MEANS_RETRY:
			if (asks_for_time(came->fate, came->status, came->retry_after_ms))
				undo_later(asked_until(about, came->retry_after_ms), &made);
			else
				undo_again(about, came, &made);
			break;
		case DF_MEANS_CREDENTIALS:
			undo_later(about->now + about->policy->retry.initial_ms * 1000, &made);
			break;
		case DF_MEANS_UNUSABLE:
		case DF_MEANS_FAIL:
		case DF_MEANS_STUCK:
			undo_ends(DF_VERDICT_UNDO_FAILED, DF_UNDO_FAILED, &made);
			break;
	}
	return made;
}

/* ---- before it leaves ----------------------------------------------------- */

/*
 * Whether the engine has to ask before it sends: for the first time, or after
 * retry() of a step whose last response did not tell.  The run alone proves
 * nothing once it has had another round, whose record would look the same.
 */
static bool
is_probed_first(const DfDoubtCase *about)
{
	const DfStep *step = about->step;
	const DfStepSpec *spec = step->engine.spec;

	if (spec->probe == NULL || step->row.attempts > 0 || step->row.state != DF_STEP_PENDING)
		return false;
	return step->row.evidence.ask_probe || !probe_names_step(about);
}

/* with a key that is still trusted it is sent again: the departure decides */
DfPhase
df_decide_phase(const DfDoubtCase *about)
{
	const DfStep *step = about->step;

	if (looks_for_kept(step))
		return DF_PHASE_PROBE;
	if (step->row.state == DF_STEP_DOUBT && step->engine.spec->probe != NULL &&
		(step->row.evidence.ask_probe || about->unwanted))
		return DF_PHASE_PROBE;
	return is_probed_first(about) ? DF_PHASE_PROBE : DF_PHASE_DO;
}

/* Sent to another place, or with a key that is forgotten, it would be carried out twice. */
static DfObjection
objection_to(const DfDoubtCase *about, bool same_url)
{
	const DfStep *step = about->step;

	if (!same_url)
		return DF_OBJECTION_URL;
	if (step->row.evidence.key_spent && step->engine.spec->method_class == DF_METHOD_EFFECT)
		return DF_OBJECTION_SPENT;
	if (step->engine.urgent ||
		(key_is_trusted(about) && !is_another_request(step)))
		return DF_OBJECTION_NONE;
	if (is_sent_in_doubt(about))
		return DF_OBJECTION_NONE;
	return step->engine.spec->is_mail ? DF_OBJECTION_MAIL : DF_OBJECTION_KEY;
}

DfDecision
df_decide_departure(const DfDoubtCase *about, bool same_url, DfObjection *objection)
{
	const DfStep *step = about->step;
	DfDecision made = decision(about, DF_MEANS_DOUBT);

	*objection = DF_OBJECTION_NONE;
	made.phase = step->engine.phase;
	if (step->engine.phase != DF_PHASE_DO || step->row.state != DF_STEP_DOUBT ||
		(step->engine.spec->method_class != DF_METHOD_EFFECT && !is_another_request(step)))
		return made;
	*objection = objection_to(about, same_url);
	if (*objection == DF_OBJECTION_NONE)
		return made;
	if (step->engine.spec->probe != NULL && !step->engine.urgent)
		made.phase = DF_PHASE_PROBE;
	else if (step->engine.spec->doubt == DF_DOUBT_ACCEPT && !was_answered_doubtfully(step))
		accept(&made);
	else
		end_in_doubt(about, doubtful(about), &made);
	return made;
}

/* ---- what people ask ------------------------------------------------------ */

/* nobody else can: neither what the body asked for nor a 2xx that cannot be read tells it */
bool
df_asks_person(const DfStep *step)
{
	if (step->row.evidence.said == DF_MEANS_STUCK)
		return step->row.state == DF_STEP_FAILED || step->row.state == DF_STEP_DOUBT;
	return step->row.state == DF_STEP_DOUBT && step->row.finished_at != DF_NEVER &&
		(step->engine.spec->doubt != DF_DOUBT_FAIL || was_carried_out(step));
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
		return renewal;
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
	evidence->key_spent = evidence->key_spent && word != DF_WORD_RESEND;
	evidence->resolved = word;
}

DfDecision
df_decide_word(const DfDoubtCase *about, DfWord word)
{
	const DfStep *step = about->step;
	DfDecision made = decision(about, DF_MEANS_DOUBT);
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

/* ---- names ---------------------------------------------------------------- */

static const char *const doubt_names[] = {
	[DF_DOUBT_STUCK] = "stuck",
	[DF_DOUBT_FAIL] = "fail",
	[DF_DOUBT_RESEND] = "resend",
	[DF_DOUBT_ACCEPT] = "accept",
};

StaticAssertDecl(lengthof(doubt_names) == DF_NDOUBTS, "every value of `doubt` has a name");

int
df_doubt_policy_of(const char *name)
{
	return df_value_of(doubt_names, lengthof(doubt_names), name);
}

static const char *const word_names[] = {
	[DF_WORD_NONE] = NULL,
	[DF_WORD_DONE] = "done",
	[DF_WORD_NOT_DONE] = "not_done",
	[DF_WORD_SKIPPED] = "skipped",
	[DF_WORD_UNDONE] = "undone",
	[DF_WORD_RESEND] = "resend",
};

StaticAssertDecl(lengthof(word_names) == DF_NWORDS, "every word has a name");

const char *
df_word_name(DfWord word)
{
	return df_name_of(word_names, lengthof(word_names), word);
}

int
df_word_of(const char *name)
{
	return df_value_of(word_names, lengthof(word_names), name);
}
