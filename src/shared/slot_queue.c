/*
 * shared/slot_queue.c
 *	  If max_worker_processes is too small: which process is started next, and
 *	  which running ones are asked to give way.
 *
 * Runs in the launcher, outside of transactions; status() and metrics ask who waits.
 * Everything is decided under the lock of the slots, in bounded loops over them:
 * never raise an error, allocate or wait here.  A process is only asked to end, and
 * does so in good order when it can; never end one here.
 *
 * Order of the queue: an owner's first worker before anybody's second one, then the
 * one that has waited longest.  A coordinator counts as having waited a little
 * longer, since without it no worker of its database can queue.
 */
#include "postgres.h"

#include "utils/timestamp.h"

#include "shared/clock.h"
#include "shared/slot_queue.h"
#include "types/base.h"

/* added to the waiting time of a coordinator or a check */
#define HEAD_START_US (5 * USECS_PER_SEC)
/* a worker runs for this long, and for one turn at least, however many wait */
#define WORKER_TURN_US USECS_PER_SEC
/* a coordinator that is not idle: a purge takes a while */
#define COORDINATOR_TURN_US (10 * USECS_PER_SEC)
/* a coordinator that listens to NOTIFY, if such ones are more than half of all processes */
#define LISTENER_TURN_US (2 * USECS_PER_SEC)
/* our share of max_worker_processes is taken to be the most that ran in two such windows */
#define WINDOW_US (5 * USECS_PER_SEC)
/* one that was asked and still runs after this has requests in flight: ask another, too */
#define PATIENCE_US USECS_PER_SEC

/* ---- the queue: under the lock -------------------------------------------- */

static bool
is_worker(const DfSlot *slot)
{
	return slot->kind == DF_SLOT_WORKER || slot->kind == DF_SLOT_SQL_WORKER;
}

/* one check at a time */
static bool
another_check_is_up(const DfSlot *slot)
{
	for (int i = 0; i < df_shared->nslots; i++)
	{
		const DfSlot *other = &df_shared->slots[i];

		if (other != slot && other->kind == DF_SLOT_CHECK &&
			(df_slot_is_up(other) || other->pid != 0))
			return true;
	}
	return false;
}

bool
df_queue_waits(const DfSlot *slot, TimestampTz now)
{
	if (slot->kind == DF_SLOT_FREE || slot->pid != 0 || slot->not_before > now ||
		(slot->state != DF_PROC_WANTED && slot->state != DF_PROC_AT_REST))
		return false;
	if (slot->kind == DF_SLOT_COORDINATOR && !OidIsValid(slot->owner))
		return false; /* its database must be checked first */
	return !df_database_held(slot->database) &&
		!(slot->kind == DF_SLOT_CHECK && another_check_is_up(slot));
}

static bool
comes_before(const DfSlot *a, const DfSlot *b)
{
	TimestampTz a_since = a->not_before - (a->kind < DF_SLOT_WORKER ? HEAD_START_US : 0);
	TimestampTz b_since = b->not_before - (b->kind < DF_SLOT_WORKER ? HEAD_START_US : 0);

	if (a->extra != b->extra)
		return b->extra;
	return a_since < b_since;
}

bool
df_queue_next(DfSlot *next, int *index)
{
	TimestampTz now = df_now();
	DfSlot *first = NULL;

	LWLockAcquire(df_shared->lock, LW_SHARED);
	for (int i = 0; i < df_shared->nslots; i++)
	{
		DfSlot *slot = &df_shared->slots[i];

		if (df_queue_waits(slot, now) && (first == NULL || comes_before(slot, first)))
			first = slot;
	}
	if (first != NULL)
	{
		*next = *first;
		*index = first - df_shared->slots;
	}
	LWLockRelease(df_shared->lock);
	return first != NULL;
}

/* ---- which process gives way: under the lock -------------------------------- */

typedef struct Census
{
	TimestampTz now;
	int waiting; /* in the queue */
	int first; /* of these, all but extra workers */
	int going; /* asked lately, expected to end soon */
	int up; /* our processes */
	int share; /* the most that were up lately */
	int workers; /* not asked */
	int coordinators; /* not asked */
	int listeners; /* of these, those that listen to NOTIFY */
} Census;

static void
count_process(Census *census, const DfSlot *slot)
{
	if (!df_slot_is_up(slot))
		return;
	census->up++;
	if (slot->give_way)
	{
		if (census->now - slot->asked_at < PATIENCE_US)
			census->going++;
		return;
	}
	if (is_worker(slot))
		census->workers++;
	if (slot->kind == DF_SLOT_COORDINATOR)
	{
		census->coordinators++;
		census->listeners += slot->listens;
	}
}

