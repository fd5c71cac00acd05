/*
 * shared/system_state.c
 *	  Shared memory: limits, breakers and counters of each system.
 *
 * Used by workers, with or without a transaction, and by sessions that read the
 * view "systems".  What is done under an entry's spinlock is a few hundred
 * instructions: no error, no allocation, no clock, no other lock in it.
 *
 * Places: a worker's requests count in in_flight and in its share.  A process
 * gives back what it has when it ends (worker/breaker.c); if one is killed, the
 * postmaster makes all shared memory anew.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/shmem.h"

#include "guc.h"
#include "shared/clock.h"
#include "shared/system_state.h"

#define TRANCHE "dataflows_systems"
/* an entry that nobody asked for so long may be another's */
#define REUSE_US (60 * USECS_PER_SEC)
/* who asked in vain within this time still waits */
#define RECENT_US USECS_PER_SEC
#define WINDOW_US (30 * USECS_PER_SEC)
/* steps that wait in the table come at most so densely, in waves at least so far apart */
#define INTERVAL_US 1000.0
#define WAVE_US 10000.0
/*
 * Nobody gets a place further ahead: limits may be raised meanwhile.  Who finds
 * all taken looks again within that time.
 */
#define LONGEST_US (600 * USECS_PER_SEC)

typedef struct DfSystems
{
	LWLock *lock;
	int nentries;
	DfSystemState entries[FLEXIBLE_ARRAY_MEMBER];
} DfSystems;

static DfSystems *systems = NULL;

Size
df_systems_size(void)
{
	return add_size(offsetof(DfSystems, entries), mul_size(sizeof(DfSystemState), df_max_systems));
}

/* in the shmem_startup_hook, under AddinShmemInitLock */
void
df_systems_startup(void)
{
	bool found;

	systems = ShmemInitStruct(TRANCHE, df_systems_size(), &found);
	if (found)
		return;
	memset(systems, 0, df_systems_size());
	systems->lock = &GetNamedLWLockTranche(TRANCHE)->lock;
	systems->nentries = df_max_systems;
	for (int i = 0; i < systems->nentries; i++)
		SpinLockInit(&systems->entries[i].mutex);
}

/* ---- entries -------------------------------------------------------------- */

/* all but the spinlock */
static void
clear(DfSystemState *state, Oid database, Oid system)
{
	memset((char *) state + offsetof(DfSystemState, database), 0,
		   sizeof(DfSystemState) - offsetof(DfSystemState, database));
	state->database = database;
	state->system = system;
	state->next_free = state->window = DF_NEVER;
	state->took_us = 10000; /* too low is mended by one more wait, too high is idleness */
}

/* memory of a worker's own, when all entries are in use */
void
df_system_init(DfSystemState *state, Oid database, Oid system)
{
	SpinLockInit(&state->mutex);
	clear(state, database, system);
}

bool
df_system_is(const DfSystemState *state, Oid database, Oid system)
{
	return state->database == database && state->system == system;
}

static bool
anyone_is_held(const DfSystemState *state, TimestampTz now)
{
	for (int i = 0; i < DF_SYSTEM_OWNERS; i++)
		if (OidIsValid(state->owners[i].owner) && state->owners[i].hold_until > now)
			return true;
	return false;
}

/* an unused entry, or one that nobody has asked for lately */
static DfSystemState *
take_entry(Oid database, Oid system, TimestampTz now)
{
	for (int pass = 0; pass < 2; pass++)
		for (int i = 0; i < systems->nentries; i++)
		{
			DfSystemState *state = &systems->entries[i];
			bool mine;

			SpinLockAcquire(&state->mutex);
			mine = !OidIsValid(state->database) ||
				(pass == 1 && state->in_flight == 0 && state->used < now - REUSE_US &&
				 !anyone_is_held(state, now));
			if (mine)
			{
				clear(state, database, system);
				state->used = now;
			}
			SpinLockRelease(&state->mutex);
			if (mine)
				return state;
		}
	return NULL;
}

