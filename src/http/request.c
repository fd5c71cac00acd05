/*
 * http/request.c
 *	  One exchange: makes a libcurl easy handle from a DfHttpRequest, and tells what its
 *	  end means.
 *
 * Runs in workers, in no transaction.  An exchange is one block of memory: the struct, then
 * copies of everything that is sent, list nodes of headers included.  So a request costs one
 * malloc, and one explicit_bzero wipes its secrets. libcurl uses the block in place; it
 * copies only the URL and the names of certificate files.  Credentials are sent as header
 * lines instead of by options of libcurl, which would leave copies that nobody can wipe.
 *
 * Redirects are followed here instead of by libcurl, which would repeat a DELETE on the
 * page that a 303 names, and would send to another host the client certificate and every
 * header that it does not know as a credential.  The right to reach private addresses is not
 * carried over either: it was granted for one origin.
 *
 * Must never raise an error and never palloc; libcurl calls the callbacks at the end.
 */
#include "postgres.h"

#include <sys/socket.h>
#include <unistd.h>

#include "common/base64.h"
#include "http/address_filter.h"
#include "http/request.h"
#include "shared/descriptors.h"
#include "http/url.h"
#include "shared/header.h"

#define MAX_METHOD_LENGTH 32
/* many servers close idle connections after 5 s */
#define MAX_IDLE_S 4L

/* ---- is it a request? ----------------------------------------------------- */

static bool
has_control(const char *text)
{
	return !df_header_value_is_legal(text, strlen(text));
}

/* of a header line, up to its colon */
static DfHeaderKind
kind_of(const char *line)
{
	return df_header_kind(line, df_header_name_length(line));
}

static bool
gives_header(const DfHttpRequest *request, const char *name)
{
	const char *const *line;

	for (line = request->headers; line != NULL && *line != NULL; line++)
		if (df_header_line_is(*line, name))
			return true;
	return false;
}

static const char *
header_problem(const char *line)
{
	size_t len = df_header_name_length(line);

	if (len == 0 || line[len] != ':')
		return "a header is not of the form \"Name: value\"";
	if (has_control(line))
		return "a header contains a control character";
	if (kind_of(line) == DF_HEADER_TRANSPORT)
		return "a header was given that belongs to the transport";
	return NULL;
}

static const char *
credential_problem(const DfHttpRequest *request)
{
	if ((request->username == NULL) != (request->password == NULL))
		return "a user name needs a password, and a password a user name";
	if (request->username != NULL && strchr(request->username, ':') != NULL)
		return "the user name contains a colon";
	if (request->username != NULL && request->bearer_token != NULL)
		return "a bearer token and a user name cannot be sent together";
	if (request->bearer_token != NULL && has_control(request->bearer_token))
		return "the bearer token contains a control character";
	if (request->client_key != NULL && request->client_cert == NULL)
		return "a client key needs a client certificate";
	return NULL;
}

const char *
df_request_problem(const DfHttpRequest *request)
{
	const char *const *line;
	const char *problem;
	size_t len;

	if (request->url == NULL || has_control(request->url))
		return "the URL contains a control character or is missing";
	len = request->method == NULL ? 0 : df_header_name_length(request->method);
	if (len == 0 || len > MAX_METHOD_LENGTH || request->method[len] != '\0')
		return "the method is not a word";
	if (strcmp(request->method, "CONNECT") == 0 || strcmp(request->method, "TRACE") == 0)
		return "the methods CONNECT and TRACE are not supported";
	if (strcmp(request->method, "HEAD") == 0 && request->body != NULL)
		return "a HEAD request has no body";
	for (line = request->headers; line != NULL && *line != NULL; line++)
	{
		problem = header_problem(*line);
		if (problem != NULL)
			return problem;
	}
	return credential_problem(request);
}

/* ---- the block ------------------------------------------------------------ */

void *
df_exchange_take(DfExchange *exchange, size_t len)
{
	char *taken = exchange->arena + exchange->arena_used;

	exchange->arena_used += MAXALIGN(len);
	Assert(exchange->arena_used <= exchange->arena_size);
	return taken;
}

