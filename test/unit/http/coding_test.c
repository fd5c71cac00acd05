/*
 * test/unit/http/coding_test.c
 *	  Tests of src/http: what becomes of a body whose Content-Encoding is true, or is not.
 *
 * An ordinary program with the small server beside it; prints TAP.
 *
 * sources: test/unit/tap.c test/unit/http/ask.c test/unit/http/server.c test/unit/http/gzip.c
 * sources: src/http src/shared/header.c
 */
#include "postgres.h"

#include "http/ask.h"
#include "tap.h"

/* the status stands, whatever the body is */
static void
check(const char *how, DfBodyForm form, const char *body)
{
	char path[64];
	DfHttpResult *result;

	snprintf(path, sizeof(path), "/coded/%s", how);
	result = get(path);
	expect_fate(result, DF_FATE_RESPONSE, 200, "");
	EXPECT(result->form == form, "%s: form %d", how, result->form);
	EXPECT(body == NULL || strcmp(body_of(result), body) == 0, "%s: body is \"%s\"", how,
		   body_of(result));
	df_http_free(result);
	end_test(path);
}

int
main(void)
{
	begin_http_tests();
	check("identity", DF_BODY_PLAIN, "plain");
	check("utf-8", DF_BODY_CODED, "{\"id\": 1}");
	check("br", DF_BODY_CODED, "{\"id\": 1}");
	check("not-at-all", DF_BODY_CODED, "{\"id\": 2}");
	check("one-byte", DF_BODY_CODED, "7");
	check("otherwise", DF_BODY_PLAIN, "zipped");
	check("twice", DF_BODY_PLAIN, "zipped twice");
	check("with-rest", DF_BODY_PLAIN, "zipped");
	check("in-pieces", DF_BODY_PLAIN, "zipped");
	check("deflate", DF_BODY_PLAIN, "deflated");
	check("raw", DF_BODY_PLAIN, "deflated");
	check("cut", DF_BODY_BROKEN, NULL);
	check("damaged", DF_BODY_BROKEN, NULL);
	check("damaged-sum", DF_BODY_BROKEN, NULL);
	return end_http_tests();
}
