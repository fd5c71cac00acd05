/*
 * session/find.c
 *	  list_runs() and run_of(): which runs there are.
 *
 * Runs in a user's backend, in the caller's transaction and role.  Reads, and must never write
 * or lock anything: both are STABLE.
 */
#include "postgres.h"

#include "flow/flow.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "store/find_runs.h"
#include "utils/builtins.h"
#include "utils/uuid.h"

PG_FUNCTION_INFO_V1(dataflows_newest_runs);
PG_FUNCTION_INFO_V1(dataflows_run_of);

/* the page shows fewer; a program pages with `before` */
#define MOST_RUNS 10000

static char *
text_argument(FunctionCallInfo fcinfo, int arg)
{
	return PG_ARGISNULL(arg) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(arg));
}

static void
read_filter(FunctionCallInfo fcinfo, DfRunFilter *filter)
{
	filter->workflow = text_argument(fcinfo, 0);
	filter->in_state = text_argument(fcinfo, 1);
	filter->before = PG_ARGISNULL(2) ? NULL : PG_GETARG_UUID_P(2);
	filter->max = PG_ARGISNULL(3) ? MOST_RUNS : PG_GETARG_INT32(3);
	if (filter->in_state != NULL && df_run_state_of(filter->in_state) < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("there is no state \"%s\"", filter->in_state),
				 errhint("The states are queued, running, waiting, rolling_back, stuck, completed, "
						 "rolled_back, cancelled and abandoned.")));
	if (filter->max < 1 || filter->max > MOST_RUNS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"max\" must be from 1 to %d", MOST_RUNS),
				 errhint("For more runs call it again, with \"before\" set to the last run that it "
						 "returned.")));
}

typedef struct Listed
{
	pg_uuid_t *runs;
	int n;
} Listed;

/* _newest_runs(workflow text, state text, before uuid, max int) */
Datum
dataflows_newest_runs(PG_FUNCTION_ARGS)
{
	FuncCallContext *call;
	Listed *listed;

	if (SRF_IS_FIRSTCALL())
	{
		MemoryContext old;
		DfRunFilter filter;

		call = SRF_FIRSTCALL_INIT();
		old = MemoryContextSwitchTo(call->multi_call_memory_ctx);
		read_filter(fcinfo, &filter);
		listed = palloc(sizeof(Listed));
		listed->runs = df_newest_runs(GetUserId(), &filter, &listed->n);
		call->user_fctx = listed;
		MemoryContextSwitchTo(old);
	}
	call = SRF_PERCALL_SETUP();
	listed = call->user_fctx;
	if (call->call_cntr >= listed->n)
		SRF_RETURN_DONE(call);
	/* the macro increments the counter before it evaluates the result */
	SRF_RETURN_NEXT(call, UUIDPGetDatum(&listed->runs[call->call_cntr - 1]));
}

/* run_of(workflow text, key text) */
Datum
dataflows_run_of(PG_FUNCTION_ARGS)
{
	pg_uuid_t *run = palloc(sizeof(pg_uuid_t));
	DfSeenRun seen;

	if (!df_find_by_key(text_to_cstring(PG_GETARG_TEXT_PP(0)),
						text_to_cstring(PG_GETARG_TEXT_PP(1)), run, &seen, CurrentMemoryContext) ||
		df_sight(GetUserId(), &seen) == DF_SEES_NOTHING)
		PG_RETURN_NULL();
	PG_RETURN_UUID_P(run);
}
