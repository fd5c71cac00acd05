/*
 * shared/json_repair.c
 *	  JSON that is almost what jsonb can hold.
 *
 * Runs where responses are read, in any process and role; only allocates memory.  One
 * character that jsonb refuses must not cost the id that is beside it: so \u0000 and
 * halves of pairs become U+FFFD, control characters in strings are escaped, and a number
 * too large for jsonb becomes a string with its digits.  Everything else is left as it
 * is, for the parser to judge.
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "shared/hex.h"
#include "shared/json_repair.h"

#define REPLACEMENT "\xEF\xBF\xBD"

/* written out, a number beyond this is of no use to anybody, and fills the disk */
#define MOST_DIGITS 1000

typedef struct Repair
{
	const char *from;
	StringInfoData to;
	bool changed;
} Repair;

static bool
is_high(int code)
{
	return code >= 0xD800 && code < 0xDC00;
}

static bool
is_low(int code)
{
	return code >= 0xDC00 && code < 0xE000;
}

static void
copy(Repair *repair, size_t len)
{
	appendBinaryStringInfo(&repair->to, repair->from, (int) len);
	repair->from += len;
}

static void
replace(Repair *repair, size_t len, const char *with)
{
	appendStringInfoString(&repair->to, with);
	repair->from += len;
	repair->changed = true;
}

static void
escape_control(Repair *repair, unsigned char c)
{
	appendStringInfo(&repair->to, "\\u%04x", c);
	repair->from++;
	repair->changed = true;
}

static void
repair_escape(Repair *repair)
{
	int code = df_hex_escape(repair->from);
	bool pair = is_high(code) && is_low(df_hex_escape(repair->from + 6));

	if (pair)
		copy(repair, 12);
	else if (code == 0 || is_high(code) || is_low(code))
		replace(repair, 6, REPLACEMENT);
	else
		copy(repair, repair->from[1] == '\0' ? 1 : 2);
}

/* from its quote to the next */
static void
repair_string(Repair *repair)
{
	copy(repair, 1);
	while (*repair->from != '\0' && *repair->from != '"')
	{
		unsigned char c = (unsigned char) *repair->from;

		if (c == '\\')
			repair_escape(repair);
		else if (c < ' ')
			escape_control(repair, c);
		else
			copy(repair, 1);
	}
	if (*repair->from == '"')
		copy(repair, 1);
}

static void
repair_number(Repair *repair)
{
	size_t len = strspn(repair->from, "+-.0123456789eE");
	char *number = pnstrdup(repair->from, len);
	char *exponent = strpbrk(number, "eE");
	long power = exponent != NULL ? labs(strtol(exponent + 1, NULL, 10)) : 0;

	if (len > MOST_DIGITS || power > MOST_DIGITS)
		replace(repair, len, psprintf("\"%s\"", number));
	else
		copy(repair, len);
	pfree(number);
}

char *
df_json_repair(const char *text)
{
	Repair repair = {text};

	initStringInfo(&repair.to);
	while (*repair.from != '\0')
	{
		if (*repair.from == '"')
			repair_string(&repair);
		else if (*repair.from == '-' || (*repair.from >= '0' && *repair.from <= '9'))
			repair_number(&repair);
		else
			copy(&repair, 1);
	}
	if (repair.changed)
		return repair.to.data;
	pfree(repair.to.data);
	return NULL;
}
