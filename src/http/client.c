/*
 * http/client.c
 *	  The HTTP requests and mails of a worker: sends them, returns their results.
 *
 * Runs in workers, outside of transactions: no transaction may be open while a socket is
 * awaited.  The worker waits for df_http_fd() together with its latch, then calls
 * df_http_perform(), which reads and writes what is possible and never waits.  The sockets
 * of libcurl are in an epoll set of their own, whose descriptor is pollable, so the worker
 * registers it once.
 *
 * Deadlines of attempts are judged here instead of by libcurl (CURLOPT_TIMEOUT): a worker
 * that was busy must not count responses that are already in its sockets as timeouts.  A
 * deadline is judged only after everything that has arrived was read, and is extended by
 * the time in which nobody read.  That time is measured from the end of one
 * df_http_perform() to the df_http_timeout_ms() before the next wait.
 *
 * All signals are blocked while libcurl runs: libcurl may start a thread to resolve a name,
 * a thread inherits the signal mask, and a signal handler of PostgreSQL must never run in
 * another thread.
 *
 * A connection carries one request at a time, even with HTTP/2.  With multiplexing, a server
 * that sends GOAWAY (nginx does after 1,000 requests) drops all requests on that
 * connection; libcurl reports this like a broken connection, so that nobody can tell
 * whether a POST was carried out.  Measured with 64 POSTs in flight: 1 to 2 % in doubt with
 * multiplexing, none without.
 *
 * A mail (http/smtp.c) is an exchange like the others, with a multi handle of its own until
 * it is connected; its sockets are in the same epoll set.
 *
 * Never raise an error or palloc here.  If memory is short, the result is DF_FATE_STARVED; a
 * reserve is kept for that.
 */
#include "postgres.h"

#include <errno.h>
#include <signal.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <curl/curl.h>

#include "http/client.h"
#include "http/exchange_end.h"
#include "http/rate_limit.h"
#include "http/redirect.h"
#include "http/request.h"
#include "http/smtp.h"
#include "shared/clock.h"

#define MAX_EVENTS 128
#define MAX_IDLE_HANDLES 128
#define MAX_CONNECTIONS 512
#define RESERVE_RESULTS 64

/* a shorter absence is an ordinary turn of a worker */
#define ABSENCE_US INT64CONST(100000)

/* read at most so often before judging a deadline, because a peer may never stop sending */
#define MAX_READ_ROUNDS 16

/* The result is first: df_http_free() gets its address and frees the whole exchange. */
typedef struct DfDone
{
	DfHttpResult result;
	struct DfDone *next;
	bool is_reserve;
} DfDone;

/*
 * What libcurl wants to know of a descriptor, and what epoll reports.  They differ when
 * libcurl keeps an idle connection: the next request on it will want the same, so epoll is
 * changed only if the descriptor reports something in the meantime.  That saves two system
 * calls per request.
 */
typedef struct Watch
{
	uint32 wanted; /* 0 = nothing */
	uint32 registered; /* 0 = not in the epoll set */
	bool is_connection; /* opened by libcurl for a transfer, closed by us */
	DfExchange *mail; /* whose it is; NULL = the multi handle's that all HTTP shares */
} Watch;

static struct
{
	CURLM *multi; /* NULL = not initialised */
	int epoll_fd;
	int64 timer_us; /* when libcurl wants to be called, -1 = not */

	Watch *watches; /* indexed by descriptor */
	int nwatches;

	DfExchange *in_flight; /* doubly linked */
	int64 nearest_us; /* no deadline is earlier; -1 = none in flight */
	int count; /* submitted and not yet handed out */
	int mails; /* of those in flight */

	DfDone *first_done;
	DfDone *last_done;
	DfDone *reserve;

	CURL *idle[MAX_IDLE_HANDLES];
	int nidle;

	/* whether the worker runs (away) or waits */
	bool waiting;
	int64 mark_us; /* since when */
	int64 promised_us; /* when the wait should end, -1 = open */
	int64 away_us; /* how long it was away since the last perform */
} client = {.epoll_fd = -1, .timer_us = -1, .nearest_us = -1};

