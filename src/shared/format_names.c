/*
 * shared/format_names.c
 *	  The names of encodings and of forms of arrays, and which types of content fit them.
 *
 * Options of systems (fdw) and of steps (engine) ask here, in any process, transaction and
 * role.  Reads its arguments only.  Never raise an error here: the callers say what is wrong
 * in their own way.
 */
#include "postgres.h"

#include "shared/format_names.h"
#include "shared/header.h"

#define MULTIPART "multipart/"
#define LONGEST_TYPE 200

static const char *const encodings[] = {
	[DF_ENCODING_JSON] = "json",
	[DF_ENCODING_FORM] = "form",
	[DF_ENCODING_TEXT] = "text",
	[DF_ENCODING_MULTIPART] = "multipart",
};

static const char *const content_types[] = {
	[DF_ENCODING_JSON] = "application/json",
	[DF_ENCODING_FORM] = "application/x-www-form-urlencoded",
	[DF_ENCODING_TEXT] = "text/plain; charset=utf-8",
	[DF_ENCODING_MULTIPART] = MULTIPART "form-data",
};

static const char *const arrays_names[] = {
	[DF_ARRAYS_INDICES] = "indices",
	[DF_ARRAYS_BRACKETS] = "brackets",
	[DF_ARRAYS_REPEAT] = "repeat",
};

bool
df_encoding_named(const char *name, DfEncoding *encoding)
{
	for (int i = 0; i < lengthof(encodings); i++)
	{
		if (strcmp(name, encodings[i]) != 0)
			continue;
		*encoding = (DfEncoding) i;
		return true;
	}
	return false;
}

bool
df_form_arrays_named(const char *name, DfFormArrays *arrays)
{
	for (int i = 0; i < lengthof(arrays_names); i++)
	{
		if (strcmp(name, arrays_names[i]) != 0)
			continue;
		*arrays = (DfFormArrays) i;
		return true;
	}
	return false;
}

const char *
df_encoding_name(DfEncoding encoding)
{
	return encodings[encoding];
}

const char *
df_form_arrays_name(DfFormArrays arrays)
{
	return arrays_names[arrays];
}

/* what follows "name=" among the parameters of a type, NULL = it has none of that name */
static const char *
parameter(const char *type, const char *name)
{
	const char *at = strchr(type, ';');

	while (at != NULL)
	{
		at += 1 + strspn(at + 1, " \t");
		if (pg_strncasecmp(at, name, strlen(name)) == 0 && at[strlen(name)] == '=')
			return at + strlen(name) + 1;
		at = strchr(at, ';');
	}
	return NULL;
}

/* of a value, with or without quotes */
static bool
is_utf8(const char *charset)
{
	size_t quote = *charset == '"' ? 1 : 0;
	const char *end = charset + quote + strlen("utf-8");

	return pg_strncasecmp(charset + quote, "utf-8", strlen("utf-8")) == 0 &&
		(*end == '\0' || strchr("\"; \t", *end) != NULL);
}

const char *
df_media_type_problem(const char *value)
{
	size_t type = df_header_name_length(value);
	size_t subtype = value[type] == '/' ? df_header_name_length(value + type + 1) : 0;
	const char *end = value + type + 1 + subtype;

	if (strlen(value) > LONGEST_TYPE)
		return "it is longer than 200 characters";
	for (const char *c = value; *c != '\0'; c++)
		if ((unsigned char) *c < ' ' || (unsigned char) *c > 0x7E)
			return "it contains a character that is not printable ASCII";
	if (type == 0 || subtype == 0 || (*end != '\0' && strchr("; \t", *end) == NULL))
		return "it is not a type such as text/xml; charset=utf-8";
	return NULL;
}

const char *
df_content_type_problem(const char *value)
{
	const char *problem = df_media_type_problem(value);
	const char *charset = problem == NULL ? parameter(value, "charset") : NULL;

	if (charset != NULL && !is_utf8(charset))
		return "it names another charset than utf-8, in which all bodies are sent";
	return problem;
}

const char *
df_body_format_problem(const DfBodyFormat *format)
{
	const char *type = format->content_type;

	if (type == NULL)
		return NULL;
	if (format->encoding == DF_ENCODING_MULTIPART)
		return "that of a multipart body is written by the engine, with its boundary";
	if (pg_strncasecmp(type, MULTIPART, strlen(MULTIPART)) == 0)
		return "a type that begins with multipart/ needs the encoding multipart";
	return NULL;
}

const char *
df_body_content_type(const DfBodyFormat *format)
{
	return format->content_type != NULL ? format->content_type : content_types[format->encoding];
}
