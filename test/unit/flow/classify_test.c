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
check_classified(const char *const *states, DfUndoOn undo_on, DfBodyError expected)
{
	int i;

	for (i = 0; states[i] != NULL; i++)
		EXPECT(df_classify_body_error(sqlstate_of(states[i]), "NameError: not looked at",
									  undo_on) == expected,
			   "SQLSTATE %s", states[i]);
}

static const char *const deploy[] = {"0A000", "25000", "25006", "25P02", "2D000", "2F000", "2F002",
									 "2F003", "39000", "39P01", "42601", "42P01", "42703", "42883",
									 "42501", "54000", "54001", "58P01", "F0000", "F0001", "XX000",
									 "XX001", "XX002", "DF003", "DF004", "DF005", "DF006", "DF007",
									 NULL};
static const char *const transient[] = {"08000", "08006", "08P01", "40001", "40P01", "53000",
										"53100", "53200", "53300", "55P03", "57014", "57P01",
										"57P02", "57P03", "57P04", "58000", "58030", NULL};
static const char *const mistakes[] = {"00000", "P0000", "P0002", "P0003", "P0004", "22012",
									   "22023", "22P02", "23505", "23514", "21000", "24000",
									   "26000", "2200N", "28000", "55000", "55006", "57000",
									   "57ABC", "58ABC", "DF002", "DF999", "HV000", "ZZZZZ",
									   "99999", "P0005", "P00O1", NULL};
static const char *const said[] = {"P0001", "DF008", NULL};

static void
test_classify(void)
{
	check_classified(deploy, DF_UNDO_ON_FAILURE, DF_BODY_STUCK);
	check_classified(mistakes, DF_UNDO_ON_FAILURE, DF_BODY_STUCK);
	check_classified(transient, DF_UNDO_ON_FAILURE, DF_BODY_TRANSIENT);
	check_classified(said, DF_UNDO_ON_FAILURE, DF_BODY_FAILED);
	EXPECT(df_classify_body_error(0, NULL, DF_UNDO_ON_FAILURE) == DF_BODY_STUCK, "no SQLSTATE");
	end_test("undo_on failure: SQLSTATEs that have a rule, and neighbours");

	check_classified(deploy, DF_UNDO_ON_ERROR, DF_BODY_STUCK);
	check_classified(mistakes, DF_UNDO_ON_ERROR, DF_BODY_FAILED);
	check_classified(transient, DF_UNDO_ON_ERROR, DF_BODY_TRANSIENT);
	check_classified(said, DF_UNDO_ON_ERROR, DF_BODY_FAILED);
	end_test("undo_on error: the same");
}

static void
test_every_class(void)
{
	static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
	char text[6] = "00ABC";

	for (int i = 0; i < 36 * 36; i++)
	{
		char class_[3];
		DfBodyError failure = DF_BODY_STUCK;
		DfBodyError error = DF_BODY_FAILED;

		text[0] = class_[0] = digits[i / 36];
		text[1] = class_[1] = digits[i % 36];
		class_[2] = '\0';
		if (strstr("0A 25 2D 2F 39 42 54 F0 XX", class_) != NULL)
			error = DF_BODY_STUCK;
		else if (strstr("08 40 53", class_) != NULL)
			error = failure = DF_BODY_TRANSIENT;
		EXPECT(df_classify_body_error(sqlstate_of(text), NULL, DF_UNDO_ON_FAILURE) == failure,
			   "class %s", class_);
		EXPECT(df_classify_body_error(sqlstate_of(text), NULL, DF_UNDO_ON_ERROR) == error,
			   "class %s with undo_on error", class_);
	}
	end_test("every class there can be");
}

