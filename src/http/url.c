/*
 * http/url.c
 *	  URLs: a step's path may choose what is requested from a system, never from which
 *	  host.
 *
 * Runs in user sessions (checking options) and in workers (rendering requests), in any
 * transaction and role.  Refuses bad URLs by reading their text; then libcurl's own parser,
 * which reads the URL again when it is sent, has to agree that the origin is still the
 * system's.  Results are palloc'd.  Never quote an argument in a reason: it may contain a
 * secret.
 */
#include "postgres.h"

#include <curl/curl.h>

#include "http/url.h"
#include "shared/hex.h"

DfUrlScheme
df_url_scheme_named(const char *name, size_t len)
{
	static const char *const names[] = {
		[DF_URL_HTTP] = "http",
		[DF_URL_HTTPS] = "https",
		[DF_URL_SMTP] = "smtp",
		[DF_URL_SMTPS] = "smtps",
	};

	for (int i = DF_URL_HTTP; i < lengthof(names); i++)
		if (strlen(names[i]) == len && pg_strncasecmp(names[i], name, len) == 0)
			return (DfUrlScheme) i;
	return DF_URL_OTHER;
}

DfUrlScheme
df_url_scheme(const char *url)
{
	const char *end = strstr(url, "://");

	return end == NULL ? DF_URL_OTHER : df_url_scheme_named(url, end - url);
}

static bool
is_unreserved(unsigned char c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
		c == '-' || c == '.' || c == '_' || c == '~';
}

/* Whether the character may stand in a path or query as it is, "%" of an escape included. */
static bool
is_url_char(unsigned char c)
{
	return is_unreserved(c) || c == '/' ||
		(c != '\0' && strchr("!$&'()*+,;=:@?%[]", c) != NULL);
}

/* one that no parser of URLs takes for a part of the host, wherever it stands in a path */
static bool
is_plain(unsigned char c)
{
	return is_unreserved(c) || c == '/' || c == '?' || c == '&' || c == '=' || c == '%';
}

static void
put_escape(char **to, unsigned char c)
{
	static const char digits[] = "0123456789ABCDEF";

	*(*to)++ = '%';
	*(*to)++ = digits[c >> 4];
	*(*to)++ = digits[c & 15];
}

char *
df_url_encode(const char *text)
{
	char *result = palloc(3 * strlen(text) + 1);
	char *to = result;

	for (; *text != '\0'; text++)
	{
		if (is_unreserved((unsigned char) *text))
			*to++ = *text;
		else
			put_escape(&to, (unsigned char) *text);
	}
	*to = '\0';
	return result;
}

/* ---- what a path may not be ----------------------------------------------- */

static const char *
character_problem(const char *text)
{
	for (; *text != '\0'; text++)
	{
		unsigned char c = (unsigned char) *text;

		if (c < 0x20 || c == 0x7F)
			return "it contains a control character";
		if (c == '\\')
			return "it contains a backslash";
		if (c == '#')
			return "it contains a fragment (#)";
		if (c == '%' && df_hex_byte(text + 1) < 0)
			return "it contains a percent sign that is not followed by two hexadecimal digits";
	}
	return NULL;
}

/* Decodes one layer of percent-encoding in place; returns the new length. */
static size_t
decode(char *text, size_t len)
{
	size_t from;
	size_t to = 0;

	for (from = 0; from < len; from++)
	{
		int byte = text[from] == '%' && from + 2 < len ? df_hex_byte(text + from + 1) : -1;

		text[to++] = byte < 0 ? text[from] : (char) byte;
		if (byte >= 0)
			from += 2;
	}
	return to;
}

/*
 * Whether "." or ".." is a segment, for servers that read \ as / or end a segment at ; as
 * well.
 */
