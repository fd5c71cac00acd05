/*
 * engine/template.c
 *	  Undo and probe templates, and bodies as bytes.
 *
 * Runs in workers and in sessions that simulate; pure but for memory: no SQL, no
 * state.  Values go into a path percent-encoded and into a body as JSON, never
 * as text that is parsed again: what a system responds stays a value.
 *
 * "run", "run_key", "idempotency_key" and "request" are fields of the engine;
 * every other field is one of the response.
 */
#include "postgres.h"

#include "engine/template.h"
#include "http/url.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "shared/encoding.h"
#include "shared/json.h"
#include "utils/builtins.h"
#include "utils/numeric.h"

#define QUOTED "|quoted"
#define REQUEST "request"

/* ---- pieces of a template ------------------------------------------------- */

typedef enum PieceKind
{
	PIECE_END,
	PIECE_TEXT,
	PIECE_FIELD,
	PIECE_BAD
} PieceKind;

typedef struct Piece
{
	PieceKind kind;
	const char *text; /* the text, or the field's name */
	int len;
	bool quoted;
	const char *problem; /* of a bad one, a sentence */
} Piece;

static bool
ends_with(const char *text, int len, const char *suffix)
{
	int suffix_len = strlen(suffix);

	return len >= suffix_len && memcmp(text + len - suffix_len, suffix, suffix_len) == 0;
}

static const char *
field_problem(const char *field, int len)
{
	if (memchr(field, '|', len) != NULL)
		return "The only thing that may follow a field is \"|quoted\".";
	if (len == 0)
		return "There is a field without a name.";
	if (field[0] == '.' || field[len - 1] == '.')
		return "A field begins or ends with a dot.";
	for (int i = 1; i < len; i++)
		if (field[i] == '.' && field[i - 1] == '.')
			return "A field has two dots in a row.";
	return NULL;
}

static const char *
next_field(const char *p, Piece *piece)
{
	const char *end = p + strcspn(p, "{}");

	piece->text = p;
	piece->len = end - p;
	piece->problem = NULL;
	if (*end != '}')
		piece->problem = "A brace is not closed.";
	else
	{
		piece->quoted = ends_with(p, piece->len, QUOTED);
		if (piece->quoted)
			piece->len -= strlen(QUOTED);
		piece->problem = field_problem(p, piece->len);
		end++;
	}
	piece->kind = piece->problem == NULL ? PIECE_FIELD : PIECE_BAD;
	return end;
}

/* the piece at p; returns where the next one begins */
static const char *
next_piece(const char *p, Piece *piece)
{
	memset(piece, 0, sizeof(*piece));
	piece->text = p;
	if (*p == '\0')
		return p;
	piece->kind = PIECE_TEXT;
	piece->len = 1;
	if ((p[0] == '{' || p[0] == '}') && p[1] == p[0])
		return p + 2;
	if (*p == '{')
		return next_field(p + 1, piece);
	if (*p == '}')
	{
		piece->kind = PIECE_BAD;
		piece->problem = "A brace is closed that was not opened.";
		return p + 1;
	}
	piece->len = strcspn(p, "{}");
	return p + piece->len;
}

static bool
piece_is(const Piece *piece, const char *name)
{
	return piece->len == strlen(name) && memcmp(piece->text, name, piece->len) == 0;
}

bool
df_template_names(const char *tmpl, const char *field)
{
	Piece piece;

	while (*tmpl != '\0')
	{
		tmpl = next_piece(tmpl, &piece);
		if (piece.kind == PIECE_FIELD && piece_is(&piece, field))
			return true;
	}
	return false;
}

static bool
of_request(const Piece *piece)
{
	return piece_is(piece, REQUEST) ||
		(piece->len > strlen(REQUEST) &&
		 strncmp(piece->text, REQUEST ".", strlen(REQUEST ".")) == 0);
}

bool
df_template_needs_response(const char *tmpl)
{
	Piece piece;

	while (*tmpl != '\0')
	{
		tmpl = next_piece(tmpl, &piece);
		if (piece.kind == PIECE_FIELD && !of_request(&piece) && !piece_is(&piece, "run") &&
			!piece_is(&piece, "run_key") && !piece_is(&piece, "idempotency_key"))
			return true;
	}
	return false;
}

/* ---- values --------------------------------------------------------------- */

static JsonbValue *
member(JsonbContainer *container, const char *name, int len)
{
	uint64 index = 0;

	if (JsonContainerIsObject(container))
		return getKeyJsonValueFromContainer(container, name, len, NULL);
	if (!JsonContainerIsArray(container) || JsonContainerIsScalar(container) || len > 9)
		return NULL;
	for (int i = 0; i < len; i++)
	{
		if (name[i] < '0' || name[i] > '9')
			return NULL;
		index = index * 10 + (name[i] - '0');
	}
	return getIthJsonbValueFromContainer(container, (uint32) index);
}

