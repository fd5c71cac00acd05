/*
 * test/unit/flow/meaning_test.c
 *	  Tests of what a response says by itself: to a request, a probe, an undo, a mail.
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

#include "flow/meaning.h"
#include "tap.h"

static const int accepted[] = {404, 409, 410, 200};
static const char letters[] = "DKR?FSCU"; /* by DfMeaning */

/* the rule by status alone, nothing accepted */
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

static char
rule_of_mail(int code)
{
	switch (code)
	{
		case 530:
		case 534:
		case 535:
		case 538:
			return 'C';
	}
	switch (code / 100)
	{
		case 2:
			return 'D';
		case 4:
			return 'R';
		case 5:
			return 'F';
	}
	return '?';
}

static char
rule_of_undo(int status)
{
	switch (status)
	{
		case 404:
		case 410:
			return 'K';
		case 401:
		case 403:
		case 409:
		case 423:
			return 'R';
	}
	return rule_of_status(status);
}

static bool
is_listed(const DfStepSpec *spec, int status)
{
	return spec->naccept > 0 && (status == 404 || status == 409 || status == 410);
}

static void
check(DfMeaning got, char expected, const char *what, int status)
{
	EXPECT(letters[got] == expected, "%s: status %d is %c, not %c", what, status, letters[got],
		   expected);
}

static void
check_status(const DfStepSpec *spec, DfCame came)
{
	char rule = spec->is_mail ? rule_of_mail(came.status) : rule_of_status(came.status);
	bool spoilt = came.body_unusable;

	if (!spec->is_mail && is_listed(spec, came.status))
		rule = 'K';
	check(df_response_meaning(spec, &came), rule == 'D' && spoilt && !spec->is_mail ? 'U' : rule,
		  spec->is_mail ? "mail" : "request", came.status);

	rule = rule_of_status(came.status);
	check(df_probe_meaning(&came), rule == 'D' && spoilt ? 'U' : rule, "probe", came.status);
	check(df_undo_meaning(&came), rule_of_undo(came.status), "undo", came.status);
}

static void
test_statuses(void)
{
	static const int nonsense[] = {-1, 0, 1, 99, 600, 999, INT_MAX};

	for (int i = 0; i < 16; i++)
	{
		DfStepSpec spec = {.is_mail = i % 2,
						   .accept = accepted,
						   .naccept = i / 2 % 2 ? lengthof(accepted) : 0};
		DfCame came = {.body_unusable = i / 4 % 2,
					   .fate = i / 8 % 2 ? DF_FATE_RESPONSE : DF_FATE_TOO_LARGE};

		for (came.status = 100; came.status <= 599; came.status++)
			check_status(&spec, came);
		for (int n = 0; n < lengthof(nonsense); n++)
		{
			came.status = nonsense[n];
			check(df_response_meaning(&spec, &came), '?', "request", came.status);
			check(df_probe_meaning(&came), '?', "probe", came.status);
			check(df_undo_meaning(&came), '?', "undo", came.status);
		}
	}
	end_test("every status of a request, a mail, a probe and an undo");
}

static void
test_fates(void)
{
	static const struct
	{
		DfFate fate;
		char rule;
	} fates[] = {{DF_FATE_NOT_SENT, 'R'},
				 {DF_FATE_STARVED, 'R'},
				 {DF_FATE_LOST, '?'},
				 {DF_FATE_REFUSED, 'F'}};

	for (int i = 0; i < lengthof(fates); i++)
	{
		for (int status = 0; status <= 599; status++)
		{
			DfStepSpec spec = {.is_mail = status % 2,
							   .accept = accepted,
							   .naccept = lengthof(accepted)};
			DfCame came = {.fate = fates[i].fate, .status = status};

			check(df_response_meaning(&spec, &came), fates[i].rule, "request", status);
			check(df_probe_meaning(&came), fates[i].rule, "probe", status);
			check(df_undo_meaning(&came), fates[i].rule, "undo", status);
		}
	}
	end_test("without a response its status does not matter");
}

static void
test_methods(void)
{
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

	for (int status = -1; status <= 700; status++)
		EXPECT(df_status_is_refusal(status) == (rule_of_status(status) == 'F'), "refusal: %d",
			   status);
	end_test("statuses that are a definite no");
}

int
main(void)
{
	test_statuses();
	test_fates();
	test_methods();
	return done_testing();
}
