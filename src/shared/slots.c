/*
 * shared/slots.c
 *	  Shared memory: one slot for each process of the engine, and wakes.
 *
 * Used by every process of the engine and by user sessions, with or without a
 * transaction.  Everything happens under one LWLock that is held for a few hundred
 * instructions: never raise an error, allocate or wait while holding it.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/proc.h"
#include "storage/shmem.h"

#include "guc.h"
#include "shared/clock.h"
#include "shared/crash.h"
#include "shared/slots.h"
#include "shared/spans.h"
#include "shared/system_state.h"
#include "shared/user_code.h"
#include "shared/watchdog.h"
#include "types/base.h"

#define TRANCHE "dataflows"
/* a worker that gives way frees its slot if it is due again later than this */
#define KEEP_SLOT_MS 60000

DfShared *df_shared = NULL;

/* ---- set-up --------------------------------------------------------------- */

static Size
shared_size(void)
{
	return add_size(offsetof(DfShared, slots),
					mul_size(sizeof(DfSlot), df_max_processes));
}

void
df_shared_request(void)
{
	RequestAddinShmemSpace(add_size(shared_size(), df_spans_size()));
	RequestAddinShmemSpace(df_systems_size());
	RequestNamedLWLockTranche(TRANCHE, 1);
	RequestNamedLWLockTranche("dataflows_systems", 1);
}

void
df_shared_startup(void)
{
	bool found;

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	df_shared = ShmemInitStruct("dataflows", shared_size(), &found);
	if (!found)
	{
		memset(df_shared, 0, shared_size());
		df_shared->lock = &GetNamedLWLockTranche(TRANCHE)->lock;
		for (int i = 0; i < DF_AWAIT_GROUPS; i++)
			ConditionVariableInit(&df_shared->moved[i]);
		df_shared->nslots = df_max_processes;
	}
	df_spans_startup();
	df_systems_startup();
	LWLockRelease(AddinShmemInitLock);
	if (!found)
		df_crash_startup(df_max_processes);
}

const char *
df_slot_kind_name(DfSlotKind kind)
{
	switch (kind)
	{
		case DF_SLOT_CHECK:
			return "probe";
		case DF_SLOT_COORDINATOR:
			return "coordinator";
		case DF_SLOT_WORKER:
			return "worker";
		case DF_SLOT_SQL_WORKER:
			return "sql worker";
		case DF_SLOT_INGRESS:
			return "ingress";
		default:
			return "unknown";
	}
}

/* ---- finders: the caller holds the lock ----------------------------------- */

DfSlot *
df_slot_find(DfSlotKind kind, Oid database, Oid owner)
{
	for (int i = 0; i < df_shared->nslots; i++)
	{
		DfSlot *slot = &df_shared->slots[i];

		if (slot->kind == kind && slot->database == database &&
			(slot->owner == owner || !OidIsValid(owner)) &&
			slot->state != DF_PROC_GONE)
			return slot;
	}
	return NULL;
}

DfSlot *
df_slot_take(DfSlotKind kind, Oid database, Oid owner)
{
	if (kind >= DF_SLOT_WORKER && df_shared->check_lacks_slot)
		return NULL;
	for (int i = 0; i < df_shared->nslots; i++)
	{
		DfSlot *slot = &df_shared->slots[i];
		uint32 generation = slot->generation + 1;

		if (slot->kind != DF_SLOT_FREE)
			continue;
		memset(slot, 0, sizeof(DfSlot));
		slot->generation = generation;
		slot->kind = kind;
		slot->state = DF_PROC_WANTED;
		slot->not_before = df_now();
		slot->database = database;
		slot->owner = owner;
		return slot;
	}
	return NULL;
}

bool
df_slot_is_up(const DfSlot *slot)
{
	return slot->state == DF_PROC_STARTING || slot->state == DF_PROC_RUNNING;
}

static void
set_launcher_latch(void)
{
	if (df_shared->launcher_latch != NULL)
		SetLatch(df_shared->launcher_latch);
}

void
df_slot_start_soon(DfSlot *slot)
{
	TimestampTz now = df_now();

	if (slot->state != DF_PROC_AT_REST && (slot->state != DF_PROC_WANTED || slot->failures > 0))
		return;
	if (slot->not_before <= now)
		return;
	slot->not_before = now;
	set_launcher_latch();
}

