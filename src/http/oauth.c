/*
 * http/oauth.c
 *	  Reads the response of an authorization server (RFC 6749, 5.1 and 5.2).
 *
 * Runs in workers, between turns, in no transaction.  Parses the JSON in place instead of
 * with PostgreSQL's parser, which would leave copies of the token in memory that cannot be
 * wiped, and would raise errors.  The other side is not trusted: depth and lengths are
 * limited, a token that cannot stand in a header line is refused, and of an error only
 * known codes are passed on, since any other text may be our own secret, sent back.
 *
 * Must never raise an error and never palloc.
 */
#include "postgres.h"

#include <math.h>

#include "http/oauth.h"
#include "shared/hex.h"

#define MAX_DEPTH 32
#define MAX_NUMBER 31

static const char *const known_errors[] = {
	"access_denied",
	"invalid_client",
	"invalid_grant",
	"invalid_request",
	"invalid_scope",
	"invalid_target",
	"server_error",
	"slow_down",
	"temporarily_unavailable",
	"unauthorized_client",
	"unsupported_grant_type",
};

typedef struct Scan
{
	char *at;
	char *end;
} Scan;

typedef struct Piece
{
	const char *text;
	size_t len;
} Piece;

static bool skip_value(Scan *scan, int depth);

static void
skip_space(Scan *scan)
{
	while (scan->at < scan->end && strchr(" \t\r\n", *scan->at) != NULL && *scan->at != '\0')
		scan->at++;
}

static bool
take_char(Scan *scan, char c)
{
	skip_space(scan);
	if (scan->at >= scan->end || *scan->at != c)
		return false;
	scan->at++;
	return true;
}

static bool
take_hex(Scan *scan, uint32 *code)
{
	*code = 0;
	if (scan->end - scan->at < 4)
		return false;
	for (int i = 0; i < 4; i++)
	{
		int digit = df_hex_digit(*scan->at++);

		if (digit < 0)
			return false;
		*code = *code * 16 + digit;
	}
	return true;
}

/*
 * Reads an escape after its backslash.  A character that is not ASCII becomes DEL, which no
 * token may contain.
 */
static bool
take_escape(Scan *scan, char *to)
{
	static const char from[] = "\"\\/bfnrt";
	static const char meant[] = "\"\\/\b\f\n\r\t";
	const char *found;
	uint32 code;

	if (scan->at >= scan->end || *scan->at == '\0')
		return false;
	if (*scan->at == 'u')
	{
		scan->at++;
		if (!take_hex(scan, &code))
			return false;
		*to = code > 0 && code < 0x7F ? (char) code : 0x7F;
		return true;
	}
	found = strchr(from, *scan->at++);
	if (found == NULL)
		return false;
	*to = meant[found - from];
	return true;
}

/* Reads a string and unescapes it in place: it never gets longer. */
static bool
take_string(Scan *scan, Piece *piece)
{
	char *to;

	if (!take_char(scan, '"'))
		return false;
	piece->text = to = scan->at;
	while (scan->at < scan->end && *scan->at != '"')
	{
		unsigned char c = (unsigned char) *scan->at++;

		if (c < 0x20)
			return false;
		if (c != '\\')
			*to++ = (char) c;
		else if (take_escape(scan, to))
			to++;
		else
			return false;
	}
	piece->len = to - piece->text;
	return take_char(scan, '"');
}

/* Reads a number, true, false or null. */
static bool
take_word(Scan *scan, Piece *piece)
{
	skip_space(scan);
	piece->text = scan->at;
	while (scan->at < scan->end &&
		   ((*scan->at >= '0' && *scan->at <= '9') || (*scan->at >= 'a' && *scan->at <= 'z') ||
			*scan->at == 'E' || *scan->at == '+' || *scan->at == '-' || *scan->at == '.'))
		scan->at++;
	piece->len = scan->at - piece->text;
	return piece->len > 0;
}

static bool
skip_list(Scan *scan, char end, int depth)
{
	Piece name;

	if (depth >= MAX_DEPTH)
		return false;
	scan->at++;
	if (take_char(scan, end))
		return true;
	do
	{
		if (end == '}' && !(take_string(scan, &name) && take_char(scan, ':')))
			return false;
		if (!skip_value(scan, depth + 1))
			return false;
	} while (take_char(scan, ','));
	return take_char(scan, end);
}

