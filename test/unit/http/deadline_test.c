/*
 * test/unit/http/deadline_test.c
 *	  Tests of src/http: deadlines, and answers that nobody reads for a while.
 *
 * An ordinary program with the small server beside it; prints TAP.
 *
 * sources: test/unit/tap.c test/unit/http/ask.c test/unit/http/server.c test/unit/http/gzip.c
 * sources: src/http src/shared/header.c
 */
#include "postgres.h"

#include "http/ask.h"
#include "http/server.h"
#include "tap.h"

static void
test_deadlines(void)
{
	DfHttpRequest request = request_for("GET", "/drip");
	DfHttpResult *result;

	request.timeout_ms = 300;
	result = ask(&request);
	expect_fate(result, DF_FATE_LOST, 200, "timed out after 300 ms");
	EXPECT(result->body_len > 0 && result->body_len < 100, "body of %zu bytes", result->body_len);
	EXPECT(result->took_us >= 300000 && result->took_us < 1500000, "took " INT64_FORMAT,
		   result->took_us);
	df_http_free(result);
	end_test("slow drip past the deadline");

	request.url = url_of("/drip-header");
	result = ask(&request);
	expect_fate(result, DF_FATE_LOST, 200, "timed out after 300 ms");
	df_http_free(result);
	end_test("slow drip within the headers");

	request.url = url_of("/silent");
	result = ask(&request);
	expect_fate(result, DF_FATE_LOST, 0, "timed out after 300 ms, waiting for an answer");
	EXPECT(result->took_us >= 300000 && result->took_us < 1500000, "took " INT64_FORMAT,
		   result->took_us);
	df_http_free(result);
	end_test("no answer before the deadline");

	request.url = https_url_of("/silent");
	result = ask(&request);
	expect_fate(result, DF_FATE_NOT_SENT, 0,
				"timed out after 300 ms, before a connection was there");
	df_http_free(result);
	end_test("deadline before the request could be sent");

	request.connect_timeout_ms = 200;
	request.timeout_ms = 5000;
	result = ask(&request);
	expect_fate(result, DF_FATE_NOT_SENT, 0, "could not connect: timed out after 200 ms");
	df_http_free(result);
	end_test("connect timeout");
}

/* Sends a request and then, for so long, reads nothing of what comes. */
static DfHttpResult *
ask_and_rest(const DfHttpRequest *request, int ms)
{
	df_http_submit(request);
	poll_for(20);
	rest(ms);
	return await_result();
}

static void
test_absence(void)
{
	DfHttpRequest request = request_for("GET", "/soon");
	DfHttpResult *result;

	request.timeout_ms = 400;
	result = ask_and_rest(&request, 800);
	expect_fate(result, DF_FATE_RESPONSE, 200, "");
	df_http_free(result);
	end_test("an answer that arrived in time but was read late is an answer");

	request.url = url_of("/halves");
	request.timeout_ms = 900;
	result = ask_and_rest(&request, 900); /* the first half lies there for most of this */
	expect_fate(result, DF_FATE_RESPONSE, 200, "");
	df_http_free(result);
	end_test("the deadline is extended by the time in which nobody read");

	result = ask_and_rest(&request, 0);
	expect_fate(result, DF_FATE_LOST, 200, "timed out after 900 ms, within the answer");
	df_http_free(result);
	end_test("and is not if somebody did");

	request.url = url_of("/silent");
	request.timeout_ms = 300;
	result = ask_and_rest(&request, 600);
	expect_fate(result, DF_FATE_LOST, 0, "timed out");
	EXPECT(result->took_us < 900000, "took " INT64_FORMAT, result->took_us);
	df_http_free(result);
	end_test("and is not if there was nothing to read");
}

int
main(void)
{
	begin_http_tests();
	test_deadlines();
	test_absence();
	return end_http_tests();
}
