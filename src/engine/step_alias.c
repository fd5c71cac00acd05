/*
 * engine/step_alias.c
 *	  alias(): a step that takes a further key for the run.
 *
 * Runs inside a body, in its read-only subtransaction, as the workflow's owner.
 * The key is only noted here: the worker takes it in its own transaction, and
 * enters the body again once that is committed.  Nothing here writes a row.
 */
#include "postgres.h"

#include "engine/step_api.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

PG_FUNCTION_INFO_V1(dataflows_alias);

static char *
key_argument(FunctionCallInfo fcinfo, int arg)
{
	char *key = df_arg_text(fcinfo, arg);

	if (key == NULL || key[0] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("an alias must not be empty"),
				 errhint("Give the key by which others will know the run.")));
	if (strlen(key) > DF_MAX_KEY)
		ereport(ERROR,
				(errcode(DF_ERR_LIMIT),
				 errmsg("the alias \"%s...\" is longer than %d bytes",
						pnstrdup(key, pg_mbcliplen(key, strlen(key), 40)), DF_MAX_KEY),
				 errhint("Use a shorter key, such as a hash of this one.")));
	return key;
}

Datum
dataflows_alias(PG_FUNCTION_ARGS)
{
	DfRun *run = df_entry_run("alias");
	char *key = key_argument(fcinfo, 0);
	char *name;
	DfStep *step = df_step_recorded(run, "alias", DF_STEP_ALIAS, &name);

	if (step == NULL)
	{
		step = df_step_new(run, name, DF_STEP_ALIAS);
		step->request = MemoryContextStrdup(run->cxt, key);
	}
	else if (step->request == NULL || strcmp(step->request, key) != 0)
		df_step_mismatch(step, "key", step->request, key);
	(void) df_step_await(fcinfo, step);
	PG_RETURN_VOID();
}