static void
wake_slot(DfSlot *slot)
{
	slot->woken = true;
	if (slot->latch != NULL)
		SetLatch(slot->latch);
	df_slot_start_soon(slot);
}

/* a slot is free: wake the coordinator that has lacked one for the longest time */
static void
offer_slot(void)
{
	DfSlot *first = NULL;

	for (int i = 0; i < df_shared->nslots; i++)
	{
		DfSlot *slot = &df_shared->slots[i];

		if (slot->kind == DF_SLOT_COORDINATOR && slot->lacks_slot_since != DF_NEVER &&
			(first == NULL || slot->lacks_slot_since < first->lacks_slot_since))
			first = slot;
	}
	if (first != NULL)
		wake_slot(first);
}

void
df_slot_free(DfSlot *slot)
{
	Assert(slot->pid == 0);
	slot->kind = DF_SLOT_FREE;
	slot->generation++;
	if (df_shared->check_lacks_slot)
		set_launcher_latch();
	offer_slot();
}

static void
wake_coordinator_locked(Oid database)
{
	DfSlot *slot = df_slot_find(DF_SLOT_COORDINATOR, database, InvalidOid);

	if (slot != NULL)
		wake_slot(slot);
}

/* has a resting coordinator started at that time at the latest */
static void
start_coordinator_by(Oid database, TimestampTz time)
{
	DfSlot *slot = df_slot_find(DF_SLOT_COORDINATOR, database, InvalidOid);

	if (slot == NULL || slot->state != DF_PROC_AT_REST || time == DF_NEVER ||
		slot->not_before <= time)
		return;
	slot->not_before = time;
	set_launcher_latch();
}

/* ---- the process of a slot ------------------------------------------------ */

/* a retired worker has no runs: do not start a resting coordinator only to free its slot */
static void
worker_ended(DfSlot *slot)
{
	DfSlot *coordinator = df_slot_find(DF_SLOT_COORDINATOR, slot->database, InvalidOid);

	if (slot->end == DF_END_RETIRED && coordinator != NULL && !df_slot_is_up(coordinator))
		df_slot_free(slot);
	else
		wake_coordinator_locked(slot->database);
}

/* to be counted in the run's row by the coordinator; the present one may be in it already */
static void
count_entries(DfSlot *slot, int n)
{
	for (int i = slot->counted ? 1 : 0; i < n; i++)
		df_crash_add(slot->database, &slot->body_run);
}

/*
 * Marks the slot when the process ends in any way, and tells the coordinator.  If a
 * body was running, its entry is counted, unless the process was asked to end.  A
 * body that ignored its cancel gets no second chance, which would cost another
 * worker: its entry counts as all that are allowed.
 */
static void
slot_exit(int code, Datum arg)
{
	DfSlot *slot = &df_shared->slots[DatumGetInt32(arg)];

	LWLockAcquire(df_shared->lock, LW_EXCLUSIVE);
	if (slot->pid == MyProcPid)
	{
		if (slot->state == DF_PROC_RUNNING)
		{
			bool asked = df_leaving() || df_database_held(slot->database);
			bool overran = slot->in_body && df_user_code_overran();

			slot->state = DF_PROC_GONE;
			slot->end = asked || overran ? DF_END_RESTART : DF_END_FAILED;
			if (slot->in_body && !asked)
				count_entries(slot, overran ? DF_CRASHES_ALLOWED : 1);
		}
		df_slot_leave_body(slot);
		slot->pid = 0;
		slot->latch = NULL;
		slot->trouble[0] = '\0';
		if (slot->kind >= DF_SLOT_WORKER && slot->state == DF_PROC_GONE)
			worker_ended(slot);
		set_launcher_latch();
	}
	LWLockRelease(df_shared->lock);
}

/*
 * Called by the process that was started for the slot.  If the slot has another use
 * by now, or the database is held, the process ends here, before it connects.
 */
