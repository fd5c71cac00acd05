/*
 * worker/breaker.c
 *	  What a worker knows of each system: how busy it is, whether it answers.
 *
 * Runs in workers, in memory alone.  A system that fails often in a row, asks
 * for time or refuses our credentials is held: its steps wait without using
 * attempts, one request per cooldown tries again, other systems go on.
 */
#include "postgres.h"

#include "shared/clock.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "worker/worker.h"

static HTAB *systems = NULL;

DfSystemLive *
df_system_live(const char *name)
{
	DfSystemLive *live;
	bool		found;

	if (systems == NULL)
	{
		HASHCTL		control;

		memset(&control, 0, sizeof(control));
		control.keysize = NAMEDATALEN;
		control.entrysize = sizeof(DfSystemLive);
		control.hcxt = df_worker.process_cxt;
		systems = hash_create("dataflows systems", 32, &control, HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
	}
	live = hash_search(systems, name, HASH_ENTER, &found);
	if (!found)
	{
		live->in_flight = live->failures = 0;
		live->open = false;
		live->hold_until = live->next_place = DF_NEVER;
		live->took_us = 10000;	/* too low is mended by one more wait, too high is idleness */
		live->turn = 0;
		live->queued = 0;
	}
	return live;
}

TimestampTz
df_system_held(DfSystemLive *live)
{
	TimestampTz now = df_now();

	if (live->hold_until > now)
		return live->hold_until;
	/* half open: the one request on the wire decides for all */
	if (live->open && live->in_flight > 0)
		return now + 200 * 1000 + (int64) (df_random() * 800 * 1000);
	return DF_NEVER;
}

TimestampTz
df_system_place(DfSystemLive *live, int max_concurrency)
{
	TimestampTz now = df_now();
	int64		interval = Max(1000, (int64) (live->took_us / max_concurrency));

	if (live->turn != df_worker.slot->turns)
	{
		live->turn = df_worker.slot->turns;
		live->queued = 0;
	}
	if (live->queued++ < 4 * max_concurrency)
		return DF_NEVER;
	live->next_place = Max(live->next_place, now + (int64) live->took_us) + interval;
	return live->next_place;
}

static void
hold(DfSystemLive *live, int64 ms)
{
	live->hold_until = Max(live->hold_until, df_now() + ms * 1000);
}

void
df_system_answered(DfSystemLive *live, const DfReply *reply, DfVerdict verdict, const DfSystem *system)
{
	int64		cooldown = system != NULL ? system->breaker_cooldown_ms : 30000;
	int			limit = system != NULL ? system->breaker_failures : 5;
	bool		was_open = live->open;

	if (reply->took_us > 0)
		live->took_us += (reply->took_us - live->took_us) / 8;
	if (verdict == DF_VERDICT_CREDENTIALS)
	{
		if (!live->open)
			ereport(LOG,
					(errmsg("dataflows system \"%s\" refuses our credentials (status %d): its steps wait",
							live->name, reply->status),
					 errhint("Correct the user mapping with ALTER USER MAPPING; the steps then go on by themselves.")));
		live->open = true;
		hold(live, cooldown);
		return;
	}
	if (reply->fate == DF_FATE_ANSWER && reply->status < 500 && reply->status != 429 && reply->status != 408)
	{
		live->failures = 0;
		live->open = false;
		return;
	}
	if (reply->fate == DF_FATE_REFUSED || reply->fate == DF_FATE_TOO_LARGE)
		return;
	if (reply->retry_after_ms > 0)
		hold(live, reply->retry_after_ms);
	live->failures++;
	if (limit > 0 && (live->failures >= limit || was_open))
	{
		if (!was_open)
			ereport(LOG,
					(errmsg("dataflows system \"%s\" failed %d times in a row: its steps wait", live->name, live->failures)));
		live->open = true;
		hold(live, cooldown);
	}
}
