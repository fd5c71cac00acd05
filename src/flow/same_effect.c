/*
 * flow/same_effect.c
 *	  Whether a new step may be a recorded one under another name.
 *
 * Called by a worker while a body is being executed.  Pure: no memory, no errors.
 * Must rather say yes than no: a person looks at a run that stops, and nobody at a
 * customer who is made twice.
 */
#include "postgres.h"

#include "flow/flow.h"

/* ---- requests: METHOD /path ----------------------------------------------- */

/* where a segment of a path ends */
static const char *
segment_end(const char *p)
{
	while (*p != '\0' && *p != '/' && *p != '?')
		p++;
	return p;
}

/* what has a digit, an @ or an encoded byte is hardly a part of every such path */
static bool
looks_like_id(const char *begin, const char *end)
{
	for (const char *p = begin; p < end; p++)
		if ((*p >= '0' && *p <= '9') || *p == '@' || *p == '%')
			return true;
	return false;
}

static bool
same_segment(const char *one, const char *one_end, const char *other, const char *other_end)
{
	if (one_end - one == other_end - other && memcmp(one, other, one_end - one) == 0)
		return true;
	return looks_like_id(one, one_end) && looks_like_id(other, other_end);
}

/* "v2", "2024-01", "api": where a path below may have moved to */
static bool
names_version(const char *begin, const char *end)
{
	return looks_like_id(begin, end) || (end - begin == 3 && strncmp(begin, "api", 3) == 0) ||
		(end - begin == 4 && strncmp(begin, "rest", 4) == 0);
}

/* behind what names the version of the API */
static const char *
unversioned(const char *path)
{
	for (;;)
	{
		const char *end = segment_end(path);

		if (*end != '/' || !names_version(path, end))
			return path;
		path = end + 1;
	}
}

static bool
same_path(const char *one, const char *other)
{
	for (;;)
	{
		const char *one_end = segment_end(one);
		const char *other_end = segment_end(other);

		if (!same_segment(one, one_end, other, other_end))
			return false;
		if (*one_end != '/' || *other_end != '/')
			return *one_end != '/' && *other_end != '/';
		one = one_end + 1;
		other = other_end + 1;
	}
}

/*
 * "POST /v2/users" may be what "POST /users" was.  The query is left out: it says what of a
 * resource is wanted, not which one.
 */
static bool
same_request(const char *one, const char *other)
{
	size_t method = strcspn(one, "/");

	if (strcspn(other, "/") != method || strncmp(one, other, method) != 0)
		return false;
	if (one[method] == '\0' || other[method] == '\0')
		return strcmp(one, other) == 0;
	one += method + 1;
	other += method + 1;
	return same_path(one, other) || same_path(unversioned(one), unversioned(other));
}

/* ---- statements of SQL ---------------------------------------------------- */

/* such as "insert into customers" */
#define WORDS_THAT_TELL 3

static const char *
next_word(const char *p, const char **end)
{
	while (*p == ' ' || *p == '\t' || *p == '\r' || *p == '\n')
		p++;
	*end = p;
	while (**end != '\0' && strchr(" \t\r\n(,;", **end) == NULL)
		(*end)++;
	return p;
}

static bool
same_statement(const char *one, const char *other)
{
	for (int i = 0; i < WORDS_THAT_TELL; i++)
	{
		const char *one_end;
		const char *other_end;

		one = next_word(one, &one_end);
		other = next_word(other, &other_end);
		if (one_end - one != other_end - other || pg_strncasecmp(one, other, one_end - one) != 0)
			return false;
		/* a function is called: its name has told */
		if (*one_end == '(' && *other_end == '(')
			return true;
		one = one_end;
		other = other_end;
	}
	return true;
}

bool
df_same_effect(DfStepKind kind, const char *one, const char *other)
{
	switch (kind)
	{
		case DF_STEP_HTTP:
		case DF_STEP_UNDO:
			return same_request(one, other);
		case DF_STEP_QUERY:
			return same_statement(one, other);
		default:
			return strcmp(one, other) == 0;
	}
}