static bool
has_dot_segment(const char *path, size_t len)
{
	size_t start = 0;
	size_t i;

	for (i = 0; i <= len; i++)
	{
		size_t n = i - start;

		if (i < len && path[i] != '/' && path[i] != '\\' && path[i] != ';')
			continue;
		if ((n == 1 && path[start] == '.') ||
			(n == 2 && path[start] == '.' && path[start + 1] == '.'))
			return true;
		start = i + 1;
	}
	return false;
}

/* Checks the path before its query: as written, decoded once, and decoded twice. */
static bool
climbs(const char *path)
{
	size_t len = strcspn(path, "?");
	bool found = false;
	char *copy;
	int layer;

	/* usually: nothing is a dot, or becomes one */
	if (strcspn(path, ".%?") == len)
		return false;
	copy = palloc(len + 1);
	memcpy(copy, path, len);
	for (layer = 0; layer < 3 && !found; layer++)
	{
		found = has_dot_segment(copy, len);
		len = decode(copy, len);
	}
	pfree(copy);
	return found;
}

/* Why a path that begins with neither / nor ? cannot be appended to a URL. */
static const char *
beginning_problem(const char *path)
{
	size_t colon = strcspn(path, ":/?");

	if (path[strcspn(path, "@/?")] == '@')
		return "it contains user information (@) where the host would go on";
	if (colon > 0 && path[colon] == ':')
		return "it has a scheme; a step gives only a path, the system gives the rest";
	return "it does not begin with a slash";
}

static const char *
path_problem(const char *path)
{
	const char *problem = character_problem(path);

	if (problem != NULL)
		return problem;
	if (path[0] != '\0' && path[0] != '/' && path[0] != '?')
		return beginning_problem(path);
	if (path[0] == '/' && path[1] == '/')
		return "it begins with two slashes and so names a host";
	if (climbs(path))
		return "it contains a dot segment (. or ..), as written or percent-encoded";
	return NULL;
}

/* ---- what libcurl reads in a URL ------------------------------------------ */

/*
 * Compares scheme, host or port of two URLs.  Absent parts are equal, and an absent port is
 * the scheme's. curl_url_get() returns malloc'd strings: raise no error before curl_free().
 */
static bool
same_part(CURLU *one, CURLU *other, CURLUPart part)
{
	char *a = NULL;
	char *b = NULL;
	bool has_a = curl_url_get(one, part, &a, CURLU_DEFAULT_PORT) == CURLUE_OK;
	bool has_b = curl_url_get(other, part, &b, CURLU_DEFAULT_PORT) == CURLUE_OK;
	bool same = has_a == has_b && (!has_a || pg_strcasecmp(a, b) == 0);

	curl_free(a);
	curl_free(b);
	return same;
}

static bool
has_part(CURLU *url, CURLUPart part)
{
	char *value = NULL;
	bool has = curl_url_get(url, part, &value, 0) == CURLUE_OK;

	curl_free(value);
	return has;
}

bool
df_url_same_origin(const char *base, const char *url)
{
	CURLU *one = curl_url();
	CURLU *other = curl_url();
	bool same = one != NULL && other != NULL &&
		curl_url_set(one, CURLUPART_URL, base, 0) == CURLUE_OK &&
		curl_url_set(other, CURLUPART_URL, url, 0) == CURLUE_OK &&
		same_part(one, other, CURLUPART_SCHEME) &&
		same_part(one, other, CURLUPART_HOST) &&
		same_part(one, other, CURLUPART_PORT) &&
		!has_part(other, CURLUPART_USER) && !has_part(other, CURLUPART_PASSWORD);

	curl_url_cleanup(one);
	curl_url_cleanup(other);
	return same;
}

bool
df_url_origin_in(const char *origins, const char *url)
{
	bool found = false;

	while (origins != NULL && *origins != '\0' && !found)
	{
		size_t len = strcspn(origins, " ");
		char *origin = strndup(origins, len);

		found = origin != NULL && df_url_same_origin(origin, url);
		free(origin);
		origins += len + strspn(origins + len, " ");
	}
	return found;
}

