/*
 * worker/launcher.c
 *	  The one static background worker: sees to it that each database that has
 *	  the extension has its coordinator.
 *
 * Started at the end of recovery, so at boot, after a crash and at promotion.
 * Its session is connected to no database: it reads pg_database and pg_authid
 * in short transactions, and only when something has changed.  To learn
 * whether a database has the extension, it sends a probe there: to all of them
 * at boot, one at a time, and to one when CREATE EXTENSION commits.  It must
 * never run anything of a user's and never connect to a database.
 *
 * A slot of kind COORDINATOR that is WANTED without an owner stands for a
 * database that is to be probed (again) before its coordinator is started.
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "catalog/pg_database.h"
#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "utils/memutils.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#include "shared/clock.h"
#include "shared/slots.h"
#include "shared/watchdog.h"
#include "store/xact.h"
#include "worker/guarded.h"
#include "worker/launcher.h"
#include "worker/process.h"
#include "worker/wait.h"

/* seconds until a launcher that died is started again */
#define RESTART_S 5
/* a coordinator that lived longer than this starts its back-off anew */
#define STEADY_MS (5 * 60 * 1000)
/* when all slots are in use, look again after this time */
#define NO_SLOT_MS 5000

/* databases to be probed that have no slot yet: Oids, in TopMemoryContext */
static List *unvisited = NIL;

/* ---- start and end ---------------------------------------------------------- */

void
df_launcher_register(void)
{
	BackgroundWorker worker;

	memset(&worker, 0, sizeof(worker));
	strlcpy(worker.bgw_name, "dataflows launcher", BGW_MAXLEN);
	strlcpy(worker.bgw_type, "dataflows launcher", BGW_MAXLEN);
	strlcpy(worker.bgw_library_name, "dataflows", sizeof(worker.bgw_library_name));
	strlcpy(worker.bgw_function_name, "dataflows_launcher_main", BGW_MAXLEN);
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = RESTART_S;
	RegisterBackgroundWorker(&worker);
}

static void
detach(int code, Datum arg)
{
	LWLockAcquire(df_shared->lock, LW_EXCLUSIVE);
	df_shared->launcher_latch = NULL;
	df_shared->launcher_pid = 0;
	LWLockRelease(df_shared->lock);
}

static void
attach(void)
{
	LWLockAcquire(df_shared->lock, LW_EXCLUSIVE);
	df_shared->launcher_latch = MyLatch;
	df_shared->launcher_pid = MyProcPid;
	df_shared->launcher_reason[0] = '\0';
	df_shared->rescan = true;
	LWLockRelease(df_shared->lock);
	before_shmem_exit(detach, (Datum) 0);
}

/* ---- which databases there are ---------------------------------------------- */

/* may a probe or a coordinator connect to it? */
static bool
is_visitable(Form_pg_database database)
{
	return database->datallowconn && !database->datistemplate &&
		database->datconnlimit > -2;	/* -2 = being dropped */
}

static bool
database_is_visitable(Oid database)
{
	HeapTuple	tuple;
	bool		result = false;

	df_xact_begin();
	tuple = SearchSysCache1(DATABASEOID, ObjectIdGetDatum(database));
	if (HeapTupleIsValid(tuple))
	{
		result = is_visitable((Form_pg_database) GETSTRUCT(tuple));
		ReleaseSysCache(tuple);
	}
	df_xact_commit();
	return result;
}

/* the databases without coordinator are to be visited, each once */
static void
scan_databases(void)
{
	MemoryContext context = CurrentMemoryContext;
	Relation	relation;
	TableScanDesc scan;
	HeapTuple	tuple;

	df_xact_begin();
	relation = table_open(DatabaseRelationId, AccessShareLock);
	scan = table_beginscan_catalog(relation, 0, NULL);
	while ((tuple = heap_getnext(scan, ForwardScanDirection)) != NULL)
	{
		Form_pg_database database = (Form_pg_database) GETSTRUCT(tuple);
		MemoryContext old;

		if (!is_visitable(database))
			continue;
		old = MemoryContextSwitchTo(context);
		unvisited = list_append_unique_oid(unvisited, database->oid);
		MemoryContextSwitchTo(old);
	}
	table_endscan(scan);
	table_close(relation, AccessShareLock);
	df_xact_commit();
}

