/*
 * engine/read_response.c
 *	  What is kept of a response beside its output: its headers, and what a refusal says.
 *
 * Runs in a worker, in its recording transaction.  Pure but for memory: it changes no
 * step, and no response, however broken, raises.
 */
#include "postgres.h"

#include "engine/read_body.h"
#include "engine/read_response.h"
#include "mb/pg_wchar.h"
#include "nodes/pg_list.h"
#include "shared/charset.h"
#include "shared/encoding.h"
#include "shared/header.h"
#include "shared/json.h"
#include "shared/json_size.h"

/* how much of a response's body is kept in an error that ends a step, and in one that does not */
#define KEPT_WHOLE (64 * 1024)
#define KEPT_EXCERPT 2000

/* how much of the system's own words is put into a message */
#define KEPT_WORDS 300

/* ---- headers -------------------------------------------------------------- */

typedef struct Header
{
	char *name;
	List *values; /* of char * */
} Header;

static bool
is_ascii(const char *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (bytes[i] == '\0' || IS_HIGHBIT_SET(bytes[i]))
			return false;
	return true;
}

static char *
text_of(const char *bytes, size_t len)
{
	const char *charset;
	char *utf8;
	bool exact;

	/* usually, and the same in every encoding of a database */
	if (is_ascii(bytes, len))
		return pnstrdup(bytes, len);
	/* headers have no charset: they are UTF-8 today, and were ISO-8859-1 */
	charset = pg_verify_mbstr(PG_UTF8, bytes, (int) len, true) ? NULL : "latin1";
	utf8 = df_charset_to_utf8(bytes, len, charset, &exact);
	return df_text_from_utf8(utf8, strlen(utf8));
}

/* the usual type goes without saying: response() fills it in */
static bool
is_usual(const Header *header)
{
	return strcmp(header->name, "content-type") == 0 && list_length(header->values) == 1 &&
		strcmp(linitial(header->values), "application/json") == 0;
}

static List *
add_header(List *headers, char *name, char *value)
{
	Header *header;
	ListCell *lc;

	foreach (lc, headers)
	{
		header = lfirst(lc);
		if (strcmp(header->name, name) == 0)
		{
			header->values = lappend(header->values, value);
			return headers;
		}
	}
	header = palloc(sizeof(Header));
	header->name = name;
	header->values = list_make1(value);
	return lappend(headers, header);
}

static List *
read_headers(const char *line)
{
	List *headers = NIL;

	while (*line != '\0')
	{
		const char *end = line + strcspn(line, "\n");
		const char *colon = memchr(line, ':', end - line);

		if (colon != NULL && df_header_is_recorded(line, colon - line))
		{
			const char *value = colon + 1 + strspn(colon + 1, " ");
			char *name = text_of(line, colon - line);
			char *text = text_of(value, Max(0, end - value));

			if (name != NULL && text != NULL)
				headers = add_header(headers, name, text);
		}
		line = *end == '\n' ? end + 1 : end;
	}
	return headers;
}

bool
df_response_is_foreign(const DfResponse *response, const char *spoken)
{
	bool unusable;
	Jsonb *body;

	if (response->fate != DF_FATE_RESPONSE)
		return false;
	body = df_response_json(response, CurrentMemoryContext, &unusable);
	if (body == NULL ? !unusable : !JB_ROOT_IS_SCALAR(body))
		return false;
	if (response->content_type == NULL)
		return true;
	return strstr(response->content_type, "json") == NULL &&
		(spoken == NULL || strcmp(spoken, response->content_type) != 0);
}

bool
df_response_is_replay(const DfResponse *response)
{
	ListCell *lc;

	if (response->headers == NULL || response->status / 100 == 2)
		return false;
	foreach (lc, read_headers(response->headers))
	{
		Header *header = lfirst(lc);

		if (df_header_says_replayed(header->name, linitial(header->values)))
			return true;
	}
	return false;
}

static void
put_header(DfJson *json, const Header *header)
{
	ListCell *lc;

	if (list_length(header->values) == 1)
	{
		df_json_text(json, header->name, linitial(header->values));
		return;
	}
	df_json_open_array(json, header->name);
	foreach (lc, header->values)
		df_json_text(json, NULL, lfirst(lc));
	df_json_close_array(json);
}

static bool
is_nothing_left(const char *name, size_t name_len, const char *value, size_t len)
{
	static const char word[] = "remaining";
	size_t word_len = strlen(word);

	while (len > 0 && (*value == ' ' || *value == '\t'))
		value++, len--;
	while (len > 0 && (value[len - 1] == ' ' || value[len - 1] == '\t' || value[len - 1] == '\r'))
		len--;
	return name_len > word_len && memcmp(name + name_len - word_len, word, word_len) == 0 &&
		len == 1 && *value == '0';
}