/* ---- results -------------------------------------------------------------- */

/* A result, from the reserve if malloc fails; NULL only if the reserve is used up. */
static DfDone *
new_result(uint64 cookie)
{
	DfDone *done = calloc(1, sizeof(DfDone));

	if (done == NULL && client.reserve != NULL)
	{
		done = client.reserve;
		client.reserve = done->next;
		memset(done, 0, sizeof(DfDone));
		done->is_reserve = true;
	}
	if (done == NULL)
		return NULL;
	done->result.cookie = cookie;
	done->result.retry_after_ms = -1;
	return done;
}

static void
queue_result(DfDone *done)
{
	done->next = NULL;
	if (client.last_done == NULL)
		client.first_done = done;
	else
		client.last_done->next = done;
	client.last_done = done;
}

static void
queue_unsent(DfDone *done, DfFate fate, const char *why)
{
	done->result.fate = fate;
	snprintf(done->result.error, sizeof(done->result.error), "%s", why);
	queue_result(done);
}

DfHttpResult *
df_http_next(void)
{
	DfDone *done = client.first_done;

	if (done == NULL)
		return NULL;
	client.first_done = done->next;
	if (client.first_done == NULL)
		client.last_done = NULL;
	client.count--;
	return &done->result;
}

/* A response may hold a token, so it is wiped like a request. */
void
df_http_free(DfHttpResult *result)
{
	DfDone *done = (DfDone *) result;

	if (done == NULL)
		return;
	if (result->body != NULL)
		explicit_bzero(result->body, result->body_len);
	if (result->headers != NULL)
		explicit_bzero(result->headers, strlen(result->headers));
	free(result->body);
	free(result->headers);
	if (!done->is_reserve)
		free(done);
	else
	{
		done->next = client.reserve;
		client.reserve = done;
	}
}

int
df_http_in_flight(void)
{
	return client.count;
}

/* ---- sockets and the timer: what libcurl asks of us ----------------------- */

static Watch *
watch_of(int fd)
{
	int wanted = Max(fd + 1, 64);
	Watch *grown;

	if (fd < client.nwatches)
		return &client.watches[fd];
	wanted = Max(wanted, 2 * client.nwatches);
	grown = realloc(client.watches, wanted * sizeof(Watch));
	if (grown == NULL)
		return NULL;
	memset(grown + client.nwatches, 0, (wanted - client.nwatches) * sizeof(Watch));
	client.watches = grown;
	client.nwatches = wanted;
	return &client.watches[fd];
}

static bool
tell_epoll(Watch *watch, int fd, uint32 events)
{
	struct epoll_event event = {.events = events, .data = {.fd = fd}};
	int op = events == 0 ? EPOLL_CTL_DEL : watch->registered != 0 ? EPOLL_CTL_MOD
																  : EPOLL_CTL_ADD;
	int rc = epoll_ctl(client.epoll_fd, op, fd, &event);

	/* a descriptor that libcurl closed has left the set by itself */
	if (rc != 0 && op == EPOLL_CTL_MOD && errno == ENOENT)
		rc = epoll_ctl(client.epoll_fd, EPOLL_CTL_ADD, fd, &event);
	else if (rc != 0 && op == EPOLL_CTL_ADD && errno == EEXIST)
		rc = epoll_ctl(client.epoll_fd, EPOLL_CTL_MOD, fd, &event);
	watch->registered = rc == 0 ? events : 0;
	return rc == 0 || op == EPOLL_CTL_DEL;
}

static int
on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_arg)
{
	Watch *watch = watch_of(fd);

	if (watch == NULL)
		return -1;
	watch->mail = arg;
	watch->wanted = 0;
	if (what == CURL_POLL_IN || what == CURL_POLL_INOUT)
		watch->wanted |= EPOLLIN;
	if (what == CURL_POLL_OUT || what == CURL_POLL_INOUT)
		watch->wanted |= EPOLLOUT;
	if (watch->wanted == watch->registered)
		return 0;
	if (watch->wanted == 0 && watch->is_connection)
		return 0; /* later, if ever */
	return tell_epoll(watch, fd, watch->wanted) ? 0 : -1;
}