DfSlot *
df_slot_claim(int index, uint32 generation)
{
	DfSlot *slot = &df_shared->slots[index];
	int64 lease = df_random_int64();
	bool mine;
	bool held;

	LWLockAcquire(df_shared->lock, LW_EXCLUSIVE);
	mine = slot->kind != DF_SLOT_FREE && slot->generation == generation &&
		slot->state == DF_PROC_STARTING;
	held = mine && df_database_held(slot->database);
	if (mine)
	{
		slot->pid = MyProcPid;
		slot->latch = MyLatch;
		slot->lease = lease;
		slot->state = DF_PROC_RUNNING;
		slot->reason[0] = '\0';
		slot->trouble[0] = '\0';
		slot->give_way = slot->idle = false;
		slot->turns = slot->commits = 0;
	}
	LWLockRelease(df_shared->lock);

	if (mine)
		before_shmem_exit(slot_exit, Int32GetDatum(index));
	if (!mine || held)
		proc_exit(0);
	return slot;
}

bool
df_slot_take_wake(DfSlot *slot)
{
	bool woken;

	LWLockAcquire(df_shared->lock, LW_EXCLUSIVE);
	woken = slot->woken;
	slot->woken = false;
	LWLockRelease(df_shared->lock);
	return woken;
}

void
df_slot_wake_to_send(Oid database)
{
	DfSlot *slot;

	LWLockAcquire(df_shared->lock, LW_EXCLUSIVE);
	slot = df_slot_find(DF_SLOT_COORDINATOR, database, InvalidOid);
	if (slot != NULL)
	{
		slot->has_to_send = true;
		if (slot->latch != NULL)
			SetLatch(slot->latch);
		df_slot_start_soon(slot);
	}
	LWLockRelease(df_shared->lock);
}

bool
df_slot_take_to_send(DfSlot *slot)
{
	bool has;

	LWLockAcquire(df_shared->lock, LW_EXCLUSIVE);
	has = slot->has_to_send;
	slot->has_to_send = false;
	LWLockRelease(df_shared->lock);
	return has;
}

static void
end_slot(DfSlot *slot, DfSlotEnd end)
{
	slot->state = DF_PROC_GONE;
	slot->end = end;
	slot->in_body = false;
}

/*
 * No wake is lost: under the lock it either finds a process, which will check again,
 * or none, and goes to the coordinator.
 */
bool
df_slot_retire(DfSlot *slot, TimestampTz next_due)
{
	bool woken;

	LWLockAcquire(df_shared->lock, LW_EXCLUSIVE);
	woken = slot->woken;
	if (!woken)
	{
		end_slot(slot, DF_END_RETIRED);
		if (slot->kind >= DF_SLOT_WORKER)
			start_coordinator_by(slot->database, next_due);
	}
	LWLockRelease(df_shared->lock);
	return !woken;
}

/* the slot has no process now, and gets another one from that time on */
static void
queue_again(DfSlot *slot, DfSlotState state, TimestampTz time)
{
	slot->state = state;
	slot->generation++;
	slot->not_before = time;
	slot->failures = 0;
	slot->in_body = slot->idle = false;
	slot->runs_held = slot->in_flight = 0;
	slot->reason[0] = '\0';
}

bool
df_slot_rest(DfSlot *slot, TimestampTz next_due)
{
	bool woken;

	LWLockAcquire(df_shared->lock, LW_EXCLUSIVE);
	woken = slot->woken;
	if (!woken)
		queue_again(slot, DF_PROC_AT_REST, next_due);
	LWLockRelease(df_shared->lock);
	return !woken;
}

/* some coordinator has found no free slot */
static bool
slots_are_short(void)
{
	for (int i = 0; i < df_shared->nslots; i++)
		if (df_shared->slots[i].kind == DF_SLOT_COORDINATOR &&
			df_shared->slots[i].lacks_slot_since != DF_NEVER)
			return true;
	return false;
}

/*
 * The worker queues again by itself, without its coordinator.  But it frees its slot
 * if others lack one, or if it will not need it for long.
 */
