/*
 * engine/template.c
 *	  Undo and probe templates.
 *
 * Runs in workers and in sessions that simulate; pure but for memory: no SQL, no
 * state.  Values go into a path percent-encoded and into a body as JSON, never
 * as text that is parsed again: what a system responds stays a value.
 *
 * "run", "run_key", "idempotency_key" and "request" are fields of the engine, and so
 * is "response", with its status and headers; every other field is one of the body of
 * the response.
 */
#include "postgres.h"

#include "engine/template.h"
#include "shared/template_piece.h"
#include "http/url.h"
#include "lib/stringinfo.h"
#include "shared/encoding.h"
#include "shared/header.h"
#include "shared/json.h"
#include "types/response.h"
#include "utils/builtins.h"
#include "utils/formatting.h"

/* ---- values --------------------------------------------------------------- */

static JsonbValue *
int_value(int number)
{
	JsonbValue *value = palloc(sizeof(JsonbValue));

	value->type = jbvNumeric;
	value->val.numeric = DatumGetNumeric(DirectFunctionCall1(int4_numeric, Int32GetDatum(number)));
	return value;
}

static JsonbValue *
text_value(const char *text)
{
	JsonbValue *value;

	if (text == NULL)
		return NULL;
	value = palloc(sizeof(JsonbValue));
	value->type = jbvString;
	value->val.string.val = pstrdup(text);
	value->val.string.len = strlen(text);
	return value;
}

/* ---- what there is instead of a field -------------------------------------- */

#define SHOWN_NAMES 12
#define SHOWN_NAME 40

/* a key that may be data, such as an address, is not for a message */
static bool
is_plain_name(const char *name)
{
	return strlen(name) <= SHOWN_NAME && name[0] >= 'A' &&
		strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") ==
		strlen(name);
}

static char *
names_in(const Jsonb *json)
{
	StringInfoData names;
	DfJsonWalk walk;
	int n = 0;

	if (json == NULL || !JB_ROOT_IS_OBJECT(json))
		return NULL;
	initStringInfo(&names);
	df_json_walk(&walk, json);
	while (df_json_next(&walk))
	{
		if (!is_plain_name(walk.key) || n >= SHOWN_NAMES)
			continue;
		appendStringInfo(&names, "%s\"%s\"", n++ > 0 ? ", " : "", walk.key);
	}
	return n > 0 ? names.data : NULL;
}

/* the innermost object on the way to a field that is not there */
static const Jsonb *
nearest_object(const Jsonb *json, const char *path, int len)
{
	while (json != NULL && len > 0)
	{
		const char *dot = memchr(path, '.', len);
		int part = dot == NULL ? len : dot - path;
		Jsonb *next = JB_ROOT_IS_OBJECT(json) ? df_json_get(json, pnstrdup(path, part)) : NULL;

		if (next == NULL || !JB_ROOT_IS_OBJECT(next))
			break;
		json = next;
		path += Min(part + 1, len);
		len -= Min(part + 1, len);
	}
	return json;
}

/* names of headers are compared in small letters: so they are recorded */
static JsonbValue *
header_value(const DfTemplateVars *vars, const char *name, int len)
{
	return df_json_descend(vars->headers, asc_tolower(name, len), len);
}

/* of what the system responded, beside the body */
static JsonbValue *
response_value(const DfPiece *field, const DfTemplateVars *vars)
{
	const char *name;
	int len;

	if (df_piece_is_below(field, "response.headers", &name, &len))
		return header_value(vars, name, len);
	return vars->status > 0 ? int_value(vars->status) : NULL;
}

/* templates seldom name these two, so they are made where one does */
static char *
key_of(const DfTemplateVars *vars)
{
	return vars->key.run != NULL ? df_idempotency_key(&vars->key) : "key";
}

static const Jsonb *
request_of(const DfTemplateVars *vars)
{
	const char *text = vars->request_text;

	return vars->request != NULL || text == NULL
		? vars->request
		: df_json_parse(text, strlen(text), CurrentMemoryContext);
}

/* the value of a field, null too; NULL if there is none */
static JsonbValue *
find_field(const DfPiece *field, const DfTemplateVars *vars)
{
	JsonbValue *value;
	const char *rest;
	int len;

	if (df_piece_is(field, "run"))
		return text_value(vars->run);
	if (df_piece_is(field, "run_key"))
		return text_value(vars->run_key);
	if (df_piece_is(field, "idempotency_key"))
		return text_value(key_of(vars));
	if (df_piece_is_below(field, "request", &rest, &len))
		value = df_json_descend(request_of(vars), rest, len);
	else if (!df_piece_of_body(field, vars->response, &value))
		value = response_value(field, vars);
	return value;
}

