/*
 * shared/header.c
 *	  Facts about request headers: who may set them, and what is legal.
 *
 * Called in sessions that set options, in bodies and in the HTTP room: in any process,
 * transaction and role.  Reads its arguments only.  Never raise an error or allocate
 * here, since a callback of libcurl's may be the caller.
 */
#include "postgres.h"

#include "shared/header.h"

/* all others are DF_HEADER_FREE */
static const struct
{
	const char *name;
	DfHeaderKind kind;
} facts[] = {
	{"Accept", DF_HEADER_PUBLIC},
	{"Accept-Language", DF_HEADER_PUBLIC},
	{"Content-Encoding", DF_HEADER_PUBLIC},
	{"Content-Language", DF_HEADER_PUBLIC},
	{"Content-Type", DF_HEADER_PUBLIC},
	{"User-Agent", DF_HEADER_PUBLIC},
	{"Authorization", DF_HEADER_SECRET},
	{"Cookie", DF_HEADER_SECRET},
	{"Proxy-Authorization", DF_HEADER_SECRET},
	{DF_IDEMPOTENCY_HEADER, DF_HEADER_KEY},
	/* these could make a request ambiguous, or unreadable */
	{"Accept-Encoding", DF_HEADER_TRANSPORT}, /* libcurl sets what it can decode */
	{"Connection", DF_HEADER_TRANSPORT},
	{"Content-Length", DF_HEADER_TRANSPORT},
	{"Expect", DF_HEADER_TRANSPORT},
	{"Host", DF_HEADER_TRANSPORT},
	{"HTTP2-Settings", DF_HEADER_TRANSPORT},
	{"Keep-Alive", DF_HEADER_TRANSPORT},
	{"Proxy-Authenticate", DF_HEADER_TRANSPORT},
	{"Proxy-Connection", DF_HEADER_TRANSPORT},
	{"TE", DF_HEADER_TRANSPORT},
	{"Trailer", DF_HEADER_TRANSPORT},
	{"Transfer-Encoding", DF_HEADER_TRANSPORT},
	{"Upgrade", DF_HEADER_TRANSPORT},
};

bool
df_header_is(const char *name, size_t len, const char *other)
{
	return strlen(other) == len && pg_strncasecmp(name, other, len) == 0;
}

DfHeaderKind
df_header_kind(const char *name, size_t len)
{
	for (int i = 0; i < (int) lengthof(facts); i++)
		if (df_header_is(name, len, facts[i].name))
			return facts[i].kind;
	return DF_HEADER_FREE;
}

static bool
is_token_char(unsigned char c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
		(c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

size_t
df_header_name_length(const char *text)
{
	size_t n = 0;

	while (is_token_char((unsigned char) text[n]))
		n++;
	return n;
}

bool
df_header_name_is_legal(const char *name, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!is_token_char((unsigned char) name[i]))
			return false;
	return len > 0;
}

bool
df_header_value_is_legal(const char *value, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (((unsigned char) value[i] < ' ' && value[i] != '\t') || value[i] == 0x7f)
			return false;
	return true;
}