DfSystemState *
df_system_find(Oid database, Oid system)
{
	DfSystemState *state = NULL;
	TimestampTz now = df_now();

	if (systems == NULL)
		return NULL;
	LWLockAcquire(systems->lock, LW_EXCLUSIVE);
	for (int i = 0; i < systems->nentries && state == NULL; i++)
		if (df_system_is(&systems->entries[i], database, system))
			state = &systems->entries[i];
	if (state == NULL)
		state = take_entry(database, system, now);
	LWLockRelease(systems->lock);
	return state;
}

/* the server was dropped: its entry may be another's, unless a last request is on the wire */
void
df_system_forget(Oid database, Oid system)
{
	LWLockAcquire(systems->lock, LW_EXCLUSIVE);
	for (int i = 0; i < systems->nentries; i++)
	{
		DfSystemState *state = &systems->entries[i];

		if (!df_system_is(state, database, system))
			continue;
		SpinLockAcquire(&state->mutex);
		if (state->in_flight == 0)
			clear(state, InvalidOid, InvalidOid);
		SpinLockRelease(&state->mutex);
	}
	LWLockRelease(systems->lock);
}

/* ---- shares: the caller holds the spinlock -------------------------------- */

/* this process's share, NULL = too many workers to be told apart */
static DfSystemShare *
own_share(DfSystemState *state, Oid owner, TimestampTz now)
{
	DfSystemShare *spare = NULL;

	for (int i = 0; i < DF_SYSTEM_SHARES; i++)
	{
		DfSystemShare *share = &state->shares[i];

		if (share->pid == MyProcPid)
			return share;
		if (spare == NULL && share->in_flight == 0 && share->wanted < now - RECENT_US)
			spare = share;
	}
	if (spare != NULL)
	{
		memset(spare, 0, sizeof(*spare));
		spare->pid = MyProcPid;
		spare->owner = owner;
		spare->since = spare->wanted = DF_NEVER;
	}
	return spare;
}

/*
 * How many other workers have waited for longer and have less than their part:
 * so many places are theirs before there is one for us.
 */
static int
ahead_of(const DfSystemState *state, const DfSystemShare *own, int limit, TimestampTz now)
{
	TimestampTz since = own != NULL && own->since != DF_NEVER ? own->since : now;
	int active = 0;
	int ahead = 0;
	int part;

	for (int i = 0; i < DF_SYSTEM_SHARES; i++)
		if (state->shares[i].in_flight > 0 || state->shares[i].wanted >= now - RECENT_US)
			active++;
	part = Max(1, limit / Max(1, active));
	for (int i = 0; i < DF_SYSTEM_SHARES; i++)
	{
		const DfSystemShare *other = &state->shares[i];

		if (other != own && other->since != DF_NEVER && other->since < since &&
			other->wanted >= now - RECENT_US && other->in_flight < part)
			ahead += part - other->in_flight;
	}
	return own != NULL && own->in_flight < part ? Min(ahead, 1) : ahead;
}

/* ---- entering ------------------------------------------------------------- */

/*
 * rate_limit as a leaky bucket: next_free runs ahead of the clock by one
 * interval per request, and may do so by a tenth of a second's worth.
 */
static int64
burst_of(double rate)
{
	return (int64) Max(0.0, USECS_PER_SEC / 10 - (double) USECS_PER_SEC / rate);
}

static bool
take_token(DfSystemState *state, double rate, TimestampTz now)
{
	double interval = (double) USECS_PER_SEC / rate;
	int64 burst = burst_of(rate);

	if (state->next_free == DF_NEVER || state->next_free < now)
		state->next_free = now;
	/* it was a lower rate that went so far ahead */
	state->next_free = Min(state->next_free, now + burst + (int64) interval);
	if (state->next_free > now + burst)
		return false;
	state->next_free += (int64) interval;
	return true;
}

