/*
 * review/replay_check.c
 *	  replay_check(): what a function would make of the runs that are there, before it is
 *	  deployed.
 *
 * Runs in a user's backend, in the caller's transaction, which may be read-only; the bodies
 * as the workflow's owner, by the very code that a worker enters them with (engine/entry.c).
 * Everything happens to copies in memory, in subtransactions that are rolled back.  Never
 * write a row, lock one, wake a process or count anything: the runs go on meanwhile.
 */
#include "postgres.h"

#include "compat.h"
#include "engine/body.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "review/trial.h"
#include "session/workflow_function.h"
#include "shared/clock.h"
#include "shared/metrics.h"
#include "store/identity.h"
#include "store/rights.h"
#include "store/run_table.h"
#include "store/session_state.h"
#include "store/store.h"
#include "store/subxact.h"
#include "store/workflow_table.h"
#include "types/base.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(dataflows_replay_check);

enum
{
	ARG_WORKFLOW,
	ARG_FUNCTION,
	ARG_SINCE
};

/* runs whose rows are in memory at once; their steps are there one run at a time */
#define BATCH 50

/* of those that have completed */
#define MOST_ENDED 1000

typedef struct Review
{
	MemoryContext cxt; /* as long as rows are fetched */
	MemoryContext batch_cxt;
	DfWorkflowRow workflow; /* its newest version */
	char *function; /* the one to be tried; NULL = that of each run's version */
	Oid function_owner;
	List *versions; /* of DfWorkflow, as far as they were needed */

	pg_uuid_t *live;
	int nlive;
	pg_uuid_t *ended;
	int nended;
	int next; /* of the live ones, then of those that have ended */

	List *verdicts; /* of DfVerdict, of this batch */
	int taken; /* so many of them were returned */
} Review;

/* ---- what is to be tried ---------------------------------------------------- */

static void
require_outside(void)
{
	if (df_entry != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("\"dataflows.replay_check\" was called in the body of a workflow"),
				 errhint("Call it in a session.")));
}

static void
read_workflow(Review *review, const char *name)
{
	Oid caller = GetUserId();
	DfStore store;

	df_store_enter_reading(&store);
	df_require_workflow(name, &review->workflow, store.result_context);
	df_require_own(caller, &review->workflow, "check");
	df_store_leave(&store);
	df_require_owner_there(&review->workflow);
}

/* as define_workflow() would judge it, called by the owner */
static void
take_function(Review *review, const char *given)
{
	DfWorkflowRow *workflow = &review->workflow;

	review->function = df_workflow_function(given, workflow->owner, &review->function_owner);
	if (workflow->on_failure != NULL)
		df_check_function_owners(review->function, review->function_owner, workflow->on_failure,
								 workflow->function_owner);
}

/* `since` is about those alone that have ended; NULL = none of them */
static void
find_runs(Review *review, FunctionCallInfo fcinfo)
{
	const char *name = review->workflow.name;
	TimestampTz since = DF_NEVER;
	DfStore store;

	if (!PG_ARGISNULL(ARG_SINCE))
		since = DatumGetTimestampTz(DirectFunctionCall2(timestamptz_mi_interval,
														TimestampTzGetDatum(df_now()),
														PG_GETARG_DATUM(ARG_SINCE)));
	df_store_enter_reading(&store);
	review->live = df_live_run_ids(name, review->cxt, &review->nlive);
	if (!PG_ARGISNULL(ARG_SINCE))
		review->ended =
			df_completed_run_ids(name, since, MOST_ENDED, review->cxt, &review->nended);
	df_store_leave(&store);
}

static Review *
begin(FunctionCallInfo fcinfo, MemoryContext cxt)
{
	Review *review = palloc0(sizeof(Review));

	require_outside();
	if (PG_ARGISNULL(ARG_WORKFLOW))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("workflow must not be null"),
				 errhint("Call replay_check('workflow'), or replay_check('workflow', "
						 "'function') to try another function.")));
	review->cxt = cxt;
	review->batch_cxt =
		AllocSetContextCreate(cxt, "dataflows replay_check", ALLOCSET_DEFAULT_SIZES);
	read_workflow(review, text_to_cstring(PG_GETARG_TEXT_PP(ARG_WORKFLOW)));
	if (!PG_ARGISNULL(ARG_FUNCTION))
		take_function(review, text_to_cstring(PG_GETARG_TEXT_PP(ARG_FUNCTION)));
	find_runs(review, fcinfo);
	return review;
}

/* ---- one batch -------------------------------------------------------------- */

