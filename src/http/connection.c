/*
 * http/connection.c
 *	  How an exchange is connected: TLS, certificates, which addresses it may reach.
 *
 * Runs in workers, in no transaction.  Sets up the easy handle of a request or a mail; libcurl
 * calls the callbacks before it connects and before it sends.  libcurl copies the URL and the
 * names of files.  Must never raise an error and never palloc.
 */
#include "postgres.h"

#include <sys/socket.h>
#include <unistd.h>

#include "http/address_filter.h"
#include "http/connection.h"
#include "http/url.h"
#include "shared/descriptors.h"

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

static bool
is_named(const DfExchange *exchange)
{
	return exchange->by_proxy || exchange->by_unix_socket;
}

/* libcurl calls it for each address of a name before it connects to it. */
static curl_socket_t
open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
	DfExchange *exchange = arg;
	int fd;

	if (address->family == AF_UNIX ? !exchange->by_unix_socket
								   : address->family != AF_INET && address->family != AF_INET6)
		return CURL_SOCKET_BAD;
	/* a superuser has named the socket, or the proxy that this is the address of */
	if (!is_named(exchange) && !may_connect(exchange, df_policy_blocks(&address->addr)))
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
 * not decide that: what responds to the second one may be about the first.
 */
int
df_connection_is_there(void *arg, char *address, char *local, int port, int local_port)
{
	DfExchange *exchange = arg;

	if (exchange->sent && !exchange->repeatable)
	{
		exchange->cut_off = true;
		return CURL_PREREQFUNC_ABORT;
	}
	if (!is_named(exchange) && !may_connect(exchange, df_policy_blocks_text(address)))
		return CURL_PREREQFUNC_ABORT;
	exchange->refusal[0] = '\0';
	exchange->sent = true;
	return CURL_PREREQFUNC_OK;
}

/* ---- the easy handle ------------------------------------------------------ */

/* Options of every connection, whatever its protocol; none of them comes from a system. */
static CURLcode
apply_rules(CURL *easy)
{
#if LIBCURL_VERSION_NUM >= 0x075700
	/* otherwise a deadline would wait for a name server that does not respond */
	DF_SET(CURLOPT_QUICK_EXIT, 1L);
#endif
	DF_SET(CURLOPT_PROXY, ""); /* none from the environment either */
	DF_SET(CURLOPT_NOPROXY, ""); /* nor what should go around one */
	DF_SET(CURLOPT_NOSIGNAL, 1L);
	DF_SET(CURLOPT_DISALLOW_USERNAME_IN_URL, 1L);
	DF_SET(CURLOPT_SSL_VERIFYPEER, 1L);
	DF_SET(CURLOPT_SSL_VERIFYHOST, 2L);
	DF_SET(CURLOPT_SSLVERSION, (long) CURL_SSLVERSION_TLSv1_2);
	return CURLE_OK;
}

/* The way out; credentials go by libcurl's options, which SOCKS needs. */
static CURLcode
apply_way(CURL *easy, const DfHttpRequest *request)
{
	if (request->unix_socket != NULL)
		DF_SET(CURLOPT_UNIX_SOCKET_PATH, request->unix_socket);
	if (request->proxy == NULL)
		return CURLE_OK;
	DF_SET(CURLOPT_PROXY, request->proxy);
	DF_SET(CURLOPT_PROXYAUTH, (long) CURLAUTH_BASIC);
	/* what the proxy says of a tunnel is no response of the system */
	DF_SET(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
	DF_SET(CURLOPT_PROXY_SSLVERSION, (long) CURL_SSLVERSION_TLSv1_2);
	if (request->proxy_ca_file != NULL)
		DF_SET(CURLOPT_PROXY_CAINFO, request->proxy_ca_file);
	if (request->proxy_username != NULL)
	{
		DF_SET(CURLOPT_PROXYUSERNAME, request->proxy_username);
		DF_SET(CURLOPT_PROXYPASSWORD, request->proxy_password);
	}
	return CURLE_OK;
}

CURLcode
df_connection_apply(DfExchange *exchange, const DfHttpRequest *request)
{
	CURL *easy = exchange->easy;
	CURLcode code = apply_rules(easy);

	if (code == CURLE_OK)
		code = apply_way(easy, request);
	if (code != CURLE_OK)
		return code;
	DF_SET(CURLOPT_URL, request->url);
	DF_SET(CURLOPT_PRIVATE, exchange);
	DF_SET(CURLOPT_ERRORBUFFER, exchange->curl_error);
	DF_SET(CURLOPT_OPENSOCKETFUNCTION, open_socket);
	DF_SET(CURLOPT_OPENSOCKETDATA, exchange);
	if (request->connect_timeout_ms > 0)
		DF_SET(CURLOPT_CONNECTTIMEOUT_MS, (long) request->connect_timeout_ms);
	if (request->ca_file != NULL)
		DF_SET(CURLOPT_CAINFO, request->ca_file);
	exchange->with_certificate = request->client_cert != NULL;
	if (request->client_cert != NULL)
		DF_SET(CURLOPT_SSLCERT, request->client_cert);
	if (request->client_key != NULL)
		DF_SET(CURLOPT_SSLKEY, request->client_key);
	return CURLE_OK;
}

/* ---- by a proxy ----------------------------------------------------------- */

/*
 * A proxy resolves names, so of a name nobody here knows the address.  What is written as an
 * address, or is always this machine, is judged.
 */
bool
df_connection_is_private(const char *url)
{
	char host[256];
	char *end;

	if (!df_url_host(url, host, sizeof(host)))
		return true;
	if (pg_strcasecmp(host, "localhost") == 0 ||
		((end = strrchr(host, '.')) != NULL && pg_strcasecmp(end, ".localhost") == 0))
		return true;
	return df_policy_is_address(host) && df_policy_blocks_text(host) != NULL;
}

const char *
df_connection_problem(const DfHttpRequest *request)
{
	if (request->proxy == NULL || request->allow_private ||
		!df_connection_is_private(request->url))
		return NULL;
	return "the host is an address that is not public, and the system does not say allow_private";
}