static void
scan_if_asked(void)
{
	bool		asked;

	LWLockAcquire(df_shared->lock, LW_EXCLUSIVE);
	asked = df_shared->rescan;
	df_shared->rescan = false;
	LWLockRelease(df_shared->lock);
	if (asked)
		scan_databases();
}

/* ---- processes that have ended: under the lock ------------------------------- */

/* the database of this slot is to be probed, then its coordinator started */
static void
want_coordinator(DfSlot *slot, TimestampTz not_before, const char *reason)
{
	slot->kind = DF_SLOT_COORDINATOR;
	slot->state = DF_PROC_WANTED;
	slot->generation++;
	slot->owner = InvalidOid;
	slot->not_before = not_before;
	strlcpy(slot->reason, reason, sizeof(slot->reason));
}

static void
want_again(DfSlot *slot)
{
	if (slot->end == DF_END_ASIDE)
	{
		slot->failures = 0;
		want_coordinator(slot, DF_NEVER, "stepped aside");
		return;
	}
	slot->failures++;
	want_coordinator(slot, df_process_back_off(slot->failures),
					 "it ended unexpectedly, see the server log");
}

static void
settle_coordinator(DfSlot *slot)
{
	if (slot->end == DF_END_RETIRED)
	{
		df_slot_free(slot);
		return;
	}
	if (TimestampDifferenceExceeds(slot->started_at, df_now(), STEADY_MS))
		slot->failures = 0;
	want_again(slot);
}

static void
settle_probe(DfSlot *slot)
{
	DfSlot	   *coordinator = df_slot_find(DF_SLOT_COORDINATOR, slot->database, InvalidOid);
	Oid			owner = slot->owner;

	if (slot->end != DF_END_RETIRED)
	{
		if (coordinator == NULL)
			want_again(slot);
		else
		{
			if (coordinator->state == DF_PROC_WANTED)
			{
				coordinator->end = slot->end;
				want_again(coordinator);
			}
			df_slot_free(slot);
		}
		return;
	}
	if (coordinator == NULL && OidIsValid(owner))
	{
		want_coordinator(slot, DF_NEVER, "");
		slot->failures = 0;
		slot->owner = owner;
		return;
	}
	df_slot_free(slot);
	if (coordinator == NULL)
		return;
	if (coordinator->state != DF_PROC_WANTED)
	{
		coordinator->woken = true;
		if (coordinator->latch != NULL)
			SetLatch(coordinator->latch);
	}
	else if (OidIsValid(owner))
		coordinator->owner = owner;
	else
		df_slot_free(coordinator);
}

static bool
has_slot(DfSlotKind kind, Oid database, bool gone_only)
{
	for (int i = 0; i < df_shared->nslots; i++)
	{
		DfSlot	   *slot = &df_shared->slots[i];

		if (slot->kind == kind && slot->database == database &&
			(!gone_only || slot->state == DF_PROC_GONE))
			return true;
	}
	return false;
}

/* a slot whose process is not there and will not come by itself */
static bool
is_over(DfSlot *slot, DfSlotKind kind)
{
	return slot->kind == kind && slot->state == DF_PROC_GONE && slot->pid == 0;
}

/*
 * Coordinators first: what a probe found is settled against those that are
 * still there.  Slots of workers are their coordinator's; where there will be
 * none, they are freed here.
 */