/* An upper bound of the size of the copies, each rounded up like df_exchange_take() does. */
static size_t
arena_bound(const DfHttpRequest *request)
{
	size_t per_line = MAXALIGN(sizeof(struct curl_slist)) + MAXALIGN(2);
	size_t total = 3 * (per_line + 64); /* Expect, Accept or Content-Type */
	const char *const *line;

	if (request->private_origins != NULL)
		total += MAXALIGN(strlen(request->private_origins) + 1);
	total += MAXALIGN(strlen(request->method) + 1) + MAXALIGN(request->body_len + 1) +
		2 * MAXIMUM_ALIGNOF;
	for (line = request->headers; line != NULL && *line != NULL; line++)
		total += per_line + MAXALIGN(strlen(*line) + 1);
	if (request->bearer_token != NULL)
		total += per_line + 64 + strlen(request->bearer_token);
	if (request->username != NULL)
		total += per_line + 64 + 3 * (strlen(request->username) + strlen(request->password) + 1);
	return total;
}

static char *
copy(DfExchange *exchange, const char *text)
{
	size_t len = strlen(text) + 1;

	return memcpy(df_exchange_take(exchange, len), text, len);
}

/* Links a line into the list, after `after` or as the first. */
static struct curl_slist *
link_header(DfExchange *exchange, char *line, struct curl_slist *after)
{
	struct curl_slist *node = df_exchange_take(exchange, sizeof(struct curl_slist));

	node->data = line;
	node->next = after == NULL ? NULL : after->next;
	if (after == NULL)
		exchange->headers = node;
	else
		after->next = node;
	return node;
}

/* For libcurl "Name:" means to leave the header out; it writes an empty value for "Name;". */
static char *
copy_header(DfExchange *exchange, const char *line)
{
	char *copied = copy(exchange, line);
	char *colon = strchr(copied, ':');

	if (colon[1 + strspn(colon + 1, " \t")] == '\0')
	{
		colon[0] = ';';
		colon[1] = '\0';
	}
	return copied;
}

/* "Authorization: ..." in the arena; NULL if there is none or the caller gave one. */
static char *
authorization(DfExchange *exchange, const DfHttpRequest *request)
{
	char *line;
	char *pair;
	size_t pair_len;
	size_t size;
	size_t used;

	if (gives_header(request, "authorization"))
		return NULL;
	if (request->bearer_token != NULL)
	{
		size = strlen(request->bearer_token) + sizeof("Authorization: Bearer ");
		line = df_exchange_take(exchange, size);
		snprintf(line, size, "Authorization: Bearer %s", request->bearer_token);
		return line;
	}
	if (request->username == NULL)
		return NULL;
	pair_len = strlen(request->username) + 1 + strlen(request->password);
	pair = df_exchange_take(exchange, pair_len + 1);
	snprintf(pair, pair_len + 1, "%s:%s", request->username, request->password);
	size = sizeof("Authorization: Basic ") + pg_b64_enc_len((int) pair_len);
	line = df_exchange_take(exchange, size);
	snprintf(line, size, "Authorization: Basic ");
	used = strlen(line);
	used += pg_b64_encode((const void *) pair, (int) pair_len, line + used, (int) (size - used));
	line[used] = '\0';
	return line;
}

/*
 * The last of several headers of one name is sent: a step's headers follow those of its
 * system and take their place.
 */
static bool
given_again(const char *const *line)
{
	size_t len = df_header_name_length(*line) + 1;
	const char *const *later;

	for (later = line + 1; *later != NULL; later++)
		if (pg_strncasecmp(*line, *later, len) == 0)
			return true;
	return false;
}

/*
 * The order: Expect, Content-Type, headers that any host may see, then those that only this
 * host may see.
 */
static void
list_headers(DfExchange *exchange, const DfHttpRequest *request)
{
	struct curl_slist *last = link_header(exchange, copy(exchange, "Expect:"), NULL);
	const char *const *line;
	char *secret;

	exchange->last_public = last;
	for (line = request->headers; line != NULL && *line != NULL; line++)
	{
		bool is_type = df_header_line_is(*line, "content-type");
		bool is_public = kind_of(*line) == DF_HEADER_PUBLIC;
		struct curl_slist *after = is_type ? exchange->headers : is_public ? exchange->last_public
																		   : last;
		struct curl_slist *node;

		if (given_again(line))
			continue;
		node = link_header(exchange, copy_header(exchange, *line), after);
		if (is_type)
			exchange->content_type = node;
		if (is_public && after == exchange->last_public)
			exchange->last_public = node;
		if (after == last)
			last = node;
	}
	if (!gives_header(request, "accept"))
		exchange->last_public = link_header(exchange, copy(exchange, "Accept: application/json"),
											exchange->last_public);
	/* leaves it out: libcurl would say that the body is a form */
	if (exchange->content_type == NULL)
		exchange->last_public =
			link_header(exchange, copy(exchange, "Content-Type:"), exchange->last_public);
	secret = authorization(exchange, request);
	if (secret != NULL)
		link_header(exchange, secret, exchange->last_public);
}

