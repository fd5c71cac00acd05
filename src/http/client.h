/*
 * http/client.h
 *	  The public face of the HTTP room: requests in, results out.
 *
 * One multi handle per process.  Nothing here raises: a request that cannot be
 * made becomes a result with DF_FATE_REFUSED.  Memory of the room is malloc's,
 * so that no callback of libcurl's ever reaches palloc or ereport.
 */
#ifndef DF_HTTP_CLIENT_H
#define DF_HTTP_CLIENT_H

#include "types/fate.h"

typedef struct DfHttpRequest
{
	uint64 cookie; /* comes back with the result, unique among those in flight */
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
	int timeout_ms; /* whole attempt, judged by df_http_perform() */
	size_t max_body; /* longest answer body that is kept */
	int follow_redirects; /* 0 = none */
	/* loopback, private and link-local addresses; not after a redirect to another origin */
	bool allow_private;
	const char *private_origins; /* unless it is one of these, separated by spaces; NULL = none */
	const char *mail_from; /* NULL = HTTP; else the body is a message, lines ending in CRLF */
	const char *const *mail_to; /* addresses, NULL-terminated */
	bool mail_in_clear; /* no STARTTLS on smtp:// */
} DfHttpRequest;

typedef struct DfHttpResult
{
	uint64 cookie;
	DfFate fate;
	int status; /* 0 = none was read; of a mail, the code of the last reply */
	char *body; /* NUL-terminated, body_len bytes, maybe cut; NULL = none was read */
	size_t body_len;
	char *headers; /* lower-case "name: value\n" lines of the last answer; NULL = none */
	char content_type[128];
	int64 retry_after_ms; /* from Retry-After, -1 = none, capped at 1 h */
	int64 took_us;
	char error[256]; /* plain words, never a secret; "" when fate is ANSWER */
} DfHttpResult;

extern bool df_http_init(void); /* once per process; false = libcurl refused */
extern void df_http_limit(int connections); /* that are kept, at most */
extern int df_http_fd(void); /* pollable: readable when perform has work */

/*
 * Ms until perform is wanted, -1 = no timer.  Called right before waiting: what
 * passes between the last perform and this call counts as time in which nobody
 * read, by which deadlines may be extended.
 */
extern long df_http_timeout_ms(void);
extern void df_http_submit(const DfHttpRequest *request); /* copies all it needs */
extern void df_http_perform(void); /* move bytes, then judge deadlines */
extern DfHttpResult *df_http_next(void); /* a finished exchange or NULL */
extern void df_http_free(DfHttpResult *result);
extern int df_http_in_flight(void);
extern void df_http_shutdown(void);

#endif /* DF_HTTP_CLIENT_H */