/* NULL if there is none or it is null */
static JsonbValue *
field_value(const DfPiece *field, const DfTemplateVars *vars)
{
	JsonbValue *value = find_field(field, vars);

	return value == NULL || value->type == jbvNull ? NULL : value;
}

static char *
escape_quotes(const char *text)
{
	StringInfoData escaped;

	initStringInfo(&escaped);
	for (const char *p = text; *p != '\0'; p++)
	{
		if (*p == '"' || *p == '\\')
			appendStringInfoChar(&escaped, '\\');
		appendStringInfoChar(&escaped, *p);
	}
	return escaped.data;
}

/* the path of the thing that the value, a URL of the system, names; NULL with *why */
static char *
as_path(const char *text, const DfTemplateVars *vars, const char **why)
{
	char *path;
	size_t len;

	*why = "its system is not there";
	if (vars->secret_query != NULL)
		text = df_url_without(text, (const char *const *) vars->secret_query);
	if (text == NULL)
		return NULL;
	if (strstr(text, DF_REDACTED) != NULL)
	{
		*why = "it was recorded without a secret in it";
		return NULL;
	}
	path = vars->base == NULL ? NULL : df_url_below(vars->base, vars->asked, text, why);
	if (path == NULL || !vars->asked_to_make)
		return path;
	/* "DELETE /users", for a system that names the collection, would take away all of them */
	for (len = strcspn(path, "?"); len > 1 && path[len - 1] == '/'; len--)
		;
	if (strcspn(vars->asked, "?") != len || strncmp(path, vars->asked, len) != 0)
		return path;
	*why = "it names what was asked, not what was made";
	return NULL;
}

static char *
filtered(const DfPiece *field, char *text, const DfTemplateVars *vars, const char **why)
{
	if (field->path)
		text = as_path(text, vars, why);
	else if (field->last)
	{
		text = df_url_last_segment(df_text_to_utf8(text));
		if (text != NULL)
			text = df_text_from_utf8(text, strlen(text));
		*why = "it has no last segment";
	}
	return text != NULL && field->quoted ? escape_quotes(text) : text;
}

static char *
no_such_field(const DfPiece *field, const DfTemplateVars *vars)
{
	const char *rest = field->text;
	int len = field->len;
	const Jsonb *where = vars->response;
	char *names;

	if (df_piece_is_below(field, "request", &rest, &len))
		where = request_of(vars);
	else if (df_piece_is_below(field, "response.headers", &rest, &len))
		where = vars->headers;
	names = names_in(nearest_object(where, rest, len));

	return psprintf("there is no field \"%.*s\"%s%s", field->len, field->text,
					names != NULL ? ", there are " : "", names != NULL ? names : "");
}

static char *
why_no_value(const DfPiece *field, const DfTemplateVars *vars)
{
	JsonbValue *value = find_field(field, vars);

	if (value == NULL)
		return no_such_field(field, vars);
	return psprintf("field \"%.*s\" is %s", field->len, field->text,
					value->type == jbvNull ? "null" : "an object or a list");
}

/* the text of a field; NULL with *why, a sentence */
static char *
field_text(const DfPiece *field, const DfTemplateVars *vars, char **why)
{
	JsonbValue *value = field_value(field, vars);
	char *text = value == NULL ? NULL : df_json_scalar_of(value);
	const char *problem = NULL;

	if (text == NULL)
	{
		*why = why_no_value(field, vars);
		return NULL;
	}
	/* read with a character missing (read_body.c), it would name something else */
	if (strstr(df_text_to_utf8(text), "\xEF\xBF\xBD") != NULL)
		text = NULL, problem = "it was read with a character missing";
	else
		text = filtered(field, text, vars, &problem);
	if (text == NULL)
		*why = psprintf("field \"%.*s\" cannot be used: %s", field->len, field->text, problem);
	return text;
}

/* ---- rendering ------------------------------------------------------------ */

/*
 * An empty value in a path would name the collection instead of the thing in it: "DELETE
 * /users/".  In a query it chooses nothing, which most systems take for all: "DELETE
 * /users?id=".  So there it counts as missing.
 */
