/*
 * flow/retry.c
 *	  When a step, an undo or a body is tried again, or that it is not.
 *
 * Called by a worker after a failed attempt, in no transaction.  Pure: now and
 * the random number are arguments, so that a test can ask for any of them.  It
 * must never overflow, whatever policy a user wrote and however many attempts
 * there were, and must never return a time before now.
 */
#include "postgres.h"

#include "common/int.h"

#include "flow/flow.h"
#include "types/base.h"

/* a back-off longer than a year is a mistake; the bound keeps the sums in range */
#define MAX_BACKOFF_MS (INT64CONST(366) * 24 * 3600 * 1000)

static int64
clamp_ms(int64 ms)
{
	return Max(0, Min(ms, MAX_BACKOFF_MS));
}

/* initial * 2^(attempts - 1), but at most max */
static int64
backoff_cap_ms(const DfRetry *policy, int attempts)
{
	int64 max = clamp_ms(policy->max_ms);
	int64 cap = Min(clamp_ms(policy->initial_ms), max);
	int i;

	/* ends after at most 35 doublings: MAX_BACKOFF_MS is below 2^35 */
	for (i = 1; i < attempts && cap > 0 && cap < max; i++)
		cap = Min(cap * 2, max);
	return cap;
}

/*
 * Full jitter: anything between nothing and the cap, so that a thousand runs
 * that failed together do not come back together.  What the system asked for
 * is kept to the second and wins over the back-off; the jitter on top of it is
 * one first back-off at most.
 */
static int64
delay_ms(const DfRetryQuestion *question)
{
	double jitter = question->jitter > 0.0 ? Min(question->jitter, 1.0) : 0.0;
	const DfRetry *policy = &question->policy;

	if (question->retry_after_ms >= 0)
		return Min(question->retry_after_ms, DF_MAX_ASKED_MS) +
			(int64) (jitter * (double) backoff_cap_ms(policy, 1));
	return (int64) (jitter * (double) backoff_cap_ms(policy, question->attempts));
}

/* whether `at` lies beyond the time that the policy gives a step in all */
static bool
is_too_late(const DfRetryQuestion *question, TimestampTz at)
{
	TimestampTz first_at = question->first_at == DF_NEVER ? question->now : question->first_at;
	int64 elapsed;

	if (question->policy.for_ms <= 0)
		return false;
	if (pg_sub_s64_overflow(at, first_at, &elapsed))
		return at > first_at;

	/* elapsed > for_ms * 1000, without the product */
	return elapsed > 0 && (elapsed - 1) / 1000 >= question->policy.for_ms;
}

TimestampTz
df_retry_at(const DfRetryQuestion *question)
{
	const DfRetry *policy = &question->policy;
	TimestampTz at;

	if (policy->max_attempts > 0 && question->attempts >= policy->max_attempts)
		return DF_NEVER;
	if (pg_add_s64_overflow(question->now, delay_ms(question) * 1000, &at))
		return DF_NEVER;
	if (is_too_late(question, at))
		return DF_NEVER;

	/* the one instant that cannot be told from "never" */
	return at == DF_NEVER ? at + 1 : at;
}

bool
df_retry_ends_by_own_limit(const DfRetry *policy, int attempts)
{
	if (policy->max_attempts > 0 && attempts >= policy->max_attempts)
		return policy->own_attempts;
	return policy->for_ms > 0 && policy->own_for;
}
