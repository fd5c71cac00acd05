/*
 * shared/system_state.c
 *	  Shared memory: limits, breaker and counters of each system.
 *
 * Used by workers, with or without a transaction, and by sessions that read the view
 * "systems".  An entry's spinlock is held for a few hundred instructions: never raise
 * an error, allocate, read the clock or take another lock while holding it.
 *
 * Places: a worker's requests count in in_flight and in its share.  A process gives
 * its places back when it ends (worker/breaker.c); if one is killed, the postmaster
 * creates all shared memory again.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/shmem.h"

#include "guc.h"
#include "shared/clock.h"
#include "shared/system_state.h"
#include "types/base.h"

#define TRANCHE "dataflows_systems"
/* an entry that was not used for so long may be given to another system */
#define REUSE_US (60 * USECS_PER_SEC)
/* a worker that got no place within this time still waits for one */
#define RECENT_US USECS_PER_SEC
#define WINDOW_US (30 * USECS_PER_SEC)
/* steps that wait in the table: least distance between two, and between two waves of them */
#define INTERVAL_US 1000.0
#define WAVE_US 10000.0
/* no step is given a later time than this: limits may be raised meanwhile, so it tries again */
#define LONGEST_US (600 * USECS_PER_SEC)
/* a system that asks for time and does not say how much gets this, twice as much each time */
#define ASKED_US (USECS_PER_SEC / 2)
/* a worker that ends takes nothing back, and the next try for a token takes its time */
#define TOKEN_SHOWN_US (60 * USECS_PER_SEC)
#define MOST_ASKED_US (60 * USECS_PER_SEC)

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

/* everything but the spinlock */
static void
clear(DfSystemState *state, Oid database, Oid system)
{
	memset((char *) state + offsetof(DfSystemState, database), 0,
		   sizeof(DfSystemState) - offsetof(DfSystemState, database));
	state->database = database;
	state->system = system;
	state->next_free = state->window = DF_NEVER;
	state->took_us = 10000; /* too low costs another wait, too high leaves places unused */
}

/* a state in a worker's own memory, when all entries are in use */
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

/* an unused entry, or one that was not used lately; NULL = none */
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

/* frees the entry of a dropped server, unless a last request is in flight */
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

/* this process's share, NULL = more workers than there are shares */
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
 * How many places go to other workers first, because they have waited longer and have
 * less than their equal part.
 */
static int
reserved_for_others(const DfSystemState *state, const DfSystemShare *mine, int limit,
					TimestampTz now)
{
	TimestampTz since = mine != NULL && mine->since != DF_NEVER ? mine->since : now;
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

		if (other != mine && other->since != DF_NEVER && other->since < since &&
			other->wanted >= now - RECENT_US && other->in_flight < part)
			ahead += part - other->in_flight;
	}
	return mine != NULL && mine->in_flight < part ? Min(ahead, 1) : ahead;
}

/* ---- entering ------------------------------------------------------------- */

/*
 * rate_limit is a leaky bucket: next_free runs ahead of the clock by one interval per
 * request, and by a tenth of a second at most.
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
	/* it is too far ahead if the rate was lower before */
	state->next_free = Min(state->next_free, now + burst + (int64) interval);
	if (state->next_free > now + burst)
		return false;
	state->next_free += (int64) interval;
	return true;
}

/* times that were given under other rules are void */
static void
apply_rules(DfSystemState *state, const DfSystemRules *rules)
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
 * When a step that waits in the table is to try again: in the order of asking, grouped
 * into waves, from `from` on; but at most LONGEST_US after `held`.
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
		/* evenly spread over the second half of that time, by the golden ratio */
		queue->beyond += 0.618;
		queue->beyond -= (int) queue->beyond;
		return held + (TimestampTz) ((0.5 + queue->beyond / 2) * LONGEST_US);
	}
	queue->next_place = place;
	return from + (TimestampTz) (((place - from) / (int64) wave + 1) * (int64) wave);
}

/* NULL = no failures are known for that owner */
static DfSystemOwner *
owner_of(DfSystemState *state, Oid owner)
{
	for (int i = 0; i < DF_SYSTEM_OWNERS; i++)
		if (state->owners[i].owner == owner)
			return &state->owners[i];
	return NULL;
}

/* no request of the owner's may leave before that time, DF_NEVER = they may */
static TimestampTz
held_until(const DfSystemOwner *entry, TimestampTz now)
{
	if (entry == NULL)
		return DF_NEVER;
	if (entry->hold_until > now)
		return entry->hold_until;
	/* half open: the one request in flight decides for all others of the owner */
	if (entry->breaker == DF_BREAKER_OPEN && entry->in_flight > 0)
		return now + 200 * 1000;
	return DF_NEVER;
}

