/*
 * test/unit/http_test.c
 *	  Tests of src/http, without a server of PostgreSQL's.
 *
 * An ordinary program that links the room, forks a small TCP server that
 * misbehaves as its path tells it to, and prints TAP.  palloc is malloc here;
 * that it links with no more than that shows that nothing in the room raises.
 *
 *	  gcc -g -Isrc -I$(pg_config --includedir-server) -o http_test test/unit/http_test.c \
 *	      src/http/[a-z]*.c \
 *	      $(pg_config --pkglibdir)/libpgcommon.a $(pg_config --pkglibdir)/libpgport.a -lcurl
 *	  valgrind --leak-check=full --child-silent-after-fork=yes ./http_test
 *
 * (test/check.sh builds it by the next line.)
 *
 * sources: src/http/client.c src/http/smtp.c src/http/address_filter.c src/http/request.c
 * sources: src/http/response.c src/http/url.c src/shared/header.c
 */
#include "postgres.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "http/client.h"
#include "http/address_filter.h"
#include "http/response.h"
#include "http/url.h"
#include "shared/clock.h"

/* ---- what a server of PostgreSQL's would provide -------------------------- */

void *
palloc(Size size)
{
	return malloc(size);
}

void
pfree(void *pointer)
{
	free(pointer);
}

