/*
 * ingress/listener.c
 *	  Receives HTTP requests by libmicrohttpd: connections, limits, complete requests.
 *
 * Runs in the ingress process, in its only thread, outside any transaction;
 * df_listener_run() calls the callbacks.  Never raise an error, palloc, or read a setting or
 * a table here: the code that takes a request from the queue decides what it means.
 */
#include "postgres.h"

#include <microhttpd.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "ingress/listener.h"
#include "shared/clock.h"
#include "shared/json.h"

#define HEADER_BYTES (32 * 1024)
#define MAX_FIELDS 100
#define PER_ADDRESS 256
/* numbers, because the names differ between versions of the library */
#define HTTP_BAD_REQUEST 400
#define HTTP_TOO_LARGE 413
#define HTTP_TOO_MANY_FIELDS 431
#define HTTP_INTERNAL 500
#define HTTP_UNAVAILABLE 503

typedef struct Peer
{
	struct Peer *prev;
	struct Peer *next;
	struct MHD_Connection *connection;
	int64 since_us; /* of the request that is being read; 0 = none is */
} Peer;

static struct MHD_Daemon *listener = NULL;
static int epoll_fd = -1;
static DfListenOptions limits;
static Peer *peers = NULL;
typedef struct Queue
{
	DfRequest *first;
	DfRequest *last;
} Queue;

static Queue whole; /* complete and not handled yet */
static Queue aside[DF_ASIDE_KINDS]; /* checked, and waiting for their turn */

/* the memory that the bodies of all requests use and may use: a few of the largest size */
#define LARGEST_BODIES 64
static size_t body_bytes = 0;

/* ---- requests ------------------------------------------------------------- */

static void
free_fields(DfField *fields, int n)
{
	for (int i = 0; i < n; i++)
	{
		free(fields[i].name);
		free(fields[i].value);
	}
	free(fields);
}

static void
free_request(DfRequest *request)
{
	if (request == NULL)
		return;
	free_fields(request->headers, request->nheaders);
	free_fields(request->arguments, request->narguments);
	free_fields(request->extra, request->nextra);
	free(request->method);
	free(request->path);
	body_bytes -= request->body_size;
	free(request->body);
	free(request->answer);
	free(request);
}

static bool
add_field(DfField **fields, int *n, const char *name, const char *value)
{
	DfField *grown;

	if (*n >= MAX_FIELDS)
		return false;
	grown = realloc(*fields, sizeof(DfField) * (*n + 1));
	if (grown == NULL)
		return false;
	*fields = grown;
	grown[*n].name = strdup(name);
	grown[*n].value = strdup(value != NULL ? value : "");
	(*n)++;
	return grown[*n - 1].name != NULL && grown[*n - 1].value != NULL;
}

static enum MHD_Result
take_header(void *cls, enum MHD_ValueKind kind, const char *name, const char *value)
{
	DfRequest *request = cls;

	if (!add_field(&request->headers, &request->nheaders, name, value))
		return MHD_NO;
	for (char *c = request->headers[request->nheaders - 1].name; *c != '\0'; c++)
		if (*c >= 'A' && *c <= 'Z')
			*c += 'a' - 'A';
	return MHD_YES;
}

static enum MHD_Result
take_argument(void *cls, enum MHD_ValueKind kind, const char *name, const char *value)
{
	DfRequest *request = cls;

	return add_field(&request->arguments, &request->narguments, name, value) ? MHD_YES : MHD_NO;
}

static const char *
find_field(const DfField *fields, int n, const char *name)
{
	for (int i = 0; i < n; i++)
		if (strcmp(fields[i].name, name) == 0)
			return fields[i].value;
	return NULL;
}

const char *
df_request_header(const DfRequest *request, const char *name)
{
	return find_field(request->headers, request->nheaders, name);
}

bool
df_request_is_get(const DfRequest *request)
{
	return strcmp(request->method, "GET") == 0 || strcmp(request->method, "HEAD") == 0;
}

