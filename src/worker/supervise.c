/*
 * worker/supervise.c
 *	  Which workers, and whether an ingress process, a database has: the
 *	  coordinator takes their slots, and decides what becomes of a slot whose
 *	  process has ended.
 *
 * Runs in a coordinator, outside of transactions except for what table_check.c
 * asks.  Touches shared memory only, under df_shared->lock.  Never start a process
 * here: the launcher does that for slots that are WANTED.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/timestamp.h"

#include "guc.h"
#include "shared/clock.h"
#include "shared/metrics.h"
#include "types/base.h"
#include "worker/coordinator.h"
#include "worker/process.h"
#include "worker/wait.h"

/* a worker that ran longer than this begins with the shortest back-off again */
#define STEADY_MS 60000
#define NO_SLOT_MS 5000

static bool
is_my_worker(DfSlot *slot)
{
	return slot->kind >= DF_SLOT_WORKER && slot->database == MyDatabaseId;
}

/* for df_return_leases() */
bool
df_lease_is_live(int64 lease)
{
	bool alive = false;

	LWLockAcquire(df_shared->lock, LW_SHARED);
	for (int i = 0; i < df_shared->nslots && !alive; i++)
	{
		DfSlot *slot = &df_shared->slots[i];

		alive = slot->kind >= DF_SLOT_WORKER && slot->database == MyDatabaseId &&
			slot->pid != 0 && slot->lease == lease;
	}
	LWLockRelease(df_shared->lock);
	return alive;
}

/* a worker that failed keeps its slot for the back-off, others free it; under the lock */
static void
settle_worker(DfSlot *slot)
{
	if (slot->end != DF_END_FAILED)
	{
		df_slot_free(slot);
		return;
	}
	if (TimestampDifferenceExceeds(slot->started_at, df_now(), STEADY_MS))
		slot->failures = 0;
	slot->failures++;
	df_metric_add(DF_METRIC_PROCESS_FAILURES, df_slot_kind_name(slot->kind), NULL, NULL, 1);
	slot->generation++;
	slot->state = DF_PROC_WANTED;
	slot->runs_held = 0;
	slot->in_flight = 0;
	slot->woken = false; /* the check that follows sees whatever woke it */
	slot->not_before = df_process_back_off(slot->failures);
	/* an ingress process that could not listen has given the reason itself */
	if (slot->kind != DF_SLOT_INGRESS || slot->reason[0] == '\0')
		strlcpy(slot->reason, "it ended unexpectedly, see the server log", sizeof(slot->reason));
}

/* true if a worker has ended */
bool
df_reap_workers(void)
{
	bool any = false;

	LWLockAcquire(df_shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < df_shared->nslots; i++)
	{
		DfSlot *slot = &df_shared->slots[i];

		if (is_my_worker(slot) && slot->state == DF_PROC_GONE && slot->pid == 0)
		{
			settle_worker(slot);
			any = true;
		}
	}
	LWLockRelease(df_shared->lock);
	return any;
}

/* slots of this owner's workers; *up = how many of them have a process */
int
df_count_workers(DfSlotKind kind, Oid owner, int *up)
{
	int n = 0;

	*up = 0;
	LWLockAcquire(df_shared->lock, LW_SHARED);
	for (int i = 0; i < df_shared->nslots; i++)
	{
		DfSlot *slot = &df_shared->slots[i];

		if (!is_my_worker(slot) || slot->kind != kind || slot->owner != owner ||
			slot->state == DF_PROC_GONE)
			continue;
		n++;
		if (df_slot_is_up(slot))
			(*up)++;
	}
	LWLockRelease(df_shared->lock);
	return n;
}

DfSlotKind
df_worker_kind_for(const DfDueOwner *due)
{
	return due->sql ? DF_SLOT_SQL_WORKER : DF_SLOT_WORKER;
}

bool
df_owner_is_due_now(const DfDueOwner *due, TimestampTz now)
{
	return due->inbox || (due->wake_at != DF_NEVER && due->wake_at <= now);
}

static bool
owner_is_due(const DfSlot *slot, TimestampTz now)
{
	ListCell *cell;

	foreach (cell, df_coordinator.due_owners)
	{
		DfDueOwner *due = lfirst(cell);

		if (due->owner == slot->owner && df_worker_kind_for(due) == slot->kind &&
			df_owner_is_due_now(due, now))
			return true;
	}
	return false;
}

static bool
is_needed(const DfSlot *slot, TimestampTz now)
{
	if (slot->kind == DF_SLOT_INGRESS)
		return slot->owner == df_coordinator.ingress_role;
	return owner_is_due(slot, now);
}

/*
 * Free slots that have no process yet and are no longer needed.  One that was woken
 * meanwhile is needed, whatever the tables said before.  Wake an ingress process
 * that is not needed, so that it rechecks its permission.
 */
