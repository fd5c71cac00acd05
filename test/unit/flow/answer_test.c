/*
 * test/unit/flow/answer_test.c
 *	  Tests of what an answer means: to a request, to an undo, to a mail.
 *
 * The rules are written down a second time here and compared over the whole range of their
 * arguments.  Whoever changes a rule changes it in two places on purpose.
 *
 * An ordinary program that prints TAP; test/unit/run builds it plain, with sanitizers and
 * under valgrind.
 *
 * sources: test/unit/tap.c src/flow
 */
#include "postgres.h"

#include <limits.h>

#include "flow/flow.h"
#include "tap.h"

static const int accepted[] = {404, 409, 410};

/* the rule by status alone: no doubt, nothing accepted; ? = depends on harmless */
static char
rule_of_status(int status)
{
	if (status >= 200 && status <= 299)
		return 'D';
	switch (status)
	{
		case 408:
		case 425:
		case 429:
		case 503:
			return 'R';
		case 401:
		case 403:
			return 'C';
	}
	return status >= 300 && status <= 499 ? 'F' : '?';
}

static DfVerdict
expected_verdict(const DfAnswer *answer)
{
	bool harmless = answer->method != DF_METHOD_EFFECT || answer->key_trusted;
	DfVerdict maybe = harmless ? DF_VERDICT_RETRY_SAME : DF_VERDICT_DOUBT;
	bool listed = answer->naccept > 0 &&
		(answer->status == 404 || answer->status == 409 || answer->status == 410);
	char rule = rule_of_status(answer->status);

	if (rule == 'D')
		return answer->body_unusable ? DF_VERDICT_UNUSABLE : DF_VERDICT_DONE;
	if (answer->status == 409 && (answer->was_doubt || answer->was_lost))
	{
		if (answer->method == DF_METHOD_EFFECT)
			return DF_VERDICT_DOUBT;
		if (answer->method == DF_METHOD_IDEMPOTENT && !listed)
			return DF_VERDICT_DOUBT;
	}
	if (listed)
		return DF_VERDICT_DONE_NO_UNDO;
	if (rule == 'C')
		return DF_VERDICT_CREDENTIALS;
	if (rule == 'F')
		return DF_VERDICT_FAILED;
	if (rule == 'R' && !answer->was_doubt)
		return DF_VERDICT_RETRY;
	return maybe;
}

/* one of all combinations of what is known beside fate and status */
#define N_CONTEXTS (3 * 2 * 2 * 2 * 2 * 2)

static DfAnswer
context(int i)
{
	DfAnswer answer = {0};

	answer.method = i % 3;
	answer.key_trusted = i / 3 % 2;
	answer.body_unusable = i / 6 % 2;
	answer.was_doubt = i / 12 % 2;
	answer.accept = accepted;
	answer.naccept = i / 24 % 2 ? lengthof(accepted) : 0;
	answer.was_lost = i / 48 % 2;
	return answer;
}

static void
test_answers(void)
{
	int i;
	int status;

	for (i = 0; i < N_CONTEXTS; i++)
	{
		DfAnswer answer = context(i);

		answer.fate = DF_FATE_RESPONSE;
		for (status = 100; status <= 599; status++)
		{
			answer.status = status;
			EXPECT(df_answer_verdict(&answer) == expected_verdict(&answer),
				   "status %d in context %d: %d", status, i, df_answer_verdict(&answer));
		}
	}
	end_test("every status by method, key, body, doubt and accept");

	for (i = 0; i < N_CONTEXTS; i++)
	{
		static const int nonsense[] = {-1, 0, 1, 99, 600, 999, INT_MAX};
		DfAnswer answer = context(i);

		answer.fate = DF_FATE_RESPONSE;
		for (status = 0; status < (int) lengthof(nonsense); status++)
		{
			DfVerdict verdict;

			answer.status = nonsense[status];
			verdict = df_answer_verdict(&answer);
			EXPECT(verdict == DF_VERDICT_RETRY_SAME || verdict == DF_VERDICT_DOUBT,
				   "status %d is taken for an answer", answer.status);
		}
	}
	end_test("what is no status is no answer");
}

static void
test_fates(void)
{
	int i;
	int status;

	for (i = 0; i < N_CONTEXTS; i++)
	{
		DfAnswer answer = context(i);
		bool harmless = answer.method != DF_METHOD_EFFECT || answer.key_trusted;
		DfVerdict maybe = harmless ? DF_VERDICT_RETRY_SAME : DF_VERDICT_DOUBT;

		answer.fate = DF_FATE_NOT_SENT;
		EXPECT(df_answer_verdict(&answer) == (answer.was_doubt ? maybe : DF_VERDICT_RETRY),
			   "not sent, context %d", i);
		answer.fate = DF_FATE_LOST;
		EXPECT(df_answer_verdict(&answer) == maybe, "lost, context %d", i);
		answer.fate = DF_FATE_REFUSED;
		EXPECT(df_answer_verdict(&answer) == DF_VERDICT_FAILED, "refused, context %d", i);
		answer.fate = DF_FATE_TOO_LARGE;
		for (status = 100; status <= 599; status++)
		{
			answer.status = status;
			EXPECT(df_answer_verdict(&answer) ==
					   (status / 100 == 2 ? DF_VERDICT_UNUSABLE : expected_verdict(&answer)),
				   "too large, status %d, context %d", status, i);
		}
		answer.status = 0;
		EXPECT(df_answer_verdict(&answer) == maybe, "too large without a status, context %d", i);
	}
	end_test("not sent, lost, refused, too large");

	for (i = 0; i < N_CONTEXTS; i++)
	{
		DfAnswer answer = context(i);

		if (!answer.was_doubt)
			continue;
		for (status = 100; status <= 599; status++)
		{
			for (answer.fate = DF_FATE_RESPONSE; answer.fate <= DF_FATE_STARVED; answer.fate++)
			{
				answer.status = status;
				EXPECT(df_answer_verdict(&answer) != DF_VERDICT_RETRY,
					   "doubt is forgotten at status %d", status);
			}
		}
	}
	end_test("doubt is never forgotten by a later attempt");
}