/* places that were given by other rules say nothing any more */
static void
follow_rules(DfSystemState *state, const DfSystemRules *rules)
{
	if (state->max_concurrency == rules->max_concurrency &&
		state->rate_per_second == rules->rate_per_second)
		return;
	state->max_concurrency = rules->max_concurrency;
	state->rate_per_second = rules->rate_per_second;
	state->queue.next_place = DF_NEVER;
	for (int i = 0; i < DF_SYSTEM_OWNERS; i++)
		state->owners[i].queue.next_place = DF_NEVER;
}

/*
 * A time for one that waits in the table: in the order of asking, in waves, from
 * `from` on; but not long after `held`, before which nothing changes.
 */
static TimestampTz
later_place(const DfSystemState *state, DfSystemQueue *queue, const DfSystemRules *rules,
			TimestampTz from, TimestampTz held)
{
	double interval = Max(INTERVAL_US, state->took_us / rules->max_concurrency);
	double wave = Max(WAVE_US, Min(state->took_us, (double) USECS_PER_SEC));
	TimestampTz place;

	if (rules->rate_per_second > 0)
		interval = Max(interval, USECS_PER_SEC / rules->rate_per_second);
	place = Max(queue->next_place, from) + (int64) interval;
	if (place > held + LONGEST_US)
	{
		/* evenly over the second half of the time */
		queue->beyond += 0.618;
		queue->beyond -= (int) queue->beyond;
		return held + (TimestampTz) ((0.5 + queue->beyond / 2) * LONGEST_US);
	}
	queue->next_place = place;
	return from + (TimestampTz) (((place - from) / (int64) wave + 1) * (int64) wave);
}

/* NULL = all is well for that owner, as far as is known */
static DfSystemOwner *
owner_of(DfSystemState *state, Oid owner)
{
	for (int i = 0; i < DF_SYSTEM_OWNERS; i++)
		if (state->owners[i].owner == owner)
			return &state->owners[i];
	return NULL;
}

/* the time before which nothing of the owner's leaves, DF_NEVER = none */
static TimestampTz
held_until(const DfSystemOwner *own, TimestampTz now)
{
	if (own == NULL)
		return DF_NEVER;
	if (own->hold_until > now)
		return own->hold_until;
	/* half open: the one request on the wire decides for all of the owner's */
	if (own->breaker == DF_BREAKER_OPEN && own->in_flight > 0)
		return now + 200 * 1000;
	return DF_NEVER;
}

/* whether the owner has as many on the wire as it may while it recovers */
static bool
is_throttled(const DfSystemOwner *own)
{
	return own != NULL && own->allowed > 0 && own->in_flight >= own->allowed;
}

static void
wait_for_place(DfSystemShare *share, TimestampTz now)
{
	if (share == NULL)
		return;
	if (share->since == DF_NEVER || share->wanted < now - RECENT_US)
		share->since = now;
	share->wanted = now;
}