static void
reap(void)
{
	LWLockAcquire(df_shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < df_shared->nslots; i++)
		if (is_over(&df_shared->slots[i], DF_SLOT_COORDINATOR))
			settle_coordinator(&df_shared->slots[i]);
	for (int i = 0; i < df_shared->nslots; i++)
	{
		DfSlot	   *slot = &df_shared->slots[i];

		if (is_over(slot, DF_SLOT_PROBE) && !has_slot(DF_SLOT_COORDINATOR, slot->database, true))
			settle_probe(slot);
		else if (slot->kind >= DF_SLOT_WORKER &&
				 slot->pid == 0 && slot->state != DF_PROC_STARTING &&
				 !has_slot(DF_SLOT_COORDINATOR, slot->database, false))
			df_slot_free(slot);
	}
	LWLockRelease(df_shared->lock);
}

/* ---- processes to be started -------------------------------------------------- */

static bool
is_due(DfSlot *slot, TimestampTz now)
{
	return slot->state == DF_PROC_WANTED && slot->not_before <= now &&
		!df_database_held(slot->database);
}

/* the probe to be started next; under the lock.  *full = there is one, but no slot for it */
static DfSlot *
choose_probe(TimestampTz now, bool *full)
{
	DfSlot	   *chosen = NULL;
	Oid			database = InvalidOid;

	for (int i = 0; i < df_shared->nslots; i++)
	{
		DfSlot	   *slot = &df_shared->slots[i];

		if (slot->kind == DF_SLOT_PROBE && slot->state != DF_PROC_WANTED)
			return NULL;		/* one at a time */
		if (slot->kind == DF_SLOT_PROBE && is_due(slot, now) && chosen == NULL)
			chosen = slot;
		if (slot->kind == DF_SLOT_COORDINATOR && is_due(slot, now) && !OidIsValid(slot->owner) &&
			!OidIsValid(database))
			database = slot->database;
	}
	if (chosen != NULL)
		return chosen;
	while (!OidIsValid(database) && unvisited != NIL)
	{
		database = linitial_oid(unvisited);
		if (df_database_held(database))
			break;
		unvisited = list_delete_first(unvisited);
		if (has_slot(DF_SLOT_COORDINATOR, database, false))
			database = InvalidOid;
	}
	if (!OidIsValid(database) || df_database_held(database))
		return NULL;
	chosen = df_slot_take(DF_SLOT_PROBE, database, InvalidOid);
	*full = chosen == NULL;
	return chosen;
}

/* a database that is gone or closed needs nothing of us */
static void
forget_database(DfSlot *probe)
{
	DfSlot	   *coordinator;

	LWLockAcquire(df_shared->lock, LW_EXCLUSIVE);
	coordinator = df_slot_find(DF_SLOT_COORDINATOR, probe->database, InvalidOid);
	if (coordinator != NULL && coordinator->state == DF_PROC_WANTED)
		df_slot_free(coordinator);
	df_slot_free(probe);
	LWLockRelease(df_shared->lock);
}

/* starts at most one probe; returns when to look again if there is no room for it */
static TimestampTz
start_probe(void)
{
	static bool said = false;
	bool		full = false;
	DfSlot	   *probe;

	for (;;)
	{
		LWLockAcquire(df_shared->lock, LW_EXCLUSIVE);
		probe = choose_probe(df_now(), &full);
		LWLockRelease(df_shared->lock);
		if (probe == NULL || database_is_visitable(probe->database))
			break;
		forget_database(probe);
	}
	if (probe != NULL)
		(void) df_process_start(probe, InvalidOid);
	if (full && !said)
		ereport(LOG,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("all %d slots of dataflows are in use", df_shared->nslots),
				 errhint("Increase dataflows.max_processes and restart the server.")));
	said |= full;
	LWLockAcquire(df_shared->lock, LW_EXCLUSIVE);
	strlcpy(df_shared->launcher_reason, full ? "out of dataflows.max_processes" : "",
			sizeof(df_shared->launcher_reason));
	LWLockRelease(df_shared->lock);
	return full ? TimestampTzPlusMilliseconds(df_now(), NO_SLOT_MS) : DF_NEVER;
}

