/*
 * engine/home_path.c
 *	  Whether an undo or a probe is sent to where its step was made.
 *
 * Runs in a worker, in its recording transaction, on structs in memory, and changes none.
 * A router answers 404 for each path that it does not know, and a system for each id that is
 * none: that the resource is gone is believed of its own path only.  That is the path of the
 * step, or what stands below it with the id of the response, or what the response calls its
 * Location.  Of a probe no response is known yet, and what stands below the path of the step may
 * be no id of the system's, such as an address.  Must rather say no than yes: a person looks
 * then, and nobody if the run says that all is undone, or if the step is sent again.
 */
#include "postgres.h"

#include "engine/home_path.h"
#include "engine/rollback_subject.h"
#include "engine/step_key.h"
#include "http/url.h"
#include "shared/encoding.h"
#include "shared/json.h"

/* of "METHOD /path?query" */
static char *
path_of(const char *request)
{
	const char *path = strchr(request, '/');
	size_t len = path == NULL ? 0 : strcspn(path, "?");

	while (len > 0 && path[len - 1] == '/')
		len--;
	return pnstrdup(path == NULL ? "" : path, len);
}

static bool
is_called_id(const char *key)
{
	size_t len = strlen(key);

	return len >= 2 && pg_strcasecmp(key + len - 2, "id") == 0;
}

/* "id", or what alone is called so: "user_id", or the "id" of the one object in it */
static char *
id_of(const Jsonb *output)
{
	char *id;
	DfJsonWalk walk;
	int n = 0;

	if (output == NULL || !JB_ROOT_IS_OBJECT(output))
		return NULL;
	id = df_json_get_as_text(output, "id");
	if (id != NULL)
		return id;
	df_json_walk(&walk, output);
	while (df_json_next(&walk))
	{
		Jsonb *member = df_json_of(&walk.value);
		char *found = JB_ROOT_IS_OBJECT(member) ? df_json_get_as_text(member, "id")
			: is_called_id(walk.key)            ? df_json_scalar_of(&walk.value)
												: NULL;

		if (found == NULL)
			continue;
		id = found;
		n++;
	}
	return n == 1 ? id : NULL;
}

/* of a step without a response the id is not known */
static bool
is_its_id(const DfStep *made, const char *segment)
{
	char *id;

	if (*segment == '\0' || strchr(segment, '/') != NULL)
		return false;
	if (made->row.output == NULL)
		return made->row.state == DF_STEP_DOUBT;
	id = id_of(made->row.output);
	return id != NULL && strcmp(df_url_encode(df_text_to_utf8(id)), segment) == 0;
}

static bool
is_location(const DfStep *made, const char *path)
{
	char *location = df_json_get_text(made->row.answer, "location");
	size_t len = strlen(path);
	size_t whole;

	if (location == NULL || len == 0)
		return false;
	whole = strcspn(location, "?");
	while (whole > 0 && location[whole - 1] == '/')
		whole--;
	return whole >= len && strncmp(location + whole - len, path, len) == 0;
}

static bool
is_where_made(const DfStep *made, const DfStep *step)
{
	char *undo = path_of(step->row.undo);
	char *request;
	size_t len;

	if (made->row.request == NULL || made->kind != DF_STEP_HTTP ||
		strcmp(made->system, step->system) != 0)
		return false;
	request = path_of(made->row.request);
	len = strlen(request);
	if (strcmp(undo, request) == 0 || is_location(made, undo))
		return true;
	return strncmp(undo, request, len) == 0 && undo[len] == '/' && is_its_id(made, undo + len + 1);
}

/* on_rollback() that names no step may be of any of them */
bool
df_undo_is_at_home(DfRun *run, DfStep *step)
{
	DfStep *subject = step->kind == DF_STEP_UNDO ? df_rollback_subject(run, step) : step;

	if (subject != NULL)
		return is_where_made(subject, step);
	for (int i = 0; i < run->nsteps; i++)
		if (is_where_made(run->steps[i], step))
			return true;
	return false;
}

DfPathKnown
df_probe_path(DfRun *run, DfStep *step)
{
	DfRendered probe;
	char *why;
	char *path;
	char *request;
	size_t len;

	if (step->row.request == NULL || !df_probe_render(run, step, &probe, &why))
		return DF_PATH_UNKNOWN;
	path = path_of(probe.request);
	request = path_of(step->row.request);
	len = strlen(request);
	if (strcmp(path, request) == 0)
		return DF_PATH_KNOWN;
	return strncmp(path, request, len) == 0 && path[len] == '/' && path[len + 1] != '\0' &&
			strchr(path + len + 1, '/') == NULL
		? DF_PATH_LIKELY
		: DF_PATH_UNKNOWN;
}