static DfEntrance
enter(DfSystemState *state, Oid owner, const DfSystemRules *rules, DfPatience patience,
	  TimestampTz *until)
{
	TimestampTz now = *until;
	DfSystemShare *share = own_share(state, owner, now);
	DfSystemOwner *own = owner_of(state, owner);
	TimestampTz held = held_until(own, now);
	bool throttled = is_throttled(own);
	int limit = rules->max_concurrency;

	follow_rules(state, rules);
	if (held != DF_NEVER)
	{
		*until = later_place(state, &own->queue, rules, held, held);
		return DF_ENTRANCE_LATER;
	}
	if (throttled || state->in_flight + ahead_of(state, share, limit, now) >= limit)
	{
		/* who may not have more claims no place of the others' */
		if (!throttled)
			wait_for_place(share, now);
		*until = now + (int64) Min(state->took_us, RECENT_US / 4);
		if (patience == DF_PATIENCE_URGENT)
			return DF_ENTRANCE_FULL;
		if (patience == DF_PATIENCE_MEMORY && share != NULL && share->in_flight > 0)
			return DF_ENTRANCE_FULL;
		*until = later_place(state, throttled ? &own->queue : &state->queue, rules, *until, now);
		return DF_ENTRANCE_LATER;
	}
	if (rules->rate_per_second > 0 && !take_token(state, rules->rate_per_second, now))
	{
		*until = state->next_free - burst_of(rules->rate_per_second);
		if (patience == DF_PATIENCE_URGENT)
			return DF_ENTRANCE_FULL;
		*until = later_place(state, &state->queue, rules, state->next_free, now);
		return DF_ENTRANCE_LATER;
	}
	state->in_flight++;
	if (own != NULL)
		own->in_flight++;
	if (share != NULL)
	{
		share->in_flight++;
		share->since = DF_NEVER;
	}
	return DF_ENTRANCE_OPEN;
}

DfEntrance
df_system_enter(DfSystemState *state, Oid owner, const DfSystemRules *rules, DfPatience patience,
				TimestampTz *until)
{
	DfEntrance entrance;

	*until = df_now();
	SpinLockAcquire(&state->mutex);
	state->used = *until;
	entrance = enter(state, owner, rules, patience, until);
	SpinLockRelease(&state->mutex);
	return entrance;
}

/* true: whoever asks is not admitted before *until, however many places are free */
bool
df_system_held(DfSystemState *state, Oid owner, const DfSystemRules *rules, TimestampTz *until)
{
	TimestampTz now = df_now();
	DfSystemOwner *own;
	TimestampTz held;

	SpinLockAcquire(&state->mutex);
	own = owner_of(state, owner);
	held = held_until(own, now);
	if (held != DF_NEVER)
		*until = later_place(state, &own->queue, rules, held, held);
	SpinLockRelease(&state->mutex);
	return held != DF_NEVER;
}

void
df_system_leave(DfSystemState *state, Oid owner, int n)
{
	DfSystemOwner *own;

	SpinLockAcquire(&state->mutex);
	state->in_flight -= n;
	own = owner_of(state, owner);
	if (own != NULL)
		own->in_flight = Max(0, own->in_flight - n);
	for (int i = 0; i < DF_SYSTEM_SHARES; i++)
		if (state->shares[i].pid == MyProcPid)
			state->shares[i].in_flight = Max(0, state->shares[i].in_flight - n);
	SpinLockRelease(&state->mutex);
}

/* ---- news: the caller holds the spinlock ---------------------------------- */

static void
count(DfSystemState *state, bool failed, TimestampTz now)
{
	if (state->window == DF_NEVER || now - state->window >= WINDOW_US)
	{
		bool recent = state->window != DF_NEVER && now - state->window < 2 * WINDOW_US;

		state->window_requests[1] = recent ? state->window_requests[0] : 0;
		state->window_failed[1] = recent ? state->window_failed[0] : 0;
		state->window_requests[0] = state->window_failed[0] = 0;
		state->window = now;
	}
	state->requests++;
	state->window_requests[0]++;
	if (!failed)
		return;
	state->failed++;
	state->window_failed[0]++;
}

/*
 * The owner's entry, made if there is none.  If all are in use, the one goes for
 * whom nothing is held, else the one whose pause ends first: that owner tries
 * once more, and is noted again if it fails.
 */
static DfSystemOwner *
note_owner(DfSystemState *state, Oid owner, TimestampTz now)
{
	DfSystemOwner *place = owner_of(state, owner);

	if (place != NULL)
		return place;
	place = &state->owners[0];
	for (int i = 1; i < DF_SYSTEM_OWNERS && OidIsValid(place->owner); i++)
	{
		DfSystemOwner *other = &state->owners[i];

		if (!OidIsValid(other->owner) || other->hold_until < place->hold_until)
			place = other;
	}
	memset(place, 0, sizeof(*place));
	place->owner = owner;
	place->hold_until = place->queue.next_place = DF_NEVER;
	for (int i = 0; i < DF_SYSTEM_SHARES; i++)
		if (state->shares[i].owner == owner)
			place->in_flight += state->shares[i].in_flight;
	return place;
}