/* the version of a run, with the function that is to be tried; NULL = it is missing */
static DfWorkflow *
version_of(Review *review, int version)
{
	DfWorkflow *workflow;
	MemoryContext old;
	ListCell *lc;

	foreach (lc, review->versions)
	{
		workflow = lfirst(lc);
		if (workflow->version == version)
			return workflow;
	}
	workflow = df_load_workflow(review->workflow.name, version, review->cxt);
	if (workflow == NULL)
		return NULL;
	if (review->function != NULL)
	{
		workflow->function = review->function;
		workflow->function_owner = review->function_owner;
	}
	old = MemoryContextSwitchTo(review->cxt);
	review->versions = lappend(review->versions, workflow);
	MemoryContextSwitchTo(old);
	return workflow;
}

/* reads the rows of the next runs; their workflow is set */
static List *
read_batch(Review *review, bool *ended)
{
	const pg_uuid_t *ids;
	int n;
	List *runs;
	List *versions;
	ListCell *lc;
	ListCell *vc;
	DfStore store;

	*ended = review->next >= review->nlive;
	ids = *ended ? review->ended + (review->next - review->nlive) : review->live + review->next;
	n = Min(BATCH, (*ended ? review->nlive + review->nended : review->nlive) - review->next);
	df_store_enter_reading(&store);
	MemoryContextSwitchTo(review->batch_cxt);
	runs = df_read_runs(ids, n, *ended, review->batch_cxt, &versions);
	forboth (lc, runs, vc, versions)
		((DfRun *) lfirst(lc))->workflow = version_of(review, lfirst_int(vc));
	/* each query has left the context of SPI, which ends with the store */
	MemoryContextSwitchTo(review->batch_cxt);
	runs = list_copy(runs);
	df_store_leave(&store);
	review->next += n;
	return runs;
}

/* action of df_subxact() */
static void
try_batch(void *arg)
{
	Review *review = arg;
	bool ended;
	List *runs = read_batch(review, &ended);
	ListCell *lc;

	df_metrics_pause(true);
	df_settings_of_role(review->workflow.owner);
	foreach (lc, runs)
	{
		DfRun *run = lfirst(lc);
		DfVerdict *verdict;

		CHECK_FOR_INTERRUPTS();
		MemoryContextSwitchTo(review->batch_cxt);
		verdict = df_try_run(run, review->workflow.owner, ended);
		MemoryContextSwitchTo(review->batch_cxt);
		if (verdict != NULL)
			review->verdicts = lappend(review->verdicts, verdict);
		MemoryContextDelete(run->cxt);
	}
}

/* the next runs are tried; nothing of it stays in the session */
static void
next_batch(Review *review)
{
	DfSessionState state;
	MemoryContext old;
	ErrorData *error;

	require_outside();
	MemoryContextReset(review->batch_cxt);
	review->verdicts = NIL;
	review->taken = 0;
	old = MemoryContextSwitchTo(review->batch_cxt);
	df_session_note(&state);
	(void) df_subxact(try_batch, review, false, &error);
	df_metrics_pause(false);
	df_session_restore(&state);
	if (error != NULL)
		ThrowErrorData(error);
	MemoryContextSwitchTo(old);
}

/* ---- replay_check() ---------------------------------------------------------- */

static Datum
row_of(const DfVerdict *verdict, TupleDesc desc)
{
	bool nulls[4] = {false, verdict->key == NULL, false, verdict->detail == NULL};
	Datum values[4];

	values[0] = UUIDPGetDatum(&verdict->run);
	values[1] = verdict->key == NULL ? (Datum) 0 : CStringGetTextDatum(verdict->key);
	values[2] = CStringGetTextDatum(verdict->verdict);
	values[3] = verdict->detail == NULL ? (Datum) 0 : CStringGetTextDatum(verdict->detail);
	return HeapTupleGetDatum(heap_form_tuple(desc, values, nulls));
}

Datum
dataflows_replay_check(PG_FUNCTION_ARGS)
{
	FuncCallContext *call;
	Review *review;

	if (SRF_IS_FIRSTCALL())
	{
		MemoryContext old;
		TupleDesc desc;

		call = SRF_FIRSTCALL_INIT();
		old = MemoryContextSwitchTo(call->multi_call_memory_ctx);
		if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
			elog(ERROR, "return type must be a row type");
		call->tuple_desc = BlessTupleDesc(desc);
		call->user_fctx = begin(fcinfo, call->multi_call_memory_ctx);
		MemoryContextSwitchTo(old);
	}
	call = SRF_PERCALL_SETUP();
	review = call->user_fctx;
	while (review->taken >= list_length(review->verdicts))
	{
		if (review->next >= review->nlive + review->nended)
			SRF_RETURN_DONE(call);
		next_batch(review);
	}
	SRF_RETURN_NEXT(call, row_of(list_nth(review->verdicts, review->taken++), call->tuple_desc));
}
