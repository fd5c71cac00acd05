/*
 * worker/process.c
 *	  How a process of the engine is started, and what it does first.
 *
 * The first half runs in the launcher, which alone starts processes; the second in
 * every process of the engine, in its own session.  Never read a table of ours here.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_database.h"
#include "commands/dbcommands.h"
#include "miscadmin.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/pmsignal.h"
#include "storage/proc.h"
#include "utils/acl.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "guc.h"
#include "shared/clock.h"
#include "shared/crash.h"
#include "shared/metrics.h"
#include "shared/params.h"
#include "shared/trouble.h"
#include "shared/watchdog.h"
#include "store/xact.h"
#include "types/base.h"
#include "worker/process.h"
#include "worker/wait.h"

#define LONGEST_BACK_OFF_S 60
/* give up on a process that has not started by then */
#define LOST_MS 30000

/* main function of each kind of slot, and its name in pg_stat_activity */
static const struct
{
	const char *function;
	const char *name;
} programs[] = {
	[DF_SLOT_CHECK] = {"dataflows_database_check_main", "dataflows probe"},
	[DF_SLOT_COORDINATOR] = {"dataflows_coordinator_main", "dataflows coordinator"},
	[DF_SLOT_WORKER] = {"dataflows_worker_main", "dataflows worker"},
	[DF_SLOT_SQL_WORKER] = {"dataflows_sql_worker_main", "dataflows sql worker"},
	[DF_SLOT_INGRESS] = {"dataflows_ingress_main", "dataflows ingress"},
};

/* by slot: handles of the processes that this launcher has started, NULL = an earlier one did */
static BackgroundWorkerHandle **handles = NULL;

/* ---- in the launcher ------------------------------------------------------ */

TimestampTz
df_process_back_off(int failures)
{
	int seconds = failures > 6 ? LONGEST_BACK_OFF_S : 1 << Max(failures - 1, 0);

	return TimestampTzPlusMilliseconds(df_now(), Min(seconds, LONGEST_BACK_OFF_S) * 1000L);
}

static void
fill_worker(BackgroundWorker *worker, const DfSlot *slot)
{
	DfWorkerParams params;

	memset(worker, 0, sizeof(*worker));
	strlcpy(worker->bgw_name, programs[slot->kind].name, BGW_MAXLEN);
	strlcpy(worker->bgw_type, programs[slot->kind].name, BGW_MAXLEN);
	strlcpy(worker->bgw_library_name, "dataflows", sizeof(worker->bgw_library_name));
	strlcpy(worker->bgw_function_name, programs[slot->kind].function, BGW_MAXLEN);
	worker->bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker->bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker->bgw_restart_time = BGW_NEVER_RESTART;
	worker->bgw_main_arg = Int32GetDatum((int32) (slot - df_shared->slots));
	worker->bgw_notify_pid = MyProcPid;

	memset(&params, 0, sizeof(params));
	params.database = slot->database;
	params.owner = slot->kind == DF_SLOT_CHECK ? InvalidOid : slot->owner;
	params.generation = slot->generation;
	memcpy(worker->bgw_extra, &params, sizeof(params));
}

/* if nobody has changed the slot since the launcher read it, it is ours to start */
static bool
begin_start(DfSlot *slot, uint32 generation)
{
	bool mine;

	LWLockAcquire(df_shared->lock, LW_EXCLUSIVE);
	mine = slot->kind != DF_SLOT_FREE && slot->generation == generation && slot->pid == 0 &&
		(slot->state == DF_PROC_WANTED || slot->state == DF_PROC_AT_REST);
	if (mine)
	{
		slot->state = DF_PROC_STARTING;
		slot->started_at = df_now();
	}
	LWLockRelease(df_shared->lock);
	return mine;
}

/* not_before does not change, so the slot keeps its position in the queue */
static void
return_to_queue(DfSlot *slot)
{
	LWLockAcquire(df_shared->lock, LW_EXCLUSIVE);
	slot->state = DF_PROC_WANTED;
	LWLockRelease(df_shared->lock);
}

DfProcessStart
df_process_start(int index, uint32 generation)
{
	DfSlot *slot = &df_shared->slots[index];
	BackgroundWorker worker;
	BackgroundWorkerHandle *handle = NULL;
	MemoryContext old;
	bool started;

	if (!begin_start(slot, generation))
		return DF_START_CHANGED;
	old = MemoryContextSwitchTo(df_process_cxt);
	if (handles == NULL)
		handles = palloc0(sizeof(handles[0]) * df_shared->nslots);
	if (handles[index] != NULL)
		pfree(handles[index]);
	handles[index] = NULL;

	fill_worker(&worker, slot);
	started = RegisterDynamicBackgroundWorker(&worker, &handle);
	MemoryContextSwitchTo(old);
	if (started)
		handles[index] = handle;
	else
		return_to_queue(slot);
	return started ? DF_START_DONE : DF_START_NO_WORKER;
}

/*
 * A process that could not be forked, or that ended before it claimed its slot,
 * leaves the slot STARTING.  The postmaster tells only the launcher that registered
 * it; a process that an earlier launcher registered is given up after LOST_MS.
 */
