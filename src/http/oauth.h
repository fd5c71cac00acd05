/*
 * http/oauth.h
 *	  The response of an authorization server to a request for a token.
 */
#ifndef DF_HTTP_OAUTH_H
#define DF_HTTP_OAUTH_H

/* RFC 6749 sets no limit; a longer token does not fit into the headers that servers accept */
#define DF_MAX_TOKEN 16384

typedef struct DfTokenAnswer
{
	const char *token; /* within the body, not NUL-terminated; NULL = none */
	size_t token_len;
	int64 expires_in; /* seconds, -1 = not given */
	const char *refresh_token; /* to be used from now on; likewise, NULL = the same */
	size_t refresh_token_len;
	const char *error; /* a constant: one of the codes that are known; NULL = none or another */
} DfTokenAnswer;

/*
 * Reads the body of a response and unescapes strings in place.  NULL if it holds a bearer
 * token that can be sent, else a constant sentence that says why not; *answer has whatever
 * was understood.  The sentence never quotes the body.
 */
extern const char *df_oauth_read(char *body, size_t len, DfTokenAnswer *answer);

#endif /* DF_HTTP_OAUTH_H */