DfExchange *
df_exchange_new(const DfHttpRequest *request, size_t arena_size)
{
	DfExchange *exchange = malloc(offsetof(DfExchange, arena) + arena_size);

	if (exchange == NULL)
		return NULL;
	memset(exchange, 0, offsetof(DfExchange, arena));
	exchange->arena_size = arena_size;
	df_response_init(&exchange->response, request->max_body);
	exchange->timeout_ms = request->timeout_ms;
	exchange->connect_timeout_ms = request->connect_timeout_ms;
	exchange->allow_private = request->allow_private;
	return exchange;
}

DfExchange *
df_request_new(const DfHttpRequest *request)
{
	DfExchange *exchange = df_exchange_new(request, arena_bound(request));
	char *body;

	if (exchange == NULL)
		return NULL;
	exchange->redirects_left = request->follow_redirects;
	if (request->private_origins != NULL)
		exchange->private_origins = copy(exchange, request->private_origins);
	exchange->method = copy(exchange, request->method);
	exchange->repeatable = strcmp(request->method, "GET") == 0 ||
		strcmp(request->method, "HEAD") == 0 || strcmp(request->method, "PUT") == 0 ||
		strcmp(request->method, "DELETE") == 0;
	if (request->body != NULL)
	{
		body = df_exchange_take(exchange, request->body_len + 1);
		memcpy(body, request->body, request->body_len);
		body[request->body_len] = '\0';
		exchange->body = body;
		exchange->body_len = request->body_len;
	}
	list_headers(exchange, request);
	return exchange;
}

void
df_request_free(DfExchange *exchange)
{
	df_response_free(&exchange->response);
	explicit_bzero(exchange->arena, exchange->arena_used);
	free(exchange);
}

/* ---- callbacks ------------------------------------------------------------ */

static bool
may_connect(DfExchange *exchange, const char *what)
{
	if (what == NULL || exchange->allow_private)
		return true;
	if (exchange->elsewhere)
		snprintf(exchange->refusal, sizeof(exchange->refusal),
				 "the answer redirects to an address that is not public (%s), and private_origins "
				 "of the system does not name its origin",
				 what);
	else
		snprintf(exchange->refusal, sizeof(exchange->refusal),
				 "the host name stands for an address that is not public (%s), and the system does "
				 "not say allow_private",
				 what);
	return false;
}

/* libcurl calls it for each address of a name before it connects to it. */
static curl_socket_t
open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
	DfExchange *exchange = arg;
	int fd;

	if (address->family != AF_INET && address->family != AF_INET6)
		return CURL_SOCKET_BAD;
	if (!may_connect(exchange, df_policy_blocks(&address->addr)))
		return CURL_SOCKET_BAD;
	exchange->tried_public = true;
	fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
	if (fd < 0 && df_errno_is_shortage(errno))
		exchange->shortage = errno;
	return fd;
}

/*
 * libcurl calls it when the connection is there, right before the first byte: from now on
 * the request may be carried out.  Judges the address once more, because the connection may
 * have been opened by a request with other rights.
 *
 * A second call without a response in between means that libcurl found a reused connection
 * dead and is about to send the request again.  If the request has an effect, libcurl must
 * not decide that.
 */
static int
before_request(void *arg, char *address, char *local, int port, int local_port)
{
	DfExchange *exchange = arg;

	if (exchange->sent && !exchange->repeatable)
	{
		exchange->cut_off = true;
		return CURL_PREREQFUNC_ABORT;
	}
	if (!exchange->allow_private && !may_connect(exchange, df_policy_blocks_text(address)))
		return CURL_PREREQFUNC_ABORT;
	exchange->refusal[0] = '\0';
	exchange->sent = true;
	return CURL_PREREQFUNC_OK;
}

/* ---- the easy handle ------------------------------------------------------ */

/* returns libcurl's code if it refuses an option */
#define SET(option, value) \
	do \
	{ \
		CURLcode set_code_ = curl_easy_setopt(easy, option, value); \
		if (set_code_ != CURLE_OK) \
			return set_code_; \
	} while (0)

