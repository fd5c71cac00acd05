/*
 * http/request.h
 *	  One exchange: from a DfHttpRequest to a libcurl easy handle.
 */
#ifndef DF_HTTP_REQUEST_H
#define DF_HTTP_REQUEST_H

#include <curl/curl.h>

#include "http/client.h"
#include "http/response.h"

#ifndef DF_VERSION
#define DF_VERSION "0.1"
#endif

typedef struct DfExchange
{
	struct DfExchange *prev; /* among those in flight, client.c's */
	struct DfExchange *next;
	struct DfDone *done; /* the result to be, made before anything is sent */
	CURL *easy;
	struct DfMail *mail; /* a mail, in the arena; NULL = HTTP */
	DfResponse response;

	/* times are df_monotonic_us() */
	int64 started_us;
	int64 deadline_us;
	int64 granted_us; /* by which the deadline has been extended */
	int timeout_ms;
	int connect_timeout_ms;

	/* what is sent; all of it lies in the arena below */
	const char *body;
	size_t body_len;
	const char *method;
	struct curl_slist *headers;
	struct curl_slist *content_type; /* the second node, if the caller gave one */
	struct curl_slist *last_public; /* what follows is not for other hosts */

	int redirects_left;
	bool allow_private; /* of the present hop */
	/* to which redirects may lead at private addresses; in the arena, NULL = none */
	const char *private_origins;
	bool elsewhere; /* a redirect has left the origin of the request */
	bool repeatable; /* libcurl may send it again on a fresh connection */
	bool sent; /* bytes may have left and were not answered yet */
	bool carried_out; /* a redirect says that the first request was */
	bool cut_off; /* not sent again on a fresh connection */
	bool with_certificate; /* of ours */
	bool tried_public; /* some address was one that we may connect to */
	int shortage; /* errno of a socket that we could not have, 0 = none */
	char refusal[160]; /* what the policy said, "" = nothing */
	char curl_error[CURL_ERROR_SIZE];

	size_t arena_used;
	size_t arena_size;
	char arena[FLEXIBLE_ARRAY_MEMBER];
} DfExchange;

/* NULL if the request can be made, else a constant sentence why not */
extern const char *df_request_problem(const DfHttpRequest *request);

/*
 * a malloc'd exchange with an empty arena of that size, and a piece of the arena; NULL = no
 * memory
 */
extern DfExchange *df_exchange_new(const DfHttpRequest *request, size_t arena_size);
extern void *df_exchange_take(DfExchange *exchange, size_t len);

/* where to, how secure, and which addresses are allowed: for any protocol */
extern CURLcode df_request_apply_connection(DfExchange *exchange, const DfHttpRequest *request);

/* a malloc'd exchange with copies of all that is sent; NULL = no memory */
extern DfExchange *df_request_new(const DfHttpRequest *request);

/* sets the exchange's easy handle up; the paths and the URL are copied by libcurl */
extern CURLcode df_request_apply(DfExchange *exchange, const DfHttpRequest *request);

typedef enum DfRedirect
{
	DF_REDIRECT_NONE, /* the answer is the answer */
	DF_REDIRECT_FOLLOW, /* the handle is ready for the next address */
	DF_REDIRECT_REFUSED /* exchange->refusal says why */
} DfRedirect;

/* what to do about a whole answer */
extern DfRedirect df_request_redirect(DfExchange *exchange);

/* fate and words of an exchange that libcurl ended with this code */
extern DfFate df_request_fate(const DfExchange *exchange, CURLcode code);
extern void df_request_error(const DfExchange *exchange, CURLcode code, char *text, size_t room);

/* wipes and frees all but the easy handle and the result */
extern void df_request_free(DfExchange *exchange);

#endif /* DF_HTTP_REQUEST_H */
