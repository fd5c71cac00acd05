/*
 * engine/step_alias.c
 *	  alias(): a step that takes a further key for the run.
 *
 * Runs inside a body, in its read-only subtransaction, as the workflow's owner.
 * The key is only noted here: the worker takes it in its own transaction, says
 * here how that ended, and enters the body again once that is committed.  Nothing
 * here writes a row.
 */
#include "postgres.h"

#include "engine/body.h"
#include "engine/body_error.h"
#include "engine/step_alias.h"
#include "engine/step_api.h"
#include "engine/step_error.h"
#include "engine/step_kind.h"
#include "engine/transition.h"
#include "mb/pg_wchar.h"
#include "types/base.h"
#include "types/run.h"
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
		step->row.request = MemoryContextStrdup(run->cxt, key);
	}
	else if (step->row.request == NULL || strcmp(step->row.request, key) != 0)
		df_step_mismatch(step, "key", step->row.request, key);
	(void) df_step_await(fcinfo, step);
	PG_RETURN_VOID();
}

/* ---- in the worker: what became of the key ---------------------------------- */

/* a step that asks for a further key of the run, NULL = none */
DfStep *
df_run_alias_wanted(const DfRun *run)
{
	for (int i = 0; i < run->nsteps; i++)
		if (run->steps[i]->kind == DF_STEP_ALIAS && run->steps[i]->row.state == DF_STEP_PENDING)
			return run->steps[i];
	return NULL;
}

/*
 * `holder` NULL: the run has the key now.  The body goes on only when that is
 * committed: a signal by the key that is sent after the run has read its inbox
 * must find the run.
 */
void
df_run_alias_answer(DfRun *run, DfStep *step, const char *holder)
{
	run->engine.wants_alias = false;
	if (holder == NULL)
	{
		df_step_transition(run, step, DF_STEP_SUCCEED);
		run->engine.inbox_loaded = false;
		run->engine.awaits_commit = true;
		return;
	}
	step->row.error = df_error_text(
		run, psprintf("the key \"%s\" is held by run \"%s\"", step->row.request, holder), false);
	step->row.error = df_error_why(run, step->row.error, DF_WHY_REFUSED);
	df_step_transition(run, step, DF_STEP_FAIL);
	run->engine.advance = true;
}

/* the body asks for the key again when it is entered again */
void
df_run_alias_later(DfRun *run)
{
	df_body_retry_later(run, "somebody's open transaction has the key of its alias");
}

/* the worker ends it when it has tried to take the key */
const DfStepOps df_alias_ops = {.kind = DF_STEP_ALIAS};