const char *
df_request_argument(const DfRequest *request, const char *name)
{
	return find_field(request->arguments, request->narguments, name);
}

bool
df_request_is_local(const DfRequest *request)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(request->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
	const struct sockaddr *address = info != NULL ? info->client_addr : NULL;

	if (address == NULL)
		return false;
	if (address->sa_family == AF_INET)
		return ntohl(((const struct sockaddr_in *) address)->sin_addr.s_addr) >> 24 == 127;
	if (address->sa_family == AF_INET6)
		return IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *) address)->sin6_addr);
	return false;
}

int
df_listener_connections(void)
{
	int n = 0;

	for (Peer *peer = peers; peer != NULL; peer = peer->next)
		n++;
	return n;
}

bool
df_request_reply(DfRequest *request, int status, const char *content_type, const char *body,
				 size_t len)
{
	free(request->answer);
	free_fields(request->extra, request->nextra);
	request->extra = NULL;
	request->nextra = 0;
	request->answer = malloc(len + 1);
	request->answer_len = 0;
	request->status = status;
	request->content_type = content_type;
	if (request->answer == NULL)
		return false;
	memcpy(request->answer, body, len);
	request->answer_len = len;
	return true;
}

DfStream *
df_request_stream(DfRequest *request, const char *content_type)
{
	if (df_request_reply(request, 200, content_type, "", 0))
		request->stream = df_stream_make(request->connection);
	return request->stream;
}

bool
df_request_add_header(DfRequest *request, const char *name, const char *value)
{
	return add_field(&request->extra, &request->nextra, name, value);
}

static bool
append_body(DfRequest *request, const char *data, size_t len)
{
	size_t wanted = request->body_len + len + 1;

	if (wanted > request->body_size)
	{
		size_t size = Max(wanted, request->body_size * 2);
		char *grown = realloc(request->body, size);

		if (grown == NULL)
			return false;
		body_bytes += size - request->body_size;
		request->body = grown;
		request->body_size = size;
	}
	memcpy(request->body + request->body_len, data, len);
	request->body_len += len;
	request->body[request->body_len] = '\0';
	return true;
}

/* ---- answers -------------------------------------------------------------- */

static enum MHD_Result
send_answer(DfRequest *request)
{
	struct MHD_Response *response;
	enum MHD_Result result;

	if (request->answer == NULL)
		request->status = HTTP_UNAVAILABLE;
	response = request->stream != NULL
		? df_stream_response(request->stream)
		: MHD_create_response_from_buffer(
			  request->answer_len, request->answer != NULL ? request->answer : (char *) "",
			  MHD_RESPMEM_MUST_COPY);
	if (response == NULL)
		return MHD_NO;
	if (request->content_type != NULL)
		(void) MHD_add_response_header(response, "Content-Type", request->content_type);
	for (int i = 0; i < request->nextra; i++)
		(void) MHD_add_response_header(response, request->extra[i].name, request->extra[i].value);
	(void) MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
	/*
	 * Close the connection after a chunked body: only libmicrohttpd has seen how the chunks
	 * were framed, and it is lenient, so what follows is not trusted as a request.
	 */
	if (request->refused || request->chunked)
		(void) MHD_add_response_header(response, "Connection", "close");
	request->queued = true;
	result = MHD_queue_response(request->connection, request->status, response);
	MHD_destroy_response(response);
	return result;
}

static enum MHD_Result
refuse(DfRequest *request, int status, const char *why)
{
	request->refused = true;
	(void) df_request_reply(request, status, "application/json", why, strlen(why));
	return send_answer(request);
}

/* ---- callbacks ------------------------------------------------------------ */

static void
set_reading(struct MHD_Connection *connection, bool reading)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
	Peer *peer = info != NULL ? info->socket_context : NULL;

	if (peer != NULL)
		peer->since_us = reading ? df_monotonic_us() : 0;
}