void
df_slot_give_way(DfSlot *slot, TimestampTz next_due)
{
	TimestampTz now = df_now();

	LWLockAcquire(df_shared->lock, LW_EXCLUSIVE);
	if (slot->woken)
		next_due = now;
	if (next_due == DF_NEVER || next_due > TimestampTzPlusMilliseconds(now, KEEP_SLOT_MS) ||
		slots_are_short())
	{
		end_slot(slot, DF_END_RETIRED);
		start_coordinator_by(slot->database, next_due);
	}
	else
		queue_again(slot, DF_PROC_WANTED, next_due);
	LWLockRelease(df_shared->lock);
}

void
df_slot_restart(DfSlot *slot)
{
	LWLockAcquire(df_shared->lock, LW_EXCLUSIVE);
	end_slot(slot, DF_END_RESTART);
	LWLockRelease(df_shared->lock);
}

void
df_slot_lost(DfSlot *slot)
{
	LWLockAcquire(df_shared->lock, LW_EXCLUSIVE);
	if (slot->state == DF_PROC_STARTING)
	{
		slot->state = DF_PROC_GONE;
		slot->end = df_database_held(slot->database) ? DF_END_RESTART : DF_END_FAILED;
		if (slot->kind >= DF_SLOT_WORKER)
			worker_ended(slot);
	}
	LWLockRelease(df_shared->lock);
}

void
df_slot_reason(DfSlot *slot, const char *reason)
{
	LWLockAcquire(df_shared->lock, LW_EXCLUSIVE);
	strlcpy(slot->reason, reason, sizeof(slot->reason));
	LWLockRelease(df_shared->lock);
}

/* ---- bodies --------------------------------------------------------------- */

void
df_slot_enter_body(DfSlot *slot, pg_uuid_t run, bool counted)
{
	slot->body_run = run;
	slot->body_since = df_now();
	slot->counted = counted;
	slot->in_body = true;
	df_crash_enter(slot - df_shared->slots, slot->database, &run, counted);
}

void
df_slot_leave_body(DfSlot *slot)
{
	df_crash_leave(slot - df_shared->slots);
	slot->in_body = false;
}

/* ---- wakes ---------------------------------------------------------------- */

void
df_slot_wake(DfSlotKind kind, Oid database, Oid owner)
{
	bool found = false;

	LWLockAcquire(df_shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < df_shared->nslots; i++)
	{
		DfSlot *slot = &df_shared->slots[i];

		if (slot->kind != kind || slot->database != database ||
			slot->owner != owner || slot->state == DF_PROC_GONE)
			continue;
		found = true;
		wake_slot(slot);
	}
	if (!found)
		wake_coordinator_locked(database);
	LWLockRelease(df_shared->lock);
}

void
df_slot_wake_coordinator(Oid database)
{
	LWLockAcquire(df_shared->lock, LW_EXCLUSIVE);
	wake_coordinator_locked(database);
	LWLockRelease(df_shared->lock);
}

void
df_slot_wake_all(Oid database)
{
	LWLockAcquire(df_shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < df_shared->nslots; i++)
	{
		DfSlot *slot = &df_shared->slots[i];

		if (slot->kind != DF_SLOT_FREE && slot->database == database && slot->state != DF_PROC_GONE)
			wake_slot(slot);
	}
	LWLockRelease(df_shared->lock);
}

bool
df_slot_has_coordinator(Oid database)
{
	bool has;

	LWLockAcquire(df_shared->lock, LW_SHARED);
	has = df_slot_find(DF_SLOT_COORDINATOR, database, InvalidOid) != NULL;
	LWLockRelease(df_shared->lock);
	return has;
}

void
df_launcher_wake(void)
{
	LWLockAcquire(df_shared->lock, LW_SHARED);
	set_launcher_latch();
	LWLockRelease(df_shared->lock);
}

void
df_launcher_rescan(void)
{
	LWLockAcquire(df_shared->lock, LW_EXCLUSIVE);
	df_shared->rescan = true;
	set_launcher_latch();
	LWLockRelease(df_shared->lock);
}

void
df_launcher_check(Oid database)
{
	LWLockAcquire(df_shared->lock, LW_EXCLUSIVE);
	if (df_slot_take(DF_SLOT_CHECK, database, InvalidOid) == NULL)
		df_shared->rescan = true;
	set_launcher_latch();
	LWLockRelease(df_shared->lock);
}
