/*
 * test/unit/flow/classify_test.c
 *	  Tests of what an error of a body means: failed, transient, or stuck.
 *
 * An ordinary program that prints TAP; test/unit/run builds it plain, with sanitizers and
 * under valgrind.
 *
 * sources: test/unit/tap.c src/flow
 */
#include "postgres.h"

#include "flow/flow.h"
#include "tap.h"

static int
sqlstate_of(const char *text)
{
	return MAKE_SQLSTATE(text[0], text[1], text[2], text[3], text[4]);
}

static void
check_classified(const char *const *states, DfBodyError expected)
{
	int i;

	for (i = 0; states[i] != NULL; i++)
		EXPECT(df_classify_body_error(sqlstate_of(states[i]), "NameError: not looked at") ==
				   expected,
			   "SQLSTATE %s", states[i]);
}

static void
test_classify(void)
{
	static const char *const stuck[] = {"0A000", "25000", "25006", "25P02", "2D000", "2F000",
										"2F002", "2F003", "39000", "39P01", "42601", "42P01",
										"42703", "42883", "42501", "54000", "54001", "58P01",
										"F0000", "F0001", "XX000", "XX001", "XX002", "DF003",
										"DF004", "DF005", "DF006", "DF007", NULL};
	static const char *const transient[] = {"08000", "08006", "08P01", "40001", "40P01", "53000",
											"53100", "53200", "53300", "55P03", "57014", "57P01",
											"57P02", "57P03", "57P04", "58000", "58030", NULL};
	static const char *const failed[] = {"00000", "P0001", "P0000", "P0002", "P0003", "P0004",
										 "22012", "22023", "22P02", "23505", "23514", "21000",
										 "24000", "26000", "2200N", "28000", "55000", "55006",
										 "57000", "57ABC", "58ABC", "DF001", "DF002", "DF999",
										 "HV000", "ZZZZZ", "99999", NULL};
	int i;
	char text[6] = "00ABC";
	static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";

	check_classified(stuck, DF_BODY_STUCK);
	check_classified(transient, DF_BODY_TRANSIENT);
	check_classified(failed, DF_BODY_FAILED);
	EXPECT(df_classify_body_error(0, NULL) == DF_BODY_FAILED, "no SQLSTATE");
	end_test("SQLSTATEs that have a rule, and neighbours");

	for (i = 0; i < 36 * 36; i++)
	{
		const char *const stuck_classes = "0A 25 2D 2F 39 42 54 F0 XX";
		const char *const transient_classes = "08 40 53";
		char class_[3];
		DfBodyError expected = DF_BODY_FAILED;

		text[0] = class_[0] = digits[i / 36];
		text[1] = class_[1] = digits[i % 36];
		class_[2] = '\0';
		if (strstr(stuck_classes, class_) != NULL)
			expected = DF_BODY_STUCK;
		else if (strstr(transient_classes, class_) != NULL)
			expected = DF_BODY_TRANSIENT;
		EXPECT(df_classify_body_error(sqlstate_of(text), NULL) == expected, "class %s", class_);
	}
	end_test("every class there can be");
}

static void
test_classify_wrapped(void)
{
	static const char *const stuck[] = {"NameError: name 'custmer' is not defined",
										"SyntaxError: invalid syntax",
										"ImportError: no",
										"ModuleNotFoundError: No module named 'requests'",
										"AttributeError: x",
										"IndentationError: unexpected indent",
										"TabError: x",
										"UnboundLocalError: x",
										"could not compile PL/Python function \"f\""};
	static const char *const failed[] = {"",
										 "Name",
										 "NameError",
										 " NameError: x",
										 "nameerror: x",
										 "ValueError: x",
										 "KeyError: 'email'",
										 "plpy.Error: NameError: x",
										 "RuntimeError: SyntaxError: x",
										 "NameErrors: x"};
	int i;

	for (i = 0; i < (int) lengthof(stuck); i++)
	{
		EXPECT(df_classify_body_error(sqlstate_of("38000"), stuck[i]) == DF_BODY_STUCK, "%s",
			   stuck[i]);
		EXPECT(df_classify_body_error(sqlstate_of("38001"), stuck[i]) == DF_BODY_STUCK, "38001 %s",
			   stuck[i]);
		EXPECT(df_classify_body_error(sqlstate_of("P0001"), stuck[i]) == DF_BODY_FAILED,
			   "RAISE with Python's words: %s", stuck[i]);
	}
	for (i = 0; i < (int) lengthof(failed); i++)
		EXPECT(df_classify_body_error(sqlstate_of("38000"), failed[i]) == DF_BODY_FAILED, "\"%s\"",
			   failed[i]);
	EXPECT(df_classify_body_error(sqlstate_of("38000"), NULL) == DF_BODY_FAILED, "no message");
	end_test("errors that PL/Python wrapped");
}

int
main(void)
{
	test_classify();
	test_classify_wrapped();
	return done_testing();
}
