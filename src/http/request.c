/*
 * http/request.c
 *	  One exchange: makes a libcurl easy handle from a DfHttpRequest.
 *
 * Runs in workers, in no transaction.  libcurl uses the exchange's block of memory in place.
 * Credentials are sent as header lines instead of by options of libcurl, which would leave
 * copies that nobody can wipe.
 *
 * Must never raise an error and never palloc.
 */
#include "postgres.h"

#include "common/base64.h"
#include "http/connection.h"
#include "http/request.h"
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
	problem = credential_problem(request);
	return problem != NULL ? problem : df_connection_problem(request);
}

/* ---- the block ------------------------------------------------------------ */

/* An upper bound of the size of the copies, each rounded up like df_exchange_take() does. */
static size_t
arena_bound(const DfHttpRequest *request)
{
	size_t per_line = MAXALIGN(sizeof(struct curl_slist)) + MAXALIGN(2);
	size_t total = 3 * (per_line + 64); /* Expect, Accept or Content-Type */
	const char *const *line;

	if (request->private_origins != NULL)
		total += MAXALIGN(strlen(request->private_origins) + 1);
	total += df_exchange_list_size(request->query_secrets) +
		df_exchange_list_size(request->url_secrets);
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
	char *copied = df_exchange_copy(exchange, line);
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
	struct curl_slist *last = link_header(exchange, df_exchange_copy(exchange, "Expect:"), NULL);
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
		exchange->last_public =
			link_header(exchange, df_exchange_copy(exchange, "Accept: application/json"),
						exchange->last_public);
	/* leaves it out: libcurl would say that the body is a form */
	if (exchange->content_type == NULL)
		exchange->last_public =
			link_header(exchange, df_exchange_copy(exchange, "Content-Type:"),
						exchange->last_public);
	secret = authorization(exchange, request);
	if (secret != NULL)
		link_header(exchange, secret, exchange->last_public);
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
		exchange->private_origins = df_exchange_copy(exchange, request->private_origins);
	exchange->query_secrets = df_exchange_copy_list(exchange, request->query_secrets);
	exchange->url_secrets = df_exchange_copy_list(exchange, request->url_secrets);
	exchange->method = df_exchange_copy(exchange, request->method);
	/* a second PUT or DELETE is harmless, too, but its response may be about the first one */
	exchange->repeatable =
		strcmp(request->method, "GET") == 0 || strcmp(request->method, "HEAD") == 0;
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

/* ---- the easy handle ------------------------------------------------------ */

/* Options of every HTTP request. */
static CURLcode
apply_http(CURL *easy)
{
#if LIBCURL_VERSION_NUM >= 0x075500
	DF_SET(CURLOPT_PROTOCOLS_STR, "http,https");
	DF_SET(CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
#else
	DF_SET(CURLOPT_PROTOCOLS, (long) (CURLPROTO_HTTP | CURLPROTO_HTTPS));
	DF_SET(CURLOPT_REDIR_PROTOCOLS, (long) (CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
	DF_SET(CURLOPT_FOLLOWLOCATION, 0L);
	DF_SET(CURLOPT_HTTP_VERSION, (long) CURL_HTTP_VERSION_2TLS);
	DF_SET(CURLOPT_USERAGENT, "dataflows/" DF_VERSION);
	/* asked for by libcurl, decoded by us: inflate.c says why */
	DF_SET(CURLOPT_ACCEPT_ENCODING, "gzip");
	DF_SET(CURLOPT_HTTP_CONTENT_DECODING, 0L);
	/*
	 * shorter than most servers keep it: a connection that dies during a request leaves the
	 * request in doubt
	 */
	DF_SET(CURLOPT_MAXAGE_CONN, MAX_IDLE_S);
	DF_SET(CURLOPT_MAXLIFETIME_CONN, 600L);
	return CURLE_OK;
}

static CURLcode
apply_callbacks(CURL *easy, DfExchange *exchange)
{
	DF_SET(CURLOPT_HEADERFUNCTION, df_response_header);
	DF_SET(CURLOPT_HEADERDATA, &exchange->response);
	DF_SET(CURLOPT_WRITEFUNCTION, df_response_body);
	DF_SET(CURLOPT_WRITEDATA, &exchange->response);
	DF_SET(CURLOPT_PREREQFUNCTION, df_connection_is_there);
	DF_SET(CURLOPT_PREREQDATA, exchange);
	return CURLE_OK;
}

CURLcode
df_request_apply_method(CURL *easy, const DfExchange *exchange)
{
	const char *method = exchange->method;
	bool has_body = exchange->body != NULL || strcmp(method, "POST") == 0 ||
		strcmp(method, "PUT") == 0 || strcmp(method, "PATCH") == 0;

	/* sets the fields first, because that makes it a POST */
	DF_SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t) exchange->body_len);
	if (has_body)
		DF_SET(CURLOPT_POSTFIELDS, exchange->body != NULL ? exchange->body : "");
	else if (strcmp(method, "HEAD") == 0)
		DF_SET(CURLOPT_NOBODY, 1L);
	else
		DF_SET(CURLOPT_HTTPGET, 1L);
	if (strcmp(method, has_body ? "POST" : "GET") != 0 && strcmp(method, "HEAD") != 0)
		DF_SET(CURLOPT_CUSTOMREQUEST, method);
	else
		DF_SET(CURLOPT_CUSTOMREQUEST, NULL);
	return CURLE_OK;
}

CURLcode
df_request_apply(DfExchange *exchange, const DfHttpRequest *request)
{
	CURL *easy = exchange->easy;
	CURLcode code = df_connection_apply(exchange, request);

	if (code == CURLE_OK)
		code = apply_http(easy);
	if (code == CURLE_OK)
		code = apply_callbacks(easy, exchange);
	if (code == CURLE_OK)
		code = df_request_apply_method(easy, exchange);
	if (code == CURLE_OK)
		DF_SET(CURLOPT_HTTPHEADER, exchange->headers);
	return code;
}