static bool
skip_value(Scan *scan, int depth)
{
	Piece piece;

	skip_space(scan);
	if (scan->at >= scan->end)
		return false;
	if (*scan->at == '{')
		return skip_list(scan, '}', depth);
	if (*scan->at == '[')
		return skip_list(scan, ']', depth);
	if (*scan->at == '"')
		return take_string(scan, &piece);
	return take_word(scan, &piece);
}

static bool
is(const Piece *piece, const char *text)
{
	return piece->len == strlen(text) && memcmp(piece->text, text, piece->len) == 0;
}

/* Seconds as a number or, as some servers send them, as a string; -1 = not understood. */
static int64
seconds(const Piece *piece)
{
	char text[MAX_NUMBER + 1];
	char *end;
	double value;

	if (piece->len == 0 || piece->len > MAX_NUMBER)
		return -1;
	memcpy(text, piece->text, piece->len);
	text[piece->len] = '\0';
	value = strtod(text, &end);
	if (*end != '\0' || isnan(value) || value < 0)
		return -1;
	return value > 1e9 ? INT64CONST(1000000000) : (int64) value;
}

typedef struct Fields
{
	Piece token;
	Piece type;
	Piece expires_in;
	Piece refresh_token;
	Piece error;
} Fields;

static bool
take_member(Scan *scan, Fields *fields)
{
	Piece name;
	Piece *value = NULL;

	if (!take_string(scan, &name) || !take_char(scan, ':'))
		return false;
	if (is(&name, "access_token"))
		value = &fields->token;
	else if (is(&name, "token_type"))
		value = &fields->type;
	else if (is(&name, "refresh_token"))
		value = &fields->refresh_token;
	else if (is(&name, "error"))
		value = &fields->error;
	else if (is(&name, "expires_in"))
		value = &fields->expires_in;
	skip_space(scan);
	if (value != NULL && scan->at < scan->end && *scan->at == '"')
		return take_string(scan, value);
	if (value == &fields->expires_in && scan->at < scan->end && *scan->at != '{' &&
		*scan->at != '[')
		return take_word(scan, value);
	return skip_value(scan, 1);
}

static bool
take_object(char *body, size_t len, Fields *fields)
{
	Scan scan = {body, body + len};

	memset(fields, 0, sizeof(*fields));
	if (len >= 3 && memcmp(body, "\xEF\xBB\xBF", 3) == 0)
		scan.at += 3; /* a byte order mark */
	if (!take_char(&scan, '{'))
		return false;
	if (!take_char(&scan, '}'))
	{
		do
		{
			if (!take_member(&scan, fields))
				return false;
		} while (take_char(&scan, ','));
		if (!take_char(&scan, '}'))
			return false;
	}
	skip_space(&scan);
	return scan.at == scan.end;
}

static bool
can_stand_in_header(const Piece *token)
{
	for (size_t i = 0; i < token->len; i++)
		if (token->text[i] < 0x21 || token->text[i] > 0x7E)
			return false;
	return true;
}

const char *
df_oauth_read(char *body, size_t len, DfTokenAnswer *answer)
{
	Fields fields;

	memset(answer, 0, sizeof(*answer));
	answer->expires_in = -1;
	if (body == NULL || !take_object(body, len, &fields))
		return "its answer is not a JSON object";
	for (size_t i = 0; i < lengthof(known_errors); i++)
		if (is(&fields.error, known_errors[i]))
			answer->error = known_errors[i];
	answer->expires_in = seconds(&fields.expires_in);
	if (fields.token.len == 0)
		return "its answer has no access_token";
	if (fields.type.text != NULL &&
		!(fields.type.len == 6 && pg_strncasecmp(fields.type.text, "bearer", 6) == 0))
		return "its answer has a token_type other than Bearer";
	if (fields.token.len > DF_MAX_TOKEN)
		return "its access_token is longer than 16 kB";
	if (!can_stand_in_header(&fields.token))
		return "its access_token has characters that no header may hold";
	answer->token = fields.token.text;
	answer->token_len = fields.token.len;
	if (fields.refresh_token.len == 0)
		return NULL;
	if (fields.refresh_token.len > DF_MAX_TOKEN || !can_stand_in_header(&fields.refresh_token))
		return "its refresh_token is too long, or not printable ASCII";
	answer->refresh_token = fields.refresh_token.text;
	answer->refresh_token_len = fields.refresh_token.len;
	return NULL;
}