static void
test_classify_wrapped(void)
{
	static const char *const typos[] = {"NameError: name 'custmer' is not defined",
										"SyntaxError: invalid syntax",
										"ImportError: no",
										"ModuleNotFoundError: No module named 'requests'",
										"AttributeError: x",
										"IndentationError: unexpected indent",
										"TabError: x",
										"UnboundLocalError: x",
										"could not compile PL/Python function \"f\""};
	static const char *const others[] = {"",
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

	for (i = 0; i < (int) lengthof(typos); i++)
	{
		EXPECT(df_classify_body_error(sqlstate_of("38000"), typos[i], DF_UNDO_ON_ERROR) ==
				   DF_BODY_STUCK,
			   "%s", typos[i]);
		EXPECT(df_classify_body_error(sqlstate_of("38001"), typos[i], DF_UNDO_ON_ERROR) ==
				   DF_BODY_STUCK,
			   "38001 %s", typos[i]);
		EXPECT(df_classify_body_error(sqlstate_of("38000"), typos[i], DF_UNDO_ON_FAILURE) ==
				   DF_BODY_STUCK,
			   "undo_on failure: %s", typos[i]);
		EXPECT(df_classify_body_error(sqlstate_of("P0001"), typos[i], DF_UNDO_ON_ERROR) ==
				   DF_BODY_FAILED,
			   "RAISE with Python's words: %s", typos[i]);
	}
	for (i = 0; i < (int) lengthof(others); i++)
	{
		EXPECT(df_classify_body_error(sqlstate_of("38000"), others[i], DF_UNDO_ON_ERROR) ==
				   DF_BODY_FAILED,
			   "\"%s\"", others[i]);
		EXPECT(df_classify_body_error(sqlstate_of("38000"), others[i], DF_UNDO_ON_FAILURE) ==
				   DF_BODY_STUCK,
			   "undo_on failure: \"%s\"", others[i]);
	}
	EXPECT(df_classify_body_error(sqlstate_of("38000"), NULL, DF_UNDO_ON_ERROR) == DF_BODY_FAILED,
		   "no message");
	end_test("errors that PL/Python wrapped");
}

/* ---- an uncaught DF001 ---------------------------------------------------- */

static void
check_failure(DfFailure failure, DfBodyError expected, DfBodyError with_error, const char *what)
{
	EXPECT(df_classify_failure(&failure, DF_UNDO_ON_FAILURE) == expected, "%s", what);
	EXPECT(df_classify_failure(&failure, DF_UNDO_ON_ERROR) == with_error, "undo_on error: %s",
		   what);
}

static void
test_failure(void)
{
	const DfBodyError fails = DF_BODY_FAILED;
	const DfBodyError stuck = DF_BODY_STUCK;

	check_failure((DfFailure){.why = DF_WHY_REFUSED}, fails, fails, "refused");
	check_failure((DfFailure){.why = DF_WHY_OWN_LIMIT}, fails, fails, "own limit");
	check_failure((DfFailure){.why = DF_WHY_TIMEOUT}, fails, fails, "timeout");
	check_failure((DfFailure){.why = DF_WHY_LIMIT}, stuck, fails, "limit");
	check_failure((DfFailure){.why = DF_WHY_NONE}, stuck, fails, "the body made it up");
	check_failure((DfFailure){.why = DF_WHY_IN_DOUBT}, stuck, fails, "in doubt");
	check_failure((DfFailure){.why = DF_WHY_IN_DOUBT, .doubt_fails = true}, fails, fails,
				  "in doubt, and the step says that this fails");
	for (int state = -1; state < DF_RUN_NSTATES; state++)
		check_failure((DfFailure){.why = DF_WHY_CHILD, .child_state = state},
					  state == DF_RUN_ROLLED_BACK ? fails : stuck, fails, "child");
	check_failure((DfFailure){.why = DF_WHY_ERROR}, stuck, fails, "error");
	check_failure((DfFailure){.why = DF_WHY_ERROR, .sqlstate = sqlstate_of("22012")}, stuck, fails,
				  "SQL that divides by zero");
	check_failure((DfFailure){.why = DF_WHY_ERROR, .sqlstate = sqlstate_of("42P01")}, stuck, stuck,
				  "SQL with a typo");
	end_test("why a step failed");

	EXPECT(df_why_sql_failed(sqlstate_of("23505")) == DF_WHY_REFUSED, "23505");
	EXPECT(df_why_sql_failed(sqlstate_of("23514")) == DF_WHY_REFUSED, "23514");
	EXPECT(df_why_sql_failed(sqlstate_of("P0001")) == DF_WHY_REFUSED, "P0001");
	EXPECT(df_why_sql_failed(sqlstate_of("DF008")) == DF_WHY_REFUSED, "DF008");
	EXPECT(df_why_sql_failed(sqlstate_of("P0002")) == DF_WHY_ERROR, "P0002");
	EXPECT(df_why_sql_failed(sqlstate_of("22P02")) == DF_WHY_ERROR, "22P02");
	EXPECT(df_why_sql_failed(sqlstate_of("42601")) == DF_WHY_ERROR, "42601");
	EXPECT(df_why_sql_failed(sqlstate_of("DF004")) == DF_WHY_ERROR, "DF004");
	EXPECT(df_why_sql_failed(sqlstate_of("57014")) == DF_WHY_LIMIT, "57014");
	EXPECT(df_why_sql_failed(sqlstate_of("40001")) == DF_WHY_LIMIT, "40001");
	end_test("why the SQL of a query failed");

	for (int why = DF_WHY_REFUSED; why < DF_NWHYS; why++)
		EXPECT(df_why_of(df_why_name((DfWhy) why)) == why, "%d", why);
	EXPECT(df_why_name(DF_WHY_NONE) == NULL && df_why_of("x") < 0 && df_why_of(NULL) < 0, "none");
	EXPECT(df_undo_on_of("failure") == DF_UNDO_ON_FAILURE &&
			   df_undo_on_of("error") == DF_UNDO_ON_ERROR &&
			   df_undo_on_of("never") == DF_UNDO_ON_NEVER && df_undo_on_of("undo") < 0,
		   "undo_on");
	end_test("names");
}

int
main(void)
{
	test_classify();
	test_every_class();
	test_classify_wrapped();
	test_failure();
	return done_testing();
}