/*
 * libmicrohttpd calls it first, with the target as it was sent; the result becomes the
 * context of the request
 */
static void *
note_target(void *cls, const char *target, struct MHD_Connection *connection)
{
	DfRequest *request = calloc(1, sizeof(DfRequest));

	if (request == NULL)
		return NULL;
	request->line.target = target != NULL ? target : "";
	request->line.target_len = strlen(request->line.target);
	request->line.target_is_plain = df_strict_target_is_plain(request->line.target);
	return request;
}

static enum MHD_Result
begin_request(DfRequest *request, struct MHD_Connection *connection, const char *url,
			  const char *method, const char *version)
{
	const char *length;
	const char *problem;

	request->begun = true;
	set_reading(connection, true);
	request->connection = connection;
	request->method = strdup(method);
	request->path = strdup(url);
	if (request->method == NULL || request->path == NULL)
		return MHD_NO;
	request->line.method = method;
	request->line.version = version;
	problem = df_strict_problem(connection, &request->line, &request->chunked);
	if (problem != NULL)
		return refuse(request, HTTP_BAD_REQUEST, problem);
	if (MHD_get_connection_values(connection, MHD_HEADER_KIND, take_header, request) < 0 ||
		MHD_get_connection_values(connection, MHD_GET_ARGUMENT_KIND, take_argument, request) < 0)
		return MHD_NO;
	if (request->nheaders >= MAX_FIELDS || request->narguments >= MAX_FIELDS)
		return refuse(request, HTTP_TOO_MANY_FIELDS, DF_JSON_ERROR("too many fields"));
	length = df_request_header(request, "content-length");
	if (length != NULL && strtoull(length, NULL, 10) > limits.max_body)
		return refuse(request, HTTP_TOO_LARGE, DF_JSON_ERROR("the body is too large"));
	return MHD_YES;
}

static void
enqueue(Queue *queue, DfRequest *request)
{
	request->next = NULL;
	if (queue->last != NULL)
		queue->last->next = request;
	else
		queue->first = request;
	queue->last = request;
}

static DfRequest *
dequeue(Queue *queue)
{
	DfRequest *request = queue->first;

	if (request == NULL)
		return NULL;
	queue->first = request->next;
	if (queue->first == NULL)
		queue->last = NULL;
	request->next = NULL;
	return request;
}

static enum MHD_Result
handle(void *cls, struct MHD_Connection *connection, const char *url, const char *method,
	   const char *version, const char *upload, size_t *upload_size, void **context)
{
	DfRequest *request = *context;

	if (request == NULL)
		return MHD_NO;
	if (!request->begun)
		return begin_request(request, connection, url, method, version);
	if (request->queued)
	{
		*upload_size = 0;
		return MHD_YES;
	}
	if (*upload_size > 0)
	{
		bool fits = request->body_len + *upload_size <= limits.max_body;

		/*
		 * read and discard what exceeds the limits, because the client reads the response
		 * only then
		 */
		if (fits && body_bytes + *upload_size > LARGEST_BODIES * limits.max_body)
			request->crowded = true;
		if (!fits || request->crowded)
			request->refused = true;
		else if (!append_body(request, upload, *upload_size))
			return MHD_NO;
		*upload_size = 0;
		return MHD_YES;
	}
	if (request->crowded)
		return refuse(request, HTTP_UNAVAILABLE, DF_JSON_ERROR("not possible now"));
	if (request->refused)
		return refuse(request, HTTP_TOO_LARGE, DF_JSON_ERROR("the body is too large"));
	if (request->status != 0)
		return send_answer(request);
	set_reading(connection, false);
	enqueue(&whole, request);
	MHD_suspend_connection(connection);
	return MHD_YES;
}

/* a client may disconnect while its request is queued */
static void
forget(Queue *queue, DfRequest *request)
{
	DfRequest **link = &queue->first;

	while (*link != NULL && *link != request)
		link = &(*link)->next;
	if (*link == NULL)
		return;
	*link = request->next;
	queue->last = queue->first;
	while (queue->last != NULL && queue->last->next != NULL)
		queue->last = queue->last->next;
}

