/*
 * test/unit/http/connection_test.c
 *	  Tests of src/http: connections that are used again, die, are many, idle, or closed.
 *
 * An ordinary program with the small server beside it; prints TAP.
 *
 * sources: test/unit/tap.c test/unit/http/ask.c test/unit/http/server.c test/unit/http/gzip.c
 * sources: src/http src/shared/header.c
 */
#include "postgres.h"

#include <poll.h>
#include <signal.h>

#include "http/ask.h"
#include "http/server.h"
#include "shared/clock.h"
#include "tap.h"

static void
test_connections(void)
{
	DfHttpRequest request = request_for("GET", "/");
	DfHttpResult *result;
	char url[128];

	snprintf(url, sizeof(url), "http://127.0.0.1:%d/", closed_port);
	request.url = url;
	result = ask(&request);
	expect_fate(result, DF_FATE_NOT_SENT, 0, "connection refused");
	df_http_free(result);
	end_test("connection refused");

	request.url = "http://does-not-exist.invalid/";
	result = ask(&request);
	expect_fate(result, DF_FATE_NOT_SENT, 0, "could not resolve host name");
	df_http_free(result);
	end_test("bad host name");

	request.url = url_of("/plain");
	df_http_free(ask(&request));
	seen->connections = 0;
	df_http_free(ask(&request));
	df_http_free(ask(&request));
	EXPECT(seen->connections == 0, "%d new connections", seen->connections);
	end_test("connections are used again");
}

/* The first request leaves a connection behind that dies under the second one. */
static void
check_dead_connection(const char *method, DfFate fate, int requests, const char *name)
{
	DfHttpRequest request = request_for(method, "/then-die");
	DfHttpResult *result;

	/* no connection may be left over from before */
	df_http_shutdown();
	df_http_init();
	seen->requests = 0;
	result = ask(&request);
	expect_fate(result, DF_FATE_RESPONSE, 200, "");
	df_http_free(result);
	result = ask(&request);
	EXPECT(result->fate == fate, "%s, \"%s\"", fate_name(result->fate), result->error);
	EXPECT(seen->requests == requests, "%d requests", seen->requests);
	df_http_free(result);
	end_test(name);
}

static void
test_dead_connections(void)
{
	check_dead_connection("POST", DF_FATE_LOST, 2,
						  "a POST is not sent again when its connection died");
	check_dead_connection("PATCH", DF_FATE_LOST, 2, "nor a PATCH");
	check_dead_connection("PUT", DF_FATE_LOST, 2, "nor a PUT");
	check_dead_connection("DELETE", DF_FATE_LOST, 2, "nor a DELETE");
	check_dead_connection("GET", DF_FATE_RESPONSE, 3, "a GET is");
}

static void
test_many(void)
{
	DfHttpRequest request = request_for("GET", "/soon");
	DfHttpResult *result;
	bool got[100] = {false};
	int64 begin = df_monotonic_us();
	int i;

	for (i = 0; i < 100; i++)
	{
		request.cookie = i;
		df_http_submit(&request);
	}
	EXPECT(df_http_in_flight() == 100, "%d in flight", df_http_in_flight());
	for (i = 0; i < 100; i++)
	{
		result = await_result();
		EXPECT(result->fate == DF_FATE_RESPONSE && result->cookie < 100 && !got[result->cookie],
			   "%s, cookie " UINT64_FORMAT, result->error, result->cookie);
		got[result->cookie % 100] = true;
		df_http_free(result);
	}
	EXPECT(df_http_in_flight() == 0 && df_http_next() == NULL, "something is left");
	EXPECT(df_monotonic_us() - begin < 5000000, "they waited for each other");
	end_test("a hundred at once");
}

static void
test_signals(void)
{
	sigset_t before;
	sigset_t after;

	sigprocmask(SIG_SETMASK, NULL, &before);
	df_http_free(get("/plain"));
	sigprocmask(SIG_SETMASK, NULL, &after);
	EXPECT(sigismember(&before, SIGUSR1) == 0 && sigismember(&after, SIGUSR1) == 0,
		   "SIGUSR1 is blocked");
	end_test("the mask of signals is put back");
}

static void
test_shutdown(void)
{
	DfHttpRequest request = request_for("GET", "/silent");

	df_http_submit(&request);
	df_http_submit(&request);
	poll_for(50);
	request.method = "bad method";
	df_http_submit(&request);
	df_http_shutdown();
	EXPECT(df_http_in_flight() == 0, "something is in flight");
	EXPECT(df_http_timeout_ms() == -1, "a timer");
	df_http_perform();
	request.method = "GET";
	check_refused(request, "not initialised");
	EXPECT(df_http_init(), "no second beginning");
	df_http_free(get("/plain"));
	end_test("shutdown with requests in flight");
}

static void
test_idle(void)
{
	struct pollfd pollfd = {df_http_fd(), POLLIN, 0};
	int wakes = 0;

	df_http_free(get("/plain"));
	/* the server goes, and with it the connections that rest */
	stop_server();
	while (wakes < 100 && poll(&pollfd, 1, 300) > 0)
	{
		wakes++;
		df_http_timeout_ms();
		df_http_perform();
	}
	EXPECT(wakes < 20, "%d wakes", wakes);
	EXPECT(df_http_timeout_ms() == -1, "a timer of %ld ms", df_http_timeout_ms());
	end_test("idle: no event and no timer is left");
}

int
main(void)
{
	begin_http_tests();
	test_connections();
	test_dead_connections();
	test_many();
	test_signals();
	test_shutdown();
	test_idle();
	return end_http_tests();
}
