/*
 * shared/limits.c
 *	  Limits on the size of what runs are started or signalled with.
 *
 * Runs in user sessions and inside bodies, in any transaction and role.  Reads its
 * arguments and one setting, and must never read more.
 */
#include "postgres.h"

#include "guc.h"
#include "mb/pg_wchar.h"
#include "shared/json_size.h"
#include "shared/limits.h"
#include "types/base.h"

#define KEPT_TEXT 65536

bool
df_payload_fits(const Jsonb *value)
{
	return df_jsonb_text_size(value, df_max_body) <= (size_t) df_max_body;
}

void
df_check_payload(const Jsonb *value, const char *what)
{
	if (df_payload_fits(value))
		return;
	ereport(ERROR,
			(errcode(DF_ERR_LIMIT), errmsg("%s is too large", what),
			 errdetail("dataflows.max_body allows %d bytes of its text, in which numbers are "
					   "written out; it may be nested %d deep.",
					   df_max_body, DF_MAX_JSON_DEPTH),
			 errhint("Store it in a table and pass its key.")));
}

void
df_text_cut(char *text)
{
	size_t len = text == NULL ? 0 : strlen(text);

	if (len > KEPT_TEXT)
		text[pg_mbcliplen(text, (int) Min(len, KEPT_TEXT + MAX_MULTIBYTE_CHAR_LEN), KEPT_TEXT)] =
			'\0';
}

void
df_error_cut(ErrorData *error)
{
	df_text_cut(error->message);
	if (error->sqlerrcode != DF_ERR_STEP_FAILED ||
		(error->detail != NULL && strlen(error->detail) > (size_t) df_max_body))
		df_text_cut(error->detail);
	df_text_cut(error->hint);
	df_text_cut(error->context);
}

void
df_check_event(const char *event)
{
	if (event[0] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the event must not be empty"),
				 errhint("Give the name that the workflow passes to dataflows.wait_for().")));
	if (strlen(event) > DF_MAX_NAME)
		ereport(ERROR,
				(errcode(DF_ERR_LIMIT),
				 errmsg("the name of the event is too long"),
				 errdetail("It has %zu bytes; %d are allowed.", strlen(event), DF_MAX_NAME),
				 errhint("Put what varies into the payload.")));
	if (!df_name_is_clean(event))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("event \"%s\" contains a control character or \"#\"", event),
				 errhint("Give the name that the workflow passes to dataflows.wait_for(); a "
						 "further wait for it takes the next signal.")));
}

void
df_check_key(const char *key)
{
	size_t len;

	if (key == NULL)
		return;
	len = strlen(key);
	if (len == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the key of a run must not be empty"),
				 errhint("Give a business key, or NULL for a run without one.")));
	if (len > DF_MAX_KEY)
		ereport(ERROR,
				(errcode(DF_ERR_LIMIT),
				 errmsg("the key of a run is too long"),
				 errdetail("It has %zu bytes; %d are allowed.", len, DF_MAX_KEY),
				 errhint("Use a shorter key, such as a hash of this one.")));
}
