/*
 * http/url_secrets.c
 *	  Secrets in URLs: put there when a request is sent, taken away before another host sees one.
 *
 * Runs in workers, where a request is made and where a redirect is followed, and in bodies, where
 * a step is checked; in any transaction and role.  Must never raise an error and never palloc.
 */
#include "postgres.h"

#include "http/url_secrets.h"
#include "shared/hex.h"

/* a shorter one would be found in any URL; as in worker/secrets.c */
#define SHORTEST_SECRET 6

/* a URL within a URL within a URL */
#define LAYERS 3

static char
decoded(const char *text, size_t *used)
{
	int byte = *text == '%' ? df_hex_byte(text + 1) : -1;

	*used = byte < 0 ? 1 : 3;
	return byte < 0 ? *text : (char) byte;
}

/* whether a parameter has the name of a pair; both may be encoded in different ways */
static bool
same_name(const char *parameter, const char *pair)
{
	while (*parameter != '\0' && strchr("=&#", *parameter) == NULL && *pair != '=' &&
		   *pair != '\0')
	{
		size_t here;
		size_t there;

		if (decoded(parameter, &here) != decoded(pair, &there))
			return false;
		parameter += here;
		pair += there;
	}
	return (*parameter == '\0' || strchr("=&#", *parameter) != NULL) &&
		(*pair == '=' || *pair == '\0');
}

static const char *
pair_of(const char *parameter, const char *const *pairs)
{
	for (; *pairs != NULL; pairs++)
		if (same_name(parameter, *pairs))
			return *pairs;
	return NULL;
}

static char *
put(char *to, const char *from, size_t len)
{
	memcpy(to, from, len);
	return to + len;
}

char *
df_url_with_query(const char *url, const char *const *pairs, bool add)
{
	size_t head = strcspn(url, "?#");
	const char *at = url[head] == '?' ? url + head + 1 : NULL;
	const char *fragment = url + strcspn(url, "#");
	const char *const *pair;
	char separator = '?';
	size_t size = strlen(url) + 1;
	char *result;
	char *to;

	for (pair = pairs; *pair != NULL; pair++)
		size += strlen(*pair) + 1;
	result = malloc(size);
	if (result == NULL)
		return NULL;
	to = put(result, url, head);
	while (at != NULL && at < fragment)
	{
		size_t len = strcspn(at, "&#");

		if (len > 0 && pair_of(at, pairs) == NULL)
		{
			*to++ = separator;
			separator = '&';
			to = put(to, at, len);
		}
		at += len + (at[len] == '&');
	}
	for (pair = pairs; add && *pair != NULL; pair++)
	{
		*to++ = separator;
		separator = '&';
		to = put(to, *pair, strlen(*pair));
	}
	to = put(to, fragment, strlen(fragment));
	*to = '\0';
	return result;
}

const char *
df_url_sets(const char *url, const char *const *pairs, size_t *len)
{
	const char *at = strchr(url, '?');

	while (at != NULL)
	{
		const char *pair = pair_of(at + 1, pairs);

		if (pair != NULL)
		{
			*len = strcspn(pair, "=");
			return pair;
		}
		at = strchr(at + 1, '&');
	}
	return NULL;
}

bool
df_url_reveals(const char *url, const char *const *secrets)
{
	char *copy = strdup(url);
	bool found = copy == NULL; /* without memory nobody can tell */

	for (int layer = 0; layer < LAYERS && !found; layer++)
	{
		char *to = copy;

		for (const char *const *secret = secrets; *secret != NULL && !found; secret++)
			found = strlen(*secret) >= SHORTEST_SECRET && strstr(copy, *secret) != NULL;
		for (const char *from = copy; *from != '\0';)
		{
			size_t used;
			char c = decoded(from, &used);

			*to++ = c != '\0' ? c : '0';
			from += used;
		}
		*to = '\0';
	}
	free(copy);
	return found;
}