bool
df_response_limit_used_up(const DfResponse *response)
{
	const char *line = response->headers;

	while (line != NULL && *line != '\0')
	{
		const char *end = line + strcspn(line, "\n");
		const char *colon = memchr(line, ':', end - line);

		if (colon != NULL && is_nothing_left(line, colon - line, colon + 1, end - colon - 1))
			return true;
		line = *end == '\n' ? end + 1 : end;
	}
	return false;
}

/* one that came several times is an array */
Jsonb *
df_response_headers(const DfResponse *response, MemoryContext cxt)
{
	bool some = false;
	DfJson json;
	ListCell *lc;

	if (response->headers == NULL)
		return NULL;
	df_json_begin(&json);
	foreach (lc, read_headers(response->headers))
	{
		if (is_usual(lfirst(lc)))
			continue;
		put_header(&json, lfirst(lc));
		some = true;
	}
	return some ? df_json_end(&json, cxt) : NULL;
}

/* ---- the body of a refusal ------------------------------------------------ */

/* the response with what may be shown of it, which is UTF-8 */
static DfResponse
shown(const DfResponse *response)
{
	const char *type = response->content_type;
	DfResponse result = *response;

	if (response->shown == NULL)
		return result;
	result.content_type = type != NULL ? pnstrdup(type, strcspn(type, ";")) : NULL;
	result.body = response->shown;
	result.body_len = response->shown_len;
	return result;
}

static char *
cut(const char *text, int most)
{
	int len = (int) strlen(text);

	return pnstrdup(text, pg_mbcliplen(text, len, Min(len, most)));
}

/*
 * For an error, without secrets: an object or an array as it is, if it is small enough;
 * else text, cut at a character.
 */
void
df_response_put_body(DfJson *json, const DfResponse *response, bool whole)
{
	int most = whole ? KEPT_WHOLE : KEPT_EXCERPT;
	DfResponse may_be_shown = shown(response);
	bool unusable;
	Jsonb *body;
	char *text;

	if (response->fate == DF_FATE_TOO_LARGE)
		may_be_shown.fate = DF_FATE_RESPONSE;
	body = df_response_json(&may_be_shown, CurrentMemoryContext, &unusable);
	if (body != NULL && !JB_ROOT_IS_SCALAR(body) && df_jsonb_text_size(body, most) <= most)
		df_json_value(json, "body", body);
	else if ((text = df_response_text(&may_be_shown)) != NULL)
		df_json_text(json, "body", cut(text, most));
}

/* ---- the system's own words ------------------------------------------------ */

static char *words_in(const JsonbValue *value, int depth);

static char *
words_in_object(const Jsonb *object, int depth)
{
	static const char *const keys[] = {"message", "error_description", "detail", "error", "errors",
									   "title", "description", "msg", "reason"};

	for (int i = 0; i < (int) lengthof(keys); i++)
	{
		JsonbValue value;
		char *words = df_json_find(object, keys[i], &value) ? words_in(&value, depth) : NULL;

		if (words != NULL)
			return words;
	}
	return NULL;
}

static char *
words_in_array(const Jsonb *array, int depth)
{
	DfJsonWalk walk;

	df_json_walk(&walk, array);
	while (df_json_next(&walk))
	{
		char *words = words_in(&walk.value, depth);

		if (words != NULL)
			return words;
	}
	return NULL;
}

/* {"error": {"message": ...}}, {"errors": [{"detail": ...}]}, and the like */
static char *
words_in(const JsonbValue *value, int depth)
{
	Jsonb *inner;

	if (value->type == jbvString)
		return value->val.string.len > 0 ? df_json_string_of(value) : NULL;
	if (value->type != jbvBinary || depth <= 0)
		return NULL;
	inner = df_json_of(value);
	return JB_ROOT_IS_OBJECT(inner) ? words_in_object(inner, depth - 1)
									: words_in_array(inner, depth - 1);
}

/* a message is one line */
static char *
one_line(char *text)
{
	for (char *c = text; *c != '\0'; c++)
		if ((unsigned char) *c < ' ')
			*c = ' ';
	return strlen(text) > KEPT_WORDS ? psprintf("%s...", cut(text, KEPT_WORDS)) : text;
}

char *
df_response_words(const DfResponse *response)
{
	DfResponse may_be_shown = shown(response);
	bool unusable;
	Jsonb *body;
	char *words;

	if (response->fate != DF_FATE_RESPONSE)
		return NULL;
	body = df_response_json(&may_be_shown, CurrentMemoryContext, &unusable);
	if (body == NULL || JB_ROOT_IS_SCALAR(body))
		return NULL;
	words = JB_ROOT_IS_OBJECT(body) ? words_in_object(body, 2) : words_in_array(body, 2);
	return words != NULL ? one_line(words) : NULL;
}

char *
df_response_what_came(const DfResponse *response)
{
	char *words = df_response_words(response);

	if (response->fate != DF_FATE_RESPONSE)
		return pstrdup(response->error != NULL && response->error[0] != '\0' ? response->error
																			 : "no answer");
	if (words == NULL)
		return psprintf("the system answered with status %d", response->status);
	return psprintf("the system answered with status %d: %s", response->status, words);
}