static int
on_timer(CURLM *multi, long timeout_ms, void *arg)
{
	DfExchange *mail = arg;
	int64 *timer_us = mail != NULL ? &mail->mail->timer_us : &client.timer_us;

	*timer_us = timeout_ms < 0 ? -1 : timeout_ms == 0 ? 0
													  : df_monotonic_us() + timeout_ms * 1000;
	return 0;
}

/* A new connection may reuse the number of a closed one: forget what was noted for it. */
static int
on_connection(void *arg, curl_socket_t fd, curlsocktype purpose)
{
	Watch *watch = watch_of(fd);

	if (watch == NULL)
		return CURL_SOCKOPT_ERROR;
	memset(watch, 0, sizeof(Watch));
	watch->is_connection = true;
	return CURL_SOCKOPT_OK;
}

static int
on_close(void *arg, curl_socket_t fd)
{
	if (fd < client.nwatches)
	{
		if (client.watches[fd].registered != 0)
			tell_epoll(&client.watches[fd], fd, 0);
		memset(&client.watches[fd], 0, sizeof(Watch));
	}
	return close(fd);
}

/* ---- begin and end -------------------------------------------------------- */

static void
make_reserve(void)
{
	int i;

	for (i = 0; i < RESERVE_RESULTS; i++)
	{
		DfDone *done = calloc(1, sizeof(DfDone));

		if (done == NULL)
			break;
		done->next = client.reserve;
		client.reserve = done;
	}
}

bool
df_http_init(void)
{
	if (client.multi != NULL)
		return true;
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return false;
	client.multi = curl_multi_init();
	client.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (client.multi == NULL || client.epoll_fd < 0 ||
		curl_multi_setopt(client.multi, CURLMOPT_SOCKETFUNCTION, on_socket) != CURLM_OK ||
		curl_multi_setopt(client.multi, CURLMOPT_TIMERFUNCTION, on_timer) != CURLM_OK ||
		curl_multi_setopt(client.multi, CURLMOPT_PIPELINING, (long) CURLPIPE_NOTHING) != CURLM_OK ||
		curl_multi_setopt(client.multi, CURLMOPT_MAXCONNECTS, (long) MAX_CONNECTIONS) != CURLM_OK)
	{
		df_http_shutdown();
		return false;
	}
	make_reserve();
	return true;
}

void
df_http_limit(int connections)
{
	(void) curl_multi_setopt(client.multi, CURLMOPT_MAXCONNECTS,
							 (long) Min(Max(connections, 1), MAX_CONNECTIONS));
}

int
df_http_fd(void)
{
	return client.epoll_fd;
}

static void
give_back_handle(CURL *easy)
{
	/* it holds pointers into the exchange and names of files */
	curl_easy_reset(easy);
	if (client.nidle < MAX_IDLE_HANDLES)
		client.idle[client.nidle++] = easy;
	else
		curl_easy_cleanup(easy);
}

/* Closes the connection, too. */
static void
end_mail(DfExchange *exchange)
{
	client.mails--;
	curl_multi_remove_handle(exchange->mail->multi, exchange->easy);
	(void) curl_multi_cleanup(exchange->mail->multi);
	exchange->mail->multi = NULL;
}

/* Removes an exchange from libcurl and from the list; its result then belongs to the caller. */
static DfDone *
end_exchange(DfExchange *exchange)
{
	DfDone *done = exchange->done;

	if (exchange->prev != NULL)
		exchange->prev->next = exchange->next;
	else
		client.in_flight = exchange->next;
	if (exchange->next != NULL)
		exchange->next->prev = exchange->prev;
	if (client.in_flight == NULL)
		client.nearest_us = -1;
	if (exchange->mail != NULL)
		end_mail(exchange);
	else
		curl_multi_remove_handle(client.multi, exchange->easy);
	give_back_handle(exchange->easy);
	df_exchange_free(exchange);
	return done;
}

