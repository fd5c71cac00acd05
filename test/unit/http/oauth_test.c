/*
 * test/unit/http/oauth_test.c
 *	  Tests of src/http/oauth.c: what an authorization server may answer.
 *
 * An ordinary program that prints TAP.  Each answer is read out of memory that
 * ends where it ends, so that a sanitizer or valgrind sees a read beyond it.
 *
 * sources: test/unit/tap.c src/http/oauth.c
 */
#include "postgres.h"

#include "http/oauth.h"
#include "tap.h"

/* "token expires_in error" or the reason */
static void
read_text(const char *text, size_t len, char *said, size_t room)
{
	char *body = malloc(len > 0 ? len : 1);
	DfTokenAnswer answer;
	const char *problem;

	memcpy(body, text, len);
	problem = df_oauth_read(body, len, &answer);
	if (problem != NULL)
		snprintf(said, room, "%s (%s)", problem, answer.error != NULL ? answer.error : "-");
	else
		snprintf(said, room, "%.*s %lld", (int) Min(answer.token_len, 100), answer.token,
				 (long long) answer.expires_in);
	free(body);
}

static void
check(const char *text, const char *expected)
{
	char said[300];

	read_text(text, strlen(text), said, sizeof(said));
	ok(strcmp(said, expected) == 0, text, said);
}

static void
check_good(void)
{
	check("{\"access_token\":\"abc\",\"token_type\":\"Bearer\",\"expires_in\":3600}", "abc 3600");
	check(" { \"token_type\" : \"bEARER\" ,\r\n\t\"access_token\" : \"a.b-c_d~e+f/g=\" } ",
		  "a.b-c_d~e+f/g= -1");
	check("{\"access_token\":\"abc\"}", "abc -1");
	check("\xEF\xBB\xBF{\"access_token\":\"abc\"}", "abc -1");
	check("{\"access_token\":\"abc\",\"expires_in\":\"60\"}", "abc 60");
	check("{\"access_token\":\"abc\",\"expires_in\":59.9}", "abc 59");
	check("{\"access_token\":\"abc\",\"expires_in\":1e300}", "abc 1000000000");
	check("{\"access_token\":\"abc\",\"expires_in\":-1}", "abc -1");
	check("{\"access_token\":\"abc\",\"expires_in\":null}", "abc -1");
	check("{\"access_token\":\"abc\",\"expires_in\":{\"x\":[1,2,{}]}}", "abc -1");
	check("{\"access_token\":\"abc\",\"expires_in\":\"soon\"}", "abc -1");
	check("{\"access_token\":\"a\\/b\\u0063\\\"\\\\\"}", "a/bc\"\\ -1");
	check("{\"x\":{\"access_token\":\"inner\"},\"y\":[true,false,null,-1.5e+3,\"}\"],\"access_"
		  "token\":\"abc\"}",
		  "abc -1");
}

static void
check_bad(void)
{
	check("", "its answer is not a JSON object (-)");
	check("<html>", "its answer is not a JSON object (-)");
	check("[]", "its answer is not a JSON object (-)");
	check("\"access_token\"", "its answer is not a JSON object (-)");
	check("{\"access_token\":\"abc\"", "its answer is not a JSON object (-)");
	check("{\"access_token\":\"abc\"}x", "its answer is not a JSON object (-)");
	check("{\"access_token\":\"abc\",}", "its answer is not a JSON object (-)");
	check("{\"access_token\":\"abc}", "its answer is not a JSON object (-)");
	check("{\"access_token\":\"a\nb\"}", "its answer is not a JSON object (-)");
	check("{\"access_token\":\"\\x\"}", "its answer is not a JSON object (-)");
	check("{\"access_token\":\"\\u00", "its answer is not a JSON object (-)");
	check("{\"access_token\":\"\\", "its answer is not a JSON object (-)");
	check("{}", "its answer has no access_token (-)");
	check("{\"access_token\":\"\"}", "its answer has no access_token (-)");
	check("{\"access_token\":17}", "its answer has no access_token (-)");
	check("{\"access_token\":{\"a\":\"b\"}}", "its answer has no access_token (-)");
	check("{\"error\":\"invalid_client\",\"error_description\":\"no\"}",
		  "its answer has no access_token (invalid_client)");
	check("{\"error\":\"my-secret\"}", "its answer has no access_token (-)");
	check("{\"access_token\":\"abc\",\"token_type\":\"mac\"}",
		  "its answer has a token_type other than Bearer (-)");
	check("{\"access_token\":\"a b\"}",
		  "its access_token has characters that no header may hold (-)");
	check("{\"access_token\":\"a\\r\\nX: y\"}",
		  "its access_token has characters that no header may hold (-)");
	check("{\"access_token\":\"a\\u0000b\"}",
		  "its access_token has characters that no header may hold (-)");
	check("{\"access_token\":\"a\\u20acb\"}",
		  "its access_token has characters that no header may hold (-)");
	check("{\"access_token\":\"\xc3\xbc\"}",
		  "its access_token has characters that no header may hold (-)");
}

static void
check_sizes(void)
{
	size_t size = 100000;
	char *text = malloc(size + 1);
	char said[300];

	memset(text, '[', size);
	memcpy(text, "{\"a\":", 5);
	read_text(text, size, said, sizeof(said));
	ok(strcmp(said, "its answer is not a JSON object (-)") == 0, "a hundred thousand brackets",
	   said);

	for (int more = 0; more < 2; more++)
	{
		size_t len = 17;

		memcpy(text, "{\"access_token\":\"", len);
		memset(text + len, 'x', DF_MAX_TOKEN + more);
		len += DF_MAX_TOKEN + more;
		memcpy(text + len, "\"}", 2);
		read_text(text, len + 2, said, sizeof(said));
		ok((strncmp(said, "xxxx", 4) == 0) == (more == 0),
		   more ? "a token that is too long" : "the longest token", said);
	}
	free(text);
}

/* nothing but not crashing is asked for */
static void
check_noise(void)
{
	static const char seed[] =
		"{\"access_token\":\"a\\u0062\\/c\",\"expires_in\":\"12\",\"x\":[{\"y\":-1.5e3},null]}";
	static const char alphabet[] = "{}[]\",:\\u0e-1 nt";
	char text[sizeof(seed)];
	char said[300];
	uint32 state = 1;

	for (size_t len = 0; len < sizeof(seed); len++)
		read_text(seed, len, said, sizeof(said));
	for (int round = 0; round < 200000; round++)
	{
		memcpy(text, seed, sizeof(seed));
		for (int i = 0; i < 4; i++)
		{
			state = state * 1664525 + 1013904223;
			text[(state >> 8) % (sizeof(seed) - 1)] =
				alphabet[(state >> 24) % (sizeof(alphabet) - 1)];
		}
		read_text(text, sizeof(seed) - 1, said, sizeof(said));
	}
	ok(true, "noise", NULL);
}

int
main(void)
{
	check_good();
	check_bad();
	check_sizes();
	check_noise();
	return done_testing();
}
