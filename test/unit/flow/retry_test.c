/*
 * test/unit/flow/retry_test.c
 *	  Tests of when a failed attempt is tried again, and when no more.
 *
 * An ordinary program that prints TAP; test/unit/run builds it plain, with sanitizers and
 * under valgrind.
 *
 * sources: test/unit/tap.c src/flow
 */
#include "postgres.h"

#include <limits.h>

#include "flow/flow.h"
#include "flow/random.h"
#include "tap.h"
#include "types/base.h"

#define NOW ((TimestampTz) INT64CONST(800000000000000))
#define MS(ms) ((TimestampTz) (ms) *1000)

static const DfRetry default_policy = {
	.initial_ms = 1000, .max_ms = 300000, .for_ms = 86400000};

static TimestampTz
ask(DfRetry policy, int attempts, double jitter, int64 retry_after_ms)
{
	DfRetryQuestion question = {policy, attempts, NOW, NOW, retry_after_ms, jitter};

	return df_retry_at(&question);
}

static void
test_backoff(void)
{
	static const int64 caps[] = {1000, 2000, 4000, 8000, 16000, 32000,
								 64000, 128000, 256000, 300000, 300000};
	DfRetry policy = default_policy;
	int attempts;

	for (attempts = 1; attempts <= (int) lengthof(caps); attempts++)
	{
		EXPECT(ask(policy, attempts, 0.5, -1) == NOW + MS(caps[attempts - 1] / 2), "attempt %d",
			   attempts);
		EXPECT(ask(policy, attempts, 0.0, -1) == NOW, "no jitter, attempt %d", attempts);
		EXPECT(ask(policy, attempts, 0.999999, -1) < NOW + MS(caps[attempts - 1]),
			   "most jitter, attempt %d", attempts);
	}
	EXPECT(ask(policy, 0, 0.5, -1) == NOW + MS(500), "no attempt yet counts as one");
	end_test("the default back-off: 1 s doubled to 5 min, full jitter");

	for (attempts = 1; attempts < 3000; attempts++)
	{
		double jitter = next_jitter();

		policy.initial_ms = next_random(100000);
		policy.max_ms = next_random(10000000);
		policy.for_ms = 0;
		EXPECT(ask(policy, attempts % 60, jitter, -1) <= ask(policy, attempts % 60 + 1, jitter, -1),
			   "the back-off shrinks after attempt %d", attempts % 60);
		EXPECT(ask(policy, attempts, jitter, -1) >= NOW, "a time that is past");
		EXPECT(ask(policy, attempts, jitter, -1) <= NOW + MS(policy.max_ms), "later than max");
	}
	end_test("the back-off never shrinks, is never past, never beyond max");
}

static void
test_budget(void)
{
	DfRetry policy = default_policy;
	DfRetryQuestion question;
	int attempts;

	policy.max_attempts = 3;
	for (attempts = 1; attempts <= 5; attempts++)
		EXPECT((ask(policy, attempts, 0.5, -1) == DF_NEVER) == (attempts >= 3), "attempt %d of 3",
			   attempts);
	EXPECT(ask(policy, 3, 0.5, 1000) == DF_NEVER, "Retry-After is no new budget");
	policy.max_attempts = 1;
	EXPECT(ask(policy, 1, 0.5, -1) == DF_NEVER, "one attempt only");
	policy.max_attempts = 0;
	EXPECT(ask(policy, INT_MAX, 0.5, -1) != DF_NEVER, "0 is no limit");
	end_test("max_attempts");

	question = (DfRetryQuestion){default_policy, 20, NOW, NOW, -1, 0.5};
	question.now = NOW + MS(86400000 - 150000);
	EXPECT(df_retry_at(&question) == NOW + MS(86400000), "the last moment of the budget");
	question.now += 1;
	EXPECT(df_retry_at(&question) == DF_NEVER, "a microsecond beyond the budget");
	question.policy.for_ms = 0;
	EXPECT(df_retry_at(&question) == question.now + MS(150000), "0 is no limit");
	question.policy.for_ms = 1000;
	question.first_at = DF_NEVER;
	question.attempts = 1;
	EXPECT(df_retry_at(&question) == question.now + MS(500),
		   "not begun yet: the budget begins now");
	question.first_at = question.now + MS(5000);
	EXPECT(df_retry_at(&question) != DF_NEVER, "a clock that was set back costs no budget");
	question.retry_after_ms = 10000;
	question.first_at = question.now;
	EXPECT(df_retry_at(&question) == DF_NEVER, "asked to come after the budget");
	end_test("the time since the first attempt");
}