/* Checks what only libcurl's parser can tell of a base URL. */
static const char *
parsed_problem(CURLU *url, const char *base)
{
	char *name = NULL;
	DfUrlScheme scheme = DF_URL_OTHER;

	if (url == NULL ||
		curl_url_set(url, CURLUPART_URL, base, CURLU_NON_SUPPORT_SCHEME) != CURLUE_OK)
		return "it is not a URL such as https://api.example.com/v1";
	if (curl_url_get(url, CURLUPART_SCHEME, &name, 0) == CURLUE_OK)
		scheme = df_url_scheme_named(name, strlen(name));
	curl_free(name);
	if (scheme != DF_URL_HTTP && scheme != DF_URL_HTTPS)
		return "its scheme is neither https nor http";
	if (has_part(url, CURLUPART_USER) || has_part(url, CURLUPART_PASSWORD))
		return "it contains a user name or password, which belong into a user mapping";
	if (!has_part(url, CURLUPART_HOST))
		return "it has no host";
	if (has_part(url, CURLUPART_QUERY))
		return "it contains a query (?), which belongs into the steps";
	return NULL;
}

const char *
df_url_base_problem(const char *base)
{
	const char *problem = character_problem(base);
	const char *scheme_end = strstr(base, "://");
	CURLU *url;

	if (problem != NULL)
		return problem;
	if (scheme_end == NULL)
		return "it is not a URL such as https://api.example.com/v1";
	if (strchr(base, '?') != NULL)
		return "it contains a query (?), which belongs into the steps";
	if (strlen(base) != strcspn(base, " "))
		return "it contains a space";
	if (climbs(scheme_end + 3))
		return "it contains a dot segment (. or ..), as written or percent-encoded";
	url = curl_url();
	problem = parsed_problem(url, base);
	curl_url_cleanup(url);
	return problem;
}

const char *
df_url_origins_problem(const char *origins)
{
	origins += strspn(origins, " ");
	if (*origins == '\0')
		return "it names no origin";
	while (*origins != '\0')
	{
		size_t len = strcspn(origins, " ");
		char *origin = palloc(len + 1);
		const char *problem;
		char *host;

		strlcpy(origin, origins, len + 1);
		problem = df_url_base_problem(origin);
		host = strstr(origin, "://");
		if (problem != NULL)
			return problem;
		if (host[3 + strcspn(host + 3, "/")] != '\0')
			return "it contains a path, which an origin has none of";
		pfree(origin);
		origins += len + strspn(origins + len, " ");
	}
	return NULL;
}

bool
df_url_host(const char *url, char *host, size_t size)
{
	CURLU *parsed = curl_url();
	char *text = NULL;
	bool good = parsed != NULL && curl_url_set(parsed, CURLUPART_URL, url, 0) == CURLUE_OK &&
		curl_url_get(parsed, CURLUPART_HOST, &text, 0) == CURLUE_OK;

	if (good && text[0] == '[')
	{
		text[strcspn(text, "%]")] = '\0';
		good = strlcpy(host, text + 1, size) < size;
	}
	else if (good)
		good = strlcpy(host, text, size) < size;
	curl_free(text);
	curl_url_cleanup(parsed);
	return good;
}

const char *
df_url_proxy_problem(const char *proxy)
{
	const char *scheme_end = strstr(proxy, "://");
	size_t scheme = scheme_end == NULL ? 0 : scheme_end - proxy;
	const char *rest = scheme_end == NULL ? proxy : scheme_end + strlen("://");
	bool https = df_url_scheme_named(proxy, scheme) == DF_URL_HTTPS;
	const char *problem = character_problem(proxy);
	char *as_http;

	if (problem != NULL)
		return problem;
	if (!https && df_url_scheme_named(proxy, scheme) != DF_URL_HTTP &&
		!(scheme == strlen("socks5h") && pg_strncasecmp(proxy, "socks5h", scheme) == 0))
		return "its scheme is none of http, https and socks5h";
	if (https && !(curl_version_info(CURLVERSION_NOW)->features & CURL_VERSION_HTTPS_PROXY))
		return "the libcurl of this server knows no proxies by https";
	if (strchr(rest, '@') != NULL)
		return "it contains a user name or password, which belong into a user mapping";
	if (rest[strcspn(rest, "/?")] != '\0')
		return "it contains a path";
	as_http = palloc(strlen(rest) + sizeof("http://"));
	strlcpy(as_http, "http://", sizeof("http://"));
	memcpy(as_http + strlen("http://"), rest, strlen(rest) + 1);
	if (strrchr(rest, ':') == NULL || strrchr(rest, ']') > strrchr(rest, ':'))
		return "it has no port";
	return df_url_base_problem(as_http);
}

