/*
 * engine/read_body.c
 *	  What the body of a response says, read as the world writes it.
 *
 * Runs in a worker, in its recording transaction: the tables of charsets are in the
 * catalog.  Pure but for memory: it changes no step, and no response, however broken,
 * raises.  A body is there for a step that has been carried out: what a strict parser
 * refuses is read as far as it can be, because the id that its undo needs is in it.
 */
#include "postgres.h"

#include "engine/read_body.h"
#include "guc.h"
#include "shared/charset.h"
#include "shared/encoding.h"
#include "shared/json.h"
#include "shared/json_repair.h"
#include "shared/json_size.h"

/* what Content-Type says, in lower case */
typedef struct BodyType
{
	char name[128]; /* "application/json", "" = none was given */
	char charset[64]; /* "" = none was given */
} BodyType;

/* ---- the type ------------------------------------------------------------- */

static void
copy_lower(char *to, size_t room, const char *from, size_t len)
{
	len = Min(len, room - 1);
	for (size_t i = 0; i < len; i++)
		to[i] = (char) pg_ascii_tolower((unsigned char) from[i]);
	to[len] = '\0';
}

static void
read_charset(const char *parameter, BodyType *type)
{
	const char *value = parameter + strlen("charset");
	size_t len;

	value += strspn(value, " \t");
	if (*value != '=')
		return;
	value += 1 + strspn(value + 1, " \t\"'");
	len = strcspn(value, " \t\"';,");
	copy_lower(type->charset, sizeof(type->charset), value, len);
}

static BodyType
read_type(const char *content_type)
{
	BodyType type = {"", ""};
	const char *at = content_type != NULL ? content_type + strspn(content_type, " \t") : "";

	copy_lower(type.name, sizeof(type.name), at, strcspn(at, "; \t,"));
	while ((at = strchr(at, ';')) != NULL)
	{
		at++;
		at += strspn(at, " \t");
		if (pg_strncasecmp(at, "charset", strlen("charset")) == 0)
			read_charset(at, &type);
	}
	return type;
}

/* application/json, text/json, application/problem+json, ...; not several values in a row */
static bool
is_json_type(const BodyType *type)
{
	return strstr(type->name, "json") != NULL && strstr(type->name, "ndjson") == NULL &&
		strstr(type->name, "jsonl") == NULL && strstr(type->name, "json-seq") == NULL;
}

static bool
is_binary_type(const BodyType *type)
{
	static const char *const binary[] = {"image/", "audio/", "video/", "font/",
										 "application/octet-stream", "application/pdf",
										 "application/zip", "application/gzip"};

	for (int i = 0; i < (int) lengthof(binary); i++)
		if (strncmp(type->name, binary[i], strlen(binary[i])) == 0 &&
			strcmp(type->name, "image/svg+xml") != 0)
			return true;
	return false;
}

/* ---- JSON ----------------------------------------------------------------- */

static const char *
skip_space(const char *text)
{
	for (;;)
	{
		text += strspn(text, " \t\r\n\f\v");
		if (strncmp(text, "\xEF\xBB\xBF", 3) != 0) /* some write the mark twice */
			return text;
		text += 3;
	}
}

/* some put a line before their JSON that no script of a browser's gets past */
static const char *
skip_guard(const char *text)
{
	static const char *const guards[] = {")]}'", ")]}", "while(1);", "for(;;);"};

	for (int i = 0; i < (int) lengthof(guards); i++)
	{
		size_t len = strlen(guards[i]);

		if (strncmp(text, guards[i], len) == 0)
			return skip_space(text + len + strspn(text + len, ","));
	}
	return text;
}

/*
 * JSON that can be kept: few bytes of it may be gigabytes of text, once the
 * numbers are written out.  Otherwise its text is longer than its bytes only by white space.
 */
static Jsonb *
parse_strictly(const char *utf8, MemoryContext cxt)
{
	size_t len = strlen(utf8);
	size_t most = Max((size_t) df_max_body, 2 * len);
	char *text = df_json_from_utf8(utf8, len);
	Jsonb *result = text != NULL ? df_json_parse(text, strlen(text), cxt) : NULL;

	return result != NULL && df_jsonb_text_size(result, most) <= most ? result : NULL;
}

