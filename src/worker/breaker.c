/*
 * worker/breaker.c
 *	  A worker's view of each system: its places, and whether it is held.
 *
 * Runs in workers.  The state of a system is in shared memory (shared/system_state.c),
 * so that limits and breaker hold for all workers of the database.  This file keeps
 * which places this worker has; the worker gives them back when it ends, in any way.
 * A system that keeps failing, asks for time or refuses our credentials is held for
 * the owner of this worker: its steps wait without using attempts, while other
 * systems, and other owners of this one, go on.
 */
#include "postgres.h"

#include "catalog/pg_foreign_server.h"
#include "fdw/options.h"
#include "guc.h"
#include "miscadmin.h"
#include "shared/clock.h"
#include "shared/system_state.h"
#include "storage/ipc.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/syscache.h"
#include "worker/worker_state.h"

struct DfSystemUse
{
	Oid oid; /* key */
	char name[NAMEDATALEN];
	DfSystemState *state;
	bool is_local; /* the state is in our own memory, because all shared entries are in use */
	TimestampTz checked; /* when they were found to be */
	int in_flight; /* ours */
	uint64 turn; /* in which `queued` steps wait */
	int queued; /* steps that wait for a place in memory */
};

/* how often to check for a free shared entry */
#define CHECK_US USECS_PER_SEC
/* a state of our own that was not used for so long does not count any more */
#define OWN_US (60 * USECS_PER_SEC)

static HTAB *systems = NULL;

/* status() shows that states of our own are used */
static bool reason_given = false;

static void
leave_all(int code, Datum arg)
{
	HASH_SEQ_STATUS scan;
	DfSystemUse *use;

	hash_seq_init(&scan, systems);
	while ((use = hash_seq_search(&scan)) != NULL)
		if (use->in_flight > 0)
			df_system_leave(use->state, GetSessionUserId(), use->in_flight);
}

