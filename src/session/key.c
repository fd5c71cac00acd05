/*
 * session/key.c
 *	  The idempotency key of a step, for the views.
 *
 * Runs in a user's backend, in the caller's transaction and role, once per row that a
 * view shows.  Never read anything but the arguments.
 */
#include "postgres.h"

#include "fmgr.h"
#include "shared/idempotency_key.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(dataflows_key);

Datum
dataflows_key(PG_FUNCTION_ARGS)
{
	DfKeyOf of = {0};

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1) || PG_ARGISNULL(2))
		PG_RETURN_NULL();
	of.run = PG_GETARG_UUID_P(0);
	of.n = PG_GETARG_INT32(1);
	of.renewals = PG_GETARG_INT32(2);
	of.form = PG_ARGISNULL(3) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(3));
	of.undo = !PG_ARGISNULL(4) && PG_GETARG_BOOL(4);
	PG_RETURN_TEXT_P(cstring_to_text(df_idempotency_key(&of)));
}
