/*
 * engine/key_place.c
 *	  Where the idempotency key of a request is: in which header, and in its body or its query
 *	  for systems that want it there.
 *
 * Runs in workers, inside a body when a step is called, and in the recording transaction when
 * a request is made; pure but for memory and errors.  The name is written into the step's
 * options with the intent, so that all attempts send the same bytes, whatever becomes of the
 * system's options.  Names consist of letters, digits and "_.-" (fdw/values.c), which need
 * no escapes in JSON, in forms and in a query.
 */
#include "postgres.h"

#include "engine/key_place.h"
#include "flow/meaning.h"
#include "lib/stringinfo.h"
#include "shared/header.h"

bool
df_key_place_write(DfJson *json, const DfSystem *system)
{
	const char *header = system->idempotency_header != NULL ? system->idempotency_header : "";

	if (pg_strcasecmp(header, DF_IDEMPOTENCY_HEADER) == 0)
		header = NULL;
	df_json_text(json, "key_header", header);
	df_json_text(json, "key_field", system->idempotency_body);
	df_json_text(json, "key_parameter", system->idempotency_query);
	return header != NULL || system->idempotency_body != NULL ||
		system->idempotency_query != NULL;
}

void
df_key_place_read(const Jsonb *options, DfKeyPlace *place)
{
	place->header = df_json_get_text(options, "key_header");
	if (place->header == NULL)
		place->header = DF_IDEMPOTENCY_HEADER;
	place->field = df_json_get_text(options, "key_field");
	place->parameter = df_json_get_text(options, "key_parameter");
}

static bool
carries_key(const char *method)
{
	return df_method_class(method) == DF_METHOD_EFFECT;
}

/* ---- when the step is called ----------------------------------------------- */

static void
refuse(const char *what, const char *name, const char *why, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("%s cannot carry the idempotency key in \"%s\"", what, name),
			 errdetail("%s", why),
			 errhint("%s", hint)));
}

static void
check_body(const DfBodyFormat *format, const char *field, const Jsonb *body, const char *what)
{
	JsonbValue value;

	if (format->encoding == DF_ENCODING_TEXT)
		refuse(what, field, "It is text, which has no fields.",
			   "Use the encoding json, form or multipart, or a system without the option "
			   "\"idempotency_body\".");
	if (body == NULL)
		return;
	if (!JB_ROOT_IS_OBJECT(body))
		refuse(what, field, "It is not a JSON object.",
			   "Give an object, or a system without the option \"idempotency_body\".");
	if (df_json_find(body, field, &value))
		refuse(what, field, "It has a field of that name.",
			   "Leave the field out: each step has its own key, which the engine writes there.");
}

/* "?name=" or "&name=" */
static bool
has_parameter(const char *path, const char *name)
{
	const char *p = strchr(path, '?');
	size_t len = strlen(name);

	for (; p != NULL; p = strchr(p + 1, '&'))
		if (strncmp(p + 1, name, len) == 0 && strchr("=&", p[1 + len]) != NULL)
			return true;
	return false;
}

void
df_key_place_check(const DfSystem *system, const DfBodyFormat *format, const char *request,
				   const Jsonb *body, const char *what)
{
	const char *name = system->idempotency_query;

	if (!carries_key(pnstrdup(request, strcspn(request, " "))))
		return;
	if (system->idempotency_body != NULL)
		check_body(format, system->idempotency_body, body, what);
	if (name != NULL && has_parameter(request, name))
		refuse(what, name, "Its query has a parameter of that name.",
			   "Leave the parameter out: each step has its own key, which the engine writes "
			   "there.");
}

/* ---- when the request is made ---------------------------------------------- */

const char *
df_key_in_path(const DfKeyPlace *place, const char *method, const char *path, const char *key)
{
	if (place->parameter == NULL || !carries_key(method))
		return path;
	return psprintf("%s%c%s=%s", path, strchr(path, '?') != NULL ? '&' : '?', place->parameter,
					key);
}

/* a JSON text begins with a brace; without a body there is one all the same */
static char *
in_json(const char *field, const char *recorded, const char *key)
{
	const char *rest = recorded == NULL ? "}" : strchr(recorded, '{');

	if (rest == NULL)
		return pstrdup(recorded);
	if (*rest == '{')
		rest++;
	rest += strspn(rest, " \t\r\n");
	return psprintf("{\"%s\": \"%s\"%s%s", field, key, *rest == '}' ? "" : ", ", rest);
}

static char *
in_form(const char *field, const char *recorded, const char *key)
{
	bool empty = recorded == NULL || *recorded == '\0';

	return psprintf("%s=%s%s%s", field, key, empty ? "" : "&", empty ? "" : recorded);
}

const char *
df_key_in_body(const DfKeyPlace *place, const char *method, const DfBodyFormat *format,
			   const char *recorded, const char *key)
{
	if (place->field == NULL || !carries_key(method))
		return recorded;
	switch (format->encoding)
	{
		case DF_ENCODING_JSON:
		case DF_ENCODING_MULTIPART:
			return in_json(place->field, recorded, key);
		case DF_ENCODING_FORM:
			return in_form(place->field, recorded, key);
		case DF_ENCODING_TEXT:
			break;
	}
	return recorded;
}