void
df_http_shutdown(void)
{
	DfHttpResult *result;

	while (client.in_flight != NULL)
		queue_result(end_exchange(client.in_flight));
	while ((result = df_http_next()) != NULL)
		df_http_free(result);
	while (client.nidle > 0)
		curl_easy_cleanup(client.idle[--client.nidle]);
	if (client.multi != NULL)
	{
		curl_multi_cleanup(client.multi);
		curl_global_cleanup();
	}
	if (client.epoll_fd >= 0)
		close(client.epoll_fd);
	while (client.reserve != NULL)
	{
		DfDone *done = client.reserve;

		client.reserve = done->next;
		free(done);
	}
	free(client.watches);
	memset(&client, 0, sizeof(client));
	client.epoll_fd = -1;
	client.timer_us = -1;
	client.nearest_us = -1;
}

/* ---- requests in ---------------------------------------------------------- */

static CURL *
get_handle(void)
{
	return client.nidle > 0 ? client.idle[--client.nidle] : curl_easy_init();
}

static CURLcode
apply_sockets(CURL *easy)
{
	CURLcode code = curl_easy_setopt(easy, CURLOPT_SOCKOPTFUNCTION, on_connection);

	return code != CURLE_OK ? code : curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, on_close);
}

/*
 * A multi handle for one mail, which uses the same epoll set and a timer of its own; NULL =
 * no memory.
 */
static CURLM *
multi_for(DfExchange *exchange)
{
	CURLM *multi = curl_multi_init();

	if (multi == NULL ||
		(curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, on_socket) == CURLM_OK &&
		 curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, exchange) == CURLM_OK &&
		 curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, on_timer) == CURLM_OK &&
		 curl_multi_setopt(multi, CURLMOPT_TIMERDATA, exchange) == CURLM_OK &&
		 curl_multi_add_handle(multi, exchange->easy) == CURLM_OK))
		return multi;
	(void) curl_multi_cleanup(multi);
	return NULL;
}

static bool
add_exchange(DfExchange *exchange)
{
	if (exchange->mail == NULL)
		return curl_multi_add_handle(client.multi, exchange->easy) == CURLM_OK;
	exchange->mail->multi = multi_for(exchange);
	if (exchange->mail->multi == NULL)
		return false;
	client.mails++;
	return true;
}

/* Hands an exchange to libcurl; NULL, or the reason why that failed, with *fate. */
static const char *
begin_exchange(DfExchange *exchange, const DfHttpRequest *request, DfFate *fate)
{
	CURLcode code;

	*fate = DF_FATE_STARVED;
	exchange->easy = get_handle();
	if (exchange->easy == NULL)
		return "there is no memory for a request";
	code = exchange->mail != NULL ? df_mail_apply(exchange, request)
								  : df_request_apply(exchange, request);
	if (code == CURLE_OK)
		code = apply_sockets(exchange->easy);
	if (code == CURLE_OK && add_exchange(exchange))
		return NULL;
	give_back_handle(exchange->easy);
	if (code != CURLE_OK && code != CURLE_OUT_OF_MEMORY)
		*fate = DF_FATE_REFUSED;
	return code == CURLE_OK ? "libcurl does not take the request" : curl_easy_strerror(code);
}

static void
list_exchange(DfExchange *exchange)
{
	exchange->started_us = df_monotonic_us();
	exchange->deadline_us = exchange->started_us + (int64) exchange->timeout_ms * 1000;
	exchange->next = client.in_flight;
	if (client.in_flight != NULL)
		client.in_flight->prev = exchange;
	client.in_flight = exchange;
	if (client.nearest_us < 0 || exchange->deadline_us < client.nearest_us)
		client.nearest_us = exchange->deadline_us;
}

static const char *
problem_of(const DfHttpRequest *request)
{
	if (client.multi == NULL)
		return "libcurl is not initialised";
	return request->mail_from != NULL ? df_mail_problem(request) : df_request_problem(request);
}

