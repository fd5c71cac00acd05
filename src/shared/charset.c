/*
 * shared/charset.c
 *	  Bytes in the charset that a system announces, as UTF-8.
 *
 * Runs where responses are read, in a transaction, since it looks up conversions in the
 * catalog; in any role, and in databases of any encoding: it does not use theirs.  Every
 * charset that the server can convert is known, and UTF-16, which it cannot.
 * Never raise an error for what the bytes are: what cannot be read becomes U+FFFD.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"

#include "shared/charset.h"
#include "shared/encoding.h"

#define REPLACEMENT "\xEF\xBF\xBD"

/* in UTF-16, which the server has no number for */
typedef enum Order
{
	NOT_UTF16,
	BIG_ENDIAN_FIRST,
	LITTLE_ENDIAN_FIRST
} Order;

/* ---- UTF-8 ---------------------------------------------------------------- */

static char *
checked_utf8(const char *bytes, size_t len, bool *exact)
{
	const unsigned char *from = (const unsigned char *) bytes;
	char *result;
	char *to;

	if (memchr(bytes, '\0', len) == NULL && pg_verify_mbstr(PG_UTF8, bytes, len, true))
		return pnstrdup(bytes, len);
	*exact = false;
	to = result = palloc(len * strlen(REPLACEMENT) + 1);
	while (len > 0)
	{
		size_t n = pg_utf_mblen(from);

		if (*from == '\0' || n > len || !pg_utf8_islegal(from, (int) n))
		{
			memcpy(to, REPLACEMENT, strlen(REPLACEMENT));
			to += strlen(REPLACEMENT);
			n = 1;
		}
		else
		{
			memcpy(to, from, n);
			to += n;
		}
		from += n;
		len -= n;
	}
	*to = '\0';
	return result;
}

/* ---- UTF-16 --------------------------------------------------------------- */

static Order
order_named(const char *charset)
{
	if (charset == NULL)
		return NOT_UTF16;
	if (pg_strcasecmp(charset, "utf-16le") == 0)
		return LITTLE_ENDIAN_FIRST;
	if (pg_strcasecmp(charset, "utf-16") == 0 || pg_strcasecmp(charset, "utf-16be") == 0 ||
		pg_strcasecmp(charset, "ucs-2") == 0 || pg_strcasecmp(charset, "iso-10646-ucs-2") == 0)
		return BIG_ENDIAN_FIRST;
	return NOT_UTF16;
}

/* by a mark, or because a character of ASCII comes first, as in all JSON and XML */
static Order
order_seen(const unsigned char *bytes, size_t len)
{
	if (len < 2)
		return NOT_UTF16;
	if ((bytes[0] == 0xFF && bytes[1] == 0xFE) || (bytes[0] != 0 && bytes[1] == 0))
		return LITTLE_ENDIAN_FIRST;
	if ((bytes[0] == 0xFE && bytes[1] == 0xFF) || (bytes[0] == 0 && bytes[1] != 0))
		return BIG_ENDIAN_FIRST;
	return NOT_UTF16;
}

static pg_wchar
unit_at(const unsigned char *bytes, Order order)
{
	return order == BIG_ENDIAN_FIRST ? (bytes[0] << 8 | bytes[1]) : (bytes[1] << 8 | bytes[0]);
}

static char *
from_utf16(const unsigned char *bytes, size_t len, Order order, bool *exact)
{
	/* a unit is two bytes, and three at most of UTF-8 */
	char *result = palloc(len / 2 * 3 + strlen(REPLACEMENT) + 1);
	unsigned char *to = (unsigned char *) result;

	for (size_t i = 0; i + 1 < len; i += 2)
	{
		pg_wchar c = unit_at(bytes + i, order);
		pg_wchar low = i + 3 < len ? unit_at(bytes + i + 2, order) : 0;

		if (i == 0 && c == 0xFEFF)
			continue;
		if (c >= 0xD800 && c < 0xDC00 && low >= 0xDC00 && low < 0xE000)
		{
			c = 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00);
			i += 2;
		}
		else if (c == 0 || (c >= 0xD800 && c < 0xE000))
		{
			c = 0xFFFD;
			*exact = false;
		}
		(void) unicode_to_utf8(c, to);
		to += pg_utf_mblen(to);
	}
	*to = '\0';
	*exact &= len % 2 == 0;
	return result;
}

/* ---- the rest ------------------------------------------------------------- */

/* nobody means the control characters of ISO-8859-1: it is read as what all browsers take it for */
static int
encoding_named(const char *charset)
{
	int encoding = charset != NULL ? pg_char_to_encoding(charset) : PG_UTF8;

	if (encoding == PG_LATIN1)
		return PG_WIN1252;
	return encoding < 0 || encoding == PG_SQL_ASCII ? PG_UTF8 : encoding;
}

char *
df_charset_to_utf8(const char *bytes, size_t len, const char *charset, bool *exact)
{
	const unsigned char *raw = (const unsigned char *) bytes;
	int encoding = encoding_named(charset);
	Order order = order_seen(raw, len);
	char *utf8;

	*exact = true;
	if (len >= 3 && memcmp(bytes, "\xEF\xBB\xBF", 3) == 0)
		return checked_utf8(bytes + 3, len - 3, exact);
	if (order == NOT_UTF16)
		order = order_named(charset);
	if (order != NOT_UTF16)
		return from_utf16(raw, len, order, exact);
	if (encoding == PG_UTF8)
		return checked_utf8(bytes, len, exact);
	utf8 = df_text_to_utf8_from(bytes, len, encoding, exact);
	return checked_utf8(utf8, strlen(utf8), exact);
}
