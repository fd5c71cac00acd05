/*
 * shared/line.c
 *	  Who waits for a place among max_worker_processes, who is next, and who
 *	  gives its place away.
 *
 * Runs in the launcher, outside of transactions; status() and metrics ask who
 * waits.  All is decided under the lock of the slots, in bounded loops over
 * them: nobody may raise an error, allocate or wait here.  A process is never
 * ended from here, only asked: it leaves in good order, when it can.
 *
 * Order of the line: first workers of an owner before second ones; then who has
 * waited longest.  A coordinator counts as having waited a little longer, since
 * without it nobody of its database gets into the line.
 */
#include "postgres.h"

#include "utils/timestamp.h"

#include "shared/clock.h"
#include "shared/line.h"

/* what a coordinator, or a probe, has ahead of workers */
#define HEAD_START_US (5 * USECS_PER_SEC)
/* a worker keeps its place for so long, and for one turn at least, however many wait */
#define WORKER_TURN_US USECS_PER_SEC
/* a coordinator that is not idle: a purge takes its time */
#define COORDINATOR_TURN_US (10 * USECS_PER_SEC)
/* one that hears NOTIFY, where such have more than half of the places */
#define LISTENER_TURN_US (2 * USECS_PER_SEC)
/* how many places are ours is told from the most processes that were up in this time, twice */
#define WINDOW_US (5 * USECS_PER_SEC)
/* who was asked and is not gone by then has something on the wire: another one is asked, too */
#define PATIENCE_US USECS_PER_SEC

/* ---- the line: under the lock --------------------------------------------- */

static bool
is_worker(const DfSlot *slot)
{
	return slot->kind == DF_SLOT_WORKER || slot->kind == DF_SLOT_SQL_WORKER;
}

/* one probe at a time */
static bool
another_probe_is_up(const DfSlot *slot)
{
	for (int i = 0; i < df_shared->nslots; i++)
	{
		const DfSlot *other = &df_shared->slots[i];

		if (other != slot && other->kind == DF_SLOT_PROBE &&
			(df_slot_is_up(other) || other->pid != 0))
			return true;
	}
	return false;
}