/* Options of every connection, whatever its protocol; none of them comes from a system. */
static CURLcode
apply_rules(CURL *easy)
{
#if LIBCURL_VERSION_NUM >= 0x075700
	/* otherwise a deadline would wait for a name server that does not respond */
	SET(CURLOPT_QUICK_EXIT, 1L);
#endif
	SET(CURLOPT_PROXY, ""); /* none from the environment either */
	SET(CURLOPT_NOSIGNAL, 1L);
	SET(CURLOPT_DISALLOW_USERNAME_IN_URL, 1L);
	SET(CURLOPT_SSL_VERIFYPEER, 1L);
	SET(CURLOPT_SSL_VERIFYHOST, 2L);
	SET(CURLOPT_SSLVERSION, (long) CURL_SSLVERSION_TLSv1_2);
	return CURLE_OK;
}

CURLcode
df_request_apply_connection(DfExchange *exchange, const DfHttpRequest *request)
{
	CURL *easy = exchange->easy;
	CURLcode code = apply_rules(easy);

	if (code != CURLE_OK)
		return code;
	SET(CURLOPT_URL, request->url);
	SET(CURLOPT_PRIVATE, exchange);
	SET(CURLOPT_ERRORBUFFER, exchange->curl_error);
	SET(CURLOPT_OPENSOCKETFUNCTION, open_socket);
	SET(CURLOPT_OPENSOCKETDATA, exchange);
	if (request->connect_timeout_ms > 0)
		SET(CURLOPT_CONNECTTIMEOUT_MS, (long) request->connect_timeout_ms);
	if (request->ca_file != NULL)
		SET(CURLOPT_CAINFO, request->ca_file);
	exchange->with_certificate = request->client_cert != NULL;
	if (request->client_cert != NULL)
		SET(CURLOPT_SSLCERT, request->client_cert);
	if (request->client_key != NULL)
		SET(CURLOPT_SSLKEY, request->client_key);
	return CURLE_OK;
}

