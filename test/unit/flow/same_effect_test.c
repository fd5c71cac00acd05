/*
 * test/unit/flow/same_effect_test.c
 *	  Tests of which steps may be taken for each other under another name.
 *
 * An ordinary program that prints TAP; test/unit/run builds it plain, with sanitizers and
 * under valgrind.
 *
 * sources: test/unit/tap.c src/flow
 */
#include "postgres.h"

#include "flow/flow.h"
#include "tap.h"

static const struct
{
	DfStepKind kind;
	const char *one;
	const char *other;
	bool same;
	const char *why;
} pairs[] = {
	{DF_STEP_HTTP, "POST /customers", "POST /customers", true, "one request"},
	{DF_STEP_HTTP, "POST /customers", "PUT /customers", false, "another method"},
	{DF_STEP_HTTP, "POST /customers", "POST /contacts", false, "another collection"},
	{DF_STEP_HTTP, "PUT /users/17/plan", "PUT /users/18/plan", true, "another id"},
	{DF_STEP_HTTP, "PUT /users/usr_0a/plan", "PUT /users/usr_0b/plan", true, "an id with letters"},
	{DF_STEP_HTTP, "PUT /users/ada%40x/plan", "PUT /users/bob@x/plan", true, "addresses"},
	{DF_STEP_HTTP, "PUT /users/17/plan", "PUT /users/17/mail", false, "another part of it"},
	{DF_STEP_HTTP, "PUT /users/17", "PUT /users/17/plan", false, "a longer path"},
	{DF_STEP_HTTP, "PUT /users/17/plan", "PUT /users/17", false, "a shorter path"},
	{DF_STEP_HTTP, "PUT /users/17", "PUT /users/all", false, "an id and a word"},
	{DF_STEP_HTTP, "POST /v1/customers", "POST /v2/customers", true, "another version of an API"},
	{DF_STEP_HTTP, "POST /customers", "POST /v2/customers", true, "its first version"},
	{DF_STEP_HTTP, "POST /api/v1/customers", "POST /customers?x=1", true, "an API that has moved"},
	{DF_STEP_HTTP, "POST /customers", "PUT /v2/customers", false, "another method there"},
	{DF_STEP_HTTP, "POST /customers", "POST /v2/contacts", false, "another collection there"},
	{DF_STEP_HTTP, "POST /customers", "POST /shop/customers", false, "those of something else"},
	{DF_STEP_HTTP, "POST /v2", "POST /customers", false, "a version alone"},
	{DF_STEP_HTTP, "POST /send?a=1", "POST /send?b=2", true, "another query"},
	{DF_STEP_HTTP, "POST /send?a=1", "POST /send", true, "no query"},
	{DF_STEP_HTTP, "POST /send?a=/x", "POST /send", true, "a slash in the query"},
	{DF_STEP_UNDO, "DELETE /users/7", "DELETE /users/8", true, "undos"},
	{DF_STEP_QUERY, "INSERT INTO t VALUES (1)", "insert  into\n t (a) VALUES (2)", true,
	 "one table"},
	{DF_STEP_QUERY, "INSERT INTO t(a) VALUES (1)", "INSERT INTO t (a) VALUES (1)", true,
	 "white space"},
	{DF_STEP_QUERY, "INSERT INTO t VALUES (1)", "INSERT INTO u VALUES (1)", false, "another table"},
	{DF_STEP_QUERY, "SELECT app.book($1)", "SELECT app.book($1, true)", true, "one function"},
	{DF_STEP_QUERY, "SELECT app.book($1)", "SELECT app.cancel($1)", false, "another function"},
	{DF_STEP_QUERY, "SELECT", "SELECT 1", false, "a statement of one word"},
	{DF_STEP_MAIL, "MAIL a@x", "MAIL a@x", true, "one recipient"},
	{DF_STEP_MAIL, "MAIL a@x", "MAIL b@x", false, "another recipient"},
	{DF_STEP_CALL, "onboard", "onboard", true, "one workflow"},
	{DF_STEP_CALL, "onboard", "onboarding", false, "another workflow"},
};

int
main(void)
{
	for (int i = 0; i < lengthof(pairs); i++)
	{
		EXPECT(df_same_effect(pairs[i].kind, pairs[i].one, pairs[i].other) == pairs[i].same,
			   "%s and %s", pairs[i].one, pairs[i].other);
		EXPECT(df_same_effect(pairs[i].kind, pairs[i].other, pairs[i].one) == pairs[i].same,
			   "%s and %s", pairs[i].other, pairs[i].one);
		end_test(pairs[i].why);
	}
	return done_testing();
}
