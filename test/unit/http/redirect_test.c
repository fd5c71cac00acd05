/*
 * test/unit/http/redirect_test.c
 *	  Tests of src/http: which redirects are followed, and what goes along.
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

/* private addresses that redirects may lead to */
static const char *redirect_origins = NULL;

static DfHttpResult *
ask_redirected(const char *method, const char *path, int follow)
{
	static const char *const headers[] = {"Content-Type: application/json", "X-Api-Key: hush",
										  "Accept-Language: de", NULL};
	DfHttpRequest request = request_for(method, path);

	request.follow_redirects = follow;
	request.private_origins = redirect_origins;
	request.headers = headers;
	request.bearer_token = "tok-2";
	if (strcmp(method, "GET") != 0)
	{
		request.body = "{}";
		request.body_len = 2;
	}
	return ask(&request);
}

static void
test_redirects(void)
{
	char origins[100];
	DfHttpResult *result = get("/redirect/302//plain");

	expect_fate(result, DF_FATE_RESPONSE, 302, "");
	EXPECT(strstr(result->headers, "location: /plain\n") != NULL, "headers are \"%s\"",
		   result->headers);
	EXPECT(strcmp(body_of(result), "moved") == 0, "body is \"%s\"", body_of(result));
	df_http_free(result);
	end_test("a redirect is an answer if none are followed");

	result = ask_redirected("GET", "/redirect/302//plain", 1);
	expect_fate(result, DF_FATE_RESPONSE, 200, "");
	EXPECT(result->retry_after_ms == -1 && strstr(result->headers, "location") == NULL,
		   "something of the redirect is left");
	EXPECT(strcmp(body_of(result), "{\"id\": 7}") == 0, "body is \"%s\"", body_of(result));
	df_http_free(result);
	end_test("a redirect is followed");

	seen->requests = 0;
	result = ask_redirected("GET", "/redirect/302/loop", 3);
	expect_fate(result, DF_FATE_RESPONSE, 302, "");
	EXPECT(seen->requests == 4, "%d requests", seen->requests);
	df_http_free(result);
	end_test("and no more often than allowed");

	result = ask_redirected("POST", "/redirect/303//echo", 1);
	expect_said(result, "GET /echo", true);
	expect_said(result, "Content-", false);
	expect_said(result, "\r\nX-Api-Key: hush\r\n", true);
	expect_said(result, "\r\nAuthorization: Bearer tok-2\r\n", true);
	df_http_free(result);
	end_test("303 after POST: GET without body, credentials stay with the host");

	result = ask_redirected("DELETE", "/redirect/303//echo", 1);
	expect_said(result, "GET /echo", true);
	df_http_free(result);
	end_test("303 after DELETE: GET");

	result = ask_redirected("POST", "/redirect/307//echo", 1);
	expect_said(result, "POST /echo", true);
	expect_said(result, "\r\nContent-Type: application/json\r\n", true);
	expect_said(result, "\r\n\r\n{}", true);
	df_http_free(result);
	end_test("307 after POST: the same again");

	seen->requests = 0;
	result = ask_redirected("POST", "/redirect/308/other", 1);
	expect_fate(result, DF_FATE_REFUSED, 308, "private_origins");
	EXPECT(seen->requests == 1, "%d requests", seen->requests);
	df_http_free(result);
	result = ask_redirected("POST", "/redirect/303/other", 1);
	expect_fate(result, DF_FATE_LOST, 303, "private_origins");
	df_http_free(result);
	end_test("another origin is not at a private address");

	snprintf(origins, sizeof(origins), "https://127.0.0.1:%d  http://localhost:%d", server_port,
			 server_port);
	redirect_origins = origins;
	result = ask_redirected("POST", "/redirect/308/other", 1);
	redirect_origins = NULL;
	expect_fate(result, DF_FATE_RESPONSE, 200, "");
	expect_said(result, "POST /echo", true);
	expect_said(result, "\r\nHost: localhost", true);
	expect_said(result, "\r\nContent-Type: application/json\r\n", true);
	expect_said(result, "\r\nAccept-Language: de\r\n", true);
	expect_said(result, "hush", false);
	expect_said(result, "Authorization", false);
	df_http_free(result);
	end_test("another host sees no credentials");
}

static void
check_redirect_end(const char *method, const char *path, DfFate fate, const char *error)
{
	DfHttpResult *result = ask_redirected(method, path, 5);

	EXPECT(result->fate == fate, "%s, \"%s\"", fate_name(result->fate), result->error);
	EXPECT(strstr(result->error, error) != NULL, "error is \"%s\"", result->error);
	EXPECT(result->status >= 301 && result->status <= 308, "status %d", result->status);
	EXPECT(strstr(result->error, "hunter2") == NULL, "a secret in the error");
	df_http_free(result);
	end_test(path);
}

static void
test_bad_redirects(void)
{
	char origins[100];

	snprintf(origins, sizeof(origins), "http://127.0.0.1:%d", closed_port);
	redirect_origins = origins;
	check_redirect_end("GET", "/redirect/302/file%3A///etc/passwd", DF_FATE_REFUSED,
					   "not http or https");
	check_redirect_end("GET", "/redirect/302/gopher%3A//127.0.0.1/", DF_FATE_REFUSED,
					   "not http or https");
	check_redirect_end("GET", "/redirect/302/http%3A//me%3Ahunter2@127.0.0.1/", DF_FATE_REFUSED,
					   "a user name");
	check_redirect_end("GET", "/redirect/302/refused", DF_FATE_NOT_SENT, "connection refused");
	check_redirect_end("POST", "/redirect/303/refused", DF_FATE_LOST, "connection refused");
	check_redirect_end("POST", "/redirect/307/refused", DF_FATE_NOT_SENT, "connection refused");
	redirect_origins = NULL;
}

int
main(void)
{
	begin_http_tests();
	test_redirects();
	test_bad_redirects();
	return end_http_tests();
}
