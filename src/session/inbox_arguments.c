/*
 * session/inbox_arguments.c
 *	  Arguments of the functions that ask something of runs.
 *
 * Runs in a user's backend, in the caller's transaction and role, before anything is looked up.
 * Raises an error for what can have no meaning, and must never read a table.
 */
#include "postgres.h"

#include "guc.h"
#include "session/inbox_arguments.h"
#include "shared/json.h"
#include "shared/limits.h"
#include "types/base.h"
#include "utils/builtins.h"

void
df_require_given(FunctionCallInfo fcinfo, int arg, const char *what)
{
	if (!PG_ARGISNULL(arg))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
			 errmsg("%s must not be null", what),
			 errhint("Exclude rows without one by a WHERE clause.")));
}

char *
df_event_argument(FunctionCallInfo fcinfo, int arg)
{
	char *event;

	df_require_given(fcinfo, arg, "the event");
	event = text_to_cstring(PG_GETARG_TEXT_PP(arg));
	df_check_event(event);
	return event;
}

/* NULL becomes {}, which a body gets for an event without payload */
Jsonb *
df_payload_argument(FunctionCallInfo fcinfo, int arg)
{
	Jsonb *payload;

	if (PG_ARGISNULL(arg))
		return df_json_empty();
	payload = PG_GETARG_JSONB_P(arg);
	df_check_payload(payload, "the payload of a signal");
	return payload;
}

char *
df_note_argument(FunctionCallInfo fcinfo, int arg, bool required)
{
	char *note = PG_ARGISNULL(arg) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(arg));

	if (required && (note == NULL || strspn(note, " \t\r\n") == strlen(note)))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the note must not be empty"),
				 errhint("Say why: it is recorded with your name and the time.")));
	if (note != NULL && strlen(note) > df_max_body)
		ereport(ERROR,
				(errcode(DF_ERR_LIMIT), errmsg("the note is too long"),
				 errdetail("It has %zu bytes; dataflows.max_body allows %d.", strlen(note),
						   df_max_body),
				 errhint("Shorten the note.")));
	return note;
}

/* an application's own user: what it says is recorded and believed */
char *
df_behalf_argument(FunctionCallInfo fcinfo, int arg)
{
	char *user;

	/* a schema of 0.1 has no such argument */
	if (PG_NARGS() <= arg || PG_ARGISNULL(arg))
		return NULL;
	user = text_to_cstring(PG_GETARG_TEXT_PP(arg));
	if (user[0] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("on_behalf_of must not be empty"),
				 errhint("Give the application's own name of its user, or NULL.")));
	if (strlen(user) > DF_MAX_KEY)
		ereport(ERROR,
				(errcode(DF_ERR_LIMIT), errmsg("on_behalf_of is too long"),
				 errdetail("It has %zu bytes; %d are allowed.", strlen(user), DF_MAX_KEY),
				 errhint("Give a name or an id, and put more into the payload or the note.")));
	if (df_has_control_character(user))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("on_behalf_of contains a control character"),
				 errhint("Give a name or an id that can be shown in one line.")));
	return user;
}
