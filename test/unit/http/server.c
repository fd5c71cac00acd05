/*
 * test/unit/http/server.c
 *	  A small TCP server that misbehaves as the path of a request tells it to.
 *
 * One process that accepts and one more for each connection, forked by the test, none of
 * which outlives it.  They use nothing of the sources under test.
 */
#include "postgres.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "http/gzip.h"
#include "http/server.h"

Seen *seen;
int server_port;
int closed_port;

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

void
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

/* ---- how it answers ------------------------------------------------------- */

static void
say_coded(int fd, const char *coding, const char *bytes, size_t len)
{
	char head[128];

	snprintf(head, sizeof(head),
			 "HTTP/1.1 200 OK\r\nContent-Encoding: %s\r\nContent-Length: %zu\r\n\r\n", coding,
			 len);
	say(fd, head);
	say_bytes(fd, bytes, len);
}

static void
say_gzip(int fd, const char *bytes, size_t len)
{
	say_coded(fd, "gzip", bytes, len);
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

/* what servers write into Content-Encoding, and what they send then */
static void
answer_coded(int fd, const char *how)
{
	static const char deflated[] = "\x78\x9c\x4b\x49\x4d\xcb\x49\x2c\x49\x4d\x01\x00\x0e\x79\x03"
								   "\x3a";
	char bytes[1024];
	size_t len = make_gzip(bytes, "zipped");

	if (strcmp(how, "utf-8") == 0 || strcmp(how, "br") == 0)
		say_coded(fd, how, "{\"id\": 1}", 9);
	else if (strcmp(how, "identity") == 0)
		say_coded(fd, "Identity", "plain", 5);
	else if (strcmp(how, "not-at-all") == 0)
		say_coded(fd, "gzip", "{\"id\": 2}", 9);
	else if (strcmp(how, "one-byte") == 0)
		say_coded(fd, "gzip", "7", 1);
	else if (strcmp(how, "otherwise") == 0)
		say_coded(fd, "utf-8", bytes, len);
	else if (strcmp(how, "twice") == 0)
	{
		len += make_gzip(bytes + len, " twice");
		say_coded(fd, "x-gzip", bytes, len);
	}
	else if (strcmp(how, "with-rest") == 0)
	{
		memset(bytes + len, 0, 8);
		say_coded(fd, "gzip", bytes, len + 8);
	}
	else if (strcmp(how, "deflate") == 0)
		say_coded(fd, "deflate", deflated, sizeof(deflated) - 1);
	else if (strcmp(how, "raw") == 0)
		say_coded(fd, "deflate", deflated + 2, sizeof(deflated) - 1 - 6);
	else if (strcmp(how, "cut") == 0)
		say_coded(fd, "gzip", bytes, len - 12);
	else if (strcmp(how, "damaged") == 0)
	{
		bytes[12] ^= 0x55;
		say_coded(fd, "gzip", bytes, len);
	}
	else if (strcmp(how, "damaged-sum") == 0)
	{
		bytes[len - 6] ^= 0x55;
		say_coded(fd, "gzip", bytes, len);
	}
	else if (strcmp(how, "in-pieces") == 0)
	{
		snprintf(bytes + len, 128, "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n"
								   "Content-Length: %zu\r\n\r\n",
				 len);
		say(fd, bytes + len);
		for (size_t i = 0; i < len; i++)
		{
			say_bytes(fd, bytes + i, 1);
			rest(2);
		}
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
			if (strncmp(asked.path, "/coded/", 7) == 0)
				answer_coded(fd, asked.path + 7);
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
void
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

/* The connections that rest in the client die with it. */
void
stop_server(void)
{
	if (server_pid == 0)
		return;
	kill(-server_pid, SIGKILL);
	waitpid(server_pid, NULL, 0);
	server_pid = 0;
}
