/*
 * test/unit/http/request_test.c
 *	  Tests of src/http: what a request looks like on the wire, and which are refused.
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
test_request_lines(void)
{
	static const char *const headers[] = {"Content-Type: application/json", "Idempotency-Key: k1",
										  "X-Empty:", NULL};
	static const char *const own[] = {"User-Agent: mine", "accept: text/xml",
									  "authorization: Token t", "Accept: text/csv", NULL};
	DfHttpRequest request = request_for("POST", "/echo");
	DfHttpResult *result;

	request.headers = headers;
	request.body = "{\"a\": 1}";
	request.body_len = 8;
	request.bearer_token = "tok-1";
	result = ask(&request);
	expect_fate(result, DF_FATE_RESPONSE, 200, "");
	expect_said(result, "POST /echo HTTP/1.1\r\n", true);
	expect_said(result, "\r\nUser-Agent: dataflows/", true);
	expect_said(result, "\r\nAccept: application/json\r\n", true);
	expect_said(result, "\r\nAccept-Encoding: ", true);
	expect_said(result, "\r\nContent-Type: application/json\r\n", true);
	expect_said(result, "\r\nIdempotency-Key: k1\r\n", true);
	expect_said(result, "\r\nX-Empty:", true);
	expect_said(result, "\r\nAuthorization: Bearer tok-1\r\n", true);
	expect_said(result, "\r\nContent-Length: 8\r\n", true);
	expect_said(result, "\r\n\r\n{\"a\": 1}", true);
	expect_said(result, "Expect", false);
	df_http_free(result);
	end_test("POST with body, headers and bearer token");

	request = request_for("PATCH", "/echo");
	request.username = "Aladdin";
	request.password = "open sesame";
	result = ask(&request);
	expect_said(result, "PATCH /echo", true);
	expect_said(result, "\r\nAuthorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n", true);
	expect_said(result, "\r\nContent-Length: 0\r\n", true);
	expect_said(result, "Content-Type: application/x-www", false);
	df_http_free(result);
	end_test("PATCH without body, basic authentication");

	request = request_for("DELETE", "/echo");
	request.headers = own;
	request.bearer_token = "unused";
	result = ask(&request);
	expect_said(result, "DELETE /echo", true);
	expect_said(result, "Content-Length", false);
	expect_said(result, "\r\nUser-Agent: mine\r\n", true);
	expect_said(result, "dataflows", false);
	expect_said(result, "\r\nAccept: text/csv\r\n", true);
	expect_said(result, "text/xml", false);
	expect_said(result, "Accept: application/json", false);
	expect_said(result, "\r\nauthorization: Token t\r\n", true);
	expect_said(result, "unused", false);
	df_http_free(result);
	end_test("DELETE, the caller's own headers win");
}

static void
test_large_request(void)
{
	DfHttpRequest request = request_for("PUT", "/echo");
	DfHttpResult *result;
	char *body = malloc(20000);

	memset(body, 'q', 20000);
	request.body = body;
	request.body_len = 20000;
	df_http_submit(&request);
	memset(body, 'z', 20000);
	free(body);
	result = await_result();
	expect_fate(result, DF_FATE_RESPONSE, 200, "");
	EXPECT(result->body_len > 20000 && strstr(result->body, "qqqq") != NULL &&
			   strchr(result->body, 'z') != NULL,
		   "body");
	EXPECT(result->body_len > 20000 &&
			   strspn(result->body + result->body_len - 20000, "q") == 20000,
		   "the body was changed");
	expect_said(result, "Expect", false);
	df_http_free(result);
	end_test("submit copies what it needs");
}

static void
check_refused_header(const char *line)
{
	const char *headers[2] = {NULL, NULL};
	DfHttpRequest request = request_for("GET", "/plain");

	headers[0] = line;
	request.headers = headers;
	check_refused(request, "header");
}

static void
check_refused_url(const char *url)
{
	DfHttpRequest request = request_for("GET", "/");

	request.url = url;
	check_refused(request, "");
}

static void
test_refusals(void)
{
	DfHttpRequest request = request_for("GET", "/plain");

	check_refused_header("X-A: b\r\nX-C: d");
	check_refused_header("X-A: b\nX-C: d");
	check_refused_header("X A: b");
	check_refused_header("X-A");
	check_refused_header(": b");
	check_refused_header("");
	check_refused_header("content-length: 3");
	check_refused_header("Transfer-Encoding: chunked");
	end_test("headers that are refused");

	check_refused_url("file:///etc/passwd");
	check_refused_url("ftp://127.0.0.1/");
	check_refused_url("http://me:hunter2@127.0.0.1/");
	check_refused_url("http://127.0.0.1/\r\nX-A: hunter2");
	check_refused_url("http://");
	check_refused_url("http://127.0.0.1:99999/");
	check_refused_url("http://a b/");
	check_refused_url("");
	check_refused_url(NULL);
	end_test("URLs that are refused");

	request.method = "GET /x HTTP/1.1\r\nX:";
	check_refused(request, "method");
	request.method = "";
	check_refused(request, "method");
	request.method = "CONNECT";
	check_refused(request, "CONNECT");
	request.method = "GET";
	request.username = "me";
	check_refused(request, "password");
	request.password = "hunter2";
	request.username = "m:e";
	check_refused(request, "colon");
	request.username = request.password = NULL;
	request.bearer_token = "hunter2\r\nX-A: b";
	check_refused(request, "token");
	end_test("methods and credentials that are refused");
}

static void
test_tls_files(void)
{
	DfHttpRequest request = request_for("GET", "/plain");
	DfHttpResult *result;

	request.url = https_url_of("/plain");
	request.ca_file = "/nonexistent/ca.pem";
	check_refused(request, "certificate authorities");
	request.ca_file = NULL;
	request.client_cert = "/nonexistent/cert.pem";
	check_refused(request, "client certificate");
	end_test("certificate files that cannot be read");

	request.client_cert = NULL;
	request.timeout_ms = 300;
	result = ask(&request);
	EXPECT(result->fate == DF_FATE_NOT_SENT, "%s", fate_name(result->fate));
	df_http_free(result);
	end_test("no TLS, nothing sent");
}

int
main(void)
{
	begin_http_tests();
	test_request_lines();
	test_large_request();
	test_refusals();
	test_tls_files();
	return end_http_tests();
}
