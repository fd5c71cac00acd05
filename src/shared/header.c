/*
 * shared/header.c
 *	  Facts about headers: who may set which, what is recorded, what is legal.
 *
 * Options of systems (fdw), calls of steps and mails (engine), requests (http)
 * and deliveries of webhooks (ingress) ask here, so that what one lets in the
 * other can send.  It is in shared because no other room may be included by all
 * four.  Runs in any process, transaction and role.  Reads its arguments only.
 * Never raise an error or allocate here: a callback of libcurl may be the caller.
 */
#include "postgres.h"

#include "shared/header.h"

#define RECORDED false
#define NOT_RECORDED true

/* a header that is not here is free, and recorded */
static const struct
{
	const char *name;
	DfHeaderKind kind; /* in a request */
	bool not_recorded; /* in a response: it is about the transport or the server only */
} facts[] = {
	{"Accept", DF_HEADER_PUBLIC, RECORDED},
	{"Accept-Language", DF_HEADER_PUBLIC, RECORDED},
	{"Content-Encoding", DF_HEADER_PUBLIC, RECORDED},
	{"Content-Language", DF_HEADER_PUBLIC, RECORDED},
	{"Content-Type", DF_HEADER_PUBLIC, RECORDED},
	{"User-Agent", DF_HEADER_PUBLIC, RECORDED},
	{"Authorization", DF_HEADER_SECRET, RECORDED},
	{"Cookie", DF_HEADER_SECRET, RECORDED},
	{"Proxy-Authorization", DF_HEADER_SECRET, RECORDED},
	{DF_IDEMPOTENCY_HEADER, DF_HEADER_KEY, RECORDED},
	/* these could make a request ambiguous, or unreadable */
	{"Accept-Encoding", DF_HEADER_TRANSPORT, RECORDED}, /* libcurl sets what it can decode */
	{"Connection", DF_HEADER_TRANSPORT, NOT_RECORDED},
	{"Content-Length", DF_HEADER_TRANSPORT, NOT_RECORDED},
	{"Expect", DF_HEADER_TRANSPORT, RECORDED},
	{"Host", DF_HEADER_TRANSPORT, RECORDED},
	{"HTTP2-Settings", DF_HEADER_TRANSPORT, RECORDED},
	{"Keep-Alive", DF_HEADER_TRANSPORT, NOT_RECORDED},
	{"Proxy-Authenticate", DF_HEADER_TRANSPORT, RECORDED},
	{"Proxy-Connection", DF_HEADER_TRANSPORT, RECORDED},
	{"TE", DF_HEADER_TRANSPORT, RECORDED},
	{"Trailer", DF_HEADER_TRANSPORT, RECORDED},
	{"Transfer-Encoding", DF_HEADER_TRANSPORT, NOT_RECORDED},
	{"Upgrade", DF_HEADER_TRANSPORT, RECORDED},
	{"Date", DF_HEADER_FREE, NOT_RECORDED},
	{"Server", DF_HEADER_FREE, NOT_RECORDED},
};

static const char *const conditions[] = {
	"If-Match",
	"If-None-Match",
	"If-Modified-Since",
	"If-Unmodified-Since",
	"If-Range",
	"Range",
};

/*
 * By these a system says that a response is its first one to the same key, once more: Stripe
 * and many payment APIs use the first, others the rest.
 */
static const struct
{
	const char *name;
	const char *value;
} replays[] = {
	{"Idempotent-Replayed", "true"},
	{"Idempotency-Replayed", "true"},
	{"X-Idempotent-Replayed", "true"},
	{"X-Idempotency-Replayed", "true"},
	{"Idempotent-Replay", "true"},
	{"Idempotency-Replay", "true"},
	{"X-Idempotent-Replay", "true"},
	{"X-Idempotency-Replay", "true"},
	{"X-Idempotency-Status", "replayed"},
};

/* of a mail: those that the engine writes, or that change who gets it */
static const char *const reserved_in_mails[] = {
	"From",
	"To",
	"Cc",
	"Bcc",
	"Subject",
	"Date",
	"Message-ID",
	"MIME-Version",
	"Return-Path",
	"Received",
	"Content-*",
	"Resent-*",
};

bool
df_header_is(const char *name, size_t len, const char *other)
{
	return strlen(other) == len && pg_strncasecmp(name, other, len) == 0;
}

/* -1 = none is known of it */
static int
fact_of(const char *name, size_t len)
{
	for (int i = 0; i < (int) lengthof(facts); i++)
		if (df_header_is(name, len, facts[i].name))
			return i;
	return -1;
}

DfHeaderKind
df_header_kind(const char *name, size_t len)
{
	int i = fact_of(name, len);

	return i < 0 ? DF_HEADER_FREE : facts[i].kind;
}

bool
df_header_is_condition(const char *name, size_t len)
{
	for (int i = 0; i < (int) lengthof(conditions); i++)
		if (df_header_is(name, len, conditions[i]))
			return true;
	return false;
}

bool
df_header_is_recorded(const char *name, size_t len)
{
	int i = fact_of(name, len);

	return i < 0 || !facts[i].not_recorded;
}

bool
df_header_says_replayed(const char *name, const char *value)
{
	size_t len = strlen(value);

	/* a structured field may be a string */
	if (len >= 2 && value[0] == '"' && value[len - 1] == '"')
	{
		value++;
		len -= 2;
	}
	for (int i = 0; i < (int) lengthof(replays); i++)
		if (df_header_is(name, strlen(name), replays[i].name))
			return df_header_is(value, len, replays[i].value);
	return false;
}

bool
df_header_is_reserved_in_mails(const char *name)
{
	for (int i = 0; i < (int) lengthof(reserved_in_mails); i++)
	{
		const char *reserved = reserved_in_mails[i];
		size_t len = strlen(reserved);

		if (reserved[len - 1] == '*' ? pg_strncasecmp(name, reserved, len - 1) == 0
									 : df_header_is(name, strlen(name), reserved))
			return true;
	}
	return false;
}

bool
df_header_line_is(const char *line, const char *name)
{
	size_t len = df_header_name_length(line);

	return line[len] == ':' && df_header_is(line, len, name);
}

const char *
df_header_credentials(const char *value, const char *scheme)
{
	size_t len = strlen(scheme);

	if (pg_strncasecmp(value, scheme, len) != 0 || value[len] != ' ')
		return NULL;
	return value + len + strspn(value + len, " ");
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
