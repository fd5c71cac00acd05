/*
 * test/unit/flow/probe_test.c
 *	  Tests of what a probe's answer leads to, and what it must never lead to.
 *
 * An ordinary program that prints TAP; test/unit/run builds it plain, with sanitizers and
 * under valgrind.
 *
 * sources: test/unit/tap.c src/flow
 */
#include "postgres.h"

#include "flow/flow.h"
#include "tap.h"

static DfProbeQuestion
probe_question(int i)
{
	DfProbeQuestion question = {0};

	question.found = i % 4 - 1;
	question.was_sent = i / 4 % 2;
	question.settled = i / 8 % 2;
	question.carried_out = i / 16 % 2;
	question.refused = i / 32 % 2;
	question.unwanted = i / 64 % 2;
	question.undoing = i / 128 % 2;
	question.harmless = i / 256 % 2;
	question.budget_left = i / 512 % 2;
	question.doubt = i / 1024 % 3;
	return question;
}

/* what must never happen, whatever else is known */
static void
test_probe(void)
{
	static const DfProbeQuestion doubt = {.was_sent = true, .settled = true, .budget_left = true};
	DfProbeQuestion one = doubt;

	for (int i = 0; i < 1024 * 3; i++)
	{
		DfProbeQuestion question = probe_question(i);
		DfProbeVerdict verdict = df_probe_verdict(&question);
		bool again = verdict == DF_PROBE_SEND || verdict == DF_PROBE_SEND_SAME;

		EXPECT((verdict == DF_PROBE_ADOPT) == (question.found == 1 && question.was_sent),
			   "adopted, question %d", i);
		EXPECT(verdict != DF_PROBE_EXISTED || !question.was_sent, "existed, question %d", i);
		EXPECT(!again || !question.was_sent || question.budget_left, "no budget, question %d", i);
		EXPECT(!again || !question.was_sent ||
				   !(question.carried_out || question.refused || question.undoing),
			   "sent again, question %d", i);
		EXPECT(verdict != DF_PROBE_SEND || question.found == 0, "sent without knowing, question %d",
			   i);
		if (question.was_sent)
		{
			EXPECT(!(verdict == DF_PROBE_SEND || verdict == DF_PROBE_NOT_DONE) || question.settled,
				   "believed too early, question %d", i);
			EXPECT(verdict != DF_PROBE_NOT_DONE || question.found == 0,
				   "failed without knowing, question %d", i);
			EXPECT(!question.carried_out || verdict != DF_PROBE_NOT_DONE,
				   "carried out, but failed, question %d", i);
			EXPECT(verdict != DF_PROBE_SEND_SAME || question.harmless ||
					   question.doubt == DF_DOUBT_RESEND,
				   "sent blindly, question %d", i);
		}
		else
			EXPECT(verdict != DF_PROBE_DOUBTFUL && verdict != DF_PROBE_STUCK &&
					   verdict != DF_PROBE_LATER,
				   "doubt about what was never sent, question %d", i);
	}
	end_test("what a probe must never lead to");

	EXPECT(df_probe_verdict(&one) == DF_PROBE_SEND, "not there");
	one.settled = false;
	EXPECT(df_probe_verdict(&one) == DF_PROBE_LATER, "not there yet");
	one = doubt;
	one.refused = true;
	EXPECT(df_probe_verdict(&one) == DF_PROBE_NOT_DONE, "refused, and not there");
	one = doubt;
	one.found = 2;
	EXPECT(df_probe_verdict(&one) == DF_PROBE_DOUBTFUL, "two records");
	one.doubt = DF_DOUBT_ACCEPT;
	EXPECT(df_probe_verdict(&one) == DF_PROBE_ACCEPT, "two records, accepted");
	one.doubt = DF_DOUBT_RESEND;
	EXPECT(df_probe_verdict(&one) == DF_PROBE_SEND_SAME, "two records, at least once");
	one.carried_out = true;
	EXPECT(df_probe_verdict(&one) == DF_PROBE_STUCK, "carried out, two records");
	one.found = 0;
	EXPECT(df_probe_verdict(&one) == DF_PROBE_STUCK, "carried out, and not there");
	end_test("what a probe's answer means");
}

int
main(void)
{
	test_probe();
	return done_testing();
}