static JsonbValue *
whole_value(const Jsonb *json)
{
	JsonbValue *value;

	if (JB_ROOT_IS_SCALAR(json))
		return getIthJsonbValueFromContainer((JsonbContainer *) &json->root, 0);
	value = palloc(sizeof(JsonbValue));
	JsonbToJsonbValue((Jsonb *) json, value);
	return value;
}

/* the value at a path such as a.b.0.c; NULL = none */
static JsonbValue *
descend(const Jsonb *json, const char *path, int len)
{
	JsonbValue *value;

	if (json == NULL)
		return NULL;
	value = whole_value(json);
	while (len > 0)
	{
		const char *dot = memchr(path, '.', len);
		int part = dot == NULL ? len : dot - path;

		if (value == NULL || value->type != jbvBinary)
			return NULL;
		value = member(value->val.binary.data, path, part);
		path += Min(part + 1, len);
		len -= Min(part + 1, len);
	}
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

/* the value of a field; NULL if there is none or it is null */
static JsonbValue *
field_value(const Piece *field, const DfTemplateVars *vars)
{
	JsonbValue *value;
	int skip;

	if (piece_is(field, "run"))
		return text_value(vars->run);
	if (piece_is(field, "run_key"))
		return text_value(vars->run_key);
	if (piece_is(field, "idempotency_key"))
		return text_value(vars->idempotency_key);
	if (of_request(field))
	{
		skip = Min(field->len, (int) strlen(REQUEST "."));
		value = descend(vars->request, field->text + skip, field->len - skip);
	}
	else
		value = descend(vars->response, field->text, field->len);
	return value == NULL || value->type == jbvNull ? NULL : value;
}

/* a scalar as text, numbers with all their digits; NULL for anything else */
static char *
scalar_text(const JsonbValue *value)
{
	switch (value->type)
	{
		case jbvString:
			return pnstrdup(value->val.string.val, value->val.string.len);
		case jbvNumeric:
			return DatumGetCString(
				DirectFunctionCall1(numeric_out, NumericGetDatum(value->val.numeric)));
		case jbvBool:
			return pstrdup(value->val.boolean ? "true" : "false");
		default:
			return NULL;
	}
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

static char *
field_text(const Piece *field, const DfTemplateVars *vars)
{
	JsonbValue *value = field_value(field, vars);
	char *text = value == NULL ? NULL : scalar_text(value);

	/* read with a character missing (read_body.c), it would name something else */
	if (text != NULL && strstr(df_text_to_utf8(text), "\xEF\xBF\xBD") != NULL)
		return NULL;
	return text != NULL && field->quoted ? escape_quotes(text) : text;
}

/* ---- rendering ------------------------------------------------------------ */

/*
 * An empty value in a path would name the collection instead of the thing in it
 * ("DELETE /users/"), so there it counts as missing; in a query it may be meant.
 */
static char *
render(const char *tmpl, const DfTemplateVars *vars, bool is_path, char **missing)
{
	StringInfoData out;
	Piece piece;
	char *text;

	initStringInfo(&out);
	while (tmpl = next_piece(tmpl, &piece), piece.kind != PIECE_END)
	{
		if (piece.kind == PIECE_TEXT)
		{
			appendBinaryStringInfo(&out, piece.text, piece.len);
			continue;
		}
		text = piece.kind == PIECE_FIELD ? field_text(&piece, vars) : NULL;
		if (text == NULL || (is_path && *text == '\0' && strchr(out.data, '?') == NULL))
		{
			*missing = pnstrdup(piece.text, piece.len);
			pfree(out.data);
			return NULL;
		}
		appendStringInfoString(&out, is_path ? df_url_encode(df_text_to_utf8(text)) : text);
	}
	return out.data;
}

char *
df_template_path(const char *tmpl, const DfTemplateVars *vars, char **missing)
{
	return render(tmpl, vars, true, missing);
}

/* a string that is nothing but a field becomes its value, an object or array too */
static JsonbValue *
render_string(const JsonbValue *string, const DfTemplateVars *vars, char **missing)
{
	char *tmpl = pnstrdup(string->val.string.val, string->val.string.len);
	Piece piece;
	JsonbValue *value;

	if (*next_piece(tmpl, &piece) != '\0' || piece.kind != PIECE_FIELD || piece.quoted)
		return text_value(render(tmpl, vars, false, missing));
	value = field_value(&piece, vars);
	if (value == NULL)
		*missing = pnstrdup(piece.text, piece.len);
	return value;
}

Jsonb *
df_template_body(const Jsonb *tmpl, const DfTemplateVars *vars, char **missing)
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
			next = render_string(&value, vars, missing);
			if (next == NULL)
				return NULL;
		}
		if (token == WJB_ELEM && JB_ROOT_IS_SCALAR(tmpl))
			return JsonbValueToJsonb(next);
		result = pushJsonbValue(&state, token, next);
	}
	return JsonbValueToJsonb(result);
}

