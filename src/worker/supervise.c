/*
 * worker/supervise.c
 *	  A coordinator's workers and its listener: which slots there are to be, what
 *	  becomes of one whose process has ended.
 *
 * Runs in a coordinator, outside of transactions but for what table_check.c asks:
 * shared memory only, under df_shared->lock.  It must never start a process: the
 * launcher does.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/timestamp.h"

#include "guc.h"
#include "shared/clock.h"
#include "shared/metrics.h"
#include "worker/coordinator.h"
#include "worker/process.h"
#include "worker/wait.h"

/* a worker that lived longer than this starts its back-off anew */
#define STEADY_MS 60000
#define NO_SLOT_MS 5000

static bool
is_my_worker(DfSlot *slot)
{
	return slot->kind >= DF_SLOT_WORKER && slot->database == MyDatabaseId;
}

/* for df_return_leases(): does a process hold this lease? */
bool
df_lease_is_alive(int64 lease)
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

/* a worker that ended badly keeps its slot for the back-off; the lock is held */
static void
settle_worker(DfSlot *slot)
{
	if (slot->end != DF_END_BADLY)
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
	slot->woken = false; /* the look that follows sees what came before it */
	slot->not_before = df_process_back_off(slot->failures);
	/* who could not listen has said why */
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

/* slots of that owner's workers; *up = those with a process */
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
 * Slots that wait for their process and are not needed any more; one that was
 * woken is, whatever the tables said before.  Who listens by his own leave looks
 * whether he has it still.
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

/* we are told when a slot becomes free, after those who have lacked one for longer */
static void
say_out_of_slots(Oid owner)
{
	static bool said = false;

	df_slot_reason(df_coordinator.slot, "out of dataflows.max_processes");
	LWLockAcquire(df_shared->lock, LW_EXCLUSIVE);
	df_coordinator.slot->lacks_since = df_now();
	LWLockRelease(df_shared->lock);
	df_check_by(TimestampTzPlusMilliseconds(df_now(), NO_SLOT_MS));
	if (said)
		return;
	said = true;
	ereport(LOG,
			(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
			 errmsg("no worker for the workflows of role %u: all %d slots of dataflows are in use",
					owner, df_shared->nslots),
			 errhint("Increase dataflows.max_processes and restart the server.")));
}

/* the owner's first worker does not wait behind those who want a second one; the lock is held */
static void
line_up(const DfDueOwner *due)
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
			df_slot_hurry(slot);
		}
	}
}

/* slots for up to so many workers of the owner; false = there is none left */
static bool
want_workers(const DfDueOwner *due, int wanted)
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
	line_up(due);
	LWLockRelease(df_shared->lock);
	return room;
}

/* a first worker for everybody comes before anybody's second */
static void
want_all_workers(void)
{
	bool room = true;
	ListCell *cell;

	df_coordinator.slot->lacks_since = DF_NEVER;
	foreach (cell, df_coordinator.due_owners)
	{
		if (!want_workers(lfirst(cell), 1))
		{
			say_out_of_slots(((DfDueOwner *) lfirst(cell))->owner);
			return;
		}
	}
	foreach (cell, df_coordinator.due_owners)
	{
		DfDueOwner *due = lfirst(cell);

		if (room)
			room = want_workers(due, due->sql ? df_sql_workers_per_owner : df_workers_per_owner);
	}
}

/* settings have changed, perhaps for the better: it is tried again at once */
void
df_hurry_ingress(void)
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

/* one process that hears HTTP, if this database is to have it */
static void
want_ingress(void)
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
		say_out_of_slots(df_coordinator.ingress_role);
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

/* after a look: slots and processes */
void
df_supervise(void)
{
	ListCell *cell;

	drop_unneeded(df_now());
	want_all_workers();
	want_ingress();
	df_launcher_wake();
	if (!df_coordinator.sweeping)
		return;
	foreach (cell, df_coordinator.due_owners)
	{
		DfDueOwner *due = lfirst(cell);

		df_slot_wake(df_worker_kind_for(due), MyDatabaseId, due->owner);
	}
}
