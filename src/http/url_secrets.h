/*
 * http/url_secrets.h
 *	  Secrets in URLs: put there when a request is sent, taken away before another host sees one.
 *
 * Results are malloc'd, because callers may be below a callback of libcurl's.
 */
#ifndef DF_HTTP_URL_SECRETS_H
#define DF_HTTP_URL_SECRETS_H

#include "postgres.h"

/*
 * The URL without the parameters that these pairs ("name=value", encoded, NULL-terminated) name,
 * and then with the pairs, if they are to be added.  NULL = no memory.
 */
extern char *df_url_with_query(const char *url, const char *const *pairs, bool add);

/* the name of the first pair that the URL's query sets, NULL = none; *len is its length */
extern const char *df_url_sets(const char *url, const char *const *pairs, size_t *len);

/* whether one of these texts (NULL-terminated) is in the URL, as it is or encoded */
extern bool df_url_reveals(const char *url, const char *const *secrets);

#endif /* DF_HTTP_URL_SECRETS_H */
