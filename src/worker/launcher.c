/*
 * worker/launcher.c
 *	  The launcher, our one static background worker: starts all other processes
 *	  and gives each database that has the extension its coordinator.
 *
 * Started at the end of recovery: at boot, after a crash, at promotion.  Its
 * session is connected to no database; it reads pg_database and pg_authid in short
 * transactions, and only after a change.  To learn whether a database has the
 * extension it starts a check there (worker/database_check.c): in every database at
 * boot, one at a time, and in one when CREATE EXTENSION commits.  Never run users'
 * code here, and never connect to a database.
 *
 * Slots that are WANTED are started here and nowhere else, so that all databases
 * and owners share one queue where the server has too few workers
 * (shared/slot_queue.c).  The postmaster signals us when a process of ours ends.
 *
 * A slot of kind COORDINATOR that is WANTED and has no owner stands for a database
 * that is to be checked (again) before its coordinator is started.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#include "shared/clock.h"
#include "shared/slot_queue.h"
#include "shared/watchdog.h"
#include "store/xact.h"
#include "types/base.h"
#include "worker/guarded.h"
#include "worker/launcher.h"
#include "worker/process.h"
#include "worker/wait.h"

/* seconds until a launcher that died is started again */
#define RESTART_S 1
/* a coordinator that ran longer than this begins with the shortest back-off again */
#define STEADY_MS (5 * 60 * 1000)
/* when max_worker_processes is used up, try again: others may free one without telling us */
#define NO_WORKER_MS 250
/* log that at most once in this time */
#define LOG_AGAIN_MS (60 * 60 * 1000)

/* ---- start and end -------------------------------------------------------- */

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

/* ---- processes that have ended: under the lock ---------------------------- */

/* has the database of this slot checked, and then its coordinator started */
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

/* its process has ended, not for want of work */
static void
want_again(DfSlot *slot)
{
	if (slot->end == DF_END_RESTART)
	{
		slot->failures = 0;
		want_coordinator(slot, df_now(), "it left the database to DDL");
		return;
	}
	slot->failures++;
	want_coordinator(slot, df_process_back_off(slot->failures),
					 "it ended unexpectedly, see the server log");
}

static void
coordinator_ended(DfSlot *slot)
{
	if (slot->end == DF_END_RETIRED)
	{
		df_slot_free(slot);
		return;
	}
	slot->lacks_slot_since = DF_NEVER;
	if (TimestampDifferenceExceeds(slot->started_at, df_now(), STEADY_MS))
		slot->failures = 0;
	want_again(slot);
}

/* have it repeated: by the slot of the coordinator that waits for it, or by its own */
static void
check_failed(DfSlot *check, DfSlot *coordinator)
{
	if (coordinator == NULL)
	{
		want_again(check);
		return;
	}
	if (coordinator->state == DF_PROC_WANTED)
	{
		coordinator->end = check->end;
		want_again(coordinator);
	}
	df_slot_free(check);
}

/* the extension's owner is known now, InvalidOid = there is no extension */
static void
check_succeeded(DfSlot *coordinator, Oid owner)
{
	if (df_slot_is_up(coordinator))
	{
		coordinator->woken = true;
		if (coordinator->latch != NULL)
			SetLatch(coordinator->latch);
	}
	else if (OidIsValid(owner))
	{
		coordinator->owner = owner;
		df_slot_start_soon(coordinator);
	}
	else if (coordinator->pid == 0)
		df_slot_free(coordinator);
}

static void
check_ended(DfSlot *check)
{
	DfSlot *coordinator = df_slot_find(DF_SLOT_COORDINATOR, check->database, InvalidOid);
	Oid owner = check->owner;

	if (check->end != DF_END_RETIRED)
		check_failed(check, coordinator);
	else if (coordinator == NULL && OidIsValid(owner))
	{
		/* the slot of the check becomes the coordinator's */
		want_coordinator(check, df_now(), "");
		check->owner = owner;
	}
	else
	{
		df_slot_free(check);
		if (coordinator != NULL)
			check_succeeded(coordinator, owner);
	}
}

/* its process has ended, or will never come */
static bool
has_ended(DfSlot *slot, DfSlotKind kind)
{
	return slot->kind == kind && slot->state == DF_PROC_GONE && slot->pid == 0;
}

/*
 * Coordinators first, because what becomes of a check depends on whether the
 * database has one.  Slots of workers are their coordinator's to free, unless there
 * will be none.
 */
static void
reap(void)
{
	LWLockAcquire(df_shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < df_shared->nslots; i++)
		if (has_ended(&df_shared->slots[i], DF_SLOT_COORDINATOR))
			coordinator_ended(&df_shared->slots[i]);
	for (int i = 0; i < df_shared->nslots; i++)
	{
		DfSlot *slot = &df_shared->slots[i];

		if (has_ended(slot, DF_SLOT_CHECK) &&
			!df_has_slot(DF_SLOT_COORDINATOR, slot->database, true))
			check_ended(slot);
		else if (slot->kind >= DF_SLOT_WORKER &&
				 slot->pid == 0 && slot->state != DF_PROC_STARTING &&
				 !df_has_slot(DF_SLOT_COORDINATOR, slot->database, false) &&
				 !df_has_slot(DF_SLOT_CHECK, slot->database, false))
			df_slot_free(slot);
	}
	LWLockRelease(df_shared->lock);
}