/*
 * base without slashes at its end, then path, with all characters encoded that no URL may
 * have
 */
static char *
concatenate(const char *base, const char *path)
{
	size_t base_len = strlen(base);
	char *result = palloc(base_len + 3 * strlen(path) + 1);
	char *to = result;

	while (base_len > 0 && base[base_len - 1] == '/')
		base_len--;
	memcpy(to, base, base_len);
	to += base_len;
	for (; *path != '\0'; path++)
	{
		if (is_url_char((unsigned char) *path))
			*to++ = *path;
		else
			put_escape(&to, (unsigned char) *path);
	}
	*to = '\0';
	return result;
}

/* where the path begins: behind scheme and authority, or at once */
static const char *
path_of(const char *url)
{
	const char *authority = strstr(url, "://");

	if (authority == NULL || strcspn(url, "/?#") < (size_t) (authority - url))
		return url;
	return authority + 3 + strcspn(authority + 3, "/?#");
}

/*
 * Origins of which libcurl has agreed in this process that they end where a path begins.  It
 * reads a URL in two microseconds, twice for each comparison, and a step is joined three times.
 * Where the rest has nothing but plain characters, there is nothing that it could take for
 * something else: it is asked once.  No secret is kept: an origin with a user is never agreed.
 */
#define MOST_ORIGINS 16
#define LONGEST_ORIGIN 256
#define LONGEST_PLAIN 8192

static char origins_agreed[MOST_ORIGINS][LONGEST_ORIGIN];
static int next_origin = 0;

/* the length of the origin of the URL, 0 = it is to be read by libcurl */
static size_t
plain_origin(const char *url)
{
	const char *path = path_of(url);
	size_t len = path - url;
	size_t i;

	if (len == 0 || len >= LONGEST_ORIGIN || *path != '/')
		return 0;
	for (i = 0; is_plain((unsigned char) path[i]); i++)
		;
	return path[i] == '\0' && i <= LONGEST_PLAIN ? len : 0;
}

static bool
is_agreed(const char *url, size_t len)
{
	for (int i = 0; len > 0 && i < MOST_ORIGINS; i++)
		if (strncmp(origins_agreed[i], url, len) == 0 && origins_agreed[i][len] == '\0')
			return true;
	return false;
}

/* the URL begins with the base, to whose end something was added */
static bool
stays_at(const char *base, const char *url)
{
	size_t len = plain_origin(url);

	if (is_agreed(url, len))
		return true;
	if (!df_url_same_origin(base, url))
		return false;
	if (len > 0)
	{
		strlcpy(origins_agreed[next_origin], url, len + 1);
		next_origin = (next_origin + 1) % MOST_ORIGINS;
	}
	return true;
}

char *
df_url_join(const char *base, const char *path, const char **why)
{
	char *result;

	*why = path_problem(path);
	if (*why != NULL)
		return NULL;
	result = concatenate(base, path);
	if (stays_at(base, result))
		return result;
	*why = "it does not lead to the host of the system";
	pfree(result);
	return NULL;
}

/* ---- a URL that a system gave --------------------------------------------- */

