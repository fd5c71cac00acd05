/*
 * engine/not_meant.c
 *	  What can be written in a step, and cannot be meant.
 *
 * Runs inside bodies, as the workflow's owner, when a step is called; pure but for errors.
 * Each of these mistakes would be found at a customer: one who is left behind by a run that
 * says that it is undone, one who is made twice, or all who are deleted.  Must never refuse
 * what somebody can mean.
 */
#include "postgres.h"

#include <ctype.h>

#include "engine/not_meant.h"
#include "shared/template_piece.h"
#include "flow/meaning.h"

/* ---- paths ---------------------------------------------------------------- */

/* "{name}" in what is no field */
static bool
is_braced_name(const char *p)
{
	const char *end = p + 1;

	if (*p != '{')
		return false;
	while (isalnum((unsigned char) *end) || *end == '_' || *end == '.')
		end++;
	return end > p + 1 && *end == '}';
}

/* "/:name" */
static bool
is_route_name(const char *p)
{
	return p[0] == '/' && p[1] == ':' && isalpha((unsigned char) p[2]);
}

/* the text of a template, a byte for each field: what it would be without values */
static char *
without_fields(const char *tmpl)
{
	StringInfoData text;
	DfPiece piece;

	initStringInfo(&text);
	while (tmpl = df_piece_next(tmpl, &piece), piece.kind != DF_PIECE_END)
		if (piece.kind == DF_PIECE_TEXT)
			appendBinaryStringInfo(&text, piece.text, piece.len);
		else
			appendStringInfoChar(&text, '\1');
	return text.data;
}

void
df_check_placeholders(const char *request, const char *what)
{
	for (const char *p = without_fields(request); *p != '\0'; p++)
	{
		if (!is_braced_name(p) && !is_route_name(p))
			continue;
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s \"%s\" has a placeholder that is not replaced", what, request),
				 errdetail("It would be sent as it is, and name nothing in the system."),
				 errhint("Write a field as {id}, with one pair of braces.")));
	}
}

/* "/users" of "/users/?a=", so that both can be compared */
static int
length_of_path(const char *path)
{
	int len = strcspn(path, "?");

	while (len > 1 && path[len - 1] == '/')
		len--;
	return len;
}

/* whether any parameter of the query has a value */
static bool
query_chooses(const char *path)
{
	const char *p = strchr(path, '?');

	for (; p != NULL; p = strchr(p + 1, '='))
		if (*p == '=' && p[1] != '\0' && p[1] != '&')
			return true;
	return false;
}

void
df_check_undo_of_all(const char *undo, const char *asked)
{
	const char *path = strncmp(undo, "DELETE ", 7) == 0 ? without_fields(undo + 7) : NULL;
	int len;

	if (path == NULL || asked == NULL)
		return;
	len = length_of_path(path);
	if (len != length_of_path(asked) || strncmp(path, asked, len) != 0 || query_chooses(path))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("undo \"%s\" names what the step adds to, not what it makes", undo),
			 errdetail("A system may take it as the request to delete all that is there."),
			 errhint("Name the resource, such as 'DELETE %.*s/{id}'.", length_of_path(asked),
					 asked)));
}

/* what has a digit, an @, an encoded byte or a field of a template hardly names a collection */
static bool
looks_like_id(const char *p, const char *end)
{
	for (; p < end; p++)
		if (isdigit((unsigned char) *p) || strchr("@%\1", *p) != NULL)
			return true;
	return false;
}

/* "/users/", "/users//groups"; "/users/7/" has none */
static bool
has_empty_segment(const char *path, bool slash_is_meant)
{
	const char *end = path + strcspn(path, "?#");
	const char *last = path + 1;

	for (const char *p = path + 1; p < end; p++)
	{
		if (*p != '/')
			continue;
		if (p == last)
			return true;
		if (p + 1 == end && !slash_is_meant && !looks_like_id(last, p))
			return true;
		last = p + 1;
	}
	return false;
}

/* "?email=" */
static const char *
empty_parameter(const char *path)
{
	const char *p = strchr(path, '?');

	while (p != NULL)
	{
		const char *name = p + 1;
		size_t len = strcspn(name, "&#");

		if (len > 1 && name[len - 1] == '=')
			return pnstrdup(name, len - 1);
		p = name[len] == '&' ? name + len : NULL;
	}
	return NULL;
}

void
df_check_names_something(const char *request, const char *what, bool is_template,
						 bool slash_is_meant)
{
	static const char *const methods[] = {"DELETE ", "PUT ", "PATCH "};
	const char *path = NULL;
	const char *empty;

	for (int i = 0; i < lengthof(methods); i++)
		if (strncmp(request, methods[i], strlen(methods[i])) == 0)
			path = request + strlen(methods[i]);
	if (path == NULL)
		return;
	if (is_template)
		path = without_fields(path);
	empty = empty_parameter(path);
	if (empty != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s \"%s\" has no value for the parameter \"%s\"", what, request, empty),
				 errdetail("A system may take it as the request to change or delete all that is "
						   "there."),
				 errhint("Decide before the call what to do without a value; a parameter that has "
						 "none is written without \"=\".")));
	if (has_empty_segment(path, slash_is_meant))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s \"%s\" has an empty part in its path", what, request),
				 errdetail("A system may take it as the request to change or delete all that is "
						   "there."),
				 errhint("Name the resource, or leave out the slash at the end. If the paths of "
						 "the system end in one, say so in the step: options => "
						 "'{\"trailing_slash\": true}'.")));
}

/* ---- answers -------------------------------------------------------------- */

/* a rule with a condition was written by somebody who has looked at responses */
static DfTruth
may_hold(void *arg, const char *condition)
{
	return DF_TRUE;
}

void
df_check_answers_meant(const DfAnswers *answers, const char *method)
{
	if (df_method_class(method) != DF_METHOD_EFFECT)
		return;
	for (int status = 200; status <= 299; status++)
	{
		DfSaid said = df_answers_say(&answers, 1, method, status, may_hold, NULL);

		if (said.rule == NULL || said.rule->condition != NULL)
			continue;
		if (said.rule->is == DF_MEANS_RETRY)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("\"answers\" says that %d is \"retry\", of a %s", status, method),
					 errdetail("A request with that response was carried out. Each time that it is "
							   "sent again it is carried out once more."),
					 errhint("Ask for the state by a GET with \"until\"; or say by \"if\" which "
							 "responses mean that nothing was done.")));
	}
}
