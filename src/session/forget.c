/*
 * session/forget.c
 *	  forget(): erases the data of the ended runs of one key.
 *
 * Runs in a user's backend, in the caller's transaction; changes the rows as the
 * extension's owner.  The engine reads an ended run only to undo or to purge it, which is
 * why a session may change it here.  Must never touch a run that has not ended.
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "store/rights.h"
#include "session/start.h"
#include "shared/clock.h"
#include "shared/digest.h"
#include "shared/uuid.h"
#include "store/forget_run.h"
#include "store/store.h"
#include "utils/builtins.h"
#include "utils/uuid.h"

PG_FUNCTION_INFO_V1(dataflows_forget);

/*
 * The same for each call with the same workflow and key, so that the runs of one person can
 * still be found together.  Somebody who guesses the key can confirm the guess.
 */
static char *
pseudonym_of(const char *workflow, const char *key)
{
	char *text = psprintf("%s\n%s", workflow, key);
	uint8 digest[DF_DIGEST_LENGTH];
	char hex[33];

	df_digest(text, strlen(text), digest);
	hex[hex_encode((const char *) digest, 16, hex)] = '\0';
	return psprintf("forgotten:%s", hex);
}

static void
require_known(DfForget *forget, Oid caller, MemoryContext cxt)
{
	DfWorkflowRow definition;

	if (!df_workflow_latest(forget->workflow, &definition, cxt))
		ereport(ERROR,
				(errcode(DF_ERR_UNKNOWN),
				 errmsg("workflow \"%s\" does not exist", forget->workflow),
				 errhint("Look for its name in the view dataflows.workflows.")));
	df_require_own(caller, &definition, "forget runs of");
	forget->owner = definition.owner;
}

static void
require_ended(const DfForgetRuns *runs, MemoryContext cxt)
{
	char *asked;

	if (runs->live != NULL)
		ereport(
			ERROR,
			(errcode(ERRCODE_OBJECT_IN_USE),
			 errmsg("run \"%s\" of this key has not ended: it is %s", runs->live, runs->live_state),
			 errhint("Wait until it has ended, or cancel() it (if it is stuck, cancel() or "
					 "abandon() it) and call forget() then.")));
	asked = df_forget_asked(runs, cxt);
	if (asked != NULL)
		ereport(
			ERROR,
			(errcode(ERRCODE_OBJECT_IN_USE),
			 errmsg("the engine has not yet handled a request to %s a run of this key", asked),
			 errhint("Call forget() again when the view dataflows.requests shows no new one.")));
}

/* forget(workflow, key): returns the number of runs */
Datum
dataflows_forget(PG_FUNCTION_ARGS)
{
	Oid caller = GetUserId();
	DfForget forget;
	DfForgetRuns runs;
	DfStore store;

	df_require_writable("forget runs");
	forget.workflow = text_to_cstring(PG_GETARG_TEXT_PP(0));
	forget.key = text_to_cstring(PG_GETARG_TEXT_PP(1));
	forget.pseudonym = pseudonym_of(forget.workflow, forget.key);
	forget.by = GetUserNameFromId(caller, false);
	forget.now = df_now();

	df_store_enter(&store);
	require_known(&forget, caller, store.result_context);
	/* checks again after locking them: one may have been restarted in the meantime */
	df_forget_find(&forget, &runs, store.result_context);
	df_forget_find(&forget, &runs, store.result_context);
	require_ended(&runs, store.result_context);
	df_forget_erase(&forget, &runs);
	df_store_leave(&store);
	PG_RETURN_INT64(runs.n);
}

void
df_refuse_forgotten(const pg_uuid_t *run, const char *verb)
{
	if (!df_run_is_forgotten(run))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("cannot %s run \"%s\": it was forgotten", verb,
					df_uuid_text(run)),
			 errdetail("dataflows.forget() erased its data, and how to undo it."),
			 errhint("Undo by hand in the systems what must be undone; start a new run with "
					 "dataflows.start().")));
}
