/*
 * shared/slots.c
 *	  Shared memory: who runs where, who is to be woken, what is held.
 *
 * Used by every process and by user sessions, with or without a transaction.
 * All of it is done under one LWLock that is held for a few hundred
 * instructions: nobody may raise an error, allocate or wait while holding it.
 */
#include "postgres.h"

#include <signal.h>

#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/proc.h"
#include "storage/shmem.h"

#include "guc.h"
#include "shared/clock.h"
#include "shared/slots.h"
#include "shared/spans.h"
#include "shared/systems.h"
#include "shared/watchdog.h"

#define TRANCHE "dataflows"

DfShared   *df_shared = NULL;

/* whether this backend has holds to release */
static bool holding = false;

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
	bool		found;

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	df_shared = ShmemInitStruct("dataflows", shared_size(), &found);
	if (!found)
	{
		memset(df_shared, 0, shared_size());
		df_shared->lock = &GetNamedLWLockTranche(TRANCHE)->lock;
		ConditionVariableInit(&df_shared->moved);
		df_shared->nslots = df_max_processes;
	}
	df_spans_startup();
	df_systems_startup();
	LWLockRelease(AddinShmemInitLock);
}

const char *
df_slot_kind_name(DfSlotKind kind)
{
	switch (kind)
	{
		case DF_SLOT_PROBE:
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
		DfSlot	   *slot = &df_shared->slots[i];

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
	for (int i = 0; i < df_shared->nslots; i++)
	{
		DfSlot	   *slot = &df_shared->slots[i];
		uint32		generation = slot->generation + 1;

		if (slot->kind != DF_SLOT_FREE)
			continue;
		memset(slot, 0, sizeof(DfSlot));
		slot->generation = generation;
		slot->kind = kind;
		slot->state = DF_PROC_WANTED;
		slot->database = database;
		slot->owner = owner;
		return slot;
	}
	return NULL;
}

void
df_slot_free(DfSlot *slot)
{
	Assert(slot->pid == 0);
	slot->kind = DF_SLOT_FREE;
	slot->generation++;
}

bool
df_database_held(Oid database)
{
	for (int i = 0; i < DF_MAX_HOLDS; i++)
		if (df_shared->holds[i].database == database)
			return true;
	return false;
}

static void
set_launcher_latch(void)
{
	if (df_shared->launcher_latch != NULL)
		SetLatch(df_shared->launcher_latch);
}

static void
wake_coordinator_locked(Oid database)
{
	DfSlot	   *slot = df_slot_find(DF_SLOT_COORDINATOR, database, InvalidOid);

	if (slot == NULL)
		return;
	slot->woken = true;
	if (slot->latch != NULL)
		SetLatch(slot->latch);
}

/* ---- the process of a slot ------------------------------------------------ */

/*
 * The process ends, well or badly: its slot says so, and whoever started it is
 * told.  What a process did in a body when it was asked to end does not count as
 * a crash of that body.
 */
static void
slot_exit(int code, Datum arg)
{
	DfSlot	   *slot = &df_shared->slots[DatumGetInt32(arg)];

	LWLockAcquire(df_shared->lock, LW_EXCLUSIVE);
	if (slot->pid == MyProcPid)
	{
		if (slot->state != DF_PROC_GONE)
		{
			bool		asked = df_leaving() || df_database_held(slot->database);

			slot->state = DF_PROC_GONE;
			slot->end = asked ? DF_END_ASIDE : DF_END_BADLY;
			if (asked)
				slot->in_body = false;
		}
		slot->pid = 0;
		slot->latch = NULL;
		slot->trouble[0] = '\0';
		if (slot->kind >= DF_SLOT_WORKER)
			wake_coordinator_locked(slot->database);
		set_launcher_latch();
	}
	LWLockRelease(df_shared->lock);
}

/*
 * This process is the one that the slot was waiting for.  A slot that has been
 * given to another use meanwhile, or a database that is held, ends the
 * process at once, before it has connected to anything.
 */
DfSlot *
df_slot_claim(int index, uint32 generation)
{
	DfSlot	   *slot = &df_shared->slots[index];
	int64		lease = df_random_int64();
	bool		mine;
	bool		held;

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
	bool		woken;

	LWLockAcquire(df_shared->lock, LW_EXCLUSIVE);
	woken = slot->woken;
	slot->woken = false;
	LWLockRelease(df_shared->lock);
	return woken;
}

/*
 * A wake finds either a process that will look again, or no process at all, in
 * which case it goes to the coordinator: both are decided under the lock.
 */
bool
df_slot_retire(DfSlot *slot)
{
	bool		woken;

	LWLockAcquire(df_shared->lock, LW_EXCLUSIVE);
	woken = slot->woken;
	if (!woken)
	{
		slot->state = DF_PROC_GONE;
		slot->end = DF_END_RETIRED;
		slot->in_body = false;
	}
	LWLockRelease(df_shared->lock);
	return !woken;
}

void
df_slot_step_aside(DfSlot *slot)
{
	LWLockAcquire(df_shared->lock, LW_EXCLUSIVE);
	slot->state = DF_PROC_GONE;
	slot->end = DF_END_ASIDE;
	slot->in_body = false;
	LWLockRelease(df_shared->lock);
}

void
df_slot_reason(DfSlot *slot, const char *reason)
{
	LWLockAcquire(df_shared->lock, LW_EXCLUSIVE);
	strlcpy(slot->reason, reason, sizeof(slot->reason));
	LWLockRelease(df_shared->lock);
}

/* ---- wakes ---------------------------------------------------------------- */

void
df_slot_in_body(DfSlot *slot, pg_uuid_t run, bool in_body)
{
	if (in_body)
	{
		slot->body_run = run;
		slot->body_since = df_now();
	}
	slot->in_body = in_body;
}

void
df_slot_wake(DfSlotKind kind, Oid database, Oid owner)
{
	bool		found = false;

	LWLockAcquire(df_shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < df_shared->nslots; i++)
	{
		DfSlot	   *slot = &df_shared->slots[i];

		if (slot->kind != kind || slot->database != database ||
			slot->owner != owner ||
			(slot->state != DF_PROC_STARTING && slot->state != DF_PROC_RUNNING))
			continue;
		found = true;
		slot->woken = true;
		if (slot->latch != NULL)
			SetLatch(slot->latch);
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
df_launcher_rescan(void)
{
	LWLockAcquire(df_shared->lock, LW_EXCLUSIVE);
	df_shared->rescan = true;
	set_launcher_latch();
	LWLockRelease(df_shared->lock);
}

void
df_launcher_probe(Oid database)
{
	LWLockAcquire(df_shared->lock, LW_EXCLUSIVE);
	if (df_slot_take(DF_SLOT_PROBE, database, InvalidOid) == NULL)
		df_shared->rescan = true;
	set_launcher_latch();
	LWLockRelease(df_shared->lock);
}

/* ---- holds ---------------------------------------------------------------- */

bool
df_hold_database(Oid database)
{
	bool		done = false;

	LWLockAcquire(df_shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < DF_MAX_HOLDS && !done; i++)
	{
		DfHold	   *hold = &df_shared->holds[i];

		if (OidIsValid(hold->database))
			continue;
		hold->database = database;
		hold->pid = MyProcPid;
		done = true;
	}
	LWLockRelease(df_shared->lock);
	holding |= done;
	return done;
}

void
df_hold_release(void)
{
	if (!holding)
		return;
	LWLockAcquire(df_shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < DF_MAX_HOLDS; i++)
		if (df_shared->holds[i].pid == MyProcPid)
			memset(&df_shared->holds[i], 0, sizeof(DfHold));
	set_launcher_latch();
	LWLockRelease(df_shared->lock);
	holding = false;
}

/*
 * A pid in a slot is alive: its process takes it out, under the lock, before
 * it ends.
 */
int
df_hold_terminate(Oid database)
{
	int			n = 0;

	LWLockAcquire(df_shared->lock, LW_SHARED);
	for (int i = 0; i < df_shared->nslots; i++)
	{
		DfSlot	   *slot = &df_shared->slots[i];

		if (slot->kind == DF_SLOT_FREE || slot->database != database ||
			slot->pid == 0 || slot->pid == MyProcPid)
			continue;
		(void) kill(slot->pid, SIGTERM);
		n++;
	}
	LWLockRelease(df_shared->lock);
	return n;
}
