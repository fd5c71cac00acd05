/*
 * ingress/patience.c
 *	  Keeps slow handlers of webhooks from delaying the deliveries of others.
 *
 * Runs in the ingress process, inside and outside of transactions; it touches no table.  One
 * process serves the webhooks of all roles, one delivery after the other.  Deliveries of a
 * role whose handlers were slow are handled one at a time, between the batches of the
 * others.  A webhook whose handler exceeded its time limit is paused: its deliveries are
 * refused for a while, the longer the more webhooks are paused, so that all of them
 * together take only a part of the time.  The pauses are in shared memory, because such a
 * handler may have ended the process.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "guc.h"
#include "ingress/listener.h"
#include "ingress/patience.h"
#include "miscadmin.h"
#include "shared/clock.h"
#include "storage/ipc.h"

/* a handler that takes longer is slow; how long its role stays slow */
#define SLOW_US 100000
#define REMEMBER_US (60 * INT64CONST(1000000))
#define MAX_SLOW 64
/* a pause lasts so many times the time limit, per paused webhook */
#define PAUSE_FACTOR 5
#define LONGEST_PAUSE_S 600

typedef struct Slow
{
	Oid owner; /* InvalidOid = unused */
	int64 until_us;
} Slow;

static DfSlot *me = NULL;
static Slow slow[MAX_SLOW];
static bool alone = false;

/* the present delivery */
static uint64 current_path = 0;
static Oid current_owner = InvalidOid;
static int64 begun_us = 0;

static uint64
hash_path(const char *path)
{
	return hash_bytes_extended((const unsigned char *) path, strlen(path), 0);
}

/* ---- pauses --------------------------------------------------------------- */

static bool
is_over(const DfPause *pause, TimestampTz now)
{
	return pause->until <= now;
}

/* if all entries are in use, replaces the one that ends first */
static void
pause_current(void)
{
	TimestampTz now = df_now();
	DfPause *place = &df_shared->pauses[0];
	int64 seconds =
		Max(1, Min(df_handler_timeout, df_body_timeout) * INT64CONST(1) * PAUSE_FACTOR / 1000);
	int n = 1;

	LWLockAcquire(df_shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < DF_MAX_PAUSES; i++)
	{
		DfPause *pause = &df_shared->pauses[i];

		if (pause->until < place->until)
			place = pause;
		if (!is_over(pause, now))
			n++;
	}
	place->database = MyDatabaseId;
	place->path = current_path;
	place->until = now + Min(seconds * n, LONGEST_PAUSE_S) * USECS_PER_SEC;
	LWLockRelease(df_shared->lock);
}

int
df_patience_paused_s(const char *path)
{
	TimestampTz now = df_now();
	uint64 hash = hash_path(path);
	int64 left_us = 0;

	LWLockAcquire(df_shared->lock, LW_SHARED);
	for (int i = 0; i < DF_MAX_PAUSES; i++)
	{
		const DfPause *pause = &df_shared->pauses[i];

		if (!is_over(pause, now) && pause->database == MyDatabaseId && pause->path == hash)
			left_us = pause->until - now;
	}
	LWLockRelease(df_shared->lock);
	return (int) ((left_us + USECS_PER_SEC - 1) / USECS_PER_SEC);
}

/*
 * The process ends in a handler that caught the cancel: the next process starts at once and
 * pauses that webhook.
 */
static void
ended_in_handler(int code, Datum arg)
{
	if (!df_user_code_running())
		return;
	pause_current();
	df_listener_give_up();
	df_slot_restart(me);
}

/* ---- who is slow ---------------------------------------------------------- */

static void
remember_slow(Oid owner, int64 now)
{
	Slow *place = &slow[0];

	for (int i = 0; i < MAX_SLOW; i++)
	{
		if (slow[i].owner == owner)
		{
			place = &slow[i];
			break;
		}
		if (slow[i].until_us < place->until_us)
			place = &slow[i];
	}
	place->owner = owner;
	place->until_us = now + REMEMBER_US;
}

bool
df_patience_put_off(Oid owner)
{
	int64 now;

	if (me == NULL || alone)
		return false;
	now = df_monotonic_us();
	for (int i = 0; i < MAX_SLOW; i++)
		if (slow[i].owner == owner && slow[i].until_us > now)
			return true;
	return false;
}

void
df_patience_alone(bool by_itself)
{
	alone = by_itself;
}

/* ---- around a handler ----------------------------------------------------- */

void
df_patience_start(DfSlot *slot)
{
	me = slot;
	before_shmem_exit(ended_in_handler, (Datum) 0);
}

void
df_patience_begin(const char *path, Oid owner)
{
	static const pg_uuid_t no_run = {{0}};

	if (me == NULL)
		return;
	current_path = hash_path(path);
	current_owner = owner;
	begun_us = df_monotonic_us();
	df_slot_enter_body(me, no_run, true);
}

void
df_patience_end(DfCut cut)
{
	int64 now;

	if (me == NULL)
		return;
	now = df_monotonic_us();
	df_slot_leave_body(me);
	if (now - begun_us > SLOW_US)
		remember_slow(current_owner, now);
	if (cut == DF_CUT_LIMIT)
		pause_current();
}