static void
drop_unneeded(TimestampTz now)
{
	LWLockAcquire(df_shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < df_shared->nslots; i++)
	{
		DfSlot *slot = &df_shared->slots[i];

		if (!is_my_worker(slot) || is_needed(slot, now))
			continue;
		if (slot->state == DF_PROC_WANTED && slot->pid == 0 && !slot->woken)
			df_slot_free(slot);
		else if (slot->kind == DF_SLOT_INGRESS && slot->latch != NULL)
		{
			slot->woken = true;
			SetLatch(slot->latch);
		}
	}
	LWLockRelease(df_shared->lock);
}

/* df_slot_free() wakes the coordinator that has lacked a slot for the longest time */
static void
report_out_of_slots(Oid owner)
{
	static bool reported = false;

	df_slot_reason(df_coordinator.slot, "out of dataflows.max_processes");
	LWLockAcquire(df_shared->lock, LW_EXCLUSIVE);
	df_coordinator.slot->lacks_slot_since = df_now();
	LWLockRelease(df_shared->lock);
	df_check_by(TimestampTzPlusMilliseconds(df_now(), NO_SLOT_MS));
	if (reported)
		return;
	reported = true;
	ereport(LOG,
			(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
			 errmsg("no worker for the workflows of role %u: all %d slots of dataflows are in use",
					owner, df_shared->nslots),
			 errhint("Increase dataflows.max_processes and restart the server.")));
}

/*
 * Queue the owner's workers for a process: the first one as such, the others as
 * extra, which come after everybody's first.  Under the lock.
 */
static void
queue_workers(const DfDueOwner *due)
{
	bool have_first = false;

	for (int up = 1; up >= 0; up--)
	{
		for (int i = 0; i < df_shared->nslots; i++)
		{
			DfSlot *slot = &df_shared->slots[i];

			if (!is_my_worker(slot) || slot->kind != df_worker_kind_for(due) ||
				slot->owner != due->owner || slot->state == DF_PROC_GONE ||
				df_slot_is_up(slot) != (bool) up)
				continue;
			slot->extra = have_first;
			have_first = true;
			df_slot_start_soon(slot);
		}
	}
}

/* takes slots until the owner has that many workers; false: no slot is free */
static bool
take_slots(const DfDueOwner *due, int wanted)
{
	int up;
	int n = df_count_workers(df_worker_kind_for(due), due->owner, &up);
	bool room = true;

	LWLockAcquire(df_shared->lock, LW_EXCLUSIVE);
	for (; n < wanted && room; n++)
	{
		DfSlot *slot = df_slot_take(df_worker_kind_for(due), MyDatabaseId, due->owner);

		room = slot != NULL;
	}
	queue_workers(due);
	LWLockRelease(df_shared->lock);
	return room;
}

/* every owner's first worker comes before any owner's second */
static void
take_all_slots(void)
{
	bool room = true;
	ListCell *cell;

	df_coordinator.slot->lacks_slot_since = DF_NEVER;
	foreach (cell, df_coordinator.due_owners)
	{
		if (!take_slots(lfirst(cell), 1))
		{
			report_out_of_slots(((DfDueOwner *) lfirst(cell))->owner);
			return;
		}
	}
	foreach (cell, df_coordinator.due_owners)
	{
		DfDueOwner *due = lfirst(cell);

		if (room)
			room = take_slots(due, due->sql ? df_sql_workers_per_owner : df_workers_per_owner);
	}
}

/* after a reload of the settings, start an ingress process without waiting for its back-off */
void
df_start_ingress_now(void)
{
	DfSlot *slot;

	LWLockAcquire(df_shared->lock, LW_EXCLUSIVE);
	slot = df_slot_find(DF_SLOT_INGRESS, MyDatabaseId, InvalidOid);
	if (slot != NULL)
	{
		slot->not_before = df_now();
		slot->failures = 0;
	}
	LWLockRelease(df_shared->lock);
}

/* takes the slot of the ingress process if this database should have one */
static void
take_ingress_slot(void)
{
	DfSlot *slot;

	if (!OidIsValid(df_coordinator.ingress_role))
		return;
	LWLockAcquire(df_shared->lock, LW_EXCLUSIVE);
	slot = df_slot_find(DF_SLOT_INGRESS, MyDatabaseId, InvalidOid);
	if (slot == NULL)
		slot = df_slot_take(DF_SLOT_INGRESS, MyDatabaseId, df_coordinator.ingress_role);
	LWLockRelease(df_shared->lock);
	if (slot == NULL)
		report_out_of_slots(df_coordinator.ingress_role);
}

void
df_wake_all_workers(void)
{
	for (int i = 0; i < df_shared->nslots; i++)
	{
		DfSlot *slot = &df_shared->slots[i];

		if (is_my_worker(slot) && slot->kind != DF_SLOT_INGRESS)
			df_slot_wake(slot->kind, MyDatabaseId, slot->owner);
	}
}

void
df_supervise(void)
{
	ListCell *cell;

	drop_unneeded(df_now());
	take_all_slots();
	take_ingress_slot();
	df_launcher_wake();
	if (!df_coordinator.sweeping)
		return;
	foreach (cell, df_coordinator.due_owners)
	{
		DfDueOwner *due = lfirst(cell);

		df_slot_wake(df_worker_kind_for(due), MyDatabaseId, due->owner);
	}
}
