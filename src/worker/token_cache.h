/*
 * worker/token_cache.h
 *	  What a worker knows of the tokens of its systems.
 */
#ifndef DF_TOKEN_CACHE_H
#define DF_TOKEN_CACHE_H

#include "fdw/options.h"
#include "store/refresh_token_table.h"
#include "worker/worker_state.h"

/* cookies of the other requests are addresses, which are even */
#define DF_TOKEN_COOKIE ((uint64) 1)

typedef struct DfTokenKey
{
	Oid user;
	Oid system;
} DfTokenKey;

typedef enum DfTokenWrite
{
	DF_WRITE_NOTHING,
	DF_WRITE_TOKENS,
	DF_WRITE_RELEASE /* nothing came: another worker may try */
} DfTokenWrite;

typedef struct DfToken
{
	DfTokenKey key; /* must be first */
	char name[NAMEDATALEN]; /* of the system */
	uint64 options; /* hash of all options that it depends on */

	char *text; /* malloc'd, NULL = there is none */
	uint64 serial; /* of the text, unique */
	int64 renew_us; /* df_monotonic_us() */
	int64 expires_us;
	bool renewed; /* requested because the one before was refused */
	bool proven; /* some request with it was accepted */

	/* of the grant 'refresh_token': which row, under which claim, and what is to be written */
	bool by_refresh;
	unsigned char family[DF_FAMILY_BYTES];
	int64 claim;
	DfTokenWrite write;
	bool written; /* in this turn's transaction, which has not committed yet */
	char *new_access_token; /* malloc'd, as the next; both are wiped when they are written */
	char *new_refresh_token; /* NULL = it is the same */
	TimestampTz new_expires_at;
	char *refused_text; /* malloc'd: the access token that the system refused last */

	bool asking; /* a request is in flight, or about to be sent */
	uint64 asked_options;
	int64 asked_us;
	bool asked_in_body;
	bool in_body; /* the server wants the credentials in the body */

	int failures; /* in a row */
	bool refused; /* the server refuses our credentials */
	TimestampTz hold_until; /* do not request one before */
	bool shown; /* the view "systems" says that there is none */
	char why[400]; /* of the last failure */
	int64 retry_initial_ms;
	int64 cooldown_ms;
	int breaker_failures;

	uint64 turn; /* in which `waiting` steps wait */
	int waiting;
} DfToken;

/* the system's token; NULL if it needs none (any more); it stays where it is for good */
extern DfToken *df_token_of(const DfSystem *system);

/* takes over an access token; false = out of memory */
extern bool df_token_use(DfToken *token, const char *text, size_t len, int64 began_us,
						 int64 life_s);
extern void df_token_drop(DfToken *token);

/* so that tokens that are no longer used do not stay in memory */
extern void df_tokens_drop_expired(int64 now);

extern bool df_tokens_any(bool (*is)(const DfToken *token));
extern void df_tokens_each(void (*act)(DfToken *token));

/* a C string of malloc, so that it can be wiped whatever becomes of memory contexts; or NULL */
extern char *df_token_text(const char *text, size_t len);

/* wipes and frees it, and sets it to NULL */
extern void df_token_text_free(char **text);

#endif /* DF_TOKEN_CACHE_H */
