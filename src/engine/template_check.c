/*
 * engine/template_check.c
 *	  What can be found wrong with a template when its step is called.
 *
 * Runs in workers and inside bodies, when a step is called; pure but for errors.  Here is
 * refused what could not be rendered, or sent, when the undo is needed.
 */
#include "postgres.h"

#include "engine/template.h"
#include "shared/template_piece.h"
#include "http/url.h"
#include "shared/json.h"

/* ---- questions ------------------------------------------------------------ */

bool
df_template_names(const char *tmpl, const char *field)
{
	DfPiece piece;

	while (*tmpl != '\0')
	{
		tmpl = df_piece_next(tmpl, &piece);
		if (df_piece_is(&piece, field))
			return true;
	}
	return false;
}

bool
df_template_names_below(const char *tmpl, const char *field)
{
	DfPiece piece;
	const char *rest;
	int len;

	while (*tmpl != '\0')
	{
		tmpl = df_piece_next(tmpl, &piece);
		if (df_piece_is_below(&piece, field, &rest, &len))
			return true;
	}
	return false;
}

bool
df_template_needs_response(const char *tmpl)
{
	DfPiece piece;

	while (*tmpl != '\0')
	{
		tmpl = df_piece_next(tmpl, &piece);
		if (piece.kind == DF_PIECE_FIELD && !df_piece_is_known(&piece))
			return true;
	}
	return false;
}

bool
df_template_any(const Jsonb *value, bool (*test)(const char *tmpl))
{
	DfJsonWalk walk;

	if (value == NULL)
		return false;
	df_json_walk_deep(&walk, value);
	while (df_json_next(&walk))
		if (walk.value.type == jbvString && test(df_json_string_of(&walk.value)))
			return true;
	return false;
}

/* ---- checks --------------------------------------------------------------- */

static void
raise_malformed(const char *tmpl, const char *what, const char *problem)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("%s \"%s\" is malformed", what, tmpl), errdetail("%s", problem),
			 errhint("Write a field as {id}, {a.b}, {a.0.id}, {request.x}, {response.status}, "
					 "{response.headers.location}, with a filter as {x|path}, {x|last} or "
					 "{x|quoted}; write a brace as {{ or }}.")));
}

void
df_template_check(const char *tmpl, const char *what)
{
	const char *p = tmpl;
	DfPiece piece;

	while (p = df_piece_next(p, &piece), piece.kind != DF_PIECE_END)
		if (piece.kind == DF_PIECE_BAD)
			raise_malformed(tmpl, what, piece.problem);
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
			(request[len + 1] != '/' && request[len + 1] != '{'))
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

/* {x|path} is a whole path: it stands at the beginning, and what stands there is one or a slash */
static const char *
path_position_problem(const char *path)
{
	const char *p = path;
	DfPiece piece;

	while (p = df_piece_next(p, &piece), piece.kind != DF_PIECE_END)
	{
		bool first = piece.text <= path + 1;

		if (first && piece.kind == DF_PIECE_FIELD && !piece.path)
			return "The path begins with a field that is not a whole path.";
		if (!first && piece.kind == DF_PIECE_FIELD && piece.path)
			return "A field that is a whole path does not stand at the beginning.";
	}
	return NULL;
}

void
df_template_check_request(const char *request, const char *what)
{
	char *method;
	char *path;
	const char *problem;

	df_template_split(request, what, &method, &path);
	df_template_check(request, what);
	problem = path_position_problem(path);
	if (problem != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s \"%s\" cannot be used", what, request), errdetail("%s", problem),
				 errhint("Write the path of a link as \"DELETE {links.self|path}\", the rest of a "
						 "path as \"DELETE /users/{id}\".")));
}

void
df_template_check_known(const char *tmpl, const DfTemplateVars *vars, bool is_path,
						const char *what)
{
	char *problem = df_template_problem(tmpl, vars, is_path);

	if (problem != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s \"%s\" cannot be rendered: %s", what, tmpl, problem),
				 errhint("Name what is in the body of the request, such as {request.email}; "
						 "{run_key} needs a run that was started with a key.")));
}

/*
 * The value of a field is percent-encoded, or checked to be below the url, and cannot lead to
 * another host; so the text of the template alone shows whether it would.  Checked when the
 * step is called, not when the undo is needed.
 */
void
df_template_check_stays(const char *url, const char *text, const char *key)
{
	const char *space = text == NULL ? NULL : strchr(text, ' ');
	const char *why = NULL;
	const char *path;

	if (space == NULL)
		return;
	path = space + 1;
	if (path[0] == '{' && path[1] != '{')
		path = psprintf("/x%s", path + strcspn(path, "}") + 1);
	if (df_url_join(url, path, &why) != NULL)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("%s \"%s\" cannot be used", key, text),
			 errdetail_internal("%s", why),
			 errhint("Give a path below the system's url, such as 'DELETE /users/{id}'.")));
}