/* Whether a dot, a slash or a backslash of the path is encoded, once or twice. */
static bool
hides_separator(const char *path)
{
	size_t len = strcspn(path, "?");

	for (size_t i = 0; i + 2 < len; i++)
	{
		int byte;

		if (path[i] != '%')
			continue;
		while (i + 4 < len && path[i + 1] == '2' && path[i + 2] == '5')
			i += 2;
		byte = df_hex_byte(path + i + 1);
		if (byte == '.' || byte == '/' || byte == '\\')
			return true;
	}
	return false;
}

static char *
copy_of(const char *text, size_t len)
{
	char *copy = palloc(len + 1);

	memcpy(copy, text, len);
	copy[len] = '\0';
	return copy;
}

/* what is asked, up to its last slash, with the relative URL behind it */
static char *
resolve(const char *base_path, const char *from, const char *url)
{
	size_t base_len = strlen(base_path);
	size_t dir_len = strcspn(from, "?");
	char *whole;

	while (base_len > 0 && base_path[base_len - 1] == '/')
		base_len--;
	while (dir_len > 0 && from[dir_len] != '/')
		dir_len--;
	whole = palloc(base_len + dir_len + strlen(url) + 2);
	memcpy(whole, base_path, base_len);
	memcpy(whole + base_len, from, dir_len);
	whole[base_len + dir_len] = '/';
	strlcpy(whole + base_len + dir_len + 1, url, strlen(url) + 1);
	return whole;
}

/* what the URL names below the origin of base; NULL with *why */
static char *
whole_path(const char *base, const char *from, const char *url, const char **why)
{
	const char *path = path_of(url);

	*why = NULL;
	if (path != url)
	{
		if (!df_url_same_origin(base, url))
			*why = "it does not lead to the host of the system";
		return *why == NULL ? copy_of(path, strlen(path)) : NULL;
	}
	if (url[0] == '/' && url[1] == '/')
		*why = "it begins with two slashes and so names a host";
	else if (url[strcspn(url, ":/?")] == ':')
		*why = "it has a scheme, and is no URL of a host";
	else if (url[strcspn(url, "/?")] != '/' || from == NULL)
		*why = "it is not a URL, for it has no slash";
	if (*why != NULL)
		return NULL;
	if (url[0] == '/')
		return copy_of(url, strlen(url));
	/* relative to what was asked, as RFC 3986 has it */
	return resolve(path_of(base), from, url);
}

char *
df_url_below(const char *base, const char *from, const char *url, const char **why)
{
	char *whole;
	const char *path;
	const char *base_path = path_of(base);
	size_t base_len = strlen(base_path);

	*why = character_problem(url);
	if (*why == NULL && hides_separator(path_of(url)))
		*why = "it contains an encoded dot, slash or backslash";
	if (*why != NULL || (whole = whole_path(base, from, url, why)) == NULL)
		return NULL;
	while (base_len > 0 && base_path[base_len - 1] == '/')
		base_len--;
	path = whole + base_len;
	if (strncmp(whole, base_path, base_len) != 0 || *path != '/')
		*why = "it is not below the url of the system";
	else if (strspn(path, "/") == strcspn(path, "?"))
		*why = "it names nothing below the url of the system";
	else
		*why = path_problem(path);
	return *why == NULL ? copy_of(path, strlen(path)) : NULL;
}

char *
df_url_last_segment(const char *url)
{
	const char *path = path_of(url);
	const char *end = path + strcspn(path, "?#");
	const char *begin;
	char *segment;
	size_t len;

	while (end > path && end[-1] == '/')
		end--;
	for (begin = end; begin > path && begin[-1] != '/';)
		begin--;
	segment = copy_of(begin, end - begin);
	if (character_problem(segment) != NULL)
		return NULL;
	len = decode(segment, end - begin);
	if (len == 0 || memchr(segment, '\0', len) != NULL)
		return NULL;
	segment[len] = '\0';
	return segment;
}

char *
df_url_without(const char *url, const char *const *pairs)
{
	char *shorter = df_url_with_query(url, pairs, false);
	char *result = shorter != NULL ? pstrdup(shorter) : NULL;

	free(shorter);
	return result;
}
