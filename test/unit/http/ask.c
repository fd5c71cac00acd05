/*
 * test/unit/http/ask.c
 *	  Requests of the tests of src/http to the small server, and what is expected of them.
 *
 * Linked into each of these tests.  palloc is malloc here: that the room links with no
 * more than that shows that nothing in it raises.
 */
#include "postgres.h"

#include <poll.h>
#include <signal.h>

#include "http/ask.h"
#include "http/server.h"
#include "shared/clock.h"
#include "tap.h"

/* ---- what a server of PostgreSQL's would provide -------------------------- */

TimestampTz
df_now(void)
{
	return ((int64) time(NULL) - (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY) *
		USECS_PER_SEC;
}

/* ---- begin and end -------------------------------------------------------- */

void
begin_http_tests(void)
{
	signal(SIGPIPE, SIG_IGN);
	/* what must not matter */
	setenv("http_proxy", "http://127.0.0.1:1/", 1);
	setenv("ALL_PROXY", "http://127.0.0.1:1/", 1);
	start_server();
	if (!df_http_init())
	{
		printf("Bail out! libcurl cannot be initialised\n");
		exit(1);
	}
}

int
end_http_tests(void)
{
	df_http_shutdown();
	stop_server();
	return done_testing();
}

/* ---- asking --------------------------------------------------------------- */

static char url_buffer[512];

const char *
url_of(const char *path)
{
	snprintf(url_buffer, sizeof(url_buffer), "http://127.0.0.1:%d%s", server_port, path);
	return url_buffer;
}

/* the server does not speak TLS: a handshake with it waits for ever */
const char *
https_url_of(const char *path)
{
	snprintf(url_buffer, sizeof(url_buffer), "https://127.0.0.1:%d%s", server_port, path);
	return url_buffer;
}

DfHttpRequest
request_for(const char *method, const char *path)
{
	DfHttpRequest request = {0};

	request.cookie = 42;
	request.url = url_of(path);
	request.method = method;
	request.connect_timeout_ms = 5000;
	request.timeout_ms = 10000;
	request.max_body = 65536;
	request.allow_private = true;
	return request;
}

/* One turn of a worker that has nothing else to do. */
static void
turn(void)
{
	struct pollfd pollfd = {df_http_fd(), POLLIN, 0};
	long wait_ms = df_http_timeout_ms();

	if (wait_ms != 0)
		poll(&pollfd, 1, wait_ms < 0 ? 20000 : (int) wait_ms);
	df_http_perform();
}

DfHttpResult *
await_result(void)
{
	DfHttpResult *result;
	int64 give_up = df_monotonic_us() + 20000000;

	while ((result = df_http_next()) == NULL)
	{
		if (df_monotonic_us() > give_up)
		{
			printf("Bail out! no result after 20 s: %s\n",
				   what_is_wrong());
			stop_server();
			exit(1);
		}
		turn();
	}
	return result;
}

DfHttpResult *
ask(const DfHttpRequest *request)
{
	df_http_submit(request);
	return await_result();
}

DfHttpResult *
get(const char *path)
{
	DfHttpRequest request = request_for("GET", path);

	return ask(&request);
}

/* Drives the client for a while, as a worker with time would. */
void
poll_for(int ms)
{
	int64 until = df_monotonic_us() + ms * INT64CONST(1000);

	while (df_monotonic_us() < until)
	{
		struct pollfd pollfd = {df_http_fd(), POLLIN, 0};

		df_http_timeout_ms();
		poll(&pollfd, 1, 5);
		df_http_perform();
	}
}

/* ---- what is expected ----------------------------------------------------- */

const char *
fate_name(DfFate fate)
{
	static const char *const names[] = {"ANSWER", "NOT_SENT", "LOST", "TOO_LARGE", "REFUSED"};

	return names[fate];
}

const char *
body_of(const DfHttpResult *result)
{
	return result->body == NULL ? "" : result->body;
}

void
expect_fate(const DfHttpResult *result, DfFate fate, int status, const char *error)
{
	EXPECT(result->cookie == 42, "cookie " UINT64_FORMAT, result->cookie);
	EXPECT(result->fate == fate && result->status == status, "%s, status %d, error \"%s\"",
		   fate_name(result->fate), result->status, result->error);
	EXPECT(strstr(result->error, error) != NULL, "error is \"%s\"", result->error);
	EXPECT((fate == DF_FATE_RESPONSE) == (result->error[0] == '\0'), "error is \"%s\"",
		   result->error);
}

void
expect_said(const DfHttpResult *result, const char *text, bool said)
{
	EXPECT((strstr(body_of(result), text) != NULL) == said, "%s \"%s\" in: %s",
		   said ? "no" : "there is", text, body_of(result));
}

/* The common shape: ask for a path, expect an end, and name the test. */
void
check_get(const char *path, DfFate fate, int status, const char *error)
{
	DfHttpResult *result = get(path);

	expect_fate(result, fate, status, error);
	df_http_free(result);
	end_test(path);
}

void
check_body(const char *path, const char *body)
{
	DfHttpResult *result = get(path);

	expect_fate(result, DF_FATE_RESPONSE, 200, "");
	EXPECT(strcmp(body_of(result), body) == 0 && result->body_len == strlen(body), "body is \"%s\"",
		   body_of(result));
	df_http_free(result);
	end_test(path);
}

void
check_refused(DfHttpRequest request, const char *error)
{
	DfHttpResult *result = ask(&request);

	expect_fate(result, DF_FATE_REFUSED, 0, error);
	EXPECT(strstr(result->error, "hunter2") == NULL, "a secret in the error");
	df_http_free(result);
}
