/*
 * test/unit/http/url_secrets_test.c
 *	  Tests of src/http/url_secrets.c: what is put into URLs, taken out of them, and found in them.
 *
 * An ordinary program that prints TAP.
 *
 * sources: test/unit/tap.c src/http/url_secrets.c
 */
#include "postgres.h"

#include "http/url_secrets.h"
#include "tap.h"

static const char *const pairs[] = {"api_key=s%20ecret", "a%26b=1", NULL};

static void
with(const char *url, bool add, const char *expected, const char *name)
{
	char *result = df_url_with_query(url, pairs, add);

	is(result, expected, name);
	free(result);
}

static void
test_queries(void)
{
	with("https://h/p", true, "https://h/p?api_key=s%20ecret&a%26b=1", "a query begins");
	with("https://h", true, "https://h?api_key=s%20ecret&a%26b=1", "without a path, too");
	with("https://h/p?", true, "https://h/p?api_key=s%20ecret&a%26b=1", "an empty query");
	with("https://h/p?x=1&y", true, "https://h/p?x=1&y&api_key=s%20ecret&a%26b=1",
		 "a query goes on");
	with("https://h/p?x=1#f?api_key=2", true,
		 "https://h/p?x=1&api_key=s%20ecret&a%26b=1#f?api_key=2", "in front of a fragment");
	with("https://h/p?api_key=old&x=1&api%5Fkey&a%26b=2", true,
		 "https://h/p?x=1&api_key=s%20ecret&a%26b=1", "in the place of what was there");
	with("https://h/p?api_key=old", false, "https://h/p", "or taken away");
	with("https://h/p?api_keys=1&api_ke=2&xapi_key=3", false,
		 "https://h/p?api_keys=1&api_ke=2&xapi_key=3", "another name is another parameter");
	with("https://h/api_key=1?&&x", false, "https://h/api_key=1?x", "a path is none");
}

static const char *
set_by(const char *url)
{
	size_t len = 0;
	const char *name = df_url_sets(url, pairs, &len);

	return name == NULL ? "" : name == pairs[0] && len == 7 ? "first"
															: "second";
}

static void
test_names(void)
{
	is(set_by("/p"), "", "no query");
	is(set_by("/p?x=1&y"), "", "others");
	is(set_by("/p?x=1&api_key"), "first", "a name without a value");
	is(set_by("/p?%61pi_key=1"), "first", "an encoded name");
	is(set_by("/p?a%26b={x}"), "second", "another");
	is(set_by("/p?a&b=1"), "", "what is not encoded is something else");
}

static void
test_reveals(void)
{
	static const char *const secrets[] = {"hush/hush", "short", NULL};

	ok(df_url_reveals("https://h/?k=hush/hush", secrets), "as it is", "");
	ok(df_url_reveals("https://h/?k=hush%2Fhush", secrets), "encoded", "");
	ok(df_url_reveals("https://h/?u=https%3A%2F%2Fx%3Fk%3Dhush%252fhush", secrets),
	   "encoded twice", "");
	ok(!df_url_reveals("https://h/?k=hush&l=hush", secrets), "a part is none", "");
	ok(!df_url_reveals("https://h/?k=short%00hush%", secrets), "a short one is not looked for", "");
}

int
main(void)
{
	test_queries();
	test_names();
	test_reveals();
	return done_testing();
}