/* ---- processes to start ----------------------------------------------------- */

/* under the lock: is the slot still in the use that `copy` was taken of? */
static bool
is_unchanged(const DfSlot *slot, const DfSlot *copy)
{
	return slot->kind == copy->kind && slot->generation == copy->generation &&
		slot->pid == 0 && !df_slot_is_up(slot);
}

/* the database was dropped or closed: free its slots */
static void
forget(DfSlot *slot, const DfSlot *copy)
{
	DfSlot *coordinator;

	LWLockAcquire(df_shared->lock, LW_EXCLUSIVE);
	if (is_unchanged(slot, copy))
	{
		coordinator = df_slot_find(DF_SLOT_COORDINATOR, copy->database, InvalidOid);
		if (copy->kind == DF_SLOT_CHECK && coordinator != NULL && coordinator->pid == 0 &&
			!df_slot_is_up(coordinator))
			df_slot_free(coordinator);
		df_slot_free(slot);
	}
	LWLockRelease(df_shared->lock);
}

/* the extension's owner can have no session: try again later */
static void
postpone(DfSlot *slot, const DfSlot *copy, const char *problem)
{
	if (copy->failures == 0)
		ereport(LOG,
				(errcode(ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION),
				 errmsg("could not start \"dataflows coordinator\" in database %u: role %u owns "
						"the extension, but %s",
						copy->database, copy->owner, problem)));
	LWLockAcquire(df_shared->lock, LW_EXCLUSIVE);
	if (is_unchanged(slot, copy))
	{
		slot->failures++;
		want_coordinator(slot, df_process_back_off(slot->failures), "");
		snprintf(slot->reason, sizeof(slot->reason), "the extension's owner: %s", problem);
	}
	LWLockRelease(df_shared->lock);
}

/* false: there can be no such process now, and its slot was freed or postponed */
static bool
can_start(DfSlot *slot, const DfSlot *copy)
{
	const char *remedy;
	const char *problem = NULL;
	bool admitted;

	df_xact_begin();
	admitted = df_database_admits(copy->kind, copy->database);
	if (admitted && copy->kind == DF_SLOT_COORDINATOR)
		problem = df_process_role_problem(copy->database, copy->owner, &remedy);
	df_xact_commit();
	if (!admitted)
		forget(slot, copy);
	else if (problem != NULL)
		postpone(slot, copy, problem);
	return admitted && problem == NULL;
}

static void
report_full(const DfSlot *first)
{
	static TimestampTz reported_at = DF_NEVER;
	TimestampTz now = df_now();

	if (reported_at != DF_NEVER && !TimestampDifferenceExceeds(reported_at, now, LOG_AGAIN_MS))
		return;
	reported_at = now;
	ereport(LOG,
			(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
			 errmsg("could not start \"dataflows %s\" in database %u at once: out of background "
					"worker slots",
					df_slot_kind_name(first->kind), first->database),
			 errdetail("Databases and owners take turns."),
			 errhint("Increase max_worker_processes and restart the server.")));
}

/* starts what is in the queue until max_worker_processes is used up; returns when to try again */
static TimestampTz
start_queued(void)
{
	DfSlot next;
	int index;

	while (df_queue_next(&next, &index))
	{
		if (!can_start(&df_shared->slots[index], &next))
			continue;
		if (df_process_start(index, next.generation) != DF_START_NO_WORKER)
			continue;
		if (df_queue_make_room())
			report_full(&next);
		return TimestampTzPlusMilliseconds(df_now(), NO_WORKER_MS);
	}
	df_queue_clear();
	return DF_NEVER;
}

/*
 * The next time at which a slot becomes due, DF_NEVER = none.  Slots that are due by
 * now wait for something that sets our latch.
 */
static TimestampTz
next_start(void)
{
	TimestampTz now = df_now();
	TimestampTz next = DF_NEVER;

	LWLockAcquire(df_shared->lock, LW_SHARED);
	for (int i = 0; i < df_shared->nslots; i++)
	{
		DfSlot *slot = &df_shared->slots[i];

		if (slot->kind != DF_SLOT_FREE &&
			(slot->state == DF_PROC_WANTED || slot->state == DF_PROC_AT_REST) &&
			slot->not_before > now)
			next = df_earlier(next, slot->not_before);
	}
	LWLockRelease(df_shared->lock);
	return next;
}

/* a launcher that keeps ending before its first turn must not fill the log */
static void
wait_after_failures(void)
{
	TimestampTz until = df_process_back_off(df_shared->launcher_failures);

	if (df_shared->launcher_failures++ == 0)
		return;
	for (TimestampTz now = df_now(); now < until; now = df_now())
	{
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 (until - now) / 1000 + 1, PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
}

static DfTrouble trouble = {"look after databases and coordinators"};
static TimestampTz next_turn;

static void
turn(void)
{
	TimestampTz again = df_process_check();

	reap();
	df_scan_databases();
	again = df_earlier(again, df_check_databases());
	again = df_earlier(again, start_queued());
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
	df_process_memory(0);

	for (;;)
	{
		df_reset_turn_memory();
		/* after a failed turn, being woken does not repeat it before its retry is due */
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
