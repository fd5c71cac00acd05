/*
 * engine/read_response.c
 *	  What is kept of a response: its body as jsonb, its headers, the beginning of a refusal.
 *
 * Runs in a worker, in its recording transaction.  Pure but for memory: it changes no
 * step, and no response, however broken, raises.
 */
#include "postgres.h"

#include "engine/read_response.h"
#include "guc.h"
#include "mb/pg_wchar.h"
#include "shared/encoding.h"
#include "shared/header.h"
#include "shared/json.h"
#include "shared/json_size.h"

/* how much of a refused response's body is kept in the error */
#define KEPT_BODY 2000

static bool
is_json_type(const char *content_type)
{
	return content_type != NULL && strstr(content_type, "json") != NULL;
}

/*
 * JSON that can be kept: few bytes of it may be gigabytes of text, once the
 * numbers are written out.  Otherwise its text is longer than its bytes only by white space.
 */
static Jsonb *
parse_body(const DfResponse *response, const char *text, MemoryContext cxt)
{
	Jsonb *result = df_json_parse(text, strlen(text), cxt);
	size_t most = Max((size_t) df_max_body, 2 * response->body_len);

	return result != NULL && df_jsonb_text_size(result, most) <= most ? result : NULL;
}

/*
 * The body as jsonb, NULL for none; *unusable if it was announced as JSON but is
 * not, or cannot be kept.
 */
Jsonb *
df_response_json(const DfResponse *response, MemoryContext cxt, bool *unusable)
{
	Jsonb *result;
	char *text;

	*unusable = false;
	if (response->body == NULL || response->body_len == 0)
		return NULL;
	text = df_json_from_utf8(response->body, response->body_len);
	*unusable = text == NULL;
	if (text == NULL)
		return NULL;
	if (is_json_type(response->content_type))
	{
		result = parse_body(response, text, cxt);
		*unusable = result == NULL;
		return result;
	}
	if (response->content_type == NULL || response->content_type[0] == '\0')
	{
		result = parse_body(response, text, cxt);
		if (result != NULL)
			return result;
	}
	text = df_text_from_utf8(response->body, response->body_len);
	result = df_json_string(text, strlen(text), cxt);
	*unusable = result == NULL;
	return result;
}

Jsonb *
df_response_headers(const DfResponse *response, MemoryContext cxt)
{
	DfJson json;
	const char *line = response->headers;
	bool some = false;

	if (line == NULL)
		return NULL;
	df_json_begin(&json);
	while (*line != '\0')
	{
		const char *end = line + strcspn(line, "\n");
		const char *colon = memchr(line, ':', end - line);

		if (colon != NULL && df_header_is_recorded(line, colon - line) &&
			pg_verify_mbstr(GetDatabaseEncoding(), line, end - line, true))
		{
			const char *value = colon + 1 + strspn(colon + 1, " ");

			/* the usual type goes without saying: response() fills it in */
			if (!(strncmp(line, "content-type:", 13) == 0 &&
				  strncmp(value, "application/json", end - value) == 0 &&
				  end - value == strlen("application/json")))
			{
				df_json_text(&json, pnstrdup(line, colon - line),
							 pnstrdup(value, Max(0, end - value)));
				some = true;
			}
		}
		line = *end == '\n' ? end + 1 : end;
	}
	if (!some)
		return NULL;
	return df_json_end(&json, cxt);
}

/* the beginning of a body for an error, without secrets, cut at a character */
char *
df_response_excerpt(const DfResponse *response)
{
	const char *body = response->shown != NULL ? response->shown : response->body;
	size_t body_len = response->shown != NULL ? response->shown_len : response->body_len;
	int encoding = GetDatabaseEncoding() == PG_SQL_ASCII ? PG_SQL_ASCII : PG_UTF8;

	if (body == NULL || body_len == 0)
		return NULL;
	return df_text_from_utf8(
		body, pg_encoding_mbcliplen(encoding, body, (int) Min(body_len, KEPT_BODY), KEPT_BODY));
}
