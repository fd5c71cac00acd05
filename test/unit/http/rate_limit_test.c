/*
 * test/unit/http/rate_limit_test.c
 *	  Tests of src/http: how long a response asks to be left alone.
 *
 * An ordinary program; prints TAP.
 *
 * sources: test/unit/tap.c src/http/rate_limit.c
 */
#include "postgres.h"

#include "http/rate_limit.h"
#include "tap.h"
#include "types/retry.h"

/* 2026-01-31 12:00:00 UTC */
#define NOW_UNIX INT64CONST(1769860800)

#define EPOCHS_APART ((int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY)

static const TimestampTz now = (NOW_UNIX - EPOCHS_APART) * USECS_PER_SEC;

static void
expect(int status, const char *headers, int64 ms)
{
	int64 got = df_rate_limit_ms(status, headers, now);

	EXPECT(got == ms, "%d %s: " INT64_FORMAT " ms", status, headers, got);
}

static void
test_retry_after(void)
{
	expect(429, NULL, -1);
	expect(429, "", -1);
	expect(429, "content-type: a\n", -1);
	expect(429, "retry-after: 1\n", 1000);
	expect(429, "retry-after: 0\n", 0);
	expect(429, "retry-after: 1.5\n", 1500);
	expect(503, "a: b\nretry-after: 0.25\nc: d\n", 250);
	expect(202, "retry-after: 3\n", 3000);
	expect(409, "retry-after: 3\n", 3000);
	expect(429, "retry-after: 1\nretry-after: 5\n", 5000);
	expect(429, "retry-after: 86400\n", DF_MAX_ASKED_MS);
	expect(429, "retry-after: Sat, 31 Jan 2026 12:00:07 GMT\n", 7000);
	expect(429, "retry-after: Sat, 31 Jan 2026 11:00:00 GMT\n", 0);
	expect(429, "retry-after: 2026-01-31T12:00:09Z\n", 9000);
	expect(429, "retry-after: 2026-01-31 12:00:00.5+00:00\n", 500);
	expect(429, "retry-after: 2026-01-31T14:00:09+02:00\n", 9000);
	expect(429, "retry-after: 1769860860\n", 60000);
	expect(429, "retry-after: 1769860800500\n", 500);
	expect(429, "retry-after: 1m30s\n", 90000);
	expect(429, "retry-after: 120ms\n", 120);
	expect(429, "retry-after: -5\n", -1);
	expect(429, "retry-after: soon\n", -1);
	expect(429, "retry-after: 12abc\n", -1);
	expect(429, "retry-after: \n", -1);
	expect(429, "retry-after", -1);
	expect(429, "retry-after: 99999999999999999999999999\n", DF_MAX_ASKED_MS);
	end_test("Retry-After");
}

static void
test_limits(void)
{
	expect(429, "ratelimit-reset: 4\n", 4000);
	expect(503, "ratelimit-reset: 4\n", 4000);
	expect(200, "ratelimit-remaining: 0\nratelimit-reset: 4\n", -1);
	expect(404, "ratelimit-remaining: 0\nratelimit-reset: 4\n", -1);
	expect(403, "ratelimit-reset: 4\n", -1);
	expect(403, "ratelimit-remaining: 0\nratelimit-reset: 4\n", 4000);
	expect(429, "x-ratelimit-remaining: 0\nx-ratelimit-reset: 1769860830\n", 30000);
	expect(429, "x-ratelimit-reset: 1769860830\nx-ratelimit-remaining: 0\n", 30000);
	expect(429, "x-ratelimit-remaining: 17\nx-ratelimit-reset: 1769860830\n", -1);
	expect(429, "x-ratelimit-reset: 1769860830\n", 30000);
	expect(429, "x-ratelimit-reset: 1769860801500\n", 1500);
	expect(403, "x-ratelimit-remaining: 0\nx-ratelimit-reset: 1769860830\n", 30000);
	expect(403, "x-ratelimit-remaining: 9\nx-ratelimit-reset: 1769860830\n", -1);
	expect(403, "x-ratelimit-remaining: 0\n", 10000);
	expect(403, "x-other-remaining: 0\nx-other-reset: 3\n", -1);
	expect(429, "x-rate-limit-remaining: 0\nx-rate-limit-reset: 12\n", 12000);
	expect(429, "x-ratelimit-remaining-requests: 0\nx-ratelimit-reset-requests: 1m0s\n"
				"x-ratelimit-remaining-tokens: 80\nx-ratelimit-reset-tokens: 9m0s\n",
		   60000);
	expect(429, "ratelimit: limit=10, remaining=0, reset=5\n", 5000);
	expect(429, "ratelimit: \"default\";r=0;t=6\n", 6000);
	expect(429, "ratelimit: \"default\";r=3;t=6\n", -1);
	expect(429, "retry-after: 2\nx-ratelimit-remaining: 0\nx-ratelimit-reset: 60\n", 2000);
	expect(429, "ratelimit-reset: 9999999\n", DF_MAX_ASKED_MS);
	end_test("the end of a rate limit");
}

int
main(void)
{
	test_retry_after();
	test_limits();
	return done_testing();
}