static Jsonb *
parse(const char *utf8, MemoryContext cxt)
{
	Jsonb *result = parse_strictly(utf8, cxt);
	char *repaired;

	if (result != NULL)
		return result;
	repaired = df_json_repair(utf8);
	return repaired != NULL ? parse_strictly(repaired, cxt) : NULL;
}

static bool
looks_like_json(const char *text)
{
	return *text == '{' || *text == '[';
}

/* NULL = it is none; of a type that is not JSON's only objects and arrays are taken for it */
static Jsonb *
read_json(const char *utf8, const BodyType *type, MemoryContext cxt)
{
	const char *text = skip_guard(skip_space(utf8));

	if (!looks_like_json(text) && !is_json_type(type) && type->name[0] != '\0')
		return NULL;
	return is_binary_type(type) ? NULL : parse(text, cxt);
}

/* ---- the body ------------------------------------------------------------- */

static Jsonb *
read_string(const char *utf8, MemoryContext cxt)
{
	char *text = df_text_from_utf8(utf8, strlen(utf8));

	return text != NULL ? df_json_string(text, strlen(text), cxt) : NULL;
}

/*
 * Whether what is no JSON was to be, or is a page of something between: a word alone is taken
 * for a text of a careless system.
 */
static bool
is_damaged_json(const char *utf8, const BodyType *type)
{
	const char *text = skip_guard(skip_space(utf8));

	return is_json_type(type) && strchr("{[\"<", *text) != NULL;
}

static char *
read_utf8(const DfResponse *response, const BodyType *type, bool *exact)
{
	if (response->body == NULL || response->body_len == 0 || response->form == DF_BODY_BROKEN)
		return NULL;
	return df_charset_to_utf8(response->body, response->body_len,
							  type->charset[0] != '\0' ? type->charset : NULL, exact);
}

/* bytes of a compression that we do not know, or of a picture */
static bool
is_text(const DfResponse *response, const BodyType *type, bool exact)
{
	return exact || (response->form != DF_BODY_CODED && !is_binary_type(type));
}

Jsonb *
df_response_json(const DfResponse *response, MemoryContext cxt, bool *unusable)
{
	BodyType type = read_type(response->content_type);
	Jsonb *result;
	bool exact;
	char *utf8;

	*unusable = response->fate == DF_FATE_TOO_LARGE || response->form == DF_BODY_BROKEN;
	utf8 = *unusable ? NULL : read_utf8(response, &type, &exact);
	if (utf8 == NULL)
		return NULL;
	*unusable = !is_text(response, &type, exact);
	if (*unusable || *skip_space(utf8) == '\0')
		return NULL;
	result = read_json(utf8, &type, cxt);
	if (result != NULL)
		return result;
	*unusable = is_damaged_json(utf8, &type);
	return read_string(utf8, cxt);
}

char *
df_response_text(const DfResponse *response)
{
	BodyType type = read_type(response->content_type);
	bool exact;
	char *utf8 = read_utf8(response, &type, &exact);

	return utf8 != NULL && is_text(response, &type, exact)
		? df_text_from_utf8(utf8, strlen(utf8))
		: NULL;
}

char *
df_response_utf8(const DfResponse *response)
{
	BodyType type = read_type(response->content_type);
	bool exact;
	char *utf8 = read_utf8(response, &type, &exact);
	bool same = utf8 != NULL && strlen(utf8) == response->body_len &&
		memcmp(utf8, response->body, response->body_len) == 0;

	return same ? NULL : utf8;
}

const char *
df_response_why_unusable(const DfResponse *response)
{
	if (response->fate == DF_FATE_TOO_LARGE)
		return psprintf("the answer is larger than max_body (%zu bytes were read)",
						response->body_len);
	if (response->form == DF_BODY_BROKEN && response->error != NULL && response->error[0] != '\0')
		return psprintf("the answer broke off behind its headers (%s)", response->error);
	if (response->form == DF_BODY_BROKEN)
		return "the answer's body cannot be decompressed";
	if (response->form == DF_BODY_CODED)
		return "the answer's body has a Content-Encoding that is not known";
	return "the answer's body cannot be read as what its Content-Type says";
}
