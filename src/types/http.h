/*
 * types/http.h
 *	  A request or a mail to send, and what came of it.  All memory is malloc's.
 */
#ifndef DF_TYPES_HTTP_H
#define DF_TYPES_HTTP_H

#include "types/fate.h"

typedef struct DfHttpRequest
{
	uint64 cookie; /* returned with the result; unique among the requests in flight */
	const char *url; /* absolute: http or https, for a mail smtp or smtps */
	const char *method; /* "GET", "POST", ... */
	const char *body; /* NULL = none */
	size_t body_len;
	const char *const
		*headers; /* "Name: value", NULL-terminated, may be NULL; the last of a name counts */
	const char *username; /* basic authentication, both or neither */
	const char *password;
	const char *bearer_token;
	const char *ca_file;
	const char *client_cert;
	const char *client_key;
	int connect_timeout_ms;
	int timeout_ms; /* of the whole attempt; judged by df_http_perform() */
	size_t max_body; /* longest answer body that is kept */
	int follow_redirects; /* 0 = none */
	/* loopback, private and link-local addresses; not after a redirect to another origin */
	bool allow_private;
	const char *private_origins; /* that may be private, too; separated by spaces */
	const char *mail_from; /* NULL = HTTP; else the body is a message, lines ending in CRLF */
	const char *const *mail_to; /* addresses, NULL-terminated */
	bool mail_in_clear; /* no STARTTLS on smtp:// */

	const char *proxy; /* http, https or socks5h, with a port; NULL = none */
	const char *proxy_username; /* both or neither */
	const char *proxy_password;
	const char *proxy_ca_file; /* of the proxy itself */
	const char *unix_socket; /* of the URL's origin; NULL = by network */

	/* what the URL has that is a secret: not for another origin, and not lost by a redirect */
	const char *const *query_secrets; /* "name=value", encoded, NULL-terminated; NULL = none */
	const char *const *url_secrets; /* as they are, NULL-terminated; NULL = none */
} DfHttpRequest;

#define DF_CONTENT_TYPE_ROOM 256

/* how the body of a response is to be read */
typedef enum DfBodyForm
{
	DF_BODY_PLAIN,
	DF_BODY_CODED, /* of a Content-Encoding that we do not know: as it was sent */
	DF_BODY_BROKEN /* it could not be decoded, or not to its end */
} DfBodyForm;

typedef struct DfHttpResult
{
	uint64 cookie;
	DfFate fate;
	int status; /* 0 = none was read; of a mail, the code of the last SMTP reply */
	char *body; /* NUL-terminated, body_len bytes, maybe cut; NULL = none was read */
	size_t body_len;
	char *headers; /* lower-case "name: value\n" lines of the last response; NULL = none */
	DfBodyForm form;
	bool head_complete; /* status and headers are whole, also of a response that broke off */
	char content_type[DF_CONTENT_TYPE_ROOM];
	int64 retry_after_ms; /* the system asks us to wait so long (rate_limit.c), -1 = it does not */
	int64 took_us;
	char error[256]; /* a plain sentence without secrets; "" when fate is ANSWER */
} DfHttpResult;

#endif /* DF_TYPES_HTTP_H */