static DfVerdict
expected_undo_verdict(const DfAnswer *answer, int status)
{
	DfVerdict lost = answer->method == DF_METHOD_EFFECT && !answer->key_trusted ? DF_VERDICT_DOUBT
																				: DF_VERDICT_RETRY;

	if (status >= 200 && status <= 299)
		return DF_VERDICT_DONE;
	if (status == 404 || status == 410)
		return DF_VERDICT_DONE_NO_UNDO;
	switch (status)
	{
		case 401:
		case 403:
		case 408:
		case 409:
		case 423:
		case 425:
		case 429:
		case 503:
			return DF_VERDICT_RETRY;
	}
	return status >= 300 && status <= 499 ? DF_VERDICT_FAILED : lost;
}

static void
test_undo_answers(void)
{
	int i;
	int status;

	for (i = 0; i < N_CONTEXTS; i++)
	{
		DfAnswer answer = context(i);

		for (status = 100; status <= 599; status++)
		{
			answer.status = status;
			answer.fate = DF_FATE_RESPONSE;
			EXPECT(df_answer_undo_verdict(&answer) == expected_undo_verdict(&answer, status),
				   "undo: status %d, context %d", status, i);
			answer.fate = DF_FATE_TOO_LARGE;
			EXPECT(df_answer_undo_verdict(&answer) == expected_undo_verdict(&answer, status),
				   "undo: too large, status %d, context %d", status, i);
		}
		answer.status = 0;
		answer.fate = DF_FATE_NOT_SENT;
		EXPECT(df_answer_undo_verdict(&answer) == DF_VERDICT_RETRY, "undo: not sent");
		answer.fate = DF_FATE_LOST;
		EXPECT(df_answer_undo_verdict(&answer) ==
				   (answer.method == DF_METHOD_EFFECT && !answer.key_trusted ? DF_VERDICT_DOUBT
																			 : DF_VERDICT_RETRY),
			   "undo: lost");
		answer.fate = DF_FATE_REFUSED;
		EXPECT(df_answer_undo_verdict(&answer) == DF_VERDICT_FAILED, "undo: refused");
	}
	end_test("every status as the answer to an undo");

	EXPECT(df_method_class("GET") == DF_METHOD_SAFE && df_method_class("HEAD") == DF_METHOD_SAFE,
		   "GET, HEAD");
	EXPECT(df_method_class("PUT") == DF_METHOD_IDEMPOTENT &&
			   df_method_class("DELETE") == DF_METHOD_IDEMPOTENT,
		   "PUT, DELETE");
	EXPECT(df_method_class("POST") == DF_METHOD_EFFECT &&
			   df_method_class("PATCH") == DF_METHOD_EFFECT &&
			   df_method_class("get") == DF_METHOD_EFFECT &&
			   df_method_class("GETX") == DF_METHOD_EFFECT &&
			   df_method_class("PURGE") == DF_METHOD_EFFECT &&
			   df_method_class("") == DF_METHOD_EFFECT,
		   "all others may do anything");
	end_test("classes of methods");
}

static DfVerdict
expected_mail_verdict(int code, bool was_doubt)
{
	static const int credentials[] = {530, 534, 535, 538};

	for (int i = 0; i < lengthof(credentials); i++)
		if (code == credentials[i])
			return DF_VERDICT_CREDENTIALS;
	if (code / 100 == 2)
		return DF_VERDICT_DONE;
	if (code / 100 == 4)
		return was_doubt ? DF_VERDICT_DOUBT : DF_VERDICT_RETRY;
	return code / 100 == 5 ? DF_VERDICT_FAILED : DF_VERDICT_DOUBT;
}

static void
test_mail_answers(void)
{
	for (int was_doubt = 0; was_doubt < 2; was_doubt++)
	{
		DfAnswer answer = {.method = DF_METHOD_EFFECT, .was_doubt = was_doubt, .key_trusted = true};

		answer.fate = DF_FATE_RESPONSE;
		for (answer.status = 0; answer.status < 1000; answer.status++)
			EXPECT(df_answer_mail_verdict(&answer) ==
					   expected_mail_verdict(answer.status, was_doubt),
				   "mail: code %d, was_doubt %d", answer.status, was_doubt);
		answer.status = 0;
		answer.fate = DF_FATE_NOT_SENT;
		EXPECT(df_answer_mail_verdict(&answer) == (was_doubt ? DF_VERDICT_DOUBT : DF_VERDICT_RETRY),
			   "mail: not sent");
		answer.fate = DF_FATE_LOST;
		EXPECT(df_answer_mail_verdict(&answer) == DF_VERDICT_DOUBT, "mail: lost");
		answer.fate = DF_FATE_REFUSED;
		EXPECT(df_answer_mail_verdict(&answer) == DF_VERDICT_FAILED, "mail: refused");
	}
	end_test("what a reply to a mail means");
}

int
main(void)
{
	test_answers();
	test_fates();
	test_undo_answers();
	test_mail_answers();
	return done_testing();
}