static void
make_table(void)
{
	HASHCTL control;

	memset(&control, 0, sizeof(control));
	control.keysize = sizeof(Oid);
	control.entrysize = sizeof(DfSystemUse);
	control.hcxt = df_process_cxt;
	systems = hash_create("dataflows systems", 32, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	before_shmem_exit(leave_all, (Datum) 0);
}

/* entries of servers of this database that were dropped */
static void
forget_dropped(void)
{
	DfSystemState copy;

	for (int i = 0; i < df_systems_count(); i++)
		if (df_system_copy(i, MyDatabaseId, &copy) && copy.in_flight == 0 &&
			!SearchSysCacheExists1(FOREIGNSERVEROID, ObjectIdGetDatum(copy.system)))
			df_system_forget(MyDatabaseId, copy.system);
}

static DfSystemState *
find_shared(Oid system)
{
	DfSystemState *state = df_system_find(MyDatabaseId, system);

	if (state != NULL)
		return state;
	forget_dropped();
	return df_system_find(MyDatabaseId, system);
}

/* when no state of our own is in use any more */
static void
clear_reason(TimestampTz now)
{
	HASH_SEQ_STATUS scan;
	DfSystemUse *use;
	bool any = false;

	hash_seq_init(&scan, systems);
	while ((use = hash_seq_search(&scan)) != NULL)
		any |= use->is_local && (use->in_flight > 0 || use->checked > now - OWN_US);
	if (any)
		return;
	df_slot_reason(df_worker.slot, "");
	reason_given = false;
}

/* the shared entry, or a state of our own until one is free */
static void
find_state(DfSystemUse *use)
{
	DfSystemState *state = find_shared(use->oid);

	if (state != NULL)
	{
		if (use->is_local)
			pfree(use->state);
		use->state = state;
		use->is_local = false;
		return;
	}
	use->checked = df_now();
	if (!use->is_local)
	{
		use->state = MemoryContextAllocZero(df_process_cxt, sizeof(DfSystemState));
		df_system_init(use->state, MyDatabaseId, use->oid);
		use->is_local = true;
	}
	reason_given = true;
	df_slot_reason(df_worker.slot,
				   "all entries of dataflows.max_systems are in use: limits of some systems hold "
				   "for each worker by itself");
}

/* search for the shared entry again: from time to time, or if it is another system's now */
static bool
must_search(const DfSystemUse *use)
{
	if (use->is_local)
		return use->checked < df_now() - CHECK_US;
	return !df_system_is(use->state, MyDatabaseId, use->oid);
}

DfSystemUse *
df_system_use(const DfSystem *system)
{
	DfSystemUse *use;
	bool found;

	if (systems == NULL)
		make_table();
	use = hash_search(systems, &system->oid, HASH_ENTER, &found);
	if (!found)
	{
		memset((char *) use + sizeof(Oid), 0, sizeof(*use) - sizeof(Oid));
		find_state(use);
	}
	else if (use->in_flight == 0 && must_search(use))
		find_state(use);
	if (reason_given && !use->is_local)
		clear_reason(df_now());
	strlcpy(use->name, system->name, NAMEDATALEN);
	return use;
}

/* at least one, and not one less because 0.29 * 100 is a little below 29 */
static int
places_of_node(int max_concurrency)
{
	return Max(1, (int) (max_concurrency * df_share + 1e-6));
}

/* the only place where limits are divided among nodes */
static DfSystemRules
rules_of(const DfSystem *system)
{
	DfSystemRules rules;

	if (system == NULL)
		system = df_system_presets(); /* the server is gone */
	rules.max_concurrency = places_of_node(system->max_concurrency);
	rules.rate_per_second = system->rate_per_second * df_share;
	rules.breaker_failures = system->breaker_failures;
	rules.cooldown_us = system->breaker_cooldown_ms * 1000;
	return rules;
}

DfEntrance
df_place_take(DfPlace *place, DfSystemUse *use, const DfSystem *system, DfPatience patience,
			  TimestampTz *until)
{
	DfSystemRules rules = rules_of(system);
	DfEntrance entrance;

	place->use = NULL;
	if (use->turn != df_worker.slot->turns)
	{
		use->turn = df_worker.slot->turns;
		use->queued = 0;
	}
	if (patience == DF_PATIENCE_TABLE && use->queued < 4 * rules.max_concurrency)
		patience = DF_PATIENCE_MEMORY;
	entrance = df_system_enter(use->state, GetSessionUserId(), &rules, patience, until);
	if (entrance == DF_ENTRANCE_FULL)
		use->queued++;
	if (entrance == DF_ENTRANCE_OPEN)
	{
		use->in_flight++;
		place->use = use;
	}
	return entrance;
}

bool
df_system_is_held(DfSystemUse *use, const DfSystem *system, TimestampTz *until)
{
	DfSystemRules rules = rules_of(system);

	return df_system_held(use->state, GetSessionUserId(), &rules, until);
}

const char *
df_system_why_held(DfSystemUse *use, const DfSystem *system)
{
	const char *why = "recovers, and takes few requests";

	switch (df_system_hold_reason(use->state, GetSessionUserId()))
	{
		case DF_HOLD_FAILING:
			why = "keeps failing: its breaker is open";
			break;
		case DF_HOLD_ASKED:
			why = "asks to be left alone";
			break;
		case DF_HOLD_CREDENTIALS:
			why = "refuses the credentials";
			break;
		case DF_HOLD_TOKEN:
		case DF_HOLD_NONE:
			break;
	}
	return psprintf("system \"%s\" %s", system->name, why);
}

TimestampTz
df_system_looks_again(DfSystemUse *use, const DfSystem *system, int64 pause_us)
{
	DfSystemRules rules = rules_of(system);

	return df_system_paused_until(use->state, &rules, pause_us);
}

void
df_system_token_held(DfSystemUse *use, bool refused, TimestampTz until)
{
	DfHoldReason reason = until == DF_NEVER ? DF_HOLD_NONE
		: refused                           ? DF_HOLD_CREDENTIALS
											: DF_HOLD_TOKEN;

	df_system_report_token(use->state, GetSessionUserId(), reason, until);
}

void
df_place_give_back(DfPlace *place)
{
	DfSystemUse *use = place->use;

	if (use == NULL)
		return;
	place->use = NULL;
	use->in_flight--;
	df_system_leave(use->state, GetSessionUserId(), 1);
}

/*
 * A 429 is about the system as a whole; so is a time to wait that comes with 503 or 403.  With
 * another status it may be about one resource, and only its step waits.
 */
static bool
asks_for_time(const DfResponse *response)
{
	if (response->status == 429)
		return true;
	return response->retry_after_ms >= 0 &&
		(response->status == 503 || response->status == 403 || response->status == 420);
}

/* the system says what it was asked, whatever status it says it with */
static bool
is_definite(DfMeaning meaning)
{
	return meaning == DF_MEANS_DONE || meaning == DF_MEANS_KEPT || meaning == DF_MEANS_FAIL ||
		meaning == DF_MEANS_STUCK;
}

static DfHealth
health_of(const DfResponse *response, DfMeaning meaning)
{
	bool answered = response->fate == DF_FATE_RESPONSE;

	if (answered && is_definite(meaning))
		return DF_HEALTH_GOOD;
	if (answered && asks_for_time(response))
		return DF_HEALTH_ASKED;
	if (meaning == DF_MEANS_CREDENTIALS)
		return DF_HEALTH_CREDENTIALS;
	if (answered && response->status < 500 && response->status != 408)
		return DF_HEALTH_GOOD;
	if (response->fate == DF_FATE_REFUSED || response->fate == DF_FATE_TOO_LARGE ||
		response->fate == DF_FATE_STARVED)
		return DF_HEALTH_UNKNOWN;
	return DF_HEALTH_FAILED;
}

void
df_system_answered(DfSystemUse *use, const DfResponse *response, DfMeaning meaning,
				   const DfSystem *system)
{
	DfSystemRules rules = rules_of(system);
	DfSystemReport report;
	const char *role;

	report.health = health_of(response, meaning);
	report.owner = GetSessionUserId();
	report.took_us = response->fate == DF_FATE_RESPONSE ? response->took_us : 0;
	report.hold_us = response->retry_after_ms >= 0 ? response->retry_after_ms * 1000 : -1;
	if (!df_system_report(use->state, &rules, &report))
		return;
	role = GetUserNameFromId(report.owner, true);
	role = role != NULL ? role : "?";
	if (report.health == DF_HEALTH_CREDENTIALS)
		ereport(LOG,
				(errmsg("dataflows system \"%s\" refuses our credentials (status %d): the steps of "
						"role \"%s\" wait",
						use->name, response->status, role),
				 errhint("Correct the user mapping with ALTER USER MAPPING; the steps then go on "
						 "by themselves.")));
	else
		ereport(
			LOG,
			(errmsg("dataflows system \"%s\" keeps failing: the steps of role \"%s\" wait",
					use->name, role)));
}
