/*
 * worker/unescape.c
 *	  Reads characters that are escaped as in JSON (\/, \u0041), URLs (%41, +) or
 *	  HTML (&amp;, &#65;), also one within the other.
 *
 * Runs in a worker, in any transaction, where secrets are searched for in responses.
 * The text is not trusted: never read behind its end, raise an error or allocate.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "shared/hex.h"
#include "worker/unescape.h"

#define LONGEST_ENTITY 10

/* one byte of the text with up to `layers` escapes undone; 0 = the text has ended */
static size_t
read_byte(const char *text, size_t len, int layers, unsigned char *c)
{
	unsigned char bytes[4];
	size_t used;
	int n;

	for (; layers > 0; layers--)
	{
		used = df_unescape(text, len, layers, bytes, &n);
		if (used == 0 || n != 1)
			continue;
		*c = bytes[0];
		return used;
	}
	if (len == 0)
		return 0;
	*c = (unsigned char) text[0];
	return 1;
}

/* so many hexadecimal digits; how long they are in the text, 0 = they are none */
static size_t
read_hex(const char *text, size_t len, int layers, int digits, uint32 *value)
{
	size_t at = 0;

	*value = 0;
	for (int i = 0; i < digits; i++)
	{
		unsigned char c;
		size_t used = read_byte(text + at, len - at, layers, &c);

		if (used == 0 || df_hex_digit((char) c) < 0)
			return 0;
		*value = *value * 16 + df_hex_digit((char) c);
		at += used;
	}
	return at;
}

/* as UTF-8 */
static bool
put_character(uint32 code, unsigned char bytes[4], int *n)
{
	if (code == 0 || code > 0x10FFFF || (code >= 0xD800 && code < 0xE000))
		return false;
	unicode_to_utf8(code, bytes);
	*n = pg_utf_mblen(bytes);
	return true;
}

/* after "\u" */
static size_t
read_utf16(const char *text, size_t len, int layers, unsigned char bytes[4], int *n)
{
	uint32 high;
	uint32 low;
	unsigned char c;
	size_t at = read_hex(text, len, layers, 4, &high);
	size_t used;

	if (at == 0 || high < 0xD800 || high >= 0xDC00)
		return at != 0 && put_character(high, bytes, n) ? at : 0;
	for (const char *mark = "\\u"; *mark != '\0'; mark++)
	{
		used = read_byte(text + at, len - at, layers, &c);
		if (used == 0 || c != (unsigned char) *mark)
			return 0;
		at += used;
	}
	used = read_hex(text + at, len - at, layers, 4, &low);
	if (used == 0 || low < 0xDC00 || low >= 0xE000)
		return 0;
	return put_character(0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00), bytes, n) ? at + used
																					   : 0;
}

/* after a backslash: "u0041", "x41", "n", or the character itself */
static size_t
read_backslash(const char *text, size_t len, int layers, unsigned char bytes[4], int *n)
{
	static const char letters[] = "nrtbf";
	static const char meant[] = "\n\r\t\b\f";
	unsigned char c;
	uint32 value;
	size_t at = read_byte(text, len, layers, &c);
	size_t used;
	const char *letter;

	if (at == 0)
		return 0;
	if (c == 'u')
	{
		used = read_utf16(text + at, len - at, layers, bytes, n);
		return used == 0 ? 0 : at + used;
	}
	*n = 1;
	bytes[0] = c;
	if (c == 'x' && (used = read_hex(text + at, len - at, layers, 2, &value)) > 0)
	{
		bytes[0] = (unsigned char) value;
		return at + used;
	}
	letter = c != '\0' ? strchr(letters, c) : NULL;
	if (letter != NULL)
		bytes[0] = meant[letter - letters];
	return at;
}

/* "#65", "#x41" or a name, without the semicolon */
static bool
entity_means(const char *entity, unsigned char bytes[4], int *n)
{
	static const struct
	{
		const char *name;
		char means;
	} names[] = {
		{"amp", '&'},
		{"lt", '<'},
		{"gt", '>'},
		{"quot", '"'},
		{"apos", '\''},
		{"sol", '/'},
		{"bsol", '\\'},
		{"plus", '+'},
		{"equals", '='},
		{"colon", ':'},
		{"percnt", '%'},
		{"num", '#'},
		{"excl", '!'},
		{"dollar", '$'},
	};
	char *end;
	unsigned long code;

	if (entity[0] == '#')
	{
		bool hex = entity[1] == 'x' || entity[1] == 'X';

		code = strtoul(entity + (hex ? 2 : 1), &end, hex ? 16 : 10);
		return *end == '\0' && code <= 0x10FFFF && put_character((uint32) code, bytes, n);
	}
	for (int i = 0; i < (int) lengthof(names); i++)
		if (strcmp(entity, names[i].name) == 0)
		{
			bytes[0] = (unsigned char) names[i].means;
			*n = 1;
			return true;
		}
	return false;
}

/* after an ampersand */
static size_t
read_entity(const char *text, size_t len, int layers, unsigned char bytes[4], int *n)
{
	char entity[LONGEST_ENTITY + 1];
	size_t at = 0;

	for (int i = 0; i <= LONGEST_ENTITY; i++)
	{
		unsigned char c;
		size_t used = read_byte(text + at, len - at, layers, &c);

		if (used == 0)
			return 0;
		at += used;
		if (c == ';')
		{
			entity[i] = '\0';
			return entity_means(entity, bytes, n) ? at : 0;
		}
		if (i < LONGEST_ENTITY)
			entity[i] = (char) c;
	}
	return 0;
}

size_t
df_unescape(const char *text, size_t len, int layers, unsigned char bytes[4], int *n)
{
	unsigned char c;
	uint32 value;
	size_t at = read_byte(text, len, layers - 1, &c);
	size_t used;

	if (at == 0)
		return 0;
	switch (c)
	{
		case '\\':
			used = read_backslash(text + at, len - at, layers - 1, bytes, n);
			break;
		case '&':
			used = read_entity(text + at, len - at, layers - 1, bytes, n);
			break;
		case '%':
			used = read_hex(text + at, len - at, layers - 1, 2, &value);
			bytes[0] = (unsigned char) value;
			*n = 1;
			break;
		case '+': /* a space in a form */
			bytes[0] = ' ';
			*n = 1;
			return at;
		default:
			return 0;
	}
	return used == 0 ? 0 : at + used;
}
