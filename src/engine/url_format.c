/*
 * engine/url_format.c
 *	  dataflows.url(): paths with values in them that cannot break out.
 *
 * SQL-callable anywhere, in workflows and outside; pure: no state, no SQL.
 */
#include "postgres.h"

#include <ctype.h>

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "http/url.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "shared/encoding.h"
#include "utils/array.h"
#include "utils/builtins.h"

#define FORMAT_HINT "Write %s for each argument and %% for a percent sign."

PG_FUNCTION_INFO_V1(dataflows_url);

typedef struct Arguments
{
	Datum *values;
	bool *nulls;
	int count;
	int used;
} Arguments;

static void
refuse_format(const char *message)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("%s", message),
			 errhint("%s", FORMAT_HINT)));
}

static void
refuse_null(const char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("%s of dataflows.url() is null", what),
			 errhint("Decide before the call what to do without a value, or give another one with "
					 "coalesce().")));
}

/*
 * Refuses here, where the arguments are known, what a step would refuse as a path:
 * above all dot segments, also encoded or from an argument.  A bare percent sign in
 * the format is left as it is.
 */
static void
check_path(const char *url)
{
	StringInfoData path;
	const char *why;

	initStringInfo(&path);
	if (*url != '/')
		appendStringInfoChar(&path, '/');
	for (const char *p = url; *p != '\0'; p++)
	{
		appendStringInfoChar(&path, *p);
		if (*p == '%' && !(isxdigit((unsigned char) p[1]) && isxdigit((unsigned char) p[2])))
			appendStringInfoString(&path, "25");
	}
	if (df_url_join("https://system", path.data, &why) == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the result of dataflows.url() cannot be a path: %s", why),
				 errhint("Check the arguments before the call, and write the format as a path such "
						 "as \"/contacts/%%s\".")));
	pfree(path.data);
}

/* an empty value in a path would name the collection instead of a thing in it */
static void
append_argument(StringInfo out, Arguments *args)
{
	int n = args->used++;
	char *value;

	if (n >= args->count)
		refuse_format("too few arguments for the format of dataflows.url()");
	if (args->nulls[n])
		refuse_null(psprintf("argument %d", n + 1));
	value = TextDatumGetCString(args->values[n]);
	if (*value == '\0' && strchr(out->data, '?') == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument %d of dataflows.url() is empty", n + 1),
				 errdetail("An empty value would make the path name something else."),
				 errhint("Decide before the call what to do without a value.")));
	appendStringInfoString(out, df_url_encode(df_text_to_utf8(value)));
}

static char *
fill_in(const char *format, Arguments *args)
{
	StringInfoData out;

	initStringInfo(&out);
	for (const char *p = format; *p != '\0'; p++)
	{
		if (*p != '%')
			appendStringInfoChar(&out, *p);
		else if (*++p == 's')
			append_argument(&out, args);
		else if (*p == '%')
			appendStringInfoChar(&out, '%');
		else if (*p == '\0')
			refuse_format("the format of dataflows.url() ends with a single percent sign");
		else
			refuse_format(
				psprintf("unrecognized sequence \"%%%.*s\" in the format of dataflows.url()",
						 pg_mblen(p), p));
	}
	if (args->used < args->count)
		refuse_format("too many arguments for the format of dataflows.url()");
	return out.data;
}

Datum
dataflows_url(PG_FUNCTION_ARGS)
{
	Arguments args = {NULL, NULL, 0, 0};
	char *url;

	if (PG_ARGISNULL(0))
		refuse_null("the format");
	if (PG_ARGISNULL(1))
		refuse_null("the list of arguments");
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(1), TEXTOID, -1, false, TYPALIGN_INT,
					  &args.values, &args.nulls, &args.count);
	url = fill_in(text_to_cstring(PG_GETARG_TEXT_PP(0)), &args);
	check_path(url);
	PG_RETURN_TEXT_P(cstring_to_text(url));
}
