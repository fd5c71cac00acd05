/*
 * engine/step_format.c
 *	  How the bodies of a step's requests are written: read from its call, recorded, read again.
 *
 * Runs inside bodies, as the workflow's owner, when a step is called, and in workers, when its
 * options are read.  What is recorded counts for the step's whole life, whatever becomes of the
 * system's options.
 */
#include "postgres.h"

#include "engine/step_format.h"
#include "shared/format_names.h"
#include "utils/builtins.h"

/* options of undo and probe where they are not those of the step */
#define SIDE "server_format"

/* ---- the call ------------------------------------------------------------- */

static void
refuse(const char *key, const char *why, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("option \"%s\" cannot be used: %s", key, why),
			 errhint("%s", hint)));
}

static void
set_option(DfBodyFormat *format, const char *key, const char *value)
{
	const char *problem;

	if (strcmp(key, "encoding") == 0)
	{
		DfEncoding before = format->encoding;

		if (!df_encoding_named(value, &format->encoding))
			refuse(key, "there is no encoding of that name", DF_ENCODINGS_HINT);
		/* the system's type of content is that of its own encoding */
		if (format->encoding != before)
			format->content_type = NULL;
		return;
	}
	if (strcmp(key, "form_arrays") == 0)
	{
		if (!df_form_arrays_named(value, &format->form_arrays))
			refuse(key, "there is no form of arrays of that name", DF_FORM_ARRAYS_HINT);
		return;
	}
	problem = df_content_type_problem(value);
	if (problem != NULL)
		refuse(key, problem, "Give a type such as \"text/xml; charset=utf-8\".");
	format->content_type = pstrdup(value);
}

#define SLASH "trailing_slash"

static bool
is_known(const char *key)
{
	return strcmp(key, "encoding") == 0 || strcmp(key, "form_arrays") == 0 ||
		strcmp(key, "content_type") == 0 || strcmp(key, SLASH) == 0;
}

/* each key has a string, SLASH a boolean; null is as if it were not there */
static void
check_options(const Jsonb *options)
{
	DfJsonWalk walk;

	if (!JB_ROOT_IS_OBJECT(options))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"options\" is not a JSON object"),
				 errhint("Give names and values, such as '{\"encoding\": \"form\"}'.")));
	df_json_walk(&walk, options);
	while (df_json_next(&walk))
	{
		if (!is_known(walk.key))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("option \"%s\" is not known", walk.key),
					 errhint("The options of a step are \"encoding\", \"content_type\", "
							 "\"form_arrays\" and \"trailing_slash\".")));
		if (strcmp(walk.key, SLASH) == 0)
		{
			if (walk.value.type != jbvBool && walk.value.type != jbvNull)
				refuse(walk.key, "it is not a boolean", "Give true or false.");
			continue;
		}
		if (walk.value.type != jbvString && walk.value.type != jbvNull)
			refuse(walk.key, "it is not a string", "Give it as a JSON string.");
	}
}

void
df_format_of_call(const Jsonb *options, const DfSystem *system, DfBodyFormat *format)
{
	static const char *const keys[] = {"encoding", "form_arrays", "content_type"};
	const char *problem;

	*format = system->body;
	if (options == NULL)
		return;
	check_options(options);
	/* in this order: an encoding takes the system's type of content away */
	for (int i = 0; i < lengthof(keys); i++)
	{
		char *value = df_json_get_text(options, keys[i]);

		if (value != NULL)
			set_option(format, keys[i], value);
	}
	problem = df_body_format_problem(format);
	if (problem != NULL)
		refuse("content_type", problem, "Drop it, or give another \"encoding\".");
}

bool
df_slash_is_meant(const Jsonb *options)
{
	return options != NULL && JB_ROOT_IS_OBJECT(options) && df_json_get_bool(options, SLASH);
}

/* ---- recording ------------------------------------------------------------ */

static bool
is_default(const DfBodyFormat *format)
{
	return format->encoding == DF_ENCODING_JSON && format->form_arrays == DF_ARRAYS_INDICES &&
		format->content_type == NULL;
}

static bool
same_text(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

bool
df_format_same(const DfBodyFormat *a, const DfBodyFormat *b)
{
	return a->encoding == b->encoding && a->form_arrays == b->form_arrays &&
		same_text(a->content_type, b->content_type);
}

static void
write_format(DfJson *json, const DfBodyFormat *format)
{
	if (format->encoding != DF_ENCODING_JSON)
		df_json_text(json, "encoding", df_encoding_name(format->encoding));
	if (format->form_arrays != DF_ARRAYS_INDICES)
		df_json_text(json, "form_arrays", df_form_arrays_name(format->form_arrays));
	df_json_text(json, "content_type", format->content_type);
}

bool
df_format_write(DfJson *json, const DfBodyFormat *format, const DfBodyFormat *side)
{
	bool same = df_format_same(format, side);

	write_format(json, format);
	if (!same)
	{
		df_json_open_object(json, SIDE);
		write_format(json, side);
		df_json_close_object(json);
	}
	return !same || !is_default(format);
}

static void
read_format(const Jsonb *options, DfBodyFormat *format)
{
	char *encoding = df_json_get_text(options, "encoding");
	char *arrays = df_json_get_text(options, "form_arrays");

	memset(format, 0, sizeof(*format));
	if (encoding != NULL)
		(void) df_encoding_named(encoding, &format->encoding);
	else if (df_json_get_bool(options, "form"))
		format->encoding = DF_ENCODING_FORM; /* recorded by 0.1 */
	if (arrays != NULL)
		(void) df_form_arrays_named(arrays, &format->form_arrays);
	format->content_type = df_json_get_text(options, "content_type");
}

void
df_format_read(const Jsonb *options, DfBodyFormat *format, DfBodyFormat *side)
{
	Jsonb *own = df_json_get(options, SIDE);

	read_format(options, format);
	*side = *format;
	if (own != NULL)
		read_format(own, side);
}