void
df_http_submit(const DfHttpRequest *request)
{
	DfDone *done = new_result(request->cookie);
	DfExchange *exchange;
	const char *problem;
	DfFate fate;

	if (done == NULL)
		return; /* the reserve is used up: the run is released when its lease runs out */
	client.count++;
	problem = problem_of(request);
	if (problem != NULL)
	{
		queue_unsent(done, DF_FATE_REFUSED, problem);
		return;
	}
	exchange = request->mail_from != NULL ? df_mail_new(request) : df_request_new(request);
	if (exchange == NULL)
	{
		queue_unsent(done, DF_FATE_STARVED, "there is no memory for a request");
		return;
	}
	exchange->done = done;
	exchange->open_fd = client.epoll_fd;
	problem = begin_exchange(exchange, request, &fate);
	if (problem == NULL)
		list_exchange(exchange);
	else
	{
		df_exchange_free(exchange);
		queue_unsent(done, fate, problem);
	}
}

/* ---- results out ---------------------------------------------------------- */

/* Moves the buffers of the response to the result. */
static void
fill_result(DfExchange *exchange, DfHttpResult *result)
{
	DfResponse *response = &exchange->response;

	result->status = response->status;
	result->body = response->body.data;
	result->body_len = response->body.len;
	result->headers = response->headers.data;
	memcpy(result->content_type, response->content_type, sizeof(result->content_type));
	result->form = df_response_form(response);
	result->head_complete = response->head_complete;
	result->retry_after_ms = df_rate_limit_ms(result->status, result->headers, df_now());
	result->took_us = df_monotonic_us() - exchange->started_us;
	if (result->body != NULL)
		result->body[result->body_len] = '\0';
	response->body.data = NULL;
	response->headers.data = NULL;
}

static void
finish(DfExchange *exchange, CURLcode code)
{
	DfHttpResult *result = &exchange->done->result;

	result->fate = df_exchange_fate(exchange, code);
	if (result->fate != DF_FATE_RESPONSE)
		df_exchange_error(exchange, code, result->error, sizeof(result->error));
	fill_result(exchange, result);
	queue_result(end_exchange(exchange));
}

static void
finish_mail(DfExchange *exchange, CURLcode code, const DfMailEnd *end)
{
	DfHttpResult *result = &exchange->done->result;

	result->fate = end->fate;
	if (end->fate != DF_FATE_RESPONSE && end->error != NULL)
		snprintf(result->error, sizeof(result->error), "%s", end->error);
	else if (end->fate != DF_FATE_RESPONSE)
		df_exchange_error(exchange, code, result->error, sizeof(result->error));
	df_mail_keep_reply(exchange);
	fill_result(exchange, result);
	queue_result(end_exchange(exchange));
}

static void
finish_refused(DfExchange *exchange)
{
	DfHttpResult *result = &exchange->done->result;

	result->fate = DF_FATE_REFUSED;
	snprintf(result->error, sizeof(result->error), "%s", exchange->refusal);
	fill_result(exchange, result);
	queue_result(end_exchange(exchange));
}

static void
time_out(DfExchange *exchange)
{
	DfHttpResult *result = &exchange->done->result;
	bool lost = exchange->sent || exchange->carried_out;

	result->fate = lost ? DF_FATE_LOST : DF_FATE_NOT_SENT;
	if (exchange->mail != NULL && exchange->mail->fd >= 0)
		snprintf(result->error, sizeof(result->error), "timed out after %d ms, %s",
				 exchange->timeout_ms,
				 lost ? "waiting for the reply to the message" : "before the message was sent");
	else
		snprintf(result->error, sizeof(result->error), "timed out after %d ms, %s",
				 exchange->timeout_ms,
				 !lost                                ? "before a connection was there"
					 : exchange->response.status == 0 ? "waiting for an answer"
													  : "within the answer");
	fill_result(exchange, result);
	queue_result(end_exchange(exchange));
}