static char *
render(const char *tmpl, const DfTemplateVars *vars, bool is_path, char **why)
{
	StringInfoData out;
	DfPiece piece;
	char *text;

	initStringInfo(&out);
	while (tmpl = df_piece_next(tmpl, &piece), piece.kind != DF_PIECE_END)
	{
		if (piece.kind == DF_PIECE_TEXT)
		{
			appendBinaryStringInfo(&out, piece.text, piece.len);
			continue;
		}
		text = field_text(&piece, vars, why);
		if (text != NULL && is_path && *text == '\0')
		{
			*why = psprintf("field \"%.*s\" is empty", piece.len, piece.text);
			text = NULL;
		}
		if (text == NULL)
		{
			pfree(out.data);
			return NULL;
		}
		if (is_path && !piece.path)
			text = df_url_encode(df_text_to_utf8(text));
		appendStringInfoString(&out, text);
	}
	return out.data;
}

char *
df_template_path(const char *tmpl, const DfTemplateVars *vars, char **why)
{
	return render(tmpl, vars, true, why);
}

/* a string that is nothing but a field becomes its value, an object or array too */
static JsonbValue *
render_string(const JsonbValue *string, const DfTemplateVars *vars, char **why)
{
	char *tmpl = pnstrdup(string->val.string.val, string->val.string.len);
	DfPiece piece;
	JsonbValue *value;

	if (*df_piece_next(tmpl, &piece) != '\0' || piece.kind != DF_PIECE_FIELD ||
		df_piece_is_filtered(&piece))
		return text_value(render(tmpl, vars, false, why));
	value = field_value(&piece, vars);
	if (value == NULL)
		*why = why_no_value(&piece, vars);
	return value;
}

Jsonb *
df_template_body(const Jsonb *tmpl, const DfTemplateVars *vars, char **why)
{
	JsonbIterator *it = JsonbIteratorInit((JsonbContainer *) &tmpl->root);
	JsonbParseState *state = NULL;
	JsonbValue *result = NULL;
	JsonbValue value;
	JsonbIteratorToken token;

	while ((token = JsonbIteratorNext(&it, &value, false)) != WJB_DONE)
	{
		bool has_value = token == WJB_KEY || token == WJB_VALUE || token == WJB_ELEM;
		JsonbValue *next = has_value ? &value : NULL;

		if ((token == WJB_VALUE || token == WJB_ELEM) && value.type == jbvString)
		{
			next = render_string(&value, vars, why);
			if (next == NULL)
				return NULL;
		}
		if (token == WJB_ELEM && JB_ROOT_IS_SCALAR(tmpl))
			return JsonbValueToJsonb(next);
		result = pushJsonbValue(&state, token, next);
	}
	return JsonbValueToJsonb(result);
}

/* a value with a line break would begin another header */
Jsonb *
df_template_headers(const Jsonb *tmpl, const DfTemplateVars *vars, char **why)
{
	DfJsonWalk walk;
	DfJson json;

	df_json_begin(&json);
	df_json_walk(&walk, tmpl);
	while (df_json_next(&walk))
	{
		char *text = NULL;

		if (walk.value.type == jbvString &&
			(text = render(df_json_string_of(&walk.value), vars, false, why)) == NULL)
			return NULL;
		if (text != NULL && !df_header_value_is_legal(text, strlen(text)))
		{
			*why = psprintf("header \"%s\" would contain a control character", walk.key);
			return NULL;
		}
		if (text != NULL)
			df_json_text(&json, walk.key, text);
		else
			df_json_null(&json, walk.key);
	}
	return df_json_end(&json, CurrentMemoryContext);
}

/* a field that is known when the step is called, in this place of its template; NULL = it fits */
static char *
known_problem(const DfPiece *field, const char *tmpl, const DfTemplateVars *vars, bool is_path)
{
	bool whole = !is_path && !df_piece_is_filtered(field) && field->text == tmpl + 1 &&
		field->text[field->len + 1] == '\0';
	char *why = NULL;
	char *text;

	if (whole && field_value(field, vars) != NULL)
		return NULL;
	text = field_text(field, vars, &why);
	if (text != NULL && is_path && *text == '\0')
		why = psprintf("field \"%.*s\" is empty", field->len, field->text);
	return why;
}

char *
df_template_problem(const char *tmpl, const DfTemplateVars *vars, bool is_path)
{
	const char *p = tmpl;
	char *problem = NULL;
	DfPiece piece;

	while (problem == NULL && (p = df_piece_next(p, &piece), piece.kind != DF_PIECE_END))
		if (df_piece_is_known(&piece))
			problem = known_problem(&piece, tmpl, vars, is_path);
	return problem;
}