/* Options of every HTTP request. */
static CURLcode
apply_http(CURL *easy)
{
#if LIBCURL_VERSION_NUM >= 0x075500
	SET(CURLOPT_PROTOCOLS_STR, "http,https");
	SET(CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
#else
	SET(CURLOPT_PROTOCOLS, (long) (CURLPROTO_HTTP | CURLPROTO_HTTPS));
	SET(CURLOPT_REDIR_PROTOCOLS, (long) (CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
	SET(CURLOPT_FOLLOWLOCATION, 0L);
	SET(CURLOPT_HTTP_VERSION, (long) CURL_HTTP_VERSION_2TLS);
	SET(CURLOPT_USERAGENT, "dataflows/" DF_VERSION);
	SET(CURLOPT_ACCEPT_ENCODING, "");
	/*
	 * shorter than most servers keep it: a connection that dies during a request leaves the
	 * request in doubt
	 */
	SET(CURLOPT_MAXAGE_CONN, MAX_IDLE_S);
	SET(CURLOPT_MAXLIFETIME_CONN, 600L);
	return CURLE_OK;
}

static CURLcode
apply_callbacks(CURL *easy, DfExchange *exchange)
{
	SET(CURLOPT_HEADERFUNCTION, df_response_header);
	SET(CURLOPT_HEADERDATA, &exchange->response);
	SET(CURLOPT_WRITEFUNCTION, df_response_body);
	SET(CURLOPT_WRITEDATA, &exchange->response);
	SET(CURLOPT_PREREQFUNCTION, before_request);
	SET(CURLOPT_PREREQDATA, exchange);
	return CURLE_OK;
}

static CURLcode
apply_method(CURL *easy, const DfExchange *exchange)
{
	const char *method = exchange->method;
	bool has_body = exchange->body != NULL || strcmp(method, "POST") == 0 ||
		strcmp(method, "PUT") == 0 || strcmp(method, "PATCH") == 0;

	/* sets the fields first, because that makes it a POST */
	SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t) exchange->body_len);
	if (has_body)
		SET(CURLOPT_POSTFIELDS, exchange->body != NULL ? exchange->body : "");
	else if (strcmp(method, "HEAD") == 0)
		SET(CURLOPT_NOBODY, 1L);
	else
		SET(CURLOPT_HTTPGET, 1L);
	if (strcmp(method, has_body ? "POST" : "GET") != 0 && strcmp(method, "HEAD") != 0)
		SET(CURLOPT_CUSTOMREQUEST, method);
	else
		SET(CURLOPT_CUSTOMREQUEST, NULL);
	return CURLE_OK;
}

CURLcode
df_request_apply(DfExchange *exchange, const DfHttpRequest *request)
{
	CURL *easy = exchange->easy;
	CURLcode code = df_request_apply_connection(exchange, request);

	if (code == CURLE_OK)
		code = apply_http(easy);
	if (code == CURLE_OK)
		code = apply_callbacks(easy, exchange);
	if (code == CURLE_OK)
		code = apply_method(easy, exchange);
	if (code == CURLE_OK)
		SET(CURLOPT_HTTPHEADER, exchange->headers);
	return code;
}

/* ---- redirects ------------------------------------------------------------ */

typedef struct Origin
{
	char *scheme;
	char *host;
	char *port;
	bool has_user;
} Origin;

static void
free_origin(Origin *origin)
{
	curl_free(origin->scheme);
	curl_free(origin->host);
	curl_free(origin->port);
}

static bool
read_origin(const char *url, Origin *origin)
{
	CURLU *parsed = curl_url();
	char *user = NULL;
	bool good;

	memset(origin, 0, sizeof(Origin));
	good = parsed != NULL && url != NULL &&
		curl_url_set(parsed, CURLUPART_URL, url, CURLU_NON_SUPPORT_SCHEME) == CURLUE_OK &&
		curl_url_get(parsed, CURLUPART_SCHEME, &origin->scheme, 0) == CURLUE_OK;
	if (good)
	{
		(void) curl_url_get(parsed, CURLUPART_HOST, &origin->host, 0);
		(void) curl_url_get(parsed, CURLUPART_PORT, &origin->port, CURLU_DEFAULT_PORT);
		origin->has_user = curl_url_get(parsed, CURLUPART_USER, &user, 0) == CURLUE_OK;
		curl_free(user);
	}
	curl_url_cleanup(parsed);
	return good;
}

/* NULL if a redirect from one origin to the other may be followed. */
static const char *
redirect_problem(const Origin *from, const Origin *to)
{
	DfUrlScheme before = df_url_scheme_named(from->scheme, strlen(from->scheme));
	DfUrlScheme after = df_url_scheme_named(to->scheme, strlen(to->scheme));

	if (after != DF_URL_HTTP && after != DF_URL_HTTPS)
		return "the answer redirects to something that is not http or https";
	if (before == DF_URL_HTTPS && after != DF_URL_HTTPS)
		return "the answer redirects from https to http";
	if (to->host == NULL || to->port == NULL)
		return "the answer redirects to a URL without a host";
	if (to->has_user)
		return "the answer redirects to a URL with a user name";
	return NULL;
}

/* 303 asks to GET another page; so do 301 and 302 after a POST, as all clients read them. */
static void
change_method(DfExchange *exchange, int status)
{
	bool to_get = status == 303
		? strcmp(exchange->method, "HEAD") != 0
		: (status == 301 || status == 302) && strcmp(exchange->method, "POST") == 0;

	if (status != 307 && status != 308 && strcmp(exchange->method, "GET") != 0 &&
		strcmp(exchange->method, "HEAD") != 0)
		exchange->carried_out = true;
	if (!to_get)
		return;
	exchange->method = "GET";
	exchange->repeatable = true;
	exchange->body = NULL;
	exchange->body_len = 0;
	if (exchange->content_type != NULL)
	{
		exchange->headers->next = exchange->content_type->next;
		if (exchange->last_public == exchange->content_type)
			exchange->last_public = exchange->headers;
		exchange->content_type = NULL;
	}
}

static CURLcode
go_to(DfExchange *exchange, const char *url)
{
	CURL *easy = exchange->easy;

	SET(CURLOPT_URL, url);
	SET(CURLOPT_HTTPHEADER, exchange->headers);
	return apply_method(easy, exchange);
}

/*
 * Drops what was given for the first origin only: secret headers, the client certificate,
 * the right to reach private addresses.
 */
static CURLcode
leave_origin(DfExchange *exchange, const char *url)
{
	CURL *easy = exchange->easy;

	exchange->elsewhere = true;
	exchange->allow_private = df_url_origin_in(exchange->private_origins, url);
	exchange->last_public->next = NULL;
	exchange->with_certificate = false;
	SET(CURLOPT_SSLCERT, NULL);
	SET(CURLOPT_SSLKEY, NULL);
	return CURLE_OK;
}

/* NULL if the handle is ready for the next address, else why the redirect is not followed. */
static const char *
follow(DfExchange *exchange, const char *here, const char *there)
{
	Origin from = {0};
	Origin to = {0};
	const char *problem = "the answer redirects to a URL that cannot be used";
	CURLcode code = CURLE_OK;

	if (read_origin(here, &from) && read_origin(there, &to))
		problem = redirect_problem(&from, &to);
	free_origin(&from);
	free_origin(&to);
	if (problem != NULL)
		return problem;
	exchange->redirects_left--;
	exchange->sent = false;
	exchange->tried_public = false;
	change_method(exchange, exchange->response.status);
	if (!df_url_same_origin(here, there))
		code = leave_origin(exchange, there);
	df_response_next(&exchange->response);
	if (code == CURLE_OK)
		code = go_to(exchange, there);
	return code == CURLE_OK ? NULL : "the redirect could not be followed";
}

DfRedirect
df_request_redirect(DfExchange *exchange)
{
	int status = exchange->response.status;
	const char *problem;
	char *here = NULL;
	char *there = NULL;

	if (exchange->redirects_left <= 0 || status < 301 || status > 308 ||
		(status > 303 && status < 307))
		return DF_REDIRECT_NONE;
	(void) curl_easy_getinfo(exchange->easy, CURLINFO_REDIRECT_URL, &there);
	(void) curl_easy_getinfo(exchange->easy, CURLINFO_EFFECTIVE_URL, &here);
	if (there == NULL)
		return DF_REDIRECT_NONE;
	problem = follow(exchange, here, there);
	if (problem != NULL)
		snprintf(exchange->refusal, sizeof(exchange->refusal), "%s", problem);
	return problem == NULL ? DF_REDIRECT_FOLLOW : DF_REDIRECT_REFUSED;
}

/* ---- what its end means --------------------------------------------------- */

/* Codes that blame the request or the system's options, not the network. */
static bool
is_our_fault(CURLcode code)
{
	switch (code)
	{
		case CURLE_UNSUPPORTED_PROTOCOL:
		case CURLE_FAILED_INIT:
		case CURLE_URL_MALFORMAT:
		case CURLE_NOT_BUILT_IN:
		case CURLE_BAD_FUNCTION_ARGUMENT:
		case CURLE_UNKNOWN_OPTION:
		case CURLE_SSL_CERTPROBLEM:
		case CURLE_SSL_CACERT_BADFILE:
		case CURLE_LOGIN_DENIED: /* a user name in the URL */
			return true;
		default:
			return false;
	}
}

/* Codes under which libcurl also reports that it could not open a file, a socket or a thread. */
static bool
may_be_shortage(CURLcode code)
{
	switch (code)
	{
		case CURLE_COULDNT_RESOLVE_HOST:
		case CURLE_COULDNT_CONNECT:
		case CURLE_FAILED_INIT:
		case CURLE_SSL_CACERT_BADFILE:
		case CURLE_SSL_CERTPROBLEM:
		case CURLE_SSL_CONNECT_ERROR:
		case CURLE_SSL_ENGINE_INITFAILED:
		case CURLE_ABORTED_BY_CALLBACK:
			return true;
		default:
			return false;
	}
}

/* Whether the request could not be sent because something is short on this machine. */
static bool
is_starved(const DfExchange *exchange, CURLcode code)
{
	if (code == CURLE_OUT_OF_MEMORY || exchange->shortage != 0)
		return true;
	if (code == CURLE_COULDNT_RESOLVE_HOST &&
		strstr(exchange->curl_error, "thread failed to start") != NULL)
		return true;
	return may_be_shortage(code) && df_descriptors_used_up(exchange->open_fd);
}

DfFate
df_request_fate(const DfExchange *exchange, CURLcode code)
{
	/* libcurl accepts a head that breaks off as complete */
	if (code == CURLE_OK)
		return exchange->response.status >= 200 && exchange->response.head_complete
			? DF_FATE_RESPONSE
			: DF_FATE_LOST;
	if (exchange->response.too_large)
		return DF_FATE_TOO_LARGE;
	if (exchange->sent)
		return DF_FATE_LOST;
	if (exchange->carried_out)
		return DF_FATE_LOST;
	if (exchange->refusal[0] != '\0' &&
		(!exchange->tried_public || code == CURLE_ABORTED_BY_CALLBACK))
		return DF_FATE_REFUSED;
	if (is_starved(exchange, code))
		return DF_FATE_STARVED;
	return is_our_fault(code) ? DF_FATE_REFUSED : DF_FATE_NOT_SENT;
}

/* Plain sentences for frequent errors; for the rest libcurl's own. */
static const char *
words_for(const DfExchange *exchange, CURLcode code)
{
	switch (code)
	{
		case CURLE_COULDNT_RESOLVE_HOST:
			return "could not resolve host name";
		case CURLE_COULDNT_CONNECT:
			return "could not connect";
		case CURLE_OPERATION_TIMEDOUT:
			return "could not connect in time";
		case CURLE_GOT_NOTHING:
			return "the connection was closed before an answer";
		case CURLE_OK:
		case CURLE_PARTIAL_FILE:
			return "the answer was cut short";
		case CURLE_SEND_ERROR:
		case CURLE_RECV_ERROR:
		case CURLE_HTTP2:
		case CURLE_HTTP2_STREAM:
			return exchange->response.status == 0 ? "the connection was lost before an answer"
												  : "the connection was lost within the answer";
		case CURLE_BAD_CONTENT_ENCODING:
			return "the answer could not be decompressed";
		case CURLE_LOGIN_DENIED:
			return "a user name in the URL is not allowed";
		case CURLE_SSL_CONNECT_ERROR:
		case CURLE_PEER_FAILED_VERIFICATION:
			return "no secure connection";
		case CURLE_SSL_CERTPROBLEM:
			return "the client certificate cannot be used";
		case CURLE_SSL_CACERT_BADFILE:
			return "the file of certificate authorities cannot be used";
		case CURLE_BAD_FUNCTION_ARGUMENT:
			/* libcurl 8.22 returns it for a key that does not belong to the certificate */
			return exchange->with_certificate ? "the client certificate cannot be used"
											  : "the request failed";
		default:
			return "the request failed";
	}
}

/* Use libcurl's longer text for TLS only; elsewhere it may quote secrets. */
static const char *
detail_for(const DfExchange *exchange, CURLcode code, long os_errno)
{
	if (code == CURLE_COULDNT_CONNECT && os_errno != 0)
		return strerror((int) os_errno);
	if ((code == CURLE_SSL_CONNECT_ERROR || code == CURLE_PEER_FAILED_VERIFICATION) &&
		exchange->curl_error[0] != '\0')
		return exchange->curl_error;
	return curl_easy_strerror(code);
}

void
df_request_error(const DfExchange *exchange, CURLcode code, char *text, size_t room)
{
	long os_errno = 0;

	if (exchange->response.too_large)
		snprintf(text, room, "the answer is larger than %zu bytes", exchange->response.max_body);
	else if (exchange->response.headers_too_large)
		snprintf(text, room, "the headers of the answer are larger than %d bytes",
				 DF_MAX_HEADER_BYTES);
	else if (exchange->response.out_of_memory)
		snprintf(text, room, "there was no memory for the answer");
	else if (exchange->cut_off)
		snprintf(text, room,
				 "the connection was closed before an answer, and the request was not sent again");
	else if (exchange->refusal[0] != '\0' &&
			 (!exchange->tried_public || code == CURLE_ABORTED_BY_CALLBACK))
		snprintf(text, room, "%s", exchange->refusal);
	else if (code == CURLE_OK)
		snprintf(text, room, "the answer has no final status");
	else if (!exchange->sent && !exchange->carried_out && is_starved(exchange, code))
		snprintf(text, room, "%s",
				 code == CURLE_OUT_OF_MEMORY
					 ? "there is no memory for a request"
					 : strerror(exchange->shortage != 0 ? exchange->shortage : EMFILE));
	else
	{
		(void) curl_easy_getinfo(exchange->easy, CURLINFO_OS_ERRNO, &os_errno);
		if (code == CURLE_COULDNT_CONNECT && os_errno == ECONNREFUSED)
			snprintf(text, room, "connection refused");
		else if (code == CURLE_OPERATION_TIMEDOUT)
			snprintf(text, room, "could not connect: timed out after %d ms",
					 exchange->connect_timeout_ms);
		else
			snprintf(text, room, "%s: %s", words_for(exchange, code),
					 detail_for(exchange, code, os_errno));
	}
}
