/*
 * session/start.c
 *	  start(), restart().
 *
 * Runs in a user's backend, in the caller's transaction: the run is started if and when
 * that commits.  Its only write is one INSERT into run, as the extension's owner.  Must never
 * update a run: only the engine does.
 */
#include "postgres.h"

#include "flow/flow.h"
#include "fmgr.h"
#include "guc.h"
#include "miscadmin.h"
#include "session/node.h"
#include "session/start.h"
#include "shared/clock.h"
#include "shared/slots.h"
#include "shared/uuid.h"
#include "shared/wake.h"
#include "store/identity.h"
#include "store/rights.h"
#include "store/store.h"
#include "store/version.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(dataflows_start);
PG_FUNCTION_INFO_V1(dataflows_restart);

/* ---- what the triggers use too -------------------------------------------- */

void
df_warn_not_moving(void)
{
	static bool warned = false;

	if (warned || (df_shared != NULL && df_schema_fits()))
		return;
	warned = true;
	if (df_shared != NULL)
	{
		ereport(WARNING,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the engine of \"dataflows\" does nothing in this database: %s",
						df_schema_problem()),
				 errdetail("Runs and signals are kept, and go on afterwards."),
				 errhint("%s", df_schema_remedy())));
		return;
	}
	ereport(
		WARNING,
		(errcode(DF_ERR_NOT_LOADED), errmsg("the engine of \"dataflows\" is not loaded"),
		 errdetail("Runs and signals are kept, and go on once the engine is loaded."),
		 errhint("Set shared_preload_libraries = 'dataflows' in postgresql.conf and restart the "
				 "server.")));
}

/* the caller sets `started_by` and `identity`, before it enters the store */
void
df_start_common(const char *workflow, Oid judged, DfNewRun *common,
				DfWorkflowRow *definition, MemoryContext cxt)
{
	df_require_workflow(workflow, definition, cxt);
	df_require_right(judged, definition, DF_RIGHT_START, NULL, "start");
	common->now = df_now();
	common->workflow = definition->name;
	common->version = definition->version;
}

/* ---- start() -------------------------------------------------------------- */

/*
 * Inserts the run, or finds the one that holds its key.  That one may vanish in between, so
 * both are tried until one succeeds.  If the snapshot does not show it, the INSERT raises a
 * serialization failure.  The right to start a workflow is not the right to learn of the runs
 * of others: then the key is taken, and no more is said.
 */
bool
df_start_insert_or_find(DfNewRun *run, Oid judged, MemoryContext cxt)
{
	DfSeenRun seen;

	while (!df_run_insert(run))
	{
		CHECK_FOR_INTERRUPTS();
		if (df_run_of_key(run->workflow, run->key, &run->id, &seen, cxt))
			return df_sight(judged, &seen) >= DF_SEES_META;
	}
	return true;
}

static void
notice_taken(const DfNewRun *run)
{
	ereport(NOTICE,
			(errcode(ERRCODE_UNIQUE_VIOLATION),
			 errmsg("key \"%s\" of workflow \"%s\" is taken: nothing was started", run->key,
					run->workflow),
			 errdetail("A run that the role \"%s\" may not see holds it.", run->started_by),
			 errhint("Ask the owner of the workflow for the right \"see\", or use another key.")));
}

static void
require_arguments(FunctionCallInfo fcinfo)
{
	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("the name of the workflow must not be null"),
				 errhint("Give the name of a workflow that define_workflow() made.")));
	if (PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("the input of a run must not be null"),
				 errhint("Give '{}' for a run without input.")));
}