/* An exchange that libcurl has finished: the end, or a redirect to follow. */
static void
handle_end(DfExchange *exchange, CURLcode code)
{
	DfRedirect redirect = code == CURLE_OK ? df_request_redirect(exchange) : DF_REDIRECT_NONE;

	if (redirect == DF_REDIRECT_REFUSED)
		finish_refused(exchange);
	else if (redirect == DF_REDIRECT_NONE)
		finish(exchange, code);
	else
	{
		curl_multi_remove_handle(client.multi, exchange->easy);
		if (curl_multi_add_handle(client.multi, exchange->easy) != CURLM_OK)
			finish(exchange, CURLE_OUT_OF_MEMORY);
	}
}

/* Watches a mail's socket for room, too, while it cannot take more. */
static void
go_on_with_mail(DfExchange *exchange)
{
	DfMail *mail = exchange->mail;
	Watch *watch = watch_of(mail->fd);
	DfMailEnd end;

	if (watch == NULL)
		return; /* no memory to watch it: its deadline will end it */
	if (df_mail_talk(exchange, &end))
	{
		finish_mail(exchange, CURLE_OK, &end);
		return;
	}
	watch->mail = exchange;
	watch->wanted = EPOLLIN | (mail->blocked ? EPOLLOUT : 0);
	if (watch->wanted != watch->registered)
		(void) tell_epoll(watch, mail->fd, watch->wanted);
}

/* Continues the mails that libcurl has connected or failed to connect. */
static void
collect_mails(void)
{
	DfExchange *exchange;
	DfExchange *next;

	for (exchange = client.mails > 0 ? client.in_flight : NULL; exchange != NULL; exchange = next)
	{
		CURLMsg *message = NULL;
		DfMailEnd end;
		CURLcode code;
		int left;

		next = exchange->next;
		if (exchange->mail != NULL && exchange->mail->fd < 0)
			message = curl_multi_info_read(exchange->mail->multi, &left);
		if (message == NULL || message->msg != CURLMSG_DONE)
			continue;
		code = message->data.result;
		if (df_mail_connected(exchange, code, &end))
			finish_mail(exchange, code, &end);
		else
			go_on_with_mail(exchange);
	}
}

static void
collect_ends(void)
{
	CURLMsg *message;
	int left;

	collect_mails();
	while ((message = curl_multi_info_read(client.multi, &left)) != NULL)
	{
		DfExchange *exchange = NULL;

		if (message->msg != CURLMSG_DONE)
			continue;
		(void) curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **) &exchange);
		handle_end(exchange, message->data.result);
	}
}

/* ---- moving --------------------------------------------------------------- */

/* Tells libcurl which sockets are ready; returns the number of events. */
static int
serve_sockets(void)
{
	struct epoll_event events[MAX_EVENTS];
	int n = epoll_wait(client.epoll_fd, events, MAX_EVENTS, 0);
	int i;

	for (i = 0; i < n; i++)
	{
		int fd = events[i].data.fd;
		Watch *watch = watch_of(fd);
		int running;
		int what = 0;

		if (watch == NULL)
			continue;
		if (watch->wanted == 0)
		{
			/* of an idle connection, or of one that an earlier event closed */
			if (watch->registered != 0)
				tell_epoll(watch, fd, 0);
			continue;
		}
		/* reading or writing finds the error with its errno */
		if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))
			what |= CURL_CSELECT_IN;
		if (events[i].events & (EPOLLOUT | EPOLLERR))
			what |= CURL_CSELECT_OUT;
		if (watch->mail != NULL && watch->mail->mail->fd == fd)
			go_on_with_mail(watch->mail);
		else
			(void) curl_multi_socket_action(
				watch->mail != NULL ? watch->mail->mail->multi : client.multi, fd, what, &running);
	}
	return Max(n, 0);
}

static void
serve_timer_of(CURLM *multi, int64 *timer_us)
{
	int rounds;
	int running;

	for (rounds = 0; rounds < MAX_READ_ROUNDS; rounds++)
	{
		if (*timer_us < 0 || (*timer_us > 0 && df_monotonic_us() < *timer_us))
			return;
		*timer_us = -1;
		(void) curl_multi_socket_action(multi, CURL_SOCKET_TIMEOUT, 0, &running);
	}
}