/* the owner recovers, and has as many requests in flight as it may */
static bool
is_throttled(const DfSystemOwner *entry)
{
	return entry != NULL && entry->allowed > 0 && entry->in_flight >= entry->allowed;
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
	DfSystemOwner *entry = owner_of(state, owner);
	TimestampTz held = held_until(entry, now);
	bool throttled = is_throttled(entry);
	int limit = rules->max_concurrency;

	apply_rules(state, rules);
	if (held != DF_NEVER)
	{
		*until = later_place(state, &entry->queue, rules, held, held);
		return DF_ENTRANCE_HELD;
	}
	if (throttled || state->in_flight + reserved_for_others(state, share, limit, now) >= limit)
	{
		/* an owner that may not have more must not reserve places */
		if (!throttled)
			wait_for_place(share, now);
		*until = now + (int64) Min(state->took_us, RECENT_US / 4);
		if (patience == DF_PATIENCE_URGENT)
			return DF_ENTRANCE_FULL;
		if (patience == DF_PATIENCE_MEMORY && share != NULL && share->in_flight > 0)
			return DF_ENTRANCE_FULL;
		*until = later_place(state, throttled ? &entry->queue : &state->queue, rules, *until, now);
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
	if (entry != NULL)
		entry->in_flight++;
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

/* true: the owner's requests are held until *until, however many places are free */
bool
df_system_held(DfSystemState *state, Oid owner, const DfSystemRules *rules, TimestampTz *until)
{
	TimestampTz now = df_now();
	DfSystemOwner *entry;
	TimestampTz held;

	SpinLockAcquire(&state->mutex);
	entry = owner_of(state, owner);
	held = held_until(entry, now);
	if (held != DF_NEVER)
		*until = later_place(state, &entry->queue, rules, held, held);
	SpinLockRelease(&state->mutex);
	return held != DF_NEVER;
}

DfHoldReason
df_system_hold_reason(DfSystemState *state, Oid owner)
{
	DfHoldReason reason = DF_HOLD_NONE;
	DfSystemOwner *entry;

	SpinLockAcquire(&state->mutex);
	entry = owner_of(state, owner);
	if (entry != NULL)
		reason = entry->reason;
	SpinLockRelease(&state->mutex);
	return reason;
}

TimestampTz
df_system_paused_until(DfSystemState *state, const DfSystemRules *rules, int64 pause_us)
{
	TimestampTz now = df_now();
	TimestampTz until;

	SpinLockAcquire(&state->mutex);
	state->used = now;
	until = later_place(state, &state->paused, rules, now + pause_us, now);
	SpinLockRelease(&state->mutex);
	return until;
}

void
df_system_leave(DfSystemState *state, Oid owner, int n)
{
	DfSystemOwner *entry;

	SpinLockAcquire(&state->mutex);
	state->in_flight -= n;
	entry = owner_of(state, owner);
	if (entry != NULL)
		entry->in_flight = Max(0, entry->in_flight - n);
	for (int i = 0; i < DF_SYSTEM_SHARES; i++)
		if (state->shares[i].pid == MyProcPid)
			state->shares[i].in_flight = Max(0, state->shares[i].in_flight - n);
	SpinLockRelease(&state->mutex);
}

/* ---- reports: the caller holds the spinlock --------------------------------- */

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

/* nothing is wrong any more, so nothing has to be known of the owner */
static void
leave_if_well(DfSystemOwner *entry, TimestampTz now)
{
	if (entry->allowed == 0 && entry->hold_until <= now && entry->failures == 0 &&
		entry->breaker == DF_BREAKER_CLOSED && entry->token_reason == DF_HOLD_NONE)
		entry->owner = InvalidOid;
}

/*
 * The owner's entry; takes one if there is none.  If all are in use, it takes one that
 * is not held, or else the one whose hold ends first: that owner may try once more,
 * and gets an entry again if it fails.
 */
static DfSystemOwner *
take_owner_entry(DfSystemState *state, Oid owner, TimestampTz now)
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
hold(DfSystemOwner *entry, TimestampTz until, DfHoldReason reason)
{
	entry->hold_until = Max(entry->hold_until, until);
	entry->reason = reason;
	entry->allowed = 1; /* afterwards it recovers gradually */
}

static void
report_good(DfSystemState *state, const DfSystemRules *rules, Oid owner, TimestampTz now)
{
	DfSystemOwner *entry = owner_of(state, owner);

	if (entry == NULL)
		return;
	if (entry->reason == DF_HOLD_CREDENTIALS)
		entry->hold_until = DF_NEVER;
	entry->failures = entry->asked = 0;
	entry->breaker = DF_BREAKER_CLOSED;
	entry->reason = DF_HOLD_NONE;
	/* each response allows one more, so that they double in the time of a response */
	if (entry->allowed > 0 && ++entry->allowed >= rules->max_concurrency)
		entry->allowed = 0;
	entry->recovers &= entry->allowed > 0;
	entry->token_reason = DF_HOLD_NONE;
	leave_if_well(entry, now);
}

/* true: it was not known */
static bool
report_refused(DfSystemState *state, const DfSystemRules *rules, Oid owner, TimestampTz now)
{
	DfSystemOwner *entry = take_owner_entry(state, owner, now);
	bool is_new = entry->reason != DF_HOLD_CREDENTIALS;

	entry->failures = 0; /* it responds, so it is not down */
	entry->breaker = DF_BREAKER_OPEN;
	entry->recovers = true;
	entry->reason = DF_HOLD_CREDENTIALS;
	entry->hold_until = now + rules->cooldown_us;
	return is_new;
}

/*
 * It is left alone as long as it asked, and its breaker stays as it is.  What was on its way
 * when it asked for the first time gets the same response, and changes nothing.
 */
static void
report_asked(DfSystemState *state, const DfSystemReport *report, TimestampTz now)
{
	DfSystemOwner *entry = take_owner_entry(state, report->owner, now);
	int64 wait = report->hold_us;

	entry->failures = 0; /* it responds, so it is not down */
	if (wait < 0)
	{
		if (entry->hold_until > now)
			return;
		wait = Min(MOST_ASKED_US, (int64) ASKED_US << Min(entry->asked, 10));
		entry->asked++;
	}
	hold(entry, now + wait, DF_HOLD_ASKED);
	/* half open, and asked for time: the next request decides again */
	if (entry->breaker == DF_BREAKER_OPEN)
		entry->breaker = DF_BREAKER_CLOSED;
}

static bool
report_failed(DfSystemState *state, const DfSystemRules *rules, const DfSystemReport *report,
			  TimestampTz now)
{
	DfSystemOwner *entry = take_owner_entry(state, report->owner, now);
	bool was_open = entry->breaker == DF_BREAKER_OPEN;

	if (entry->allowed > 1)
		entry->allowed /= 2;
	entry->failures++;
	if (rules->breaker_failures <= 0 || (entry->failures < rules->breaker_failures && !was_open))
		return false;
	entry->breaker = DF_BREAKER_OPEN;
	entry->recovers = true;
	hold(entry, now + rules->cooldown_us, DF_HOLD_FAILING);
	return !was_open;
}

bool
df_system_report(DfSystemState *state, const DfSystemRules *rules, const DfSystemReport *report)
{
	TimestampTz now = df_now();
	bool opened = false;

	SpinLockAcquire(&state->mutex);
	if (report->took_us > 0)
		state->took_us += (report->took_us - state->took_us) / 8;
	if (report->health != DF_HEALTH_UNKNOWN)
		count(state, report->health == DF_HEALTH_FAILED || report->health == DF_HEALTH_CREDENTIALS,
			  now);
	if (report->health == DF_HEALTH_GOOD)
		report_good(state, rules, report->owner, now);
	else if (report->health == DF_HEALTH_CREDENTIALS)
		opened = report_refused(state, rules, report->owner, now);
	else if (report->health == DF_HEALTH_ASKED)
		report_asked(state, report, now);
	else if (report->health == DF_HEALTH_FAILED)
		opened = report_failed(state, rules, report, now);
	SpinLockRelease(&state->mutex);
	return opened;
}

/* no other owner, whose requests are held, loses its entry for it */
static DfSystemOwner *
spare_owner_entry(DfSystemState *state, Oid owner, TimestampTz now)
{
	DfSystemOwner *entry = owner_of(state, owner);

	for (int i = 0; i < DF_SYSTEM_OWNERS && entry == NULL; i++)
		if (!OidIsValid(state->owners[i].owner))
			entry = take_owner_entry(state, owner, now);
	return entry;
}

void
df_system_report_token(DfSystemState *state, Oid owner, DfHoldReason reason, TimestampTz until)
{
	TimestampTz now = df_now();
	DfSystemOwner *entry;

	SpinLockAcquire(&state->mutex);
	entry = reason == DF_HOLD_NONE ? owner_of(state, owner) : spare_owner_entry(state, owner, now);
	if (entry != NULL)
	{
		entry->token_reason = reason;
		entry->token_until = until;
		leave_if_well(entry, now);
	}
	SpinLockRelease(&state->mutex);
}

DfHoldReason
df_system_token_reason(const DfSystemOwner *own, TimestampTz now)
{
	return own->token_until + TOKEN_SHOWN_US > now ? own->token_reason : DF_HOLD_NONE;
}

/* ---- views ------------------------------------------------------------------ */

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