TimestampTz
df_now(void)
{
	return ((int64) time(NULL) - (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY) *
		USECS_PER_SEC;
}

#ifdef USE_ASSERT_CHECKING
bool assert_enabled = true;

#if PG_VERSION_NUM < 160000
void
ExceptionalCondition(const char *what, const char *type, const char *file, int line)
#else
void
ExceptionalCondition(const char *what, const char *file, int line)
#endif
{
	fprintf(stderr, "%s:%d: %s\n", file, line, what);
	abort();
}
#endif

/* ---- TAP ------------------------------------------------------------------ */

static int n_tests = 0;
static int n_failed = 0;
static char detail[512];

/* the first thing that was wrong in a test, for its line of TAP */
#define EXPECT(condition, ...) \
	do \
	{ \
		if (!(condition) && detail[0] == '\0') \
			snprintf(detail, sizeof(detail), __VA_ARGS__); \
	} while (0)

static void
end_test(const char *name)
{
	n_tests++;
	if (detail[0] != '\0')
	{
		n_failed++;
		printf("not ok %d - %s\n# %s\n", n_tests, name, detail);
	}
	else
		printf("ok %d - %s\n", n_tests, name);
	fflush(stdout);
	detail[0] = '\0';
}

/* ---- the server ----------------------------------------------------------- */

/* what the server tells the test, in memory that both see */
typedef struct Seen
{
	volatile int requests;
	volatile int connections;
} Seen;

static Seen *seen;
static int server_port;
static int closed_port; /* nobody listens there */
static pid_t server_pid;

typedef struct Asked
{
	char text[32768]; /* header and body as they came */
	size_t len;
	char method[16];
	char path[256];
	const char *body;
} Asked;

static void
say_bytes(int fd, const char *bytes, size_t len)
{
	while (len > 0)
	{
		ssize_t n = send(fd, bytes, len, MSG_NOSIGNAL);

		if (n <= 0)
			_exit(0);
		bytes += n;
		len -= n;
	}
}

static void
say(int fd, const char *text)
{
	say_bytes(fd, text, strlen(text));
}

static void
rest(int ms)
{
	usleep(ms * 1000);
}

static void
reset(int fd)
{
	struct linger linger = {1, 0};

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	close(fd);
	_exit(0);
}

/* Reads one request; false when the other side is gone. */
static bool
hear(int fd, Asked *asked)
{
	char *end = NULL;
	char *length;
	size_t need = 0;

	asked->len = 0;
	while (end == NULL || asked->len < need)
	{
		ssize_t n = recv(fd, asked->text + asked->len, sizeof(asked->text) - 1 - asked->len, 0);

		if (n <= 0)
			return false;
		asked->len += n;
		asked->text[asked->len] = '\0';
		if (end == NULL && (end = strstr(asked->text, "\r\n\r\n")) != NULL)
		{
			length = strstr(asked->text, "Content-Length: ");
			need = end + 4 - asked->text +
				(length != NULL && length < end ? strtol(length + 16, NULL, 10) : 0);
		}
	}
	asked->body = end + 4;
	return sscanf(asked->text, "%15s %255s", asked->method, asked->path) == 2;
}

/* ---- gzip by hand: the test needs no zlib --------------------------------- */

typedef struct Bits
{
	char *to;
	uint32 held;
	int n;
} Bits;

static void
put_bit(Bits *bits, int bit)
{
	bits->held |= bit << bits->n++;
	if (bits->n == 8)
	{
		*bits->to++ = (char) bits->held;
		bits->held = 0;
		bits->n = 0;
	}
}

/* Huffman codes go most significant bit first */
static void
put_code(Bits *bits, int code, int len)
{
	while (len-- > 0)
		put_bit(bits, (code >> len) & 1);
}

static const char gzip_header[10] = "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03";

/* A fixed-Huffman block: one zero byte and then copies of it, 258 at a time, 13 bits each. */
static size_t
make_bomb(char *to, int copies)
{
	Bits bits = {to + sizeof(gzip_header)};

	memcpy(to, gzip_header, sizeof(gzip_header));
	put_bit(&bits, 1);
	put_bit(&bits, 1);
	put_bit(&bits, 0);
	put_code(&bits, 0x30, 8);
	while (copies-- > 0)
	{
		put_code(&bits, 0xC5, 8);
		put_code(&bits, 0, 5);
	}
	put_code(&bits, 0, 7);
	put_code(&bits, 0, 7);
	return bits.to - to;
}

static void
put_le32(char *to, uint32 value)
{
	int i;

	for (i = 0; i < 4; i++)
		to[i] = (char) (value >> (8 * i));
}

/* The text in one stored block, with a right checksum. */
static size_t
make_gzip(char *to, const char *text)
{
	size_t len = strlen(text);
	uint32 crc = 0xFFFFFFFF;
	size_t i;
	int k;

	for (i = 0; i < len; i++)
	{
		crc ^= (unsigned char) text[i];
		for (k = 0; k < 8; k++)
			crc = (crc >> 1) ^ (crc & 1 ? 0xEDB88320 : 0);
	}
	memcpy(to, gzip_header, 10);
	to[10] = 1;
	put_le32(to + 11, (uint32) len | ~(uint32) len << 16);
	memcpy(to + 15, text, len);
	put_le32(to + 15 + len, ~crc);
	put_le32(to + 19 + len, (uint32) len);
	return len + 23;
}

/* ---- how it answers ------------------------------------------------------- */

static void
say_gzip(int fd, const char *bytes, size_t len)
{
	char head[128];

	snprintf(head, sizeof(head),
			 "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %zu\r\n\r\n", len);
	say(fd, head);
	say_bytes(fd, bytes, len);
}

static void
say_plain(int fd, const char *head, const char *body, size_t len)
{
	char text[1024];

	snprintf(text, sizeof(text), "HTTP/1.1 %s\r\nContent-Length: %zu\r\n\r\n", head, len);
	say(fd, text);
	say_bytes(fd, body, len);
}

static void
answer_slowly(int fd, const char *path)
{
	int i;

	if (strcmp(path, "/drip") == 0)
	{
		say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
		for (i = 0; i < 1000; i++)
		{
			say(fd, "x");
			rest(20);
		}
	}
	else if (strcmp(path, "/drip-header") == 0)
	{
		say(fd, "HTTP/1.1 200 OK\r\nX-Slow: ");
		for (i = 0; i < 1000; i++)
		{
			say(fd, "x");
			rest(20);
		}
	}
	else if (strcmp(path, "/silent") == 0)
		rest(30000);
	else if (strcmp(path, "/soon") == 0)
	{
		rest(100);
		say_plain(fd, "200 OK", "soon", 4);
	}
	else if (strcmp(path, "/halves") == 0)
	{
		rest(100);
		say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf");
		rest(1300);
		say(fd, "half");
	}
}

static void
answer_badly(int fd, const char *path)
{
	char filler[4096];
	int i;

	memset(filler, 'f', sizeof(filler));
	filler[sizeof(filler) - 1] = '\0';
	if (strcmp(path, "/reset") == 0)
		reset(fd);
	else if (strcmp(path, "/close") == 0)
		_exit(0);
	else if (strcmp(path, "/reset-within") == 0)
	{
		say(fd, "HTTP/1.1 201 Created\r\nContent-Length: 100\r\n\r\nsome");
		rest(100);
		reset(fd);
	}
	else if (strcmp(path, "/truncated") == 0)
	{
		say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nsome");
		_exit(0);
	}
	else if (strcmp(path, "/truncated-chunk") == 0)
	{
		say(fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nsome\r\n");
		_exit(0);
	}
	else if (strcmp(path, "/many-headers") == 0 || strcmp(path, "/long-header") == 0)
	{
		say(fd, "HTTP/1.1 200 OK\r\nX-Long: ");
		for (i = 0; i < 40; i++)
		{
			say(fd, filler);
			if (path[1] == 'm')
				say(fd, "\r\nX-More: ");
		}
		say(fd, "\r\nContent-Length: 0\r\n\r\n");
	}
	else if (strcmp(path, "/garbage") == 0)
	{
		say(fd, "220 mail.example.com ESMTP\r\n");
		_exit(0);
	}
	else if (strcmp(path, "/nul-header") == 0)
		say_bytes(fd, "HTTP/1.1 200 OK\r\nX-A: a\0b\r\nContent-Length: 0\r\n\r\n", 48);
	else if (strcmp(path, "/bad-gzip") == 0)
		say_gzip(fd, "no gzip at all", 14);
	else if (strcmp(path, "/hints-for-ever") == 0)
		for (;;)
			say(fd, "HTTP/1.1 103 Early Hints\r\nX-Hint: another one\r\n\r\n");
}

static void
answer_well(int fd, const Asked *asked)
{
	const char *path = asked->path;
	char bytes[16384];
	size_t len;

	if (strcmp(path, "/plain") == 0)
		say_plain(fd,
				  "200 OK\r\nContent-Type: application/json; charset=utf-8\r\nX-Request-ID:  abc ",
				  "{\"id\": 7}", 9);
	else if (strcmp(path, "/echo") == 0)
		say_plain(fd, "200 OK\r\nContent-Type: text/plain", asked->text, asked->len);
	else if (strcmp(path, "/chunked") == 0)
		say(fd,
			"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: "
			"X-Sum\r\n\r\n5\r\nhello\r\n7\r\n, world\r\n0\r\nX-Sum: 12\r\n\r\n");
	else if (strcmp(path, "/until-close") == 0)
	{
		say(fd, "HTTP/1.1 200 OK\r\n\r\nall of it");
		_exit(0);
	}
	else if (strcmp(path, "/and-close") == 0)
	{
		say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\nConnection: close\r\n\r\nall of it");
		reset(fd);
	}
	else if (strcmp(path, "/hints") == 0)
		say(fd,
			"HTTP/1.1 103 Early Hints\r\nX-Early: 1\r\n\r\nHTTP/1.1 200 OK\r\nX-Late: "
			"2\r\nContent-Length: 0\r\n\r\n");
	else if (strcmp(path, "/folded") == 0)
		say(fd, "HTTP/1.1 200 OK\r\nX-Folded: one\r\n two\r\nContent-Length: 0\r\n\r\n");
	else if (strcmp(path, "/empty") == 0)
		say(fd, "HTTP/1.1 204 No Content\r\nX-A: b\r\n\r\n");
	else if (strcmp(path, "/head") == 0)
		say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 123456789\r\n\r\n");
	else if (strcmp(path, "/nul") == 0)
		say_plain(fd, "200 OK", "a\0b", 3);
	else if (strcmp(path, "/gzip") == 0)
	{
		len = make_gzip(bytes, "{\"zipped\": true}");
		say_gzip(fd, bytes, len);
	}
	else if (strcmp(path, "/bomb") == 0)
	{
		len = make_bomb(bytes, 10000);
		say_gzip(fd, bytes, len);
	}
	else if (strcmp(path, "/large") == 0 || strcmp(path, "/large-chunk") == 0)
	{
		memset(bytes, 'l', 8192);
		if (path[6] == '\0')
			say_plain(fd, "200 OK\r\nX-A: b", bytes, 8192);
		else
		{
			say(fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2000\r\n");
			say_bytes(fd, bytes, 8192);
			say(fd, "\r\n0\r\n\r\n");
		}
	}
	else if (strcmp(path, "/then-die") == 0)
		say_plain(fd, "200 OK", "first", 5);
}

/* "/redirect/<status>/<where>" where the rest is the Location, with %port replaced */
static void
answer_redirect(int fd, const char *path)
{
	char head[512];
	char where[256];
	const char *to = path + sizeof("/redirect/302/") - 1;

	snprintf(where, sizeof(where), "%s", to);
	if (strcmp(to, "other") == 0)
		snprintf(where, sizeof(where), "http://localhost:%d/echo", server_port);
	else if (strcmp(to, "refused") == 0)
		snprintf(where, sizeof(where), "http://127.0.0.1:%d/", closed_port);
	else if (strcmp(to, "loop") == 0)
		snprintf(where, sizeof(where), "%s", path);
	snprintf(head, sizeof(head), "%.3s Moved\r\nRetry-After: 7\r\nLocation: %s",
			 path + sizeof("/redirect/") - 1, where);
	say_plain(fd, head, "moved", 5);
}

static void
serve_connection(int fd)
{
	static Asked asked;
	int on_this = 0;

	while (hear(fd, &asked))
	{
		char *decoded;

		__sync_fetch_and_add(&seen->requests, 1);
		/* the second request on a connection that began with this path finds it dead */
		if (strcmp(asked.path, "/then-die") == 0 && on_this > 0)
			_exit(0);
		on_this++;
		while ((decoded = strstr(asked.path, "%3A")) != NULL)
		{
			*decoded = ':';
			memmove(decoded + 1, decoded + 3, strlen(decoded + 3) + 1);
		}
		if (strncmp(asked.path, "/redirect/", 10) == 0)
			answer_redirect(fd, asked.path);
		else if (strncmp(asked.path, "/retry/", 7) == 0)
		{
			char head[128];
			char *c;

			for (c = asked.path; *c != '\0'; c++)
				if (*c == '_')
					*c = ' ';
			snprintf(head, sizeof(head), "503 Busy\r\nRetry-After: %s", asked.path + 7);
			say_plain(fd, head, "", 0);
		}
		else
		{
			answer_slowly(fd, asked.path);
			answer_badly(fd, asked.path);
			answer_well(fd, &asked);
		}
	}
	_exit(0);
}

static int
listen_somewhere(int *port)
{
	struct sockaddr_in address = {0};
	socklen_t len = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	address.sin_family = AF_INET;
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (bind(fd, (struct sockaddr *) &address, len) != 0 || listen(fd, 128) != 0 ||
		getsockname(fd, (struct sockaddr *) &address, &len) != 0)
	{
		perror("listen");
		exit(1);
	}
	*port = ntohs(address.sin_port);
	return fd;
}

/* One process that accepts, one more for each connection; all end with the test. */
static void
start_server(void)
{
	int fd = listen_somewhere(&server_port);
	int closed = listen_somewhere(&closed_port);

	close(closed);
	seen = mmap(NULL, sizeof(Seen), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	server_pid = fork();
	if (server_pid != 0)
	{
		close(fd);
		return;
	}
	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGCHLD, SIG_IGN);
	for (;;)
	{
		int peer = accept(fd, NULL, NULL);
		int on = 1;

		__sync_fetch_and_add(&seen->connections, 1);
		if (peer >= 0 && fork() == 0)
		{
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			setsockopt(peer, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
			serve_connection(peer);
		}
		close(peer);
	}
}

/* ---- asking --------------------------------------------------------------- */

static char url_buffer[512];

static const char *
url_of(const char *path)
{
	snprintf(url_buffer, sizeof(url_buffer), "http://127.0.0.1:%d%s", server_port, path);
	return url_buffer;
}

static DfHttpRequest
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

static DfHttpResult *
await_result(void)
{
	DfHttpResult *result;
	int64 give_up = df_monotonic_us() + 20000000;

	while ((result = df_http_next()) == NULL)
	{
		if (df_monotonic_us() > give_up)
		{
			printf("Bail out! no result after 20 s: %s\n", detail);
			kill(-server_pid, SIGKILL);
			exit(1);
		}
		turn();
	}
	return result;
}

static DfHttpResult *
ask(const DfHttpRequest *request)
{
	df_http_submit(request);
	return await_result();
}

static DfHttpResult *
get(const char *path)
{
	DfHttpRequest request = request_for("GET", path);

	return ask(&request);
}

static const char *
fate_name(DfFate fate)
{
	static const char *const names[] = {"ANSWER", "NOT_SENT", "LOST", "TOO_LARGE", "REFUSED"};

	return names[fate];
}

static const char *
body_of(const DfHttpResult *result)
{
	return result->body == NULL ? "" : result->body;
}

static void
expect_fate(const DfHttpResult *result, DfFate fate, int status, const char *error)
{
	EXPECT(result->cookie == 42, "cookie " UINT64_FORMAT, result->cookie);
	EXPECT(result->fate == fate && result->status == status, "%s, status %d, error \"%s\"",
		   fate_name(result->fate), result->status, result->error);
	EXPECT(strstr(result->error, error) != NULL, "error is \"%s\"", result->error);
	EXPECT((fate == DF_FATE_ANSWER) == (result->error[0] == '\0'), "error is \"%s\"",
		   result->error);
}

/* The common shape: ask for a path, expect an end, and name the test. */
static void
check_get(const char *path, DfFate fate, int status, const char *error)
{
	DfHttpResult *result = get(path);

	expect_fate(result, fate, status, error);
	df_http_free(result);
	end_test(path);
}

static void
check_body(const char *path, const char *body)
{
	DfHttpResult *result = get(path);

	expect_fate(result, DF_FATE_ANSWER, 200, "");
	EXPECT(strcmp(body_of(result), body) == 0 && result->body_len == strlen(body), "body is \"%s\"",
		   body_of(result));
	df_http_free(result);
	end_test(path);
}

/* ---- answers -------------------------------------------------------------- */

static void
test_answers(void)
{
	DfHttpResult *result = get("/plain");

	expect_fate(result, DF_FATE_ANSWER, 200, "");
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
	expect_fate(result, DF_FATE_ANSWER, 200, "");
	EXPECT(strcmp(result->headers, "x-late: 2\ncontent-length: 0\n") == 0, "headers are \"%s\"",
		   result->headers);
	df_http_free(result);
	end_test("headers of interim answers are forgotten");

	result = get("/folded");
	EXPECT(strstr(result->headers, "x-folded: one two\n") != NULL, "headers are \"%s\"",
		   result->headers);
	df_http_free(result);
	end_test("folded header");

	result = get("/empty");
	expect_fate(result, DF_FATE_ANSWER, 204, "");
	EXPECT(result->body_len == 0, "body of %zu bytes", result->body_len);
	df_http_free(result);
	end_test("204 has no body");
}

static void
test_head(void)
{
	DfHttpRequest request = request_for("HEAD", "/head");
	DfHttpResult *result = ask(&request);

	expect_fate(result, DF_FATE_ANSWER, 200, "");
	EXPECT(result->body_len == 0, "body of %zu bytes", result->body_len);
	df_http_free(result);
	end_test("HEAD announces a body and has none");
}

static void
expect_said(const DfHttpResult *result, const char *text, bool said)
{
	EXPECT((strstr(body_of(result), text) != NULL) == said, "%s \"%s\" in: %s",
		   said ? "no" : "there is", text, body_of(result));
}

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
	expect_fate(result, DF_FATE_ANSWER, 200, "");
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
	expect_fate(result, DF_FATE_ANSWER, 200, "");
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

/* ---- answers that are not whole ------------------------------------------- */

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
	check_get("/bad-gzip", DF_FATE_LOST, 200, "decompress");
	check_get("/many-headers", DF_FATE_LOST, 200,
			  "headers of the answer are larger than 65536 bytes");
	check_get("/long-header", DF_FATE_LOST, 200, "");
	check_get("/hints-for-ever", DF_FATE_LOST, 103, "headers of the answer are larger");

	result = get("/truncated");
	expect_fate(result, DF_FATE_LOST, 200, "cut short");
	EXPECT(strcmp(body_of(result), "some") == 0, "body is \"%s\"", body_of(result));
	df_http_free(result);
	end_test("truncated body");
}

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

	/* the server does not speak TLS: the handshake waits for ever */
	snprintf(url_buffer, sizeof(url_buffer), "https://127.0.0.1:%d/silent", server_port);
	request.url = url_buffer;
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

/* Drives the client for a while, as a worker with time would. */
static void
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

static void
test_absence(void)
{
	DfHttpRequest request = request_for("GET", "/soon");
	DfHttpResult *result;

	request.timeout_ms = 400;
	df_http_submit(&request);
	poll_for(20);
	rest(800);
	result = await_result();
	expect_fate(result, DF_FATE_ANSWER, 200, "");
	df_http_free(result);
	end_test("an answer that arrived in time but was read late is an answer");

	request.url = url_of("/halves");
	request.timeout_ms = 900;
	df_http_submit(&request);
	poll_for(20);
	rest(900); /* the first half lies there for most of this */
	result = await_result();
	expect_fate(result, DF_FATE_ANSWER, 200, "");
	df_http_free(result);
	end_test("the deadline is extended by the time in which nobody read");

	df_http_submit(&request);
	poll_for(20);
	result = await_result();
	expect_fate(result, DF_FATE_LOST, 200, "timed out after 900 ms, within the answer");
	df_http_free(result);
	end_test("and is not if somebody did");

	request.url = url_of("/silent");
	request.timeout_ms = 300;
	df_http_submit(&request);
	poll_for(20);
	rest(600);
	result = await_result();
	expect_fate(result, DF_FATE_LOST, 0, "timed out");
	EXPECT(result->took_us < 900000, "took " INT64_FORMAT, result->took_us);
	df_http_free(result);
	end_test("and is not if there was nothing to read");
}

/* ---- limits --------------------------------------------------------------- */

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
	expect_fate(result, DF_FATE_ANSWER, 200, "");
	EXPECT(result->body_len == 8192, "body of %zu bytes", result->body_len);
	df_http_free(result);
	end_test("an answer of just max_body is whole");
}

/* ---- redirects ------------------------------------------------------------ */

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

	expect_fate(result, DF_FATE_ANSWER, 302, "");
	EXPECT(strstr(result->headers, "location: /plain\n") != NULL, "headers are \"%s\"",
		   result->headers);
	EXPECT(strcmp(body_of(result), "moved") == 0, "body is \"%s\"", body_of(result));
	df_http_free(result);
	end_test("a redirect is an answer if none are followed");

	result = ask_redirected("GET", "/redirect/302//plain", 1);
	expect_fate(result, DF_FATE_ANSWER, 200, "");
	EXPECT(result->retry_after_ms == -1 && strstr(result->headers, "location") == NULL,
		   "something of the redirect is left");
	EXPECT(strcmp(body_of(result), "{\"id\": 7}") == 0, "body is \"%s\"", body_of(result));
	df_http_free(result);
	end_test("a redirect is followed");

	seen->requests = 0;
	result = ask_redirected("GET", "/redirect/302/loop", 3);
	expect_fate(result, DF_FATE_ANSWER, 302, "");
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
	expect_fate(result, DF_FATE_ANSWER, 200, "");
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

/* ---- addresses ------------------------------------------------------------ */

static void
check_private(const char *host)
{
	DfHttpRequest request = request_for("GET", "/plain");
	DfHttpResult *result;
	char url[256];

	snprintf(url, sizeof(url), "http://%s:%d/plain", host, server_port);
	request.url = url;
	request.allow_private = false;
	seen->requests = 0;
	result = ask(&request);
	expect_fate(result, DF_FATE_REFUSED, 0, "not public");
	EXPECT(seen->requests == 0, "a request was sent");
	df_http_free(result);
	end_test(url);
}

static void
test_private(void)
{
	DfHttpRequest request = request_for("GET", "/plain");
	DfHttpResult *result;

	check_private("localhost");
	check_private("127.1");
	check_private("2130706433");
	check_private("0x7f.0.0.1");
	check_private("0");
	check_private("10.1.2.3");
	check_private("169.254.169.254");
	check_private("[::1]");
	check_private("[::ffff:127.0.0.1]");
	check_private("[64:ff9b::7f00:1]");
	check_private("[fd00::1]");

	result = ask(&request);
	expect_fate(result, DF_FATE_ANSWER, 200, "");
	df_http_free(result);
	seen->requests = 0;
	seen->connections = 0;
	request.allow_private = false;
	result = ask(&request);
	expect_fate(result, DF_FATE_REFUSED, 0, "not public (loopback)");
	EXPECT(seen->requests == 0 && seen->connections == 0, "a request was sent");
	df_http_free(result);
	end_test("a connection that somebody else left open is judged too");
}

static void
check_policy(const char *address, const char *what)
{
	const char *found = df_policy_blocks_text(address);

	EXPECT((found == NULL) == (what == NULL) && (found == NULL || strcmp(found, what) == 0),
		   "%s is %s", address, found == NULL ? "public" : found);
}

static void
test_policy(void)
{
	check_policy("8.8.8.8", NULL);
	check_policy("9.255.255.255", NULL);
	check_policy("11.0.0.0", NULL);
	check_policy("100.63.255.255", NULL);
	check_policy("100.64.0.1", "private");
	check_policy("100.127.255.255", "private");
	check_policy("100.128.0.0", NULL);
	check_policy("172.15.255.255", NULL);
	check_policy("172.31.255.255", "private");
	check_policy("172.32.0.0", NULL);
	check_policy("192.168.255.1", "private");
	check_policy("169.254.169.254", "link-local");
	check_policy("0.1.2.3", "unspecified");
	check_policy("127.255.0.1", "loopback");
	check_policy("224.0.0.1", "multicast");
	check_policy("255.255.255.255", "reserved");
	check_policy("2606:4700::1111", NULL);
	check_policy("::", "unspecified");
	check_policy("::1", "loopback");
	check_policy("::2", "unspecified");
	check_policy("fc00::1", "private");
	check_policy("fdff::1", "private");
	check_policy("fe00::1", NULL);
	check_policy("fe80::1", "link-local");
	check_policy("febf::1", "link-local");
	check_policy("ff02::1", "multicast");
	check_policy("::ffff:10.0.0.1", "private");
	check_policy("::ffff:8.8.8.8", NULL);
	check_policy("64:ff9b::a00:1", "private");
	check_policy("64:ff9b::808:808", NULL);
	check_policy("64:ff9b:1::808:808", "private");
	check_policy("2002:a00:1::1", "private");
	check_policy("2001::1", "reserved");
	check_policy("fe80::1%eth0", "not an internet address");
	check_policy("", "not an internet address");
	check_policy(NULL, "not an internet address");
	end_test("address policy");
}

/* ---- connections ---------------------------------------------------------- */

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
	expect_fate(result, DF_FATE_ANSWER, 200, "");
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
	check_dead_connection("GET", DF_FATE_ANSWER, 3, "a GET is");
	check_dead_connection("DELETE", DF_FATE_ANSWER, 3, "and a DELETE");
}

/* ---- Retry-After ---------------------------------------------------------- */

static void
check_retry_after(const char *value, int64 low, int64 high)
{
	char path[128];
	DfHttpResult *result;

	snprintf(path, sizeof(path), "/retry/%s", value);
	result = get(path);
	expect_fate(result, DF_FATE_ANSWER, 503, "");
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

/* ---- what is refused at once ---------------------------------------------- */

static void
check_refused(DfHttpRequest request, const char *error)
{
	DfHttpResult *result = ask(&request);

	expect_fate(result, DF_FATE_REFUSED, 0, error);
	EXPECT(strstr(result->error, "hunter2") == NULL, "a secret in the error");
	df_http_free(result);
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

	snprintf(url_buffer, sizeof(url_buffer), "https://127.0.0.1:%d/plain", server_port);
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

/* ---- many at once --------------------------------------------------------- */

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
		EXPECT(result->fate == DF_FATE_ANSWER && result->cookie < 100 && !got[result->cookie],
			   "%s, cookie " UINT64_FORMAT, result->error, result->cookie);
		got[result->cookie % 100] = true;
		df_http_free(result);
	}
	EXPECT(df_http_in_flight() == 0 && df_http_next() == NULL, "something is left");
	EXPECT(df_monotonic_us() - begin < 5000000, "they waited for each other");
	end_test("a hundred at once");
}

static void
test_idle(void)
{
	struct pollfd pollfd = {df_http_fd(), POLLIN, 0};
	int wakes = 0;

	df_http_free(get("/plain"));
	/* the server goes, and with it the connections that rest */
	kill(-server_pid, SIGKILL);
	waitpid(server_pid, NULL, 0);
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

/* ---- URLs ----------------------------------------------------------------- */

static void
check_join(const char *base, const char *path, const char *expected)
{
	const char *why = "";
	char *url = df_url_join(base, path, &why);

	EXPECT(url != NULL && strcmp(url, expected) == 0 && why == NULL, "%s: %s", path,
		   url != NULL ? url : why);
	pfree(url);
}

static void
check_join_refused(const char *path, const char *reason)
{
	const char *why = NULL;
	char *url = df_url_join("https://api.example.com/v1", path, &why);

	EXPECT(url == NULL, "%s became %s", path, url);
	EXPECT(why != NULL && strstr(why, reason) != NULL, "%s: %s", path,
		   why == NULL ? "no reason" : why);
	pfree(url);
}

static void
test_join(void)
{
	check_join("https://api.example.com/v1", "/users/1?x=y",
			   "https://api.example.com/v1/users/1?x=y");
	check_join("https://api.example.com/v1/", "/users", "https://api.example.com/v1/users");
	check_join("https://api.example.com", "/users/a@b.com",
			   "https://api.example.com/users/a@b.com");
	check_join("https://api.example.com/v1", "", "https://api.example.com/v1");
	check_join("https://api.example.com", "?a=..&b=/../", "https://api.example.com?a=..&b=/../");
	check_join("http://[::1]:8080/a", "/b:c;d=e,f/...", "http://[::1]:8080/a/b:c;d=e,f/...");
	check_join("https://api.example.com", "/a b/\"x\"/m\xC3\xBCller",
			   "https://api.example.com/a%20b/%22x%22/m%C3%BCller");
	check_join("https://api.example.com", "/a%2Fb?n=%0A&expand[]=c",
			   "https://api.example.com/a%2Fb?n=%0A&expand[]=c");
	check_join("https://api.example.com", "/http://x/y", "https://api.example.com/http://x/y");
	end_test("url: paths are joined");

	check_join_refused("http://evil.example/", "a scheme");
	check_join_refused("javascript:alert", "a scheme");
	check_join_refused("//evil.example/", "two slashes");
	check_join_refused("@evil.example/", "user information");
	check_join_refused(":pw@evil.example/", "user information");
	check_join_refused(".evil.example/", "begin with a slash");
	check_join_refused("users", "begin with a slash");
	check_join_refused(":8080/", "begin with a slash");
	end_test("url: another host, scheme, port or user is refused");

	check_join_refused("/a#b", "fragment");
	check_join_refused("/a\r\nX: y", "control character");
	check_join_refused("/a\x7F", "control character");
	check_join_refused("/a\tb", "control character");
	check_join_refused("/a\\b", "backslash");
	check_join_refused("/\\evil.example", "backslash");
	check_join_refused("/a%2", "percent sign");
	check_join_refused("/a%zz", "percent sign");
	end_test("url: fragments, control characters and backslashes are refused");

	check_join_refused("/..", "dot segment");
	check_join_refused("/.", "dot segment");
	check_join_refused("/a/../b", "dot segment");
	check_join_refused("/a/./b", "dot segment");
	check_join_refused("/a/..?x=y", "dot segment");
	check_join_refused("/a/%2e%2E/b", "dot segment");
	check_join_refused("/a/.%2e/b", "dot segment");
	check_join_refused("/a%2f..%2fb", "dot segment");
	check_join_refused("/a%5c..%5cb", "dot segment");
	check_join_refused("/a/%252e%252e/b", "dot segment");
	check_join_refused("/a/..;x/b", "dot segment");
	end_test("url: dot segments are refused, encoded ones too");
}

static void
check_base(const char *base, const char *reason)
{
	const char *problem = df_url_base_problem(base);

	EXPECT((problem == NULL) == (reason == NULL) &&
			   (problem == NULL || strstr(problem, reason) != NULL),
		   "%s: %s", base, problem == NULL ? "accepted" : problem);
}

static void
test_base(void)
{
	check_base("https://api.example.com", NULL);
	check_base("http://127.0.0.1:8080/v1/", NULL);
	check_base("http://[::1]/", NULL);
	check_base("HTTPS://Api.Example.com/x", NULL);
	check_base("", "not a URL");
	check_base("api.example.com", "not a URL");
	check_base("/v1", "not a URL");
	check_base("https://", "not a URL");
	check_base("https://api.example.com:99999", "not a URL");
	check_base("ftp://api.example.com", "scheme");
	check_base("file:///etc/passwd", "scheme");
	check_base("https://me:pw@api.example.com", "user mapping");
	check_base("https://me@api.example.com", "user mapping");
	check_base("https://api.example.com/?a=b", "query");
	check_base("https://api.example.com/#a", "fragment");
	check_base("https://api.example.com/a/../b", "dot segment");
	check_base("https://api.example.com/a\nb", "control character");
	check_base("https:\\\\api.example.com", "backslash");
	check_base("https://api.example.com/a b", "space");
	end_test("url: bases");
}

static void
test_encode(void)
{
	char *encoded = df_url_encode("a-Z_0.9~ /?#%&=+:@\n\xC3\xBC");

	EXPECT(strcmp(encoded, "a-Z_0.9~%20%2F%3F%23%25%26%3D%2B%3A%40%0A%C3%BC") == 0, "%s", encoded);
	pfree(encoded);
	encoded = df_url_encode("");
	EXPECT(encoded[0] == '\0', "%s", encoded);
	pfree(encoded);
	end_test("url: percent-encoding");
}

int
main(void)
{
	signal(SIGPIPE, SIG_IGN);
	/* what must not matter */
	setenv("http_proxy", "http://127.0.0.1:1/", 1);
	setenv("ALL_PROXY", "http://127.0.0.1:1/", 1);
	start_server();
	if (!df_http_init())
	{
		printf("Bail out! libcurl cannot be initialised\n");
		return 1;
	}
	test_answers();
	test_head();
	test_request_lines();
	test_large_request();
	test_loss();
	test_deadlines();
	test_absence();
	test_limits();
	test_redirects();
	test_bad_redirects();
	test_private();
	test_policy();
	test_connections();
	test_dead_connections();
	test_retry_after();
	test_refusals();
	test_tls_files();
	test_many();
	test_signals();
	test_shutdown();
	test_join();
	test_base();
	test_encode();
	test_idle();
	df_http_shutdown();
	munmap(seen, sizeof(Seen));
	printf("1..%d\n", n_tests);
	return n_failed == 0 ? 0 : 1;
}