bool
df_line_waits(const DfSlot *slot, TimestampTz now)
{
	if (slot->kind == DF_SLOT_FREE || slot->pid != 0 || slot->not_before > now ||
		(slot->state != DF_PROC_WANTED && slot->state != DF_PROC_AT_REST))
		return false;
	if (slot->kind == DF_SLOT_COORDINATOR && !OidIsValid(slot->owner))
		return false; /* a probe comes first */
	return !df_database_held(slot->database) &&
		!(slot->kind == DF_SLOT_PROBE && another_probe_is_up(slot));
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
df_line_next(DfSlot *next, int *index)
{
	TimestampTz now = df_now();
	DfSlot *first = NULL;

	LWLockAcquire(df_shared->lock, LW_SHARED);
	for (int i = 0; i < df_shared->nslots; i++)
	{
		DfSlot *slot = &df_shared->slots[i];

		if (df_line_waits(slot, now) && (first == NULL || comes_before(slot, first)))
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

/* ---- who gives way: under the lock ---------------------------------------- */

typedef struct House
{
	TimestampTz now;
	int waiting; /* in the line */
	int first; /* of these, those that are no extra workers */
	int going; /* asked, and to be gone soon */
	int up; /* processes that are ours */
	int places; /* as many as were up lately */
	int workers;
	int coordinators; /* that have not been asked */
	int listeners; /* of these, those that hear NOTIFY */
} House;

static void
count_process(House *house, const DfSlot *slot)
{
	if (!df_slot_is_up(slot))
		return;
	house->up++;
	if (slot->give_way)
	{
		if (house->now - slot->asked_at < PATIENCE_US)
			house->going++;
		return;
	}
	if (is_worker(slot))
		house->workers++;
	if (slot->kind == DF_SLOT_COORDINATOR)
	{
		house->coordinators++;
		house->listeners += slot->hears;
	}
}

static void
look_around(House *house, TimestampTz now)
{
	memset(house, 0, sizeof(*house));
	house->now = now;
	for (int i = 0; i < df_shared->nslots; i++)
	{
		const DfSlot *slot = &df_shared->slots[i];

		if (slot->kind == DF_SLOT_FREE)
			continue;
		if (df_line_waits(slot, now))
		{
			house->waiting++;
			house->first += !slot->extra;
		}
		count_process(house, slot);
	}
}

/*
 * One coordinator stays as long as there are workers: it would only have to come
 * back.  Those that hear NOTIFY stay, too, as long as they leave half of the
 * places to all others.
 */
static int
rank_coordinator(const House *house, const DfSlot *slot)
{
	int64 has_stayed = house->now - slot->started_at;

	if (house->coordinators < 2 && house->workers > 0)
		return 0;
	if (slot->hears && (house->listeners * 2 <= house->places || has_stayed < LISTENER_TURN_US))
		return 0;
	if (slot->idle)
		return 4;
	return has_stayed < COORDINATOR_TURN_US ? 0 : 1;
}

/* the higher, the sooner it is asked; 0 = not at all */
static int
rank(const House *house, const DfSlot *slot)
{
	if (slot->state != DF_PROC_RUNNING || slot->give_way)
		return 0;
	if (slot->kind == DF_SLOT_COORDINATOR)
		return rank_coordinator(house, slot);
	if (!is_worker(slot))
		return 0;
	if (slot->idle)
		return 5;
	/* nobody works less for the sake of somebody's second worker */
	if (house->first == 0 || slot->turns == 0 || house->now - slot->started_at < WORKER_TURN_US)
		return 0;
	return slot->extra ? 3 : 2;
}

static DfSlot *
choose(const House *house)
{
	DfSlot *chosen = NULL;
	int highest = 0;

	for (int i = 0; i < df_shared->nslots; i++)
	{
		DfSlot *slot = &df_shared->slots[i];
		int here = slot->kind == DF_SLOT_FREE ? 0 : rank(house, slot);

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

/* a place is nobody's for a moment when one process gives it to another */
static int
count_places(const House *house, bool is_new)
{
	static TimestampTz window = DF_NEVER;
	static int recent = 0;
	static int before = 0;

	if (is_new)
		recent = 0;
	if (is_new || house->now - window > WINDOW_US)
	{
		before = recent;
		recent = 0;
		window = house->now;
	}
	recent = Max(recent, house->up);
	return Max(recent, before);
}

bool
df_line_full(void)
{
	House house;
	DfSlot *slot;
	TimestampTz now = df_now();
	bool is_new;

	LWLockAcquire(df_shared->lock, LW_EXCLUSIVE);
	is_new = df_shared->full_since == DF_NEVER;
	if (is_new)
		df_shared->full_since = now;
	look_around(&house, now);
	house.places = count_places(&house, is_new);
	house.first = Max(0, house.first - house.going);
	while (house.going < house.waiting && (slot = choose(&house)) != NULL)
	{
		ask(slot, now);
		if (slot->kind == DF_SLOT_COORDINATOR)
		{
			house.coordinators--;
			house.listeners -= slot->hears;
		}
		else
			house.workers--;
		if (house.first > 0)
			house.first--;
		house.going++;
	}
	LWLockRelease(df_shared->lock);
	return is_new;
}

void
df_line_clear(void)
{
	LWLockAcquire(df_shared->lock, LW_EXCLUSIVE);
	if (df_shared->full_since != DF_NEVER)
		for (int i = 0; i < df_shared->nslots; i++)
			df_shared->slots[i].give_way = false;
	df_shared->full_since = DF_NEVER;
	LWLockRelease(df_shared->lock);
}

/* read as it comes: whoever goes by it looks again */
bool
df_line_is_full(void)
{
	return ((volatile DfShared *) df_shared)->full_since != DF_NEVER;
}

/* while somebody waits, the launcher looks at once: it may be one of several that are idle */
void
df_line_idle(DfSlot *slot, bool idle)
{
	if (slot->idle == idle)
		return;
	slot->idle = idle;
	if (idle && df_line_is_full())
		df_launcher_wake();
}

/* read as it comes: who is asked is woken, and looks again before the next wait */
bool
df_line_is_asked(const DfSlot *slot)
{
	return ((volatile const DfSlot *) slot)->give_way;
}
