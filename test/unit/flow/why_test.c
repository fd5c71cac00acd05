/*
 * test/unit/flow/why_test.c
 *	  Tests of why a step has failed: what the system said, or whose limit ran out.
 *
 * An ordinary program that prints TAP; test/unit/run builds it plain, with sanitizers and
 * under valgrind.
 *
 * sources: test/unit/tap.c src/flow
 */
#include "postgres.h"

#include "flow/doubt.h"
#include "flow/flow.h"
#include "tap.h"

static void
test_limits(void)
{
	DfRetry retry = {.max_attempts = 3, .for_ms = 1000};

	EXPECT(!df_retry_ends_by_own_limit(&retry, 3), "both of the system");
	retry.own_attempts = true;
	EXPECT(df_retry_ends_by_own_limit(&retry, 3), "max_attempts of the step");
	EXPECT(!df_retry_ends_by_own_limit(&retry, 2), "it has not run out: the system's for has");
	retry.own_attempts = false;
	retry.own_for = true;
	EXPECT(!df_retry_ends_by_own_limit(&retry, 3), "max_attempts of the system ran out");
	EXPECT(df_retry_ends_by_own_limit(&retry, 2), "for of the step");
	retry.max_attempts = 0;
	EXPECT(df_retry_ends_by_own_limit(&retry, 100), "for of the step, attempts without limit");
	retry.for_ms = 0;
	EXPECT(!df_retry_ends_by_own_limit(&retry, 100), "no limit at all");
	end_test("whose limit it was");
}

static DfWhy
why(DfVerdict verdict, DfMeaning meaning, DfFate fate, bool own)
{
	DfStepSpec spec = {.method_class = DF_METHOD_EFFECT};
	DfStep step;
	DfSystemPolicy policy;
	DfDoubtCase about;
	DfDecision made;

	memset(&step, 0, sizeof(step));
	memset(&policy, 0, sizeof(policy));
	memset(&about, 0, sizeof(about));
	memset(&made, 0, sizeof(made));
	step.engine.spec = &spec;
	step.row.attempts = 2;
	about.step = &step;
	about.policy = &policy;
	about.retry.max_attempts = 2;
	about.retry.own_attempts = own;
	made.verdict = verdict;
	made.meaning = meaning;
	return df_why_failed(&about, &made, fate);
}

static void
test_why(void)
{
	EXPECT(why(DF_VERDICT_FAILED, DF_MEANS_FAIL, DF_FATE_RESPONSE, true) == DF_WHY_REFUSED,
		   "the system refused");
	EXPECT(why(DF_VERDICT_FAILED, DF_MEANS_FAIL, DF_FATE_REFUSED, true) == DF_WHY_ERROR,
		   "we refused to send it");
	EXPECT(why(DF_VERDICT_FAILED, DF_MEANS_RETRY, DF_FATE_RESPONSE, true) == DF_WHY_OWN_LIMIT,
		   "tried again until the step's limit");
	EXPECT(why(DF_VERDICT_FAILED, DF_MEANS_RETRY, DF_FATE_NOT_SENT, false) == DF_WHY_LIMIT,
		   "tried again until the system's limit");
	EXPECT(why(DF_VERDICT_FAILED, DF_MEANS_DOUBT, DF_FATE_LOST, false) == DF_WHY_LIMIT,
		   "a read that got no answer");
	EXPECT(why(DF_VERDICT_UNTIL_TIMEOUT, DF_MEANS_DONE, DF_FATE_RESPONSE, false) ==
			   DF_WHY_TIMEOUT,
		   "until");
	EXPECT(why(DF_VERDICT_UNREADABLE, DF_MEANS_UNUSABLE, DF_FATE_RESPONSE, true) == DF_WHY_ERROR,
		   "a response that cannot be read");
	EXPECT(why(DF_VERDICT_EXISTED, DF_MEANS_DONE, DF_FATE_RESPONSE, false) == DF_WHY_REFUSED,
		   "it was there before");
	EXPECT(why(DF_VERDICT_DOUBTFUL, DF_MEANS_DOUBT, DF_FATE_LOST, true) == DF_WHY_IN_DOUBT,
		   "in doubt");
	end_test("why a step has failed");
}

int
main(void)
{
	test_limits();
	test_why();
	return done_testing();
}
