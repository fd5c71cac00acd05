/*
 * flow/doubt_facts.c
 *	  What the decisions on doubt have in common: keys, times, the beginning of a decision.
 *
 * Called where flow/doubt.c is, whose rules hold here.  Pure: the case and what came go in, a
 * decision comes out.
 */
#include "postgres.h"

#include "flow/doubt_facts.h"
#include "flow/flow.h"
#include "flow/names.h"
#include "types/base.h"

/* a probe that gets no response is given up after this, if the step has no limit of its own */
#define PROBE_FOR_MS (INT64CONST(24) * 3600 * 1000)

/* the header in which the system looks for it now is the one in which it was sent */
static bool
key_is_where_it_was(const DfDoubtCase *about)
{
	const char *was = about->step->engine.spec->key_place.header;
	const char *is = about->policy->key_header;

	return was == NULL || is == NULL || pg_strcasecmp(was, is) == 0;
}

/* for a time, and if it looks for it where it was sent; effect: of a POST or PATCH */
static bool
honours_key(const DfDoubtCase *about, bool effect)
{
	const DfKeyPlace *place = &about->step->engine.spec->key_place;
	bool in_request = effect && (place->field != NULL || place->parameter != NULL);

	return (about->policy->key_trusted && key_is_where_it_was(about)) || in_request;
}

/* the same key would find the first attempt, if it was carried out; effect: of a POST or PATCH */
bool
df_key_holds(const DfDoubtCase *about, TimestampTz since, bool effect)
{
	return honours_key(about, effect) && about->now - since < about->policy->key_ttl_ms * 1000;
}

bool
df_key_is_honoured(const DfDoubtCase *about)
{
	return honours_key(about, about->step->engine.spec->method_class == DF_METHOD_EFFECT);
}

bool
df_key_is_trusted(const DfDoubtCase *about)
{
	const DfStep *step = about->step;

	return df_key_holds(about, step->row.started_at,
						step->engine.spec->method_class == DF_METHOD_EFFECT);
}

/*
 * retry() had it rendered anew: to send it is not to repeat what was lost.  Once it was
 * sent, the attempts before count as those that the probe did not find.
 */
bool
df_is_another_request(const DfStep *step)
{
	return step->row.attempts == 0 && step->row.renewals > 0 && step->row.evidence.lost > 0;
}

/* GET, HEAD, PUT, DELETE may always be sent again; the others by a trusted key */
bool
df_is_harmless(const DfDoubtCase *about)
{
	const DfStepSpec *spec = about->step->engine.spec;

	if (spec->is_mail || df_is_another_request(about->step))
		return false;
	if (about->step->row.evidence.key_spent)
		return spec->method_class != DF_METHOD_EFFECT;
	return spec->method_class != DF_METHOD_EFFECT ||
		df_key_is_trusted(about);
}

bool
df_is_undoing(const DfDoubtCase *about)
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
TimestampTz
df_next_probe(const DfDoubtCase *about, int64 retry_after_ms)
{
	TimestampTz since = df_is_undoing(about) ? about->step->row.undo_since : df_settled_at(about);
	int64 age_ms = Max(0, about->now - since) / 1000;
	DfRetryQuestion question = retry_question(about, 1, since, retry_after_ms);

	question.policy.max_attempts = 0;
	if (df_is_undoing(about))
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
bool
df_asks_for_time(DfFate fate, int status, int64 retry_after_ms)
{
	return fate == DF_FATE_RESPONSE && (status == 429 || retry_after_ms >= 0);
}

/* when it wants to be asked again; if it does not say, later the longer it has been so */
TimestampTz
df_asked_until(const DfDoubtCase *about, int64 retry_after_ms)
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

DfDecision
df_decision(const DfDoubtCase *about, DfMeaning meaning)
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
int
df_event_lose(const DfDoubtCase *about)
{
	return about->step->row.state == DF_STEP_DOUBT ? DF_NO_EVENT : DF_STEP_LOSE;
}