static void
hold(DfSystemOwner *own, TimestampTz until, DfHoldReason reason)
{
	own->hold_until = Max(own->hold_until, until);
	own->reason = reason;
	own->allowed = 1; /* what comes after it comes gradually */
}

static void
good(DfSystemState *state, const DfSystemRules *rules, Oid owner, TimestampTz now)
{
	DfSystemOwner *own = owner_of(state, owner);

	if (own == NULL)
		return;
	if (own->reason == DF_HOLD_CREDENTIALS)
		own->hold_until = DF_NEVER;
	own->failures = 0;
	own->breaker = DF_BREAKER_CLOSED;
	own->reason = DF_HOLD_NONE;
	/* each answer admits one more, which doubles them in the time of an answer */
	if (own->allowed > 0 && ++own->allowed >= rules->max_concurrency)
		own->allowed = 0;
	if (own->allowed == 0 && own->hold_until <= now)
		own->owner = InvalidOid;
}

/* true: it was not known */
static bool
refuse(DfSystemState *state, const DfSystemRules *rules, Oid owner, TimestampTz now)
{
	DfSystemOwner *own = note_owner(state, owner, now);
	bool news = own->reason != DF_HOLD_CREDENTIALS;

	own->failures = 0; /* it answers: if it was thought to be down, it is not */
	own->breaker = DF_BREAKER_OPEN;
	own->reason = DF_HOLD_CREDENTIALS;
	own->hold_until = now + rules->cooldown_us;
	return news;
}

static bool
fail(DfSystemState *state, const DfSystemRules *rules, const DfSystemNews *news, TimestampTz now)
{
	DfSystemOwner *own = note_owner(state, news->owner, now);
	bool was_open = own->breaker == DF_BREAKER_OPEN;

	if (news->hold_us > 0)
		hold(own, now + news->hold_us, DF_HOLD_ASKED);
	if (own->allowed > 1)
		own->allowed /= 2;
	own->failures++;
	if (rules->breaker_failures <= 0 || (own->failures < rules->breaker_failures && !was_open))
		return false;
	own->breaker = DF_BREAKER_OPEN;
	hold(own, now + rules->cooldown_us, news->hold_us > 0 ? DF_HOLD_ASKED : DF_HOLD_FAILING);
	return !was_open;
}

bool
df_system_news(DfSystemState *state, const DfSystemRules *rules, const DfSystemNews *news)
{
	TimestampTz now = df_now();
	bool opened = false;

	SpinLockAcquire(&state->mutex);
	if (news->took_us > 0)
		state->took_us += (news->took_us - state->took_us) / 8;
	if (news->health != DF_HEALTH_UNKNOWN)
		count(state, news->health != DF_HEALTH_GOOD, now);
	if (news->health == DF_HEALTH_GOOD)
		good(state, rules, news->owner, now);
	else if (news->health == DF_HEALTH_CREDENTIALS)
		opened = refuse(state, rules, news->owner, now);
	else if (news->health == DF_HEALTH_FAILED)
		opened = fail(state, rules, news, now);
	SpinLockRelease(&state->mutex);
	return opened;
}

/* ---- looking -------------------------------------------------------------- */

int
df_systems_count(void)
{
	return systems != NULL ? systems->nentries : 0;
}

bool
df_system_copy(int i, Oid database, DfSystemState *copy)
{
	DfSystemState *state = &systems->entries[i];

	SpinLockAcquire(&state->mutex);
	memcpy(copy, state, sizeof(*copy));
	SpinLockRelease(&state->mutex);
	return copy->database == database;
}
