/*
 * http/url.h
 *	  URLs and encodings, checked by libcurl's own parser.  Results are palloc'd.
 */
#ifndef DF_HTTP_URL_H
#define DF_HTTP_URL_H

#include "http/url_secrets.h"

typedef enum DfUrlScheme
{
	DF_URL_OTHER,
	DF_URL_HTTP,
	DF_URL_HTTPS,
	DF_URL_SMTP,
	DF_URL_SMTPS
} DfUrlScheme;

/* by its name, in any case; of a URL, by what is in front of "://".  No errors, no palloc. */
extern DfUrlScheme df_url_scheme_named(const char *name, size_t len);
extern DfUrlScheme df_url_scheme(const char *url);

/* one to send mails to */
static inline bool
df_url_is_mail(const char *url)
{
	return df_url_scheme(url) == DF_URL_SMTP || df_url_scheme(url) == DF_URL_SMTPS;
}

/*
 * Joins a system's base URL and a step's path ("/users/1?x=y").  NULL, with *why set to a
 * constant sentence, if the path would leave the host or has a scheme, a "//host", user
 * info, a fragment, dot segments (encoded ones included), control characters or
 * backslashes.
 */
extern char *df_url_join(const char *base, const char *path, const char **why);

/*
 * The path below base of a URL that the system gave: "https://api.example.com/v1/users/7" and
 * "/v1/users/7" are "/users/7" below "https://api.example.com/v1".  `from` is the path that was
 * asked, for "users/7", which is relative to it; NULL = none was.  NULL, with *why set to a
 * constant sentence, if it is no such URL, leaves the base, or could be read so.
 */
extern char *df_url_below(const char *base, const char *from, const char *url, const char **why);

/* the last segment of a URL's path, decoded; NULL if it has none or cannot be decoded */
extern char *df_url_last_segment(const char *url);

/* NULL if base can be a system's url, else a constant sentence that says why not */
extern const char *df_url_base_problem(const char *base);

/*
 * Whether two URLs have the same scheme, host and port; the other one must have no user
 * name.  Neither of these two functions raises errors or pallocs.
 */
extern bool df_url_same_origin(const char *url, const char *other);

/* whether the origin of a URL is in a list of origins, separated by spaces */
extern bool df_url_origin_in(const char *origins, const char *url);

/* NULL if it is such a list, else a constant sentence that says why not */
extern const char *df_url_origins_problem(const char *origins);

/*
 * The host without brackets and zone, as libcurl reads it; false if there is none or it is
 * longer.  No errors, no palloc.
 */
extern bool df_url_host(const char *url, char *host, size_t size);

/* NULL if it names a proxy that libcurl can use, else a constant sentence that says why not */
extern const char *df_url_proxy_problem(const char *proxy);

/* the URL, or the end of one, without the parameters that these pairs name; NULL = no memory */
extern char *df_url_without(const char *url, const char *const *pairs);

/* percent-encodes everything but RFC 3986's unreserved characters */
extern char *df_url_encode(const char *text);

#endif /* DF_HTTP_URL_H */