/* what keeps the extension's owner from having a session there; else NULL */
static const char *
owner_problem(DfSlot *slot)
{
	const char *remedy;
	const char *problem;

	df_xact_begin();
	problem = df_process_role_problem(slot->database, slot->owner, &remedy);
	df_xact_commit();
	return problem;
}

static void
start_coordinator(DfSlot *slot)
{
	const char *problem = owner_problem(slot);

	if (problem == NULL)
	{
		(void) df_process_start(slot, slot->owner);
		return;
	}
	if (slot->failures == 0)
		ereport(LOG,
				(errcode(ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION),
				 errmsg("could not start \"dataflows coordinator\" in database %u: role %u owns the extension, but %s",
						slot->database, slot->owner, problem)));
	LWLockAcquire(df_shared->lock, LW_EXCLUSIVE);
	slot->failures++;
	want_coordinator(slot, df_process_back_off(slot->failures), "");
	snprintf(slot->reason, sizeof(slot->reason), "the extension's owner: %s", problem);
	LWLockRelease(df_shared->lock);
}

/* starts the coordinators that are due */
static void
start_coordinators(void)
{
	for (int i = 0; i < df_shared->nslots; i++)
	{
		DfSlot	   *slot = &df_shared->slots[i];
		bool		start;

		LWLockAcquire(df_shared->lock, LW_SHARED);
		start = slot->kind == DF_SLOT_COORDINATOR && OidIsValid(slot->owner) &&
			is_due(slot, df_now());
		LWLockRelease(df_shared->lock);
		if (start)
			start_coordinator(slot);
	}
}

/*
 * The end of the first back-off, DF_NEVER if there is none.  What was due and
 * has not been started waits for something that will set our latch.
 */
static TimestampTz
next_start(void)
{
	TimestampTz now = df_now();
	TimestampTz next = DF_NEVER;

	LWLockAcquire(df_shared->lock, LW_SHARED);
	for (int i = 0; i < df_shared->nslots; i++)
	{
		DfSlot	   *slot = &df_shared->slots[i];

		if ((slot->kind == DF_SLOT_COORDINATOR || slot->kind == DF_SLOT_PROBE) &&
			slot->state == DF_PROC_WANTED && slot->not_before > now)
			next = df_earlier(next, slot->not_before);
	}
	LWLockRelease(df_shared->lock);
	return next;
}

/* a launcher that ends each time before its first turn is not to fill the log */
static void
wait_after_failures(void)
{
	TimestampTz until = df_process_back_off(df_shared->launcher_failures);

	if (df_shared->launcher_failures++ == 0)
		return;
	for (TimestampTz now = df_now(); now < until; now = df_now())
	{
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, (until - now) / 1000 + 1,
						 PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
}

static DfTrouble trouble = {"look after databases and coordinators"};
static TimestampTz next_turn;

static void
turn(void)
{
	TimestampTz again;

	df_process_check();
	reap();
	scan_if_asked();
	again = start_probe();
	start_coordinators();
	next_turn = df_earlier(again, next_start());
}

void
dataflows_launcher_main(Datum arg)
{
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, df_handle_die);
	pqsignal(SIGINT, df_handle_cancel);
	BackgroundWorkerUnblockSignals();
	wait_after_failures();
	BackgroundWorkerInitializeConnection(NULL, NULL, 0);
	df_watchdog_start();
	df_wait_init(PGINVALID_SOCKET);
	df_xact_limit_locks();
	attach();
	MemoryContextSwitchTo(TopMemoryContext);

	for (;;)
	{
		/* whoever wakes us while something fails does not make us try again before its time */
		if (!df_trouble_waits(&trouble, df_now()))
		{
			if (df_guarded(turn, &trouble))
				df_shared->launcher_failures = 0;
			else
				df_launcher_rescan();
		}
		(void) df_wait_until(trouble.failures > 0 ? trouble.retry_at : next_turn);
		df_process_interrupts();
	}
}
