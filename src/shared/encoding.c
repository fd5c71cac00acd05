/*
 * shared/encoding.c
 *	  Converts text between the database's encoding and UTF-8, which systems use.
 *
 * Runs where requests are made and responses and webhooks are read, in a transaction,
 * since it looks up conversions in the catalog; in any role.  In a SQL_ASCII database
 * nothing is converted.  Never raise an error for what a text contains: a character
 * that the other encoding lacks becomes "?".
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "mb/pg_wchar.h"

#include "shared/encoding.h"
#include "shared/hex.h"
#include "utils/memutils.h"

/* nothing is to be converted */
static bool
speaks_utf8(void)
{
	return GetDatabaseEncoding() == PG_UTF8 || GetDatabaseEncoding() == PG_SQL_ASCII;
}

/* what is not valid in its encoding, or the other one lacks, becomes "?"; *exact = false then */
static char *
converted(const char *text, size_t len, int from, int to, bool *exact)
{
	Oid function = FindDefaultConversionProc(from, to);
	const unsigned char *source = (const unsigned char *) text;
	size_t size = Min((len + 1) * MAX_CONVERSION_GROWTH + 1, MaxAllocSize);
	char *result;
	char *end;

	if (!OidIsValid(function))
		return pnstrdup(text, len);
	result = end = palloc(size);
	*end = '\0';
	while (len > 0)
	{
		int n = pg_do_encoding_conversion_buf(function, from, to, (unsigned char *) source,
											  (int) len, (unsigned char *) end,
											  (int) Min(size - (end - result), INT_MAX), true);

		source += n;
		len -= n;
		end += strlen(end);
		if (len == 0)
			break;
		*exact = false;
		n = Min(pg_encoding_mblen(from, (const char *) source), (int) len);
		source += n;
		len -= n;
		*end++ = '?';
		*end = '\0';
	}
	return result;
}

char *
df_text_to_utf8(const char *text)
{
	bool exact;

	if (text == NULL || speaks_utf8())
		return unconstify(char *, text);
	return converted(text, strlen(text), GetDatabaseEncoding(), PG_UTF8, &exact);
}

char *
df_text_to_utf8_from(const char *bytes, size_t len, int encoding, bool *exact)
{
	return converted(bytes, len, encoding, PG_UTF8, exact);
}

char *
df_text_from_utf8(const char *bytes, size_t len)
{
	bool exact;

	if (memchr(bytes, '\0', len) != NULL ||
		!pg_verify_mbstr(speaks_utf8() ? GetDatabaseEncoding() : PG_UTF8, bytes, len, true))
		return NULL;
	return speaks_utf8() ? pnstrdup(bytes, len)
						 : converted(bytes, len, PG_UTF8, GetDatabaseEncoding(), &exact);
}

/* replaces, in place, escapes of characters beyond ASCII; leaves halves of a pair as they are */
static void
unescape(char *text)
{
	char *to = text;

	for (char *from = text; *from != '\0';)
	{
		int code = df_hex_escape(from);
		int low = code >= 0xD800 && code < 0xDC00 ? df_hex_escape(from + 6) : -1;
		int len = 1;

		if (low >= 0xDC00 && low < 0xE000)
		{
			(void) unicode_to_utf8(0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00),
								   (unsigned char *) to);
			to += 4;
			from += 12;
			continue;
		}
		if (code >= 0x80 && (code < 0xD800 || code >= 0xE000))
		{
			(void) unicode_to_utf8(code, (unsigned char *) to);
			to += code < 0x800 ? 2 : 3;
			from += 6;
			continue;
		}
		/* a character after a backslash cannot begin an escape */
		if (from[0] == '\\' && from[1] != '\0')
			len = 2;
		memmove(to, from, len);
		to += len;
		from += len;
	}
	*to = '\0';
}

char *
df_json_from_utf8(const char *bytes, size_t len)
{
	char *text;

	/* a SQL_ASCII database has no characters beyond ASCII, only bytes */
	if (GetDatabaseEncoding() == PG_UTF8 || memchr(bytes, '\0', len) != NULL)
		return df_text_from_utf8(bytes, len);
	text = pnstrdup(bytes, len);
	unescape(text);
	return df_text_from_utf8(text, strlen(text));
}
