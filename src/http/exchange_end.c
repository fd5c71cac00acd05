/*
 * http/exchange_end.c
 *	  What the end of an exchange means, and in which words.
 *
 * Runs in workers, in no transaction.  What was sent decides: a request of which no byte can
 * have left is not in doubt.  Must never raise an error, never palloc, and never quote what
 * may be a secret.
 */
#include "postgres.h"

#include "http/exchange_end.h"
#include "shared/descriptors.h"

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
df_exchange_fate(const DfExchange *exchange, CURLcode code)
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

/* What a proxy says when it is asked for a tunnel; the words for its code, "" = nothing. */
static const char *
words_of_proxy(long code)
{
	if (code == 407)
		return " (it demands other credentials)";
	return code == 403 ? " (it does not allow it)" : "";
}

/* Ends before the system was reached: the proxy is to blame. */
static bool
proxy_error(const DfExchange *exchange, CURLcode code, char *text, size_t room)
{
	long answer = 0;

	if (!exchange->by_proxy || exchange->sent)
		return false;
	(void) curl_easy_getinfo(exchange->easy, CURLINFO_HTTP_CONNECTCODE, &answer);
	if (answer / 100 != 2 && answer != 0)
		snprintf(text, room, "the proxy did not connect to the system: status %ld%s", answer,
				 words_of_proxy(answer));
	else if (code == CURLE_COULDNT_CONNECT)
		snprintf(text, room, "could not connect to the proxy, or through it");
	else if (code == CURLE_COULDNT_RESOLVE_PROXY)
		snprintf(text, room, "could not resolve the host name of the proxy");
	else if (code == CURLE_PROXY)
		snprintf(text, room, "the proxy did not connect to the system");
	else
		return false;
	return true;
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
df_exchange_error(const DfExchange *exchange, CURLcode code, char *text, size_t room)
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
	else if (!proxy_error(exchange, code, text, room))
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
