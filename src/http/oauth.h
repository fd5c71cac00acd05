/*
 * http/oauth.h
 *	  What an authorization server answers to a request for a token.
 */
#ifndef DF_HTTP_OAUTH_H
#define DF_HTTP_OAUTH_H

/* RFC 6749 sets no limit; what is longer would not fit into servers' headers */
#define DF_MAX_TOKEN 16384

typedef struct DfTokenAnswer
{
	const char *token; /* within the body, not NUL-terminated; NULL = none */
	size_t token_len;
	int64 expires_in; /* seconds, -1 = not said */
	const char *error; /* a constant: one of the codes that are known; NULL = none or another */
} DfTokenAnswer;

/*
 * Reads the body of an answer, unescaping strings in place.  NULL if it is a
 * bearer token that can be sent, else a constant sentence why not; what was
 * understood is in *answer all the same.  No reason quotes the body.
 */
extern const char *df_oauth_read(char *body, size_t len, DfTokenAnswer *answer);

#endif /* DF_HTTP_OAUTH_H */