Datum
dataflows_start(PG_FUNCTION_ARGS)
{
	pg_uuid_t *result = palloc(sizeof(pg_uuid_t));
	Oid caller = GetUserId();
	DfNewRun run;
	DfWorkflowRow definition;
	DfStore store;
	char *name;
	bool seen;

	require_arguments(fcinfo);
	df_require_writable("start a run");
	memset(&run, 0, sizeof(run));
	name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	run.input = PG_GETARG_JSONB_P(1);
	run.key = PG_ARGISNULL(2) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(2));
	df_check_payload(run.input, "the input of a run");
	df_check_key(run.key);
	df_warn_not_moving();
	run.id = df_new_uuid();
	run.identity = df_identity_hash();
	run.started_by = GetUserNameFromId(caller, false);

	df_store_enter(&store);
	df_start_common(name, caller, &run, &definition, store.result_context);
	seen = df_start_insert_or_find(&run, caller, store.result_context);
	df_store_leave(&store);

	df_wake_owner(definition.owner);
	if (!seen)
	{
		notice_taken(&run);
		PG_RETURN_NULL();
	}
	*result = run.id;
	PG_RETURN_UUID_P(result);
}

/* ---- restart() ------------------------------------------------------------ */

static void
require_ended(const DfOldRun *old, const char *id)
{
	int state = df_run_state_of(old->state);

	if (state >= 0 && df_run_is_terminal((DfRunState) state))
		return;
	ereport(
		ERROR,
		(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
		 errmsg("run \"%s\" has not ended: it is %s", id, old->state),
		 state == DF_RUN_STUCK
			 ? errhint(
				   "Call retry() to let it go on, or cancel() or abandon() before you restart it.")
			 : errhint("Wait until it has ended, or cancel() it before you restart it.")));
}

/* what a completed run did is there: another one would make each customer a second time */
static void
refuse_completed(const DfOldRun *old, const char *id)
{
	if (df_run_state_of(old->state) != DF_RUN_COMPLETED)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("run \"%s\" is completed: what it did is there", id),
			 errdetail("A new run does all of it once more."),
			 errhint("Call undo('%s', note) first; or, if it is to be done twice: SELECT "
					 "dataflows.restart('%s', again => true);",
					 id, id)));
}

/* the key may be held by the old run or by one that was started later */
static void
insert_without_key(DfNewRun *run, const char *old_id, bool again)
{
	if (!again)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("key \"%s\" of workflow \"%s\" is held by another run: nothing was "
						"started",
						run->key, run->workflow),
				 errdetail("It was started after run \"%s\", or holds the key since then.",
						   old_id),
				 errhint("Look at it: SELECT dataflows.run_of(%s, %s); or, for one more run "
						 "without a key: SELECT dataflows.restart('%s', again => true);",
						 quote_literal_cstr(run->workflow), quote_literal_cstr(run->key),
						 old_id)));
	run->key = NULL;
	(void) df_run_insert(run);
}

Datum
dataflows_restart(PG_FUNCTION_ARGS)
{
	pg_uuid_t *old_id = PG_GETARG_UUID_P(0);
	char *old_text = df_uuid_text(old_id);
	bool again = PG_GETARG_BOOL(1);
	pg_uuid_t *result = palloc(sizeof(pg_uuid_t));
	Oid caller = GetUserId();
	DfNewRun run;
	DfOldRun old;
	DfWorkflowRow definition;
	DfStore store;

	df_require_writable("restart a run");
	df_warn_not_moving();
	memset(&run, 0, sizeof(run));
	run.id = df_new_uuid();
	run.identity = df_identity_hash();
	run.started_by = GetUserNameFromId(caller, false);
	run.restarted_from = old_id;

	df_store_enter(&store);
	if (!df_run_old(old_id, &old, store.result_context))
		df_refuse_unknown_run(old_id);
	/* a role that starts a run can see its input */
	df_require_sight(caller, old_id, df_sight(caller, &old.seen), DF_SEES_ALL);
	df_start_common(old.seen.workflow, caller, &run, &definition, store.result_context);
	require_ended(&old, old_text);
	df_refuse_forgotten(old_id, "restart");
	df_check_payload(old.input, "the input of a run");
	if (!again)
		refuse_completed(&old, old_text);
	run.key = old.key;
	run.input = old.input;
	if (!df_run_insert(&run))
		insert_without_key(&run, old_text, again);
	df_store_leave(&store);

	df_wake_owner(definition.owner);
	*result = run.id;
	PG_RETURN_UUID_P(result);
}
