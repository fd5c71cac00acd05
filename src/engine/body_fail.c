/*
 * engine/body_fail.c
 *	  fail(), failure(): how a body fails its run, and learns why a step failed.
 *
 * Runs inside a body, in its read-only subtransaction, as the workflow's owner; fail() also in
 * the SQL of a query step.  It raises an ordinary error, which the body may catch; what
 * becomes of the run is decided once the error has left the body (engine/body_error.c).
 * Nothing here changes the run.
 */
#include "postgres.h"

#include "engine/body.h"
#include "engine/step_api.h"
#include "shared/json.h"
#include "shared/limits.h"
#include "shared/user_code.h"
#include "types/base.h"

PG_FUNCTION_INFO_V1(dataflows_fail);
PG_FUNCTION_INFO_V1(dataflows_failure);

Datum
dataflows_fail(PG_FUNCTION_ARGS)
{
	char *reason;
	Jsonb *detail;

	/* the SQL of a query step may fail on purpose, too */
	if (df_entry != NULL || !df_user_code_running())
		(void) df_entry_run("fail");
	reason = df_arg_text(fcinfo, 0);
	detail = df_arg_jsonb(fcinfo, 1);
	if (detail != NULL)
		df_check_payload(detail, "the detail of fail()");
	/* it is meant to fail, reason or not */
	if (reason == NULL || reason[0] == '\0')
		reason = "no reason was given";
	ereport(ERROR,
			(errcode(DF_ERR_FAIL), errmsg_internal("%s", reason),
			 detail != NULL ? errdetail_internal("%s", df_json_to_text(detail)) : 0));
	PG_RETURN_NULL();
}

Datum
dataflows_failure(PG_FUNCTION_ARGS)
{
	(void) df_entry_run("failure");
	if (df_entry->failure == NULL)
		PG_RETURN_NULL();
	PG_RETURN_JSONB_P(df_entry->failure);
}