static void
request_completed(void *cls, struct MHD_Connection *connection, void **context,
				  enum MHD_RequestTerminationCode code)
{
	DfRequest *request = *context;

	*context = NULL;
	if (request == NULL)
		return;
	if (request->stream != NULL)
		df_stream_lost(request->stream);
	forget(&whole, request);
	for (int i = 0; i < DF_ASIDE_KINDS; i++)
		forget(&aside[i], request);
	free_request(request);
	/*
	 * the time limit of the next request on this connection begins here; idle connections
	 * have the timeout
	 */
	set_reading(connection, true);
}

static void
connection_changed(void *cls, struct MHD_Connection *connection, void **context,
				   enum MHD_ConnectionNotificationCode code)
{
	Peer *peer;

	if (code == MHD_CONNECTION_NOTIFY_STARTED)
	{
		peer = calloc(1, sizeof(Peer));
		*context = peer;
		if (peer == NULL)
			return;
		peer->connection = connection;
		peer->since_us = df_monotonic_us();
		peer->next = peers;
		if (peers != NULL)
			peers->prev = peer;
		peers = peer;
		return;
	}
	peer = *context;
	if (peer == NULL)
		return;
	if (peer->prev != NULL)
		peer->prev->next = peer->next;
	else
		peers = peer->next;
	if (peer->next != NULL)
		peer->next->prev = peer->prev;
	free(peer);
	*context = NULL;
}

/* libmicrohttpd restarts its timeout with each byte, so end requests that arrive too slowly */
static void
cut_off_slow_ones(void)
{
	int64 now = df_monotonic_us();
	int64 limit = (int64) limits.timeout_s * 1000000;

	for (Peer *peer = peers; peer != NULL; peer = peer->next)
	{
		const union MHD_ConnectionInfo *info;

		if (peer->since_us == 0 || now - peer->since_us < limit)
			continue;
		info = MHD_get_connection_info(peer->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
		if (info != NULL)
			(void) shutdown(info->connect_fd, SHUT_RDWR);
		peer->since_us = 0;
	}
}

/* ---- start, run, stop ----------------------------------------------------- */

/* splits "host:port" or "[host]:port" in place; false if it is neither */
static bool
split_address(char *address, char **host, char **port)
{
	char *colon = strrchr(address, ':');

	if (colon == NULL || colon[1] == '\0' || strspn(colon + 1, "0123456789") != strlen(colon + 1))
		return false;
	*colon = '\0';
	*port = colon + 1;
	*host = address;
	if (address[0] == '[')
	{
		size_t len = strlen(address);

		if (len < 3 || address[len - 1] != ']')
			return false;
		address[len - 1] = '\0';
		*host = address + 1;
	}
	return true;
}

static struct addrinfo *
resolve(const char *address, const char **why)
{
	static char text[256];
	char *host;
	char *port;
	struct addrinfo hints;
	struct addrinfo *found = NULL;

	strlcpy(text, address, sizeof(text));
	if (!split_address(text, &host, &port))
	{
		*why = "dataflows.listen is not \"host:port\"";
		return NULL;
	}
	memset(&hints, 0, sizeof(hints));
	hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
	hints.ai_socktype = SOCK_STREAM;
	if (getaddrinfo(host[0] == '\0' || strcmp(host, "*") == 0 ? NULL : host, port, &hints,
					&found) != 0)
		*why = "the host in dataflows.listen is not known";
	return found;
}

/* created separately, because libmicrohttpd 1.0 changes errno */
static bool
is_in_use(const struct addrinfo *address)
{
	int fd = socket(address->ai_family, address->ai_socktype | SOCK_CLOEXEC, 0);
	int on = 1;
	bool in_use = false;

	if (fd < 0)
		return false;
	(void) setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (address->ai_family == AF_INET6)
		(void) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
	if (bind(fd, address->ai_addr, address->ai_addrlen) != 0)
		in_use = errno == EADDRINUSE;
	close(fd);
	return in_use;
}

bool
df_listener_start(const DfListenOptions *options, const char **why)
{
	struct addrinfo *address = resolve(options->address, why);
	const union MHD_DaemonInfo *info;
	unsigned int flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME;

	if (address == NULL)
		return false;
	limits = *options;
	if (address->ai_family == AF_INET6)
		flags |= MHD_USE_IPv6;
	listener = MHD_start_daemon(
		flags, 0, NULL, NULL, handle, NULL, MHD_OPTION_SOCK_ADDR, address->ai_addr,
		MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_CONNECTION_LIMIT,
		(unsigned int) options->max_connections, MHD_OPTION_PER_IP_CONNECTION_LIMIT,
		(unsigned int) PER_ADDRESS, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t) HEADER_BYTES,
		MHD_OPTION_CONNECTION_TIMEOUT, (unsigned int) options->timeout_s,
		MHD_OPTION_URI_LOG_CALLBACK, note_target, NULL, MHD_OPTION_NOTIFY_COMPLETED,
		request_completed, NULL, MHD_OPTION_NOTIFY_CONNECTION, connection_changed, NULL,
		MHD_OPTION_END);
	if (listener == NULL)
		*why = is_in_use(address) ? "the address in dataflows.listen is in use"
								  : "could not listen on the address in dataflows.listen";
	freeaddrinfo(address);
	if (listener == NULL)
		return false;
	info = MHD_get_daemon_info(listener, MHD_DAEMON_INFO_EPOLL_FD);
	epoll_fd = info != NULL ? info->listen_fd : -1;
	return true;
}

