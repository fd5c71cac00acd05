/*
 * engine/request_body.c
 *	  The body of a request: what is recorded of it, and the bytes that are sent.
 *
 * Runs in workers, within a body, where a step is called, and in the recording transaction,
 * where a request is made; pure but for memory.  What is recorded is frozen: each attempt
 * sends the same bytes.
 */
#include "postgres.h"

#include "engine/form_fields.h"
#include "engine/multipart.h"
#include "engine/request_body.h"
#include "http/url.h"
#include "shared/format_names.h"
#include "shared/encoding.h"
#include "shared/json.h"

char *
df_body_json(const Jsonb *body)
{
	return df_json_to_text(body);
}

/* ---- forms ---------------------------------------------------------------- */

static void
put_field(void *arg, const char *name, const JsonbValue *value)
{
	StringInfo to = arg;
	char *text = df_json_scalar_of(value);

	if (text != NULL)
		appendStringInfo(to, "%s%s=%s", to->len > 0 ? "&" : "", name,
						 df_url_encode(df_text_to_utf8(text)));
}

/* false: it is an object or an array */
static bool
single_value(const Jsonb *body, JsonbValue *value)
{
	DfJsonWalk walk;

	df_json_walk(&walk, body);
	if (!JB_ROOT_IS_SCALAR(body) || !df_json_next(&walk))
		return false;
	*value = walk.value;
	return true;
}

char *
df_body_form(const Jsonb *body, DfFormArrays arrays)
{
	StringInfoData out;
	DfFieldWalk walk = {.arrays = arrays, .encoded = true, .sink = put_field, .arg = &out};
	JsonbValue value;

	initStringInfo(&out);
	if (!single_value(body, &value))
		df_form_fields(&walk, body);
	else if (value.type != jbvNull)
		appendStringInfoString(&out, df_url_encode(df_text_to_utf8(df_json_scalar_of(&value))));
	return out.data;
}

bool
df_body_may_be_json(const char *recorded)
{
	return recorded == NULL || *recorded == '\0' || strchr("{[\"", *recorded) != NULL ||
		strchr(recorded, '=') == NULL;
}

/* ---- all encodings -------------------------------------------------------- */

char *
df_body_problem(const DfBodyFormat *format, const Jsonb *body, char **hint)
{
	JsonbValue value;

	*hint = NULL;
	switch (format->encoding)
	{
		case DF_ENCODING_JSON:
			return NULL;
		case DF_ENCODING_FORM:
			if (!JB_ROOT_IS_ARRAY(body) || JB_ROOT_IS_SCALAR(body) ||
				format->form_arrays == DF_ARRAYS_INDICES)
				return NULL;
			*hint = pstrdup("Give an object: the fields of a form have names.");
			return pstrdup("the body is an array");
		case DF_ENCODING_TEXT:
			if (single_value(body, &value) && value.type == jbvString)
				return NULL;
			*hint = pstrdup("With the encoding text, give a string such as "
							"to_jsonb('<order/>'::text).");
			return pstrdup("the body is not a JSON string");
		case DF_ENCODING_MULTIPART:
			return df_multipart_problem(body, hint);
	}
	return NULL;
}

bool
df_body_is_recorded_as_json(const DfBodyFormat *format)
{
	return format->encoding == DF_ENCODING_JSON || format->encoding == DF_ENCODING_MULTIPART;
}

char *
df_body_recorded(const DfBodyFormat *format, const Jsonb *body)
{
	JsonbValue value;

	switch (format->encoding)
	{
		case DF_ENCODING_FORM:
			return df_body_form(body, format->form_arrays);
		case DF_ENCODING_TEXT:
			if (single_value(body, &value) && value.type != jbvNull)
				return df_json_scalar_of(&value);
			break;
		case DF_ENCODING_JSON:
		case DF_ENCODING_MULTIPART:
			break;
	}
	return df_body_json(body);
}

static DfBodyBytes
multipart_bytes(const DfBodyFormat *format, const char *recorded)
{
	StringInfoData text;
	DfBodyBytes bytes;
	char *boundary;

	initStringInfo(&text);
	df_multipart_write(&text, df_json_read(recorded), format->form_arrays, &boundary);
	bytes.data = text.data;
	bytes.len = text.len;
	bytes.content_type = psprintf("%s; boundary=%s", df_body_content_type(format), boundary);
	return bytes;
}

DfBodyBytes
df_body_bytes(const DfBodyFormat *format, const char *recorded)
{
	DfBodyBytes bytes = {NULL};

	if (recorded == NULL)
		return bytes;
	if (format->encoding == DF_ENCODING_MULTIPART)
		return multipart_bytes(format, recorded);
	bytes.data = df_text_to_utf8(recorded);
	bytes.len = strlen(bytes.data);
	bytes.content_type = df_body_content_type(format);
	return bytes;
}