static void
take_census(Census *census, TimestampTz now)
{
	memset(census, 0, sizeof(*census));
	census->now = now;
	for (int i = 0; i < df_shared->nslots; i++)
	{
		const DfSlot *slot = &df_shared->slots[i];

		if (slot->kind == DF_SLOT_FREE)
			continue;
		if (df_queue_waits(slot, now))
		{
			census->waiting++;
			census->first += !slot->extra;
		}
		count_process(census, slot);
	}
}

/*
 * The last coordinator stays while there are workers, because it would be needed
 * again soon.  Those that listen to NOTIFY stay while they are at most half of all.
 */
static int
rank_coordinator(const Census *census, const DfSlot *slot)
{
	int64 age = census->now - slot->started_at;

	if (census->coordinators < 2 && census->workers > 0)
		return 0;
	if (slot->listens && (census->listeners * 2 <= census->share || age < LISTENER_TURN_US))
		return 0;
	if (slot->idle)
		return 4;
	return age < COORDINATOR_TURN_US ? 0 : 1;
}

/* the process with the highest rank is asked first; 0 = do not ask */
static int
rank(const Census *census, const DfSlot *slot)
{
	if (slot->state != DF_PROC_RUNNING || slot->give_way)
		return 0;
	if (slot->kind == DF_SLOT_COORDINATOR)
		return rank_coordinator(census, slot);
	if (!is_worker(slot))
		return 0;
	if (slot->idle)
		return 5;
	/* do not take a process from anybody to give another owner its second worker */
	if (census->first == 0 || slot->turns == 0 || census->now - slot->started_at < WORKER_TURN_US)
		return 0;
	return slot->extra ? 3 : 2;
}

static DfSlot *
choose(const Census *census)
{
	DfSlot *chosen = NULL;
	int highest = 0;

	for (int i = 0; i < df_shared->nslots; i++)
	{
		DfSlot *slot = &df_shared->slots[i];
		int here = slot->kind == DF_SLOT_FREE ? 0 : rank(census, slot);

		if (here > highest ||
			(here > 0 && here == highest && slot->started_at < chosen->started_at))
		{
			chosen = slot;
			highest = here;
		}
	}
	return chosen;
}

static void
ask(DfSlot *slot, TimestampTz now)
{
	slot->give_way = true;
	slot->asked_at = now;
	if (slot->latch != NULL)
		SetLatch(slot->latch);
}

/* a maximum, because fewer are up for a moment whenever one follows another */
static int
estimate_share(const Census *census, bool is_new)
{
	static TimestampTz window = DF_NEVER;
	static int recent = 0;
	static int before = 0;

	if (is_new)
		recent = 0;
	if (is_new || census->now - window > WINDOW_US)
	{
		before = recent;
		recent = 0;
		window = census->now;
	}
	recent = Max(recent, census->up);
	return Max(recent, before);
}

bool
df_queue_make_room(void)
{
	Census census;
	DfSlot *slot;
	TimestampTz now = df_now();
	bool is_new;

	LWLockAcquire(df_shared->lock, LW_EXCLUSIVE);
	is_new = df_shared->full_since == DF_NEVER;
	if (is_new)
		df_shared->full_since = now;
	take_census(&census, now);
	census.share = estimate_share(&census, is_new);
	census.first = Max(0, census.first - census.going);
	while (census.going < census.waiting && (slot = choose(&census)) != NULL)
	{
		ask(slot, now);
		if (slot->kind == DF_SLOT_COORDINATOR)
		{
			census.coordinators--;
			census.listeners -= slot->listens;
		}
		else
			census.workers--;
		if (census.first > 0)
			census.first--;
		census.going++;
	}
	LWLockRelease(df_shared->lock);
	return is_new;
}

void
df_queue_clear(void)
{
	LWLockAcquire(df_shared->lock, LW_EXCLUSIVE);
	if (df_shared->full_since != DF_NEVER)
		for (int i = 0; i < df_shared->nslots; i++)
			df_shared->slots[i].give_way = false;
	df_shared->full_since = DF_NEVER;
	LWLockRelease(df_shared->lock);
}

/* without the lock: the caller will ask again */
bool
df_queue_has_waiters(void)
{
	return ((volatile DfShared *) df_shared)->full_since != DF_NEVER;
}

/* wakes the launcher if processes wait, because it may ask this one to give way */
void
df_queue_set_idle(DfSlot *slot, bool idle)
{
	if (slot->idle == idle)
		return;
	slot->idle = idle;
	if (idle && df_queue_has_waiters())
		df_launcher_wake();
}

/* without the lock: the latch is set when it changes, so it is read again before a wait */
bool
df_must_give_way(const DfSlot *slot)
{
	return ((volatile const DfSlot *) slot)->give_way;
}