void
df_listener_stop(void)
{
	DfRequest *request;

	if (listener == NULL)
		return;
	while ((request = df_listener_next()) != NULL ||
		   (request = df_listener_next_aside(DF_ASIDE_SLOW)) != NULL ||
		   (request = df_listener_next_aside(DF_ASIDE_PEOPLE)) != NULL)
	{
		(void) df_request_reply(request, HTTP_UNAVAILABLE, "application/json", "{}", 2);
		df_listener_answer(request);
	}
	/* wakes the connections, has their responses made, and sends them */
	for (int i = 0; i < 3; i++)
		(void) MHD_run(listener);
	MHD_stop_daemon(listener);
	listener = NULL;
	epoll_fd = -1;
}

/* connections end with the process, but the next process needs the address now */
void
df_listener_give_up(void)
{
	const union MHD_DaemonInfo *info;

	if (listener == NULL)
		return;
	info = MHD_get_daemon_info(listener, MHD_DAEMON_INFO_LISTEN_FD);
	if (info != NULL && info->listen_fd >= 0)
		close(info->listen_fd);
}

int
df_listener_fd(void)
{
	return epoll_fd;
}

long
df_listener_timeout_ms(void)
{
	MHD_UNSIGNED_LONG_LONG ms;
	long timeout = -1;

	if (MHD_get_timeout(listener, &ms) == MHD_YES)
		timeout = (long) Min(ms, 1000);
	else if (peers != NULL)
		timeout = 1000;
	return timeout;
}

void
df_listener_run(void)
{
	(void) MHD_run(listener);
	cut_off_slow_ones();
}

DfRequest *
df_listener_next(void)
{
	return dequeue(&whole);
}

void
df_listener_set_aside(DfRequest *request, DfAside kind)
{
	enqueue(&aside[kind], request);
}

DfRequest *
df_listener_next_aside(DfAside kind)
{
	return dequeue(&aside[kind]);
}

void
df_listener_answer(DfRequest *request)
{
	if (request->status == 0)
		request->status = HTTP_INTERNAL;
	MHD_resume_connection(request->connection);
}