static void
test_retry_after(void)
{
	DfRetry policy = default_policy;
	int i;

	EXPECT(ask(policy, 1, 0.0, 0) == NOW, "Retry-After: 0");
	EXPECT(ask(policy, 9, 0.0, 7000) == NOW + MS(7000), "wins over the back-off");
	EXPECT(ask(policy, 9, 0.5, 7000) == NOW + MS(7500), "jitter of one first back-off");
	EXPECT(ask(policy, 1, 0.0, 7200000) == NOW + MS(3600000), "capped at an hour");
	EXPECT(ask(policy, 1, 0.0, PG_INT64_MAX) == NOW + MS(3600000),
		   "capped at an hour, whatever it is");
	for (i = 0; i < 3000; i++)
	{
		int64 after = next_random(3600000);
		TimestampTz at = ask(policy, 1 + (int) next_random(50), next_jitter(), after);

		EXPECT(at >= NOW + MS(after), "earlier than asked for");
		EXPECT(at <= NOW + MS(after + policy.initial_ms), "much later than asked for");
	}
	end_test("Retry-After wins, is kept, is capped");
}

/* a policy as a user might write it by mistake, or to see what happens */
static DfRetry
wild_policy(void)
{
	static const int64 wild[] = {PG_INT64_MIN,
								 -1,
								 0,
								 1,
								 999,
								 1000,
								 INT64CONST(1) << 40,
								 INT64CONST(1) << 53,
								 PG_INT64_MAX / 1000,
								 PG_INT64_MAX / 1000 + 1,
								 PG_INT64_MAX - 1,
								 PG_INT64_MAX};
	DfRetry policy;

	policy.max_attempts = next_random(4) == 0 ? -1 : 0;
	policy.initial_ms = wild[next_random(lengthof(wild))];
	policy.max_ms = wild[next_random(lengthof(wild))];
	policy.for_ms = wild[next_random(lengthof(wild))];
	return policy;
}

static void
test_overflow(void)
{
	static const int attempts[] = {INT_MIN, -1, 0, 1, 2, 31, 32, 33, 62, 63, 64, 65, 1000, INT_MAX};
	static const double jitters[] = {-1.0, 0.0, 0.5, 0.999999999, 1.0, 2.0, 1e300, -1e300};
	static const TimestampTz times[] = {PG_INT64_MIN, -1, 0, 1, NOW,
										PG_INT64_MAX - 1, PG_INT64_MAX};
	int i;

	for (i = 0; i < 200000; i++)
	{
		DfRetryQuestion question;
		TimestampTz at;

		question.policy = wild_policy();
		question.attempts = attempts[next_random(lengthof(attempts))];
		question.first_at = times[next_random(lengthof(times))];
		question.now = times[next_random(lengthof(times))];
		question.retry_after_ms = next_random(2) ? -1 : PG_INT64_MAX - next_random(5);
		question.jitter = jitters[next_random(lengthof(jitters))];
		at = df_retry_at(&question);
		EXPECT(at == DF_NEVER || at >= question.now, "a time before now");
	}
	end_test("no policy, attempt or time overflows");
}

int
main(void)
{
	test_backoff();
	test_budget();
	test_retry_after();
	test_overflow();
	return done_testing();
}
