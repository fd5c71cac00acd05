/*
 * engine/mime.c
 *	  Mail as text: addresses, header fields, encoded words, bodies.
 *
 * Runs in workers, within a body and in the transaction that commits an intent;
 * pure but for memory: no SQL, no clock, no encoding but UTF-8.  RFC 5322 says
 * what a message is, RFC 2045 how a body is encoded, RFC 2047 how a header is.
 *
 * The same arguments give the same bytes, always: a mail that is sent again is
 * the same mail.  Nothing here lets a value end its line: what is not printable
 * ASCII is written as an encoded word or an encoded body.
 */
#include "postgres.h"

#include "common/base64.h"
#include "engine/mime.h"

#define LINE 76
/* a line has at most 998 characters, and a word cannot be folded */
#define LONGEST_WORD 900
/* =?UTF-8?B?...?= has 75 characters at most */
#define ENCODED_WORD_FRAME 12
#define BYTES_PER_WORD 45
#define LEAST_BYTES 9
#define LONGEST_LOCAL 64
#define LONGEST_DOMAIN 255

/* ---- addresses ------------------------------------------------------------ */

static bool
is_atom_char(unsigned char c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
		(c != '\0' && strchr("!#$%&'*+-/=?^_`{|}~", c) != NULL);
}

static bool
is_ascii_letter_or_digit(unsigned char c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

static bool
is_ascii(const char *text)
{
	for (; *text != '\0'; text++)
		if ((unsigned char) *text > 0x7E)
			return false;
	return true;
}

static const char *
domain_problem(const char *domain)
{
	const char *c;

	if (*domain == '\0')
		return "it has nothing after the @";
	if (strlen(domain) > LONGEST_DOMAIN)
		return "its domain is too long";
	for (c = domain; *c != '\0'; c++)
	{
		bool begins = c == domain || c[-1] == '.';
		bool ends = c[1] == '\0' || c[1] == '.';
		bool letter = (*c >= '0' && *c <= '9') || (*c >= 'A' && *c <= 'Z') ||
			(*c >= 'a' && *c <= 'z');

		if (*c == '.' ? begins || c[1] == '\0' : *c == '-' ? begins || ends
														   : !letter && *c != '_')
			return "its domain is not a host name";
	}
	return NULL;
}

static const char *
address_problem(const char *address)
{
	const char *at = strchr(address, '@');
	const char *c;

	if (!is_ascii(address))
		return "it is not ASCII; write the domain in its ASCII form (xn--...), other local parts "
			   "are not supported";
	if (at == NULL)
		return "it has no @";
	if (at == address)
		return "it has nothing before the @";
	if (strchr(at + 1, '@') != NULL)
		return "it has more than one @";
	if (at - address > LONGEST_LOCAL)
		return "what is before its @ is too long";
	for (c = address; c < at; c++)
		if (!is_atom_char((unsigned char) *c) && *c != '.')
			return "it has a character that addresses do not have; several addresses are given as "
				   "an array";
	return domain_problem(at + 1);
}

const char *
df_mime_value_problem(const char *value)
{
	for (; *value != '\0'; value++)
		if ((unsigned char) *value < ' ' || *value == 0x7F)
			return "it contains a line break or another control character";
	return NULL;
}

const char *
df_mime_name_problem(const char *name)
{
	const char *c;

	if (*name == '\0' || strlen(name) > LINE)
		return "it has no name, or one that is too long";
	for (c = name; *c != '\0'; c++)
		if (*c <= ' ' || *c >= 0x7F || *c == ':')
			return "its name has a character that header names do not have";
	return NULL;
}

static char *
copy_span(const char *from, const char *end)
{
	char *copy;

	while (from < end && *from == ' ')
		from++;
	while (end > from && end[-1] == ' ')
		end--;
	copy = palloc(end - from + 1);
	memcpy(copy, from, end - from);
	copy[end - from] = '\0';
	return copy;
}

/* a quoted string without its quotes and backslashes; NULL if it is not one */
static char *
unquoted(const char *name)
{
	size_t len = strlen(name);
	char *result = palloc(len + 1);
	char *to = result;
	const char *c;

	if (len < 2 || name[0] != '"' || name[len - 1] != '"')
		return NULL;
	for (c = name + 1; c < name + len - 1; c++)
	{
		if (*c == '"')
			return NULL;
		if (*c == '\\' && ++c == name + len - 1)
			return NULL;
		*to++ = *c;
	}
	*to = '\0';
	return result;
}

bool
df_mailbox_parse(const char *text, DfMailbox *box, const char **why)
{
	const char *open = strrchr(text, '<');
	size_t len = strlen(text);

	box->name = NULL;
	*why = df_mime_value_problem(text);
	if (*why != NULL)
		return false;
	if (open == NULL || len == 0 || text[len - 1] != '>')
		box->address = pstrdup(text);
	else
	{
		box->address = copy_span(open + 1, text + len - 1);
		box->name = copy_span(text, open);
		if (box->name[0] == '"')
		{
			box->name = unquoted(box->name);
			if (box->name == NULL)
				*why = "its name has quotes that do not match";
		}
		else if (strpbrk(box->name, "@,;<>\"\\") != NULL)
			*why = "its name has a character that needs quotes; several addresses are "
				   "given as an array";
	}
	if (*why == NULL)
		*why = address_problem(box->address);
	if (box->name != NULL && box->name[0] == '\0')
		box->name = NULL;
	return *why == NULL;
}

/* ---- encodings ------------------------------------------------------------ */

static void
put_base64(StringInfo to, const char *from, size_t len)
{
	int size = pg_b64_enc_len((int) len);

	enlargeStringInfo(to, size);
	to->len += pg_b64_encode((const void *) from, (int) len, to->data + to->len, size);
	to->data[to->len] = '\0';
}

/* how many of the first bytes fit, without cutting a character */
static size_t
whole_characters(const char *text, size_t len, size_t most)
{
	size_t n = Min(len, most);

	while (n > 0 && n < len && ((unsigned char) text[n] & 0xC0) == 0x80)
		n--;
	return n > 0 ? n : Min(len, most); /* not UTF-8: cut anywhere */
}

/* ---- headers -------------------------------------------------------------- */

/* a header that is being written: a space or a fold stands before each word, a space at first */
typedef struct Field
{
	StringInfo to;
	int column;
	bool begun; /* the present line has a word */
} Field;

static void
begin_field(Field *field, StringInfo to, const char *name)
{
	field->to = to;
	field->column = strlen(name) + 1;
	field->begun = false;
	appendStringInfo(to, "%s:", name);
}

static void
fold(Field *field)
{
	appendStringInfoString(field->to, "\r\n");
	field->column = 0;
	field->begun = false;
}

static void
put_word(Field *field, const char *word, size_t len)
{
	if (field->column + 1 + len > LINE && field->begun)
		fold(field);
	appendStringInfoChar(field->to, ' ');
	appendBinaryStringInfo(field->to, word, len);
	field->column += 1 + len;
	field->begun = true;
}

static void
put_encoded(Field *field, const char *text, size_t len)
{
	while (len > 0)
	{
		int room = (LINE - field->column - 1 - ENCODED_WORD_FRAME) / 4 * 3;
		size_t n;
		StringInfoData word;

		if (room < LEAST_BYTES && field->begun)
		{
			fold(field);
			room = BYTES_PER_WORD;
		}
		n = whole_characters(text, len, Max(LEAST_BYTES, Min(room, BYTES_PER_WORD)));

		initStringInfo(&word);
		appendStringInfoString(&word, "=?UTF-8?B?");
		put_base64(&word, text, n);
		appendStringInfoString(&word, "?=");
		put_word(field, word.data, word.len);
		pfree(word.data);
		text += n;
		len -= n;
	}
}

/* whether a word has to be encoded: not ASCII, looks encoded, or is too long to fold */
static bool
needs_encoding(const char *word, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		if ((unsigned char) word[i] > 0x7E || (unsigned char) word[i] < ' ' ||
			(word[i] == '=' && i + 1 < len && word[i + 1] == '?'))
			return true;
	return len > LONGEST_WORD;
}

/* spaces that folding would lose */
static bool
has_odd_spaces(const char *text)
{
	size_t len = strlen(text);

	return len > 0 && (text[0] == ' ' || text[len - 1] == ' ' || strstr(text, "  ") != NULL);
}

static void
put_text(Field *field, const char *text)
{
	const char *run = NULL; /* where a run of words to be encoded begins */
	const char *run_end = NULL;

	if (has_odd_spaces(text))
	{
		put_encoded(field, text, strlen(text));
		return;
	}
	while (*text != '\0')
	{
		size_t len = strcspn(text, " ");

		if (needs_encoding(text, len))
		{
			/* readers drop spaces between encoded words: so the space is encoded too */
			run = run != NULL ? run : text;
			run_end = text + len;
		}
		else
		{
			if (run != NULL)
				put_encoded(field, run, run_end - run);
			run = NULL;
			put_word(field, text, len);
		}
		text += len;
		text += *text == ' ';
	}
	if (run != NULL)
		put_encoded(field, run, run_end - run);
}

void
df_mime_header(StringInfo to, const char *name, const char *value)
{
	Field field;

	begin_field(&field, to, name);
	put_text(&field, value);
	appendStringInfoString(to, "\r\n");
}

static void
put_name(Field *field, const char *name)
{
	bool plain = !has_odd_spaces(name);
	StringInfoData quoted;
	const char *c;

	for (c = name; *c != '\0' && plain; c++)
		plain = is_atom_char((unsigned char) *c) || *c == ' ';
	if (plain || !is_ascii(name) || strlen(name) > LINE)
	{
		/* an encoded word may hold any character */
		if (plain && strstr(name, "=?") == NULL)
			put_text(field, name);
		else
			put_encoded(field, name, strlen(name));
		return;
	}
	initStringInfo(&quoted);
	appendStringInfoChar(&quoted, '"');
	for (c = name; *c != '\0'; c++)
	{
		if (*c == '"' || *c == '\\')
			appendStringInfoChar(&quoted, '\\');
		appendStringInfoChar(&quoted, *c);
	}
	appendStringInfoChar(&quoted, '"');
	put_word(field, quoted.data, quoted.len);
	pfree(quoted.data);
}

void
df_mime_mailboxes(StringInfo to, const char *name, const DfMailbox *boxes, int n)
{
	Field field;
	int i;

	begin_field(&field, to, name);
	for (i = 0; i < n; i++)
	{
		StringInfoData word;

		if (boxes[i].name != NULL)
			put_name(&field, boxes[i].name);
		initStringInfo(&word);
		appendStringInfo(&word, boxes[i].name != NULL ? "<%s>" : "%s", boxes[i].address);
		if (i < n - 1)
			appendStringInfoChar(&word, ',');
		put_word(&field, word.data, word.len);
		pfree(word.data);
	}
	appendStringInfoString(to, "\r\n");
}

void
df_mime_date(StringInfo to, TimestampTz at)
{
	static const char *const days[] = {"Sat", "Sun", "Mon", "Tue", "Wed", "Thu", "Fri"};
	static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
										 "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
	int64 seconds = at / USECS_PER_SEC - (at % USECS_PER_SEC < 0 ? 1 : 0);
	int64 day = seconds / SECS_PER_DAY - (seconds % SECS_PER_DAY < 0 ? 1 : 0);
	int second = (int) (seconds - day * SECS_PER_DAY);
	/* 2000-01-01, a Saturday, is day 0; years begin in March, so that a leap day ends one */
	int64 shifted = day + 730425;
	int64 era = (shifted >= 0 ? shifted : shifted - 146096) / 146097;
	int of_era = (int) (shifted - era * 146097);
	int year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
	int of_year = of_era - (365 * year + year / 4 - year / 100);
	int month = (5 * of_year + 2) / 153;
	int of_month = of_year - (153 * month + 2) / 5 + 1;

	appendStringInfo(to, "Date: %s, %d %s %d %02d:%02d:%02d +0000\r\n",
					 days[(int) (((day % 7) + 7) % 7)], of_month, months[(month + 2) % 12],
					 (int) (year + era * 400 + (month >= 10 ? 1 : 0)),
					 second / 3600, second / 60 % 60, second % 60);
}

/* ---- bodies --------------------------------------------------------------- */

/* the text with CR LF at the end of each line, also of the last one */
static char *
with_line_ends(const char *text)
{
	StringInfoData out;

	initStringInfo(&out);
	for (; *text != '\0'; text++)
	{
		if (*text == '\r' && text[1] == '\n')
			text++;
		if (*text == '\r' || *text == '\n')
			appendStringInfoString(&out, "\r\n");
		else
			appendStringInfoChar(&out, *text);
	}
	if (out.len < 2 || out.data[out.len - 1] != '\n')
		appendStringInfoString(&out, "\r\n");
	return out.data;
}

typedef enum BodyEncoding
{
	BODY_7BIT,
	BODY_QUOTED,
	BODY_BASE64
} BodyEncoding;

/* the most readable encoding that can carry the text */
static BodyEncoding
encoding_for(const char *text)
{
	size_t len = 0;
	size_t odd = 0;
	size_t line = 0;
	size_t longest = 0;

	for (; text[len] != '\0'; len++)
	{
		unsigned char c = (unsigned char) text[len];

		if (c > 0x7E || (c < ' ' && c != '\t' && c != '\r' && c != '\n'))
			odd++;
		line = c == '\n' ? 0 : line + 1;
		longest = Max(longest, line);
	}
	if (odd == 0 && longest <= LONGEST_WORD)
		return BODY_7BIT;
	return odd > len / 6 ? BODY_BASE64 : BODY_QUOTED;
}

static void
put_quoted(StringInfo to, const char *text)
{
	int column = 0;

	for (; *text != '\0'; text++)
	{
		unsigned char c = (unsigned char) *text;
		bool ends = text[1] == '\r' && text[2] == '\n';
		bool plain = c == ' ' || c == '\t' ? !ends : c > ' ' && c < 0x7F && c != '=';

		if (c == '\r' && text[1] == '\n')
		{
			appendStringInfoString(to, "\r\n");
			text++;
			column = 0;
			continue;
		}
		/* leave room for the "=" that says that the line goes on */
		if (column + (plain ? 1 : 3) > LINE - 1)
		{
			appendStringInfoString(to, "=\r\n");
			column = 0;
		}
		if (plain)
			appendStringInfoChar(to, c);
		else
			appendStringInfo(to, "=%02X", c);
		column += plain ? 1 : 3;
	}
}

static void
put_base64_lines(StringInfo to, const char *text, size_t len)
{
	while (len > 0)
	{
		size_t n = Min(len, LINE / 4 * 3);

		put_base64(to, text, n);
		appendStringInfoString(to, "\r\n");
		text += n;
		len -= n;
	}
}

void
df_mime_text(StringInfo to, const char *type, const char *text)
{
	static const char *const names[] = {"7bit", "quoted-printable", "base64"};
	char *lines = with_line_ends(text);
	BodyEncoding encoding = encoding_for(lines);

	appendStringInfo(to, "Content-Type: %s; charset=utf-8\r\nContent-Transfer-Encoding: %s\r\n\r\n",
					 type, names[encoding]);
	if (encoding == BODY_7BIT)
		appendStringInfoString(to, lines);
	else if (encoding == BODY_QUOTED)
		put_quoted(to, lines);
	else
		put_base64_lines(to, lines, strlen(lines));
	pfree(lines);
}

/* ---- files ---------------------------------------------------------------- */

/* a name that is not ASCII is encoded by RFC 2231 */
static void
put_filename(StringInfo to, const char *name)
{
	if (is_ascii(name))
	{
		appendStringInfoString(to, ";\r\n filename=\"");
		for (; *name != '\0'; name++)
			appendStringInfo(to, "%s%c", *name == '"' || *name == '\\' ? "\\" : "", *name);
		appendStringInfoChar(to, '"');
		return;
	}
	appendStringInfoString(to, ";\r\n filename*=UTF-8''");
	for (; *name != '\0'; name++)
	{
		unsigned char c = (unsigned char) *name;

		if (is_ascii_letter_or_digit(c) || strchr(".-_", c) != NULL)
			appendStringInfoChar(to, c);
		else
			appendStringInfo(to, "%%%02X", c);
	}
}

void
df_mime_file(StringInfo to, const char *type, const char *name, const char *bytes, size_t len)
{
	appendStringInfo(to,
					 "Content-Type: %s\r\nContent-Transfer-Encoding: base64\r\n"
					 "Content-Disposition: attachment",
					 type);
	if (name != NULL)
		put_filename(to, name);
	appendStringInfoString(to, "\r\n\r\n");
	put_base64_lines(to, bytes, len);
}