/* ---- checks --------------------------------------------------------------- */

void
df_template_check(const char *tmpl, const char *what)
{
	const char *p = tmpl;
	Piece piece;

	while (p = next_piece(p, &piece), piece.kind != PIECE_END)
		if (piece.kind == PIECE_BAD)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("%s \"%s\" is malformed", what, tmpl), errdetail("%s", piece.problem),
					 errhint("Write a field as {id}, {a.b}, {a.0.id}, {request.x} or {x|quoted}; "
							 "write a brace as {{ or }}.")));
}

void
df_template_check_body(const Jsonb *tmpl, const char *what)
{
	DfJsonWalk walk;

	df_json_walk_deep(&walk, tmpl);
	while (df_json_next(&walk))
		if (walk.value.type == jbvString)
			df_template_check(df_json_string_of(&walk.value), what);
}

void
df_template_split(const char *request, const char *what, char **method, char **path)
{
	static const char *const methods[] = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"};

	for (int i = 0; i < lengthof(methods); i++)
	{
		size_t len = strlen(methods[i]);

		if (strncmp(request, methods[i], len) != 0 || request[len] != ' ' ||
			request[len + 1] != '/')
			continue;
		*method = pstrdup(methods[i]);
		*path = pstrdup(request + len + 1);
		return;
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("%s \"%s\" is not a request", what, request),
			 errhint("Write a method and a path, such as \"DELETE /users/{id}\"; the method is "
					 "GET, HEAD, POST, PUT, PATCH or DELETE.")));
}

/*
 * The value of a field is percent-encoded and cannot lead to another host; so the
 * text of the template alone shows whether it would.  Checked when the step is
 * called, not when the undo is needed.
 */
void
df_template_check_stays(const char *url, const char *text, const char *key)
{
	const char *space = text == NULL ? NULL : strchr(text, ' ');
	const char *why = NULL;

	if (space == NULL || df_url_join(url, space + 1, &why) != NULL)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("%s \"%s\" cannot be used", key, text),
			 errdetail_internal("%s", why),
			 errhint("Give a path below the system's url, such as 'DELETE /users/{id}'.")));
}

/* ---- bodies as bytes ------------------------------------------------------ */

char *
df_body_json(const Jsonb *body)
{
	return df_json_to_text(body);
}

static void form_container(StringInfo out, const char *prefix, JsonbContainer *container);

static void
form_field(StringInfo out, const char *prefix, const char *name, const JsonbValue *value)
{
	char *key = prefix == NULL ? pstrdup(name) : psprintf("%s[%s]", prefix, name);
	char *text;

	if (value->type == jbvBinary)
		form_container(out, key, value->val.binary.data);
	else if ((text = scalar_text(value)) != NULL)
		appendStringInfo(out, "%s%s=%s", out->len > 0 ? "&" : "", key,
						 df_url_encode(df_text_to_utf8(text)));
	pfree(key);
}

static void
form_container(StringInfo out, const char *prefix, JsonbContainer *container)
{
	JsonbIterator *it = JsonbIteratorInit(container);
	JsonbValue value;
	JsonbIteratorToken token;
	char *key = NULL;
	int index = 0;

	check_stack_depth();
	while ((token = JsonbIteratorNext(&it, &value, true)) != WJB_DONE)
	{
		if (token == WJB_KEY)
			key = df_url_encode(
				df_text_to_utf8(pnstrdup(value.val.string.val, value.val.string.len)));
		else if (token == WJB_VALUE)
			form_field(out, prefix, key, &value);
		else if (token == WJB_ELEM)
			form_field(out, prefix, psprintf("%d", index++), &value);
	}
}

/* as a form: keys a[b] and a[0], without nulls; a body that is a single value stays that value */
char *
df_body_form(const Jsonb *body)
{
	StringInfoData out;
	char *text;

	initStringInfo(&out);
	if (!JB_ROOT_IS_SCALAR(body))
		form_container(&out, NULL, (JsonbContainer *) &body->root);
	else if ((text = scalar_text(whole_value(body))) != NULL)
		appendStringInfoString(&out, df_url_encode(df_text_to_utf8(text)));
	return out.data;
}