/* Runs what libcurl's timers are due for; new requests first. */
static void
serve_timers(void)
{
	DfExchange *exchange;

	serve_timer_of(client.multi, &client.timer_us);
	for (exchange = client.mails > 0 ? client.in_flight : NULL; exchange != NULL;
		 exchange = exchange->next)
		if (exchange->mail != NULL && exchange->mail->fd < 0)
			serve_timer_of(exchange->mail->multi, &exchange->mail->timer_us);
}

/* The earliest time at which libcurl wants to be called; -1 = never. */
static int64
next_timer(void)
{
	DfExchange *exchange;
	int64 due = client.timer_us;

	for (exchange = client.mails > 0 ? client.in_flight : NULL; exchange != NULL;
		 exchange = exchange->next)
		if (exchange->mail != NULL && exchange->mail->fd < 0 && exchange->mail->timer_us >= 0 &&
			(due < 0 || exchange->mail->timer_us < due))
			due = exchange->mail->timer_us;
	return due;
}

static int
move(void)
{
	int events = serve_sockets();

	serve_timers();
	collect_ends();
	return events;
}

/*
 * Extends all deadlines by an absence.  An absence that is longer than the timeout counts in
 * full.  Many short ones together count at most as much as the timeout: otherwise a peer
 * that sends byte by byte would keep the exchange of a busy worker alive for ever.
 */
static void
grant_absence(int64 now, int64 absence)
{
	DfExchange *exchange;

	for (exchange = client.in_flight; exchange != NULL; exchange = exchange->next)
	{
		int64 most = Max((int64) exchange->timeout_ms * 1000, absence) - exchange->granted_us;
		int64 grant = Min(Min(absence, now - exchange->started_us), Max(most, 0));

		exchange->granted_us += grant;
		exchange->deadline_us += grant;
	}
}

/* Ends exchanges that are past their deadline, after reading all that has arrived. */
static void
judge_deadlines(int64 now)
{
	DfExchange *exchange;
	DfExchange *next;
	int rounds = 0;

	if (client.nearest_us < 0 || now <= client.nearest_us)
		return;
	while (rounds++ < MAX_READ_ROUNDS && move() > 0)
		;
	client.nearest_us = -1;
	for (exchange = client.in_flight; exchange != NULL; exchange = next)
	{
		next = exchange->next;
		if (now > exchange->deadline_us)
			time_out(exchange);
		else if (client.nearest_us < 0 || exchange->deadline_us < client.nearest_us)
			client.nearest_us = exchange->deadline_us;
	}
}

/* Returns how long nobody read, and starts to count again. */
static int64
take_absence(int64 now)
{
	int64 absence = client.away_us;

	if (!client.waiting)
		absence += now - client.mark_us;
	else if (client.promised_us >= 0 && now > client.promised_us)
		absence += now - client.promised_us;
	client.away_us = 0;
	return absence;
}

void
df_http_perform(void)
{
	sigset_t all;
	sigset_t before;
	int64 now = df_monotonic_us();
	int64 absence = take_absence(now);

	if (client.multi == NULL)
		return;
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &before);
	if (move() > 0 && absence >= ABSENCE_US)
		grant_absence(now, absence);
	judge_deadlines(now);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	client.waiting = false;
	client.mark_us = df_monotonic_us();
}

/* Also tells that the worker's turn has ended and that it begins to wait. */
long
df_http_timeout_ms(void)
{
	int64 now = df_monotonic_us();
	int64 due = next_timer();

	client.away_us = take_absence(now);
	client.waiting = true;
	client.mark_us = now;
	if (client.nearest_us >= 0 && (due < 0 || client.nearest_us < due))
		due = client.nearest_us;
	if (client.first_done != NULL)
		due = 0;
	client.promised_us = due < 0 ? -1 : Max(due, now);
	if (due < 0)
		return -1;
	return due <= now ? 0 : (long) ((due - now) / 1000 + 1);
}
