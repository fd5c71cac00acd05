/*
 * http/redirect.c
 *	  Redirects: whether one is followed, and what goes along.
 *
 * Runs in workers, in no transaction.  Redirects are followed here instead of by libcurl, which
 * would repeat a DELETE on the page that a 303 names, and would send to another host the client
 * certificate and every header that it does not know as a credential.  The right to reach
 * private addresses is not carried over either: it was granted for one origin.
 *
 * Must never raise an error and never palloc.
 */
#include "postgres.h"

#include "http/connection.h"
#include "http/redirect.h"
#include "http/request.h"
#include "http/url.h"
#include "http/url_secrets.h"

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

	DF_SET(CURLOPT_URL, url);
	DF_SET(CURLOPT_HTTPHEADER, exchange->headers);
	return df_request_apply_method(easy, exchange);
}

/*
 * Drops what was given for the first origin only: secret headers, parameters and paths, the
 * client certificate, the Unix socket, the right to reach private addresses.
 */
static CURLcode
leave_origin(DfExchange *exchange, const char *url)
{
	CURL *easy = exchange->easy;

	exchange->elsewhere = true;
	exchange->allow_private = df_url_origin_in(exchange->private_origins, url);
	exchange->last_public->next = NULL;
	exchange->query_secrets = NULL;
	exchange->url_secrets = NULL;
	exchange->by_unix_socket = false;
	exchange->with_certificate = false;
	DF_SET(CURLOPT_SSLCERT, NULL);
	DF_SET(CURLOPT_SSLKEY, NULL);
	DF_SET(CURLOPT_UNIX_SOCKET_PATH, NULL);
	return CURLE_OK;
}

/*
 * Leads the handle to the next address; within the origin it keeps its secret parameters.  NULL,
 * or why the redirect is not followed.
 */
static const char *
follow_to(DfExchange *exchange, const char *there, bool leaves)
{
	CURLcode code = CURLE_OK;

	if (leaves && exchange->url_secrets != NULL && df_url_reveals(there, exchange->url_secrets))
		return "the answer redirects to another origin with a secret in its URL";
	if (leaves)
		code = leave_origin(exchange, there);
	if (exchange->by_proxy && !exchange->allow_private && df_connection_is_private(there))
		return "the answer redirects to an address that is not public, and private_origins of the "
			   "system does not name its origin";
	df_response_next(&exchange->response);
	if (code == CURLE_OK)
		code = go_to(exchange, there);
	return code == CURLE_OK ? NULL : "the redirect could not be followed";
}

/* NULL if the handle is ready for the next address, else why the redirect is not followed. */
static const char *
follow(DfExchange *exchange, const char *here, const char *there)
{
	Origin from = {0};
	Origin to = {0};
	const char *problem = "the answer redirects to a URL that cannot be used";
	bool leaves = !df_url_same_origin(here, there);
	char *url = NULL;

	if (read_origin(here, &from) && read_origin(there, &to))
		problem = redirect_problem(&from, &to);
	free_origin(&from);
	free_origin(&to);
	if (problem != NULL)
		return problem;
	if (exchange->query_secrets != NULL)
	{
		url = df_url_with_query(there, exchange->query_secrets, !leaves);
		if (url == NULL)
			return "there was no memory to follow the redirect";
	}
	exchange->redirects_left--;
	exchange->sent = false;
	exchange->tried_public = false;
	change_method(exchange, exchange->response.status);
	problem = follow_to(exchange, url != NULL ? url : there, leaves);
	if (url != NULL)
		explicit_bzero(url, strlen(url));
	free(url);
	return problem;
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
