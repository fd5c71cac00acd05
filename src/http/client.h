/*
 * http/client.h
 *	  Sends HTTP requests and mails, returns their results.
 *
 * One multi handle per process.  Nothing here raises an error: a request that cannot be made
 * gives a result with DF_FATE_REFUSED.  All memory is malloc's, because callbacks of libcurl
 * must never call palloc or ereport.
 */
#ifndef DF_HTTP_CLIENT_H
#define DF_HTTP_CLIENT_H

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
} DfHttpRequest;

typedef struct DfHttpResult
{
	uint64 cookie;
	DfFate fate;
	int status; /* 0 = none was read; of a mail, the code of the last SMTP reply */
	char *body; /* NUL-terminated, body_len bytes, maybe cut; NULL = none was read */
	size_t body_len;
	char *headers; /* lower-case "name: value\n" lines of the last response; NULL = none */
	char content_type[128];
	int64 retry_after_ms; /* from Retry-After, -1 = none, capped at 1 h */
	int64 took_us;
	char error[256]; /* a plain sentence without secrets; "" when fate is ANSWER */
} DfHttpResult;

extern bool df_http_init(void); /* once per process; false = libcurl refused */
extern void df_http_limit(int connections); /* that are kept, at most */
extern int df_http_fd(void); /* pollable: readable when perform has work */

/*
 * Milliseconds until df_http_perform() is to be called, -1 = no timer.  Call it right before
 * waiting: the time since the last df_http_perform() counts as time in which nobody read,
 * which extends deadlines.
 */
extern long df_http_timeout_ms(void);
extern void df_http_submit(const DfHttpRequest *request); /* copies all it needs */
extern void df_http_perform(void); /* move bytes, then judge deadlines */
extern DfHttpResult *df_http_next(void); /* the result of a finished exchange, or NULL */
extern void df_http_free(DfHttpResult *result);
extern int df_http_in_flight(void);
extern void df_http_shutdown(void);

#endif /* DF_HTTP_CLIENT_H */
