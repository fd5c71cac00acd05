/*
 * http/exchange.h
 *	  One exchange: what libcurl works on, from the request to its end.
 */
#ifndef DF_HTTP_EXCHANGE_H
#define DF_HTTP_EXCHANGE_H

#include <curl/curl.h>

#include "http/collector.h"
#include "types/http.h"

typedef struct DfExchange
{
	struct DfExchange *prev; /* client.c's list of those in flight */
	struct DfExchange *next;
	struct DfDone *done; /* allocated before anything is sent */
	CURL *easy;
	struct DfMail *mail; /* a mail, in the arena; NULL = HTTP */
	DfResponse response;

	/* times are df_monotonic_us() */
	int64 started_us;
	int64 deadline_us;
	int64 granted_us; /* how much the deadline has been extended */
	int timeout_ms;
	int connect_timeout_ms;

	/* what is sent, all in the arena below */
	const char *body;
	size_t body_len;
	const char *method;
	struct curl_slist *headers;
	struct curl_slist *content_type; /* the second node, if the caller gave one */
	struct curl_slist *last_public; /* what follows is not for other hosts */

	const char *const *query_secrets; /* of the request's origin; NULL = none */
	const char *const *url_secrets;

	int redirects_left;
	bool allow_private; /* of the present hop */
	bool by_proxy; /* which resolves names and connects */
	bool by_unix_socket; /* the present hop */
	/* to which redirects may lead at private addresses; in the arena, NULL = none */
	const char *private_origins;
	bool elsewhere; /* a redirect has left the origin of the request */
	bool repeatable; /* libcurl may send it again on a fresh connection */
	bool sent; /* bytes may have been sent that nobody has responded to */
	bool carried_out; /* a redirect says that the first request was */
	bool cut_off; /* not sent again on a fresh connection */
	bool with_certificate; /* of ours */
	bool tried_public; /* the filter allowed some address */
	int open_fd; /* any that is open, to try whether one more can be had */
	int shortage; /* errno of a socket that we could not have, 0 = none */
	char refusal[160]; /* the address filter's reason, "" = none */
	char curl_error[CURL_ERROR_SIZE];

	size_t arena_used;
	size_t arena_size;
	char arena[FLEXIBLE_ARRAY_MEMBER];
} DfExchange;

/*
 * A malloc'd exchange with an empty arena of that size, and a piece of the arena; NULL = no
 * memory.
 */
extern DfExchange *df_exchange_new(const DfHttpRequest *request, size_t arena_size);
extern void *df_exchange_take(DfExchange *exchange, size_t len);
extern char *df_exchange_copy(DfExchange *exchange, const char *text);

/* lists of texts that end with NULL, which may be NULL; and the room that the copy needs */
extern const char *const *df_exchange_copy_list(DfExchange *exchange, const char *const *list);
extern size_t df_exchange_list_size(const char *const *list);

/* wipes and frees all but the easy handle and the result */
extern void df_exchange_free(DfExchange *exchange);

/* returns libcurl's code if it refuses an option */
#define DF_SET(option, value) \
	do \
	{ \
		CURLcode set_code_ = curl_easy_setopt(easy, option, value); \
		if (set_code_ != CURLE_OK) \
			return set_code_; \
	} while (0)

#endif /* DF_HTTP_EXCHANGE_H */
