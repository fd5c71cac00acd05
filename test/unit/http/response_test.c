/*
 * test/unit/http/response_test.c
 *	  Tests of src/http: answers that are whole, broken, too large, or say when to come again.
 *
 * An ordinary program with the small server beside it; prints TAP.
 *
 * sources: test/unit/tap.c test/unit/http/ask.c test/unit/http/server.c test/unit/http/gzip.c
 * sources: src/http src/shared/header.c
 */
#include "postgres.h"

#include <time.h>

#include "http/ask.h"
#include "tap.h"

static void
test_answers(void)
{
	DfHttpResult *result = get("/plain");

	expect_fate(result, DF_FATE_RESPONSE, 200, "");
	EXPECT(strcmp(body_of(result), "{\"id\": 7}") == 0, "body is \"%s\"", body_of(result));
	EXPECT(strcmp(result->content_type, "application/json; charset=utf-8") == 0, "type is \"%s\"",
		   result->content_type);
	EXPECT(strstr(result->headers, "x-request-id: abc\n") != NULL, "headers are \"%s\"",
		   result->headers);
	EXPECT(result->retry_after_ms == -1, "retry after");
	EXPECT(result->took_us > 0 && result->took_us < 5000000, "took");
	df_http_free(result);
	end_test("plain answer");

	check_body("/chunked", "hello, world");
	check_body("/until-close", "all of it");
	check_body("/and-close", "all of it");
	check_body("/gzip", "{\"zipped\": true}");

	result = get("/nul");
	EXPECT(result->body_len == 3 && memcmp(result->body, "a\0b", 4) == 0, "body of %zu bytes",
		   result->body_len);
	df_http_free(result);
	end_test("a NUL in the body is kept and counted");

	result = get("/hints");
	expect_fate(result, DF_FATE_RESPONSE, 200, "");
	EXPECT(strcmp(result->headers, "x-late: 2\ncontent-length: 0\n") == 0, "headers are \"%s\"",
		   result->headers);
	df_http_free(result);
	end_test("headers of interim answers are forgotten");

	result = get("/folded");
	EXPECT(strstr(result->headers, "x-folded: one two\n") != NULL, "headers are \"%s\"",
		   result->headers);
	df_http_free(result);
	end_test("folded header");

	result = get("/many-headers");
	expect_fate(result, DF_FATE_RESPONSE, 200, "");
	EXPECT(strlen(result->headers) <= 65536, "headers of %zu bytes", strlen(result->headers));
	df_http_free(result);
	end_test("of too many headers the first are kept, and the answer stands");

	result = get("/empty");
	expect_fate(result, DF_FATE_RESPONSE, 204, "");
	EXPECT(result->body_len == 0, "body of %zu bytes", result->body_len);
	df_http_free(result);
	end_test("204 has no body");
}

static void
test_head(void)
{
	DfHttpRequest request = request_for("HEAD", "/head");
	DfHttpResult *result = ask(&request);

	expect_fate(result, DF_FATE_RESPONSE, 200, "");
	EXPECT(result->body_len == 0, "body of %zu bytes", result->body_len);
	df_http_free(result);
	end_test("HEAD announces a body and has none");
}

static void
test_loss(void)
{
	DfHttpResult *result;

	check_get("/reset", DF_FATE_LOST, 0, "lost before an answer");
	check_get("/close", DF_FATE_LOST, 0, "closed before an answer");
	check_get("/reset-within", DF_FATE_LOST, 201, "lost within the answer");
	check_get("/truncated-chunk", DF_FATE_LOST, 200, "");
	check_get("/garbage", DF_FATE_LOST, 0, "");
	check_get("/nul-header", DF_FATE_LOST, 200, "");
	check_get("/long-header", DF_FATE_LOST, 200, "");
	check_get("/hints-for-ever", DF_FATE_LOST, 103,
			  "headers of the answer are larger than 262144 bytes");

	result = get("/truncated");
	expect_fate(result, DF_FATE_LOST, 200, "cut short");
	EXPECT(strcmp(body_of(result), "some") == 0, "body is \"%s\"", body_of(result));
	df_http_free(result);
	end_test("truncated body");
}

static void
check_too_large(const char *path, size_t max_body)
{
	DfHttpRequest request = request_for("GET", path);
	DfHttpResult *result;

	request.max_body = max_body;
	result = ask(&request);
	expect_fate(result, DF_FATE_TOO_LARGE, 200, "the answer is larger than ");
	EXPECT(result->body_len == max_body, "body of %zu bytes", result->body_len);
	EXPECT(max_body == 0 || result->body[max_body] == '\0', "body is not ended");
	EXPECT(result->headers != NULL && result->headers[0] != '\0', "no headers");
	df_http_free(result);
	end_test(path);
}

static void
test_limits(void)
{
	DfHttpRequest request = request_for("GET", "/large");
	DfHttpResult *result;

	check_too_large("/large", 8191);
	check_too_large("/large", 0);
	check_too_large("/large-chunk", 5000);
	check_too_large("/bomb", 65536);

	request.url = url_of("/large");
	request.max_body = 8192;
	result = ask(&request);
	expect_fate(result, DF_FATE_RESPONSE, 200, "");
	EXPECT(result->body_len == 8192, "body of %zu bytes", result->body_len);
	df_http_free(result);
	end_test("an answer of just max_body is whole");
}

static void
check_retry_after(const char *value, int64 low, int64 high)
{
	char path[128];
	DfHttpResult *result;

	snprintf(path, sizeof(path), "/retry/%s", value);
	result = get(path);
	expect_fate(result, DF_FATE_RESPONSE, 503, "");
	EXPECT(result->retry_after_ms >= low && result->retry_after_ms <= high,
		   "%s: " INT64_FORMAT " ms", value, result->retry_after_ms);
	df_http_free(result);
}

static void
check_retry_date(int seconds, int64 low, int64 high)
{
	time_t when = time(NULL) + seconds;
	char value[64];

	strftime(value, sizeof(value), "%a,_%d_%b_%Y_%H:%M:%S_GMT", gmtime(&when));
	check_retry_after(value, low, high);
}

static void
test_retry_after(void)
{
	check_retry_after("0", 0, 0);
	check_retry_after("120", 120000, 120000);
	check_retry_after("3600", 3600000, 3600000);
	check_retry_after("86400", 3600000, 3600000);
	check_retry_after("99999999999999999999999", 3600000, 3600000);
	end_test("Retry-After in seconds, capped at an hour");

	check_retry_date(90, 87000, 91000);
	check_retry_date(-90, 0, 0);
	check_retry_date(864000, 3600000, 3600000);
	end_test("Retry-After as a date");

	check_retry_after("-5", -1, 0);
	check_retry_after("soon", -1, -1);
	check_retry_after("12abc", -1, 3600000);
	check_retry_after("", -1, -1);
	end_test("Retry-After that makes no sense");
}

int
main(void)
{
	begin_http_tests();
	test_answers();
	test_head();
	test_loss();
	test_limits();
	test_retry_after();
	return end_http_tests();
}
