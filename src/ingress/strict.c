/*
 * ingress/strict.c
 *	  Refuses requests whose head can be read in more than one way.
 *
 * Runs in the ingress process, called by libmicrohttpd's callbacks, outside any
 * transaction.  Must never raise an error, palloc or read a setting.
 *
 * A proxy in front of us and libmicrohttpd must read the same bytes as the same requests:
 * otherwise a request can be smuggled past the checks of the proxy. libmicrohttpd 0.9.75
 * accepts two lengths, a length with chunks, lines that end with LF only, folded lines, and
 * NUL.
 *
 * libmicrohttpd does not show what it drops between names and values, so this is computed:
 * the pieces of the head, with CRLFs and separators of the right length, must add up to its
 * size.  That relies on libmicrohttpd cutting the head in place.  Versions from 0.9.77 on
 * document that they check line ends themselves and may work differently, so this check is
 * not made with them.
 */
#include "postgres.h"

#include <microhttpd.h>

#include "ingress/strict.h"
#include "shared/header.h"
#include "shared/hex.h"
#include "shared/json.h"

#define LONGEST_LENGTH 18

typedef struct Head
{
	const char *problem; /* the first one */
	const char *line_end; /* where the line before has ended; NULL = it is not asked */
	int hosts;
	int lengths;
	int codings;
} Head;

/* ---- the request line ----------------------------------------------------- */

bool
df_strict_target_is_plain(const char *target)
{
	size_t len = strlen(target);

	if (target[0] != '/')
		return false;
	for (size_t i = 0; i < len; i++)
	{
		unsigned char c = (unsigned char) target[i];

		if (c <= ' ' || c >= 0x7f || strchr("\"#<>\\", c) != NULL)
			return false;
		/* some readers would take the byte 0 for the end of the text */
		if (c == '%' && df_hex_byte(target + i + 1) <= 0)
			return false;
	}
	return true;
}

static const char *
line_problem(const DfRequestLine *line)
{
	if (!df_header_name_is_legal(line->method, strlen(line->method)))
		return DF_JSON_ERROR("the method is not a word");
	if (strcmp(line->version, MHD_HTTP_VERSION_1_1) != 0 &&
		strcmp(line->version, MHD_HTTP_VERSION_1_0) != 0)
		return DF_JSON_ERROR("the version is neither HTTP/1.1 nor HTTP/1.0");
	if (!line->target_is_plain)
		return DF_JSON_ERROR("the target is not a path");
	return NULL;
}

/* ---- headers -------------------------------------------------------------- */

static bool
consists_of(const char *value, const char *characters)
{
	return value[0] != '\0' && strspn(value, characters) == strlen(value);
}

static const char *
host_problem(Head *head, const char *value)
{
	if (++head->hosts > 1)
		return DF_JSON_ERROR("there is more than one Host");
	if (!consists_of(value,
					 "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-_:[]%"))
		return DF_JSON_ERROR("the Host is not a valid name");
	return NULL;
}

static const char *
length_problem(Head *head, const char *value)
{
	if (++head->lengths > 1)
		return DF_JSON_ERROR("there is more than one Content-Length");
	if (!consists_of(value, "0123456789") || strlen(value) > LONGEST_LENGTH)
		return DF_JSON_ERROR("the Content-Length is not a number");
	return NULL;
}

static const char *
coding_problem(Head *head, const char *value)
{
	if (++head->codings > 1)
		return DF_JSON_ERROR("there is more than one Transfer-Encoding");
	if (pg_strcasecmp(value, "chunked") != 0)
		return DF_JSON_ERROR("the Transfer-Encoding is not chunked");
	return NULL;
}

static const char *
header_problem(Head *head, const char *name, size_t name_len, const char *value, size_t value_len)
{
	if (!df_header_name_is_legal(name, name_len))
		return DF_JSON_ERROR("a header has an invalid name");
	if (!df_header_value_is_legal(value, value_len))
		return DF_JSON_ERROR("a header contains a control character");
	/* a line ends with two bytes: CR and LF */
	if (head->line_end != NULL && name != head->line_end + 2)
		return DF_JSON_ERROR("a line of the head does not end as it must");
	if (df_header_is(name, name_len, "Host"))
		return host_problem(head, value);
	if (df_header_is(name, name_len, "Content-Length"))
		return length_problem(head, value);
	if (df_header_is(name, name_len, "Transfer-Encoding"))
		return coding_problem(head, value);
	return NULL;
}

static enum MHD_Result
look_at_header(void *cls, enum MHD_ValueKind kind, const char *name, size_t name_len,
			   const char *value, size_t value_len)
{
	Head *head = cls;

	head->problem = header_problem(head, name, name_len, value != NULL ? value : "", value_len);
	if (head->line_end != NULL && value != NULL)
		head->line_end = value + value_len;
	return head->problem == NULL ? MHD_YES : MHD_NO;
}

/* ---- the whole ------------------------------------------------------------ */

/* whether this version of the library cuts the head in place */
static bool
pieces_stay(void)
{
	const char *version = MHD_get_version();

	return strncmp(version, "0.9.", 4) == 0 && strtol(version + 4, NULL, 10) < 77;
}

/* the request line is method SP target SP version; the head ends with an empty line */
static bool
pieces_add_up(struct MHD_Connection *connection, const DfRequestLine *line, const Head *head)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(connection, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);

	return line->target == line->method + strlen(line->method) + 1 &&
		line->version == line->target + line->target_len + 1 &&
		info != NULL && info->header_size == (size_t) (head->line_end - line->method) + 4;
}

const char *
df_strict_problem(struct MHD_Connection *connection, const DfRequestLine *line, bool *chunked)
{
	Head head = {0};
	const char *problem = line_problem(line);
	bool old = strcmp(line->version, MHD_HTTP_VERSION_1_0) == 0;

	if (problem != NULL)
		return problem;
	if (pieces_stay())
		head.line_end = line->version + strlen(line->version);
	(void) MHD_get_connection_values_n(connection, MHD_HEADER_KIND, look_at_header, &head);
	*chunked = head.codings > 0;
	if (head.problem != NULL)
		return head.problem;
	if (head.line_end != NULL && !pieces_add_up(connection, line, &head))
		return DF_JSON_ERROR("a line of the head is not as it must be");
	if (head.hosts == 0 && !old)
		return DF_JSON_ERROR("there is no Host");
	if (*chunked && head.lengths > 0)
		return DF_JSON_ERROR("there is a Content-Length and a Transfer-Encoding");
	if (*chunked && old)
		return DF_JSON_ERROR("there is a Transfer-Encoding in HTTP/1.0");
	return NULL;
}
