/*
 * bench/curl_limit.c
 *	  The limit line of the benchmark: what libcurl alone can do.
 *
 * A bare multi loop in one thread, without a database, a policy, a deadline or
 * a record of anything: epoll, curl_multi_socket_action(), handles that are
 * used again, answers thrown away.  Nothing that drives libcurl from one
 * process can be faster on the same machine, so the engine's figure is given
 * next to this one.
 *
 *	  gcc -O2 -o curl_limit bench/curl_limit.c -lcurl
 *	  ./curl_limit <url> <total requests> <concurrency> [<body to POST>]
 *
 * Prints requests/s, and to stderr what failed, if anything did.
 */
#define _GNU_SOURCE

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>

#include <curl/curl.h>

#define MAX_EVENTS 256

static CURLM *multi;
static int epoll_fd;
static long timer_ms = -1;

static const char *url;
static const char *body;
static struct curl_slist *headers;

static long started;
static long finished;
static long failed;
static long total;

static int
on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *known)
{
	struct epoll_event event = {.data = {.fd = fd}};

	(void) easy;
	(void) arg;
	if (what == CURL_POLL_REMOVE)
	{
		epoll_ctl(epoll_fd, EPOLL_CTL_DEL, fd, &event);
		curl_multi_assign(multi, fd, NULL);
		return 0;
	}
	if (what == CURL_POLL_IN || what == CURL_POLL_INOUT)
		event.events |= EPOLLIN;
	if (what == CURL_POLL_OUT || what == CURL_POLL_INOUT)
		event.events |= EPOLLOUT;
	epoll_ctl(epoll_fd, known != NULL ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &event);
	curl_multi_assign(multi, fd, &epoll_fd);
	return 0;
}

static int
on_timer(CURLM *handle, long timeout_ms, void *arg)
{
	(void) handle;
	(void) arg;
	timer_ms = timeout_ms;
	return 0;
}

static size_t
discard(char *data, size_t size, size_t count, void *arg)
{
	(void) data;
	(void) arg;
	return size * count;
}

static CURL *
make_handle(void)
{
	CURL *easy = curl_easy_init();

	if (easy == NULL)
		exit(1);
	curl_easy_setopt(easy, CURLOPT_URL, url);
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_PROXY, "");
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, discard);
	if (body != NULL)
	{
		curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, (long) strlen(body));
		curl_easy_setopt(easy, CURLOPT_POSTFIELDS, body);
		curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
	}
	return easy;
}

/* Counts what has ended and sends as many requests anew. */
static void
collect(void)
{
	CURLMsg *message;
	int left;

	while ((message = curl_multi_info_read(multi, &left)) != NULL)
	{
		CURL *easy = message->easy_handle;
		long status = 0;

		curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
		if (message->data.result != CURLE_OK || status < 200 || status > 299)
			failed++;
		finished++;
		curl_multi_remove_handle(multi, easy);
		if (started < total)
		{
			started++;
			curl_multi_add_handle(multi, easy);
		}
		else
			curl_easy_cleanup(easy);
	}
}

static void
turn(void)
{
	struct epoll_event events[MAX_EVENTS];
	int n = epoll_wait(epoll_fd, events, MAX_EVENTS, timer_ms < 0 ? 1000 : (int) timer_ms);
	int running;
	int i;

	for (i = 0; i < n; i++)
	{
		int what = 0;

		if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))
			what |= CURL_CSELECT_IN;
		if (events[i].events & (EPOLLOUT | EPOLLERR))
			what |= CURL_CSELECT_OUT;
		curl_multi_socket_action(multi, events[i].data.fd, what, &running);
	}
	if (n == 0 || timer_ms == 0)
	{
		timer_ms = -1;
		curl_multi_socket_action(multi, CURL_SOCKET_TIMEOUT, 0, &running);
	}
	collect();
}

static double
seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec + now.tv_nsec / 1e9;
}

int
main(int argc, char **argv)
{
	long concurrency;
	double begin;

	if (argc < 4 || argc > 5)
	{
		fprintf(stderr, "usage: %s <url> <total requests> <concurrency> [<body to POST>]\n",
				argv[0]);
		return 2;
	}
	url = argv[1];
	total = atol(argv[2]);
	concurrency = atol(argv[3]);
	body = argc == 5 ? argv[4] : NULL;

	curl_global_init(CURL_GLOBAL_DEFAULT);
	headers = curl_slist_append(NULL, "Content-Type: application/json");
	multi = curl_multi_init();
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, on_socket);
	curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, on_timer);

	begin = seconds();
	while (started < total && started < concurrency)
	{
		started++;
		curl_multi_add_handle(multi, make_handle());
	}
	while (finished < total)
		turn();
	printf("%.0f\n", total / (seconds() - begin));
	if (failed > 0)
		fprintf(stderr, "%ld of %ld requests failed\n", failed, total);

	curl_multi_cleanup(multi);
	curl_slist_free_all(headers);
	curl_global_cleanup();
	return failed > 0;
}
