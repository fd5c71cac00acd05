/*
 * shared/template_piece.c
 *	  A template, piece by piece: text, and fields with their filters.
 *
 * Runs in workers, bodies and sessions; pure: no SQL, no state, no errors.  What is
 * malformed is a piece, too, which says why.
 */
#include "postgres.h"

#include "shared/json.h"
#include "shared/template_piece.h"

static const char *
field_problem(const char *field, int len)
{
	if (len == 0)
		return "There is a field without a name.";
	if (field[0] == '.' || field[len - 1] == '.')
		return "A field begins or ends with a dot.";
	for (int i = 1; i < len; i++)
		if (field[i] == '.' && field[i - 1] == '.')
			return "A field has two dots in a row.";
	return NULL;
}

/* one filter, from behind its bar to the next bar or the end */
static const char *
read_filter(const char *filter, int len, DfPiece *piece)
{
	bool *which = NULL;

	if (len == 4 && memcmp(filter, "path", 4) == 0)
		which = &piece->path;
	else if (len == 4 && memcmp(filter, "last", 4) == 0)
		which = &piece->last;
	else if (len == 6 && memcmp(filter, "quoted", 6) == 0)
		which = &piece->quoted;
	if (which == NULL)
		return "After a field and \"|\" only \"path\", \"last\" or \"quoted\" may follow.";
	if (*which)
		return "A filter is there twice.";
	if (which == &piece->last && piece->quoted)
		return "\"last\" must stand before \"quoted\".";
	*which = true;
	if (piece->path && (piece->last || piece->quoted))
		return "\"path\" must be the only filter of a field.";
	return NULL;
}

static const char *
next_field(const char *p, DfPiece *piece)
{
	const char *end = p + strcspn(p, "{}");
	const char *bar = p + strcspn(p, "{}|");

	piece->text = p;
	piece->len = bar - p;
	if (*end != '}')
		piece->problem = "A brace is not closed.";
	else
		piece->problem = field_problem(p, piece->len);
	while (piece->problem == NULL && bar < end)
	{
		const char *filter = bar + 1;

		bar = filter + strcspn(filter, "}|");
		piece->problem = read_filter(filter, bar - filter, piece);
	}
	piece->kind = piece->problem == NULL ? DF_PIECE_FIELD : DF_PIECE_BAD;
	return *end == '}' ? end + 1 : end;
}

const char *
df_piece_next(const char *p, DfPiece *piece)
{
	memset(piece, 0, sizeof(*piece));
	piece->text = p;
	if (*p == '\0')
		return p;
	piece->kind = DF_PIECE_TEXT;
	piece->len = 1;
	if ((p[0] == '{' || p[0] == '}') && p[1] == p[0])
		return p + 2;
	if (*p == '{')
		return next_field(p + 1, piece);
	if (*p == '}')
	{
		piece->kind = DF_PIECE_BAD;
		piece->problem = "A brace is closed that was not opened.";
		return p + 1;
	}
	piece->len = strcspn(p, "{}");
	return p + piece->len;
}

bool
df_piece_is(const DfPiece *piece, const char *name)
{
	return piece->kind == DF_PIECE_FIELD && piece->len == (int) strlen(name) &&
		memcmp(piece->text, name, piece->len) == 0;
}

bool
df_piece_is_below(const DfPiece *piece, const char *name, const char **rest, int *len)
{
	int name_len = strlen(name);

	if (piece->kind != DF_PIECE_FIELD || piece->len < name_len ||
		memcmp(piece->text, name, name_len) != 0 ||
		(piece->len > name_len && piece->text[name_len] != '.'))
		return false;
	*rest = piece->text + Min(piece->len, name_len + 1);
	*len = piece->text + piece->len - *rest;
	return true;
}

bool
df_piece_is_known(const DfPiece *piece)
{
	const char *rest;
	int len;

	return df_piece_is(piece, "run") || df_piece_is(piece, "run_key") ||
		df_piece_is(piece, "idempotency_key") || df_piece_is_below(piece, "request", &rest, &len);
}

/* {id}, {response.id} and {response.body.id} are the same; a body may have a "response" itself */
bool
df_piece_of_body(const DfPiece *piece, const Jsonb *body, JsonbValue **value)
{
	DfPiece below = {.kind = DF_PIECE_FIELD};
	const char *rest;
	int len;

	*value = NULL;
	if (df_piece_is_known(piece))
		return false;
	if (df_piece_is_below(piece, "response", &below.text, &below.len))
	{
		if (df_piece_is(&below, "status") || df_piece_is_below(&below, "headers", &rest, &len))
			return false;
		if (df_piece_is_below(&below, "body", &rest, &len))
		{
			*value = df_json_descend(body, rest, len);
			return true;
		}
		if (below.len > 0)
			*value = df_json_descend(body, below.text, below.len);
	}
	if (*value == NULL)
		*value = df_json_descend(body, piece->text, piece->len);
	return true;
}

/* a string of a body that is nothing but a field takes an object, too */
static bool
is_whole(const DfPiece *piece, const char *tmpl)
{
	return !df_piece_is_filtered(piece) && piece->text == tmpl + 1 &&
		piece->text[piece->len + 1] == '\0';
}

char *
df_template_lacks(const char *tmpl, const Jsonb *body, bool is_path)
{
	const char *p = tmpl;
	DfPiece piece;

	while (p = df_piece_next(p, &piece), piece.kind != DF_PIECE_END)
	{
		JsonbValue *value;
		char *text;

		if (piece.kind != DF_PIECE_FIELD || !df_piece_of_body(&piece, body, &value))
			continue;
		if (value != NULL && !is_path && is_whole(&piece, tmpl) && value->type != jbvNull)
			continue;
		text = value == NULL ? NULL : df_json_scalar_of(value);
		if (text == NULL || (is_path && *text == '\0'))
			return pnstrdup(piece.text, piece.len);
	}
	return NULL;
}