TimestampTz
df_process_check(void)
{
	TimestampTz now = df_now();
	TimestampTz again = DF_NEVER;

	for (int i = 0; i < df_shared->nslots; i++)
	{
		DfSlot *slot = &df_shared->slots[i];
		TimestampTz lost_at = TimestampTzPlusMilliseconds(slot->started_at, LOST_MS);
		bool ours = handles != NULL && handles[i] != NULL;
		pid_t pid;

		if (slot->kind == DF_SLOT_FREE || slot->state != DF_PROC_STARTING)
			continue;
		if (ours ? GetBackgroundWorkerPid(handles[i], &pid) == BGWH_STOPPED : lost_at <= now)
			df_slot_lost(slot);
		else if (!ours)
			again = df_earlier(again, lost_at);
	}
	return again;
}

const char *
df_process_role_problem(Oid database, Oid role, const char **remedy)
{
	HeapTuple tuple = SearchSysCache1(AUTHOID, ObjectIdGetDatum(role));
	Form_pg_authid form;
	const char *problem = NULL;

	*remedy = "As a superuser, give the workflow to another role, as which its runs go on: SELECT "
			  "dataflows.set_owner('workflow', 'role'); Or create a role of that name again and "
			  "call dataflows.adopt(), then dataflows.retry(run).";
	if (!HeapTupleIsValid(tuple))
		return "it does not exist any more";
	form = (Form_pg_authid) GETSTRUCT(tuple);
	if (DF_ROLE_NEEDS_LOGIN && !form->rolcanlogin)
	{
		*remedy = "Run ALTER ROLE ... LOGIN, then call dataflows.retry(run).";
		problem = "it may not log in";
	}
	else if (object_aclcheck(DatabaseRelationId, database, role, ACL_CONNECT) != ACLCHECK_OK)
	{
		*remedy = "Run GRANT CONNECT ON DATABASE ... TO the role, then call dataflows.retry(run).";
		problem = "it may not connect to this database";
	}
	ReleaseSysCache(tuple);
	return problem;
}

/* ---- in the process that is started --------------------------------------- */

MemoryContext df_process_cxt = NULL;
MemoryContext df_turn_cxt = NULL;

void
df_process_memory(Size first_block)
{
	df_process_cxt =
		AllocSetContextCreate(TopMemoryContext, "dataflows process", ALLOCSET_DEFAULT_SIZES);
	if (first_block > 0)
		df_turn_cxt = AllocSetContextCreate(TopMemoryContext, "dataflows turn", 0, first_block,
											ALLOCSET_DEFAULT_MAXSIZE);
	else
		df_turn_cxt =
			AllocSetContextCreate(TopMemoryContext, "dataflows turn", ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(df_turn_cxt);
}

void
df_reset_turn_memory(void)
{
	Assert(CurrentMemoryContext == df_turn_cxt);
	MemoryContextReset(df_turn_cxt);
}

DfSlot *
df_process_begin(Datum arg)
{
	DfWorkerParams params;
	DfSlot *slot;

	memcpy(&params, MyBgworkerEntry->bgw_extra, sizeof(params));
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, df_handle_die);
	pqsignal(SIGINT, df_handle_cancel);
	ConfigReloadPending = true; /* a SIGHUP during the fork is lost: read the settings once */
	df_crash_attach();
	slot = df_slot_claim(DatumGetInt32(arg), params.generation);
	df_trouble_owner(slot);
	BackgroundWorkerUnblockSignals();

	BackgroundWorkerInitializeConnectionByOid(params.database, params.owner,
											  BGWORKER_BYPASS_ROLELOGINCHECK);
	df_watchdog_start();
	df_session_pin();
	df_metrics_enable();
	df_metric_add(DF_METRIC_PROCESS_STARTS, df_slot_kind_name(slot->kind), NULL, NULL, 1);
	return slot;
}

bool
df_process_may_listen(Oid role, const char **problem)
{
	const char *remedy;

	*problem = NULL;
	if (df_listen[0] == '\0' ||
		(df_ingress_database[0] != '\0' &&
		 strcmp(df_ingress_database, get_database_name(MyDatabaseId)) != 0))
		return false;
	if (df_ingress_role[0] == '\0')
		*problem = "dataflows.ingress_role is not set";
	else if (!OidIsValid(role))
		*problem = "the role does not exist";
	else if (superuser_arg(role))
		*problem = "it is a superuser";
	else
		*problem = df_process_role_problem(MyDatabaseId, role, &remedy);
	return *problem == NULL;
}

bool
df_process_role_exists(void)
{
	return SearchSysCacheExists1(AUTHOID, ObjectIdGetDatum(GetSessionUserId()));
}

void
df_process_interrupts(void)
{
	/* between transactions there is nothing to cancel, and the cancel must not end us */
	QueryCancelPending = false;
	if (!PostmasterIsAlive())
		proc_exit(1);
	/* a wait for a standby that the postmaster's death ended sets ProcDiePending alone */
	if (ProcDiePending)
		InterruptPending = true;
	CHECK_FOR_INTERRUPTS();
	if (ConfigReloadPending)
	{
		ConfigReloadPending = false;
		ProcessConfigFile(PGC_SIGHUP);
		df_xact_limit_locks();
	}
}
