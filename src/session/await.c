/*
 * session/await.c
 *	  await(): blocks the caller until a run stops moving.
 *
 * Runs in a user's backend, in the caller's transaction and role.  Each check reads with a
 * new snapshot.  In between it sleeps on the condition variable of a group of runs, which
 * workers broadcast after a commit in which one of them stopped, and wakes once a second in
 * case it missed a broadcast.
 * Writes nothing, and must never keep a run from moving: it takes no lock on it.
 */
#include "postgres.h"

#include "access/xact.h"
#include "flow/flow.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "store/rights.h"
#include "session/node.h"
#include "shared/clock.h"
#include "shared/slots.h"
#include "shared/uuid.h"
#include "shared/wake.h"
#include "store/run_progress.h"
#include "store/store.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#include "compat.h"

PG_FUNCTION_INFO_V1(dataflows_await);

/* a missed broadcast delays the result by at most this */
#define POLL_MS 1000

static void
require_engine(void)
{
	if (df_shared == NULL)
		ereport(ERROR,
				(errcode(DF_ERR_NOT_LOADED),
				 errmsg("cannot await a run: the engine of \"dataflows\" is not loaded"),
				 errhint("Set shared_preload_libraries = 'dataflows' in postgresql.conf and "
						 "restart the server.")));
}

/* a worker that waited inside a body or a query step would wait for itself */
static void
forbid_in_engine(void)
{
	bool found = false;

	LWLockAcquire(df_shared->lock, LW_SHARED);
	for (int i = 0; i < df_shared->nslots && !found; i++)
		found = df_shared->slots[i].kind != DF_SLOT_FREE && df_shared->slots[i].pid == MyProcPid;
	LWLockRelease(df_shared->lock);
	if (found)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED), errmsg("a workflow cannot call await()"),
				 errhint("Let the other run signal this one with dataflows.signal_by_key() in its "
						 "last step, and wait with dataflows.wait_for().")));
}

static char *
run_text(const pg_uuid_t *run)
{
	return df_uuid_text(run);
}

/* roles that may see the run may wait for it */
static void
require_sight(const pg_uuid_t *run, const DfRunProgress *look)
{
	Oid role = GetUserId();

	df_require_sight(role, run, df_sight(role, &look->seen), DF_SEES_META);
}

static void
look_once(const pg_uuid_t *run, DfRunProgress *look)
{
	DfStore store;
	bool found;

	df_store_enter(&store);
	found = df_run_progress(run, look, store.result_context);
	df_store_leave(&store);
	if (!found)
		df_refuse_unknown_run(run);
	if (TransactionIdIsCurrentTransactionId(look->xmin))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("run \"%s\" was started in this transaction and cannot move before its end",
						run_text(run)),
				 errhint("Commit first, then await the run in the next transaction.")));
}

/* DF_NEVER = without limit */
static TimestampTz
deadline_argument(FunctionCallInfo fcinfo, int arg)
{
	TimestampTz now = df_now();
	TimestampTz deadline;

	if (PG_ARGISNULL(arg))
		return DF_NEVER;
	deadline = DatumGetTimestampTz(DirectFunctionCall2(timestamptz_pl_interval,
													   TimestampTzGetDatum(now),
													   PG_GETARG_DATUM(arg)));
	if (deadline < now)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the timeout must not be negative"),
				 errhint("Give '0' to check once.")));
	return deadline;
}

/* how long to sleep before the next check; 0 = the timeout has passed */
static long
nap_ms(TimestampTz deadline)
{
	int64 left;

	if (deadline == DF_NEVER)
		return POLL_MS;
	left = (deadline - df_now() + 999) / 1000;
	return (long) Max(0, Min(left, POLL_MS));
}

static char *
wait_until_settled(const pg_uuid_t *run, TimestampTz deadline, bool ended)
{
	static uint32 wait_event = 0;
	MemoryContext turn =
		AllocSetContextCreate(CurrentMemoryContext, "dataflows await", ALLOCSET_SMALL_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(turn);
	ConditionVariable *moved = df_awaited(run);
	bool seen = false;
	DfRunProgress look;
	long nap;
	char *state;

	if (wait_event == 0)
		wait_event = df_compat_wait_event("DataflowsAwait");
	/* before the first check, so that no broadcast is missed between a check and the sleep */
	ConditionVariablePrepareToSleep(moved);
	for (;;)
	{
		look_once(run, &look);
		if (!seen)
			require_sight(run, &look);
		seen = true;
		nap = nap_ms(deadline);
		if ((ended ? look.ended : look.settled) || nap == 0)
			break;
		MemoryContextReset(turn);
		(void) ConditionVariableTimedSleep(moved, nap, wait_event);
	}
	ConditionVariableCancelSleep();
	state = MemoryContextStrdup(caller, look.state);
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(turn);
	return state;
}

Datum
dataflows_await(PG_FUNCTION_ARGS)
{
	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	require_engine();
	forbid_in_engine();
	PG_RETURN_TEXT_P(cstring_to_text(
		wait_until_settled(PG_GETARG_UUID_P(0), deadline_argument(fcinfo, 1),
						   PG_NARGS() > 2 && !PG_ARGISNULL(2) && PG_GETARG_BOOL(2))));
}
