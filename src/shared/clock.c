/*
 * shared/clock.c
 *	  The only place that reads the clock and draws random numbers.
 *
 * Used by every process, inside and outside of transactions.  Never read a table here,
 * and keep nothing but the last UUID of this process and, while simulate() runs, its time.
 */
#include "postgres.h"

#include "utils/timestamp.h"

#include "compat.h"
#include "guc.h"
#include "shared/clock.h"
#include "shared/uuid.h"

/* microseconds from the Unix epoch to PostgreSQL's */
#define EPOCH_SHIFT_US \
	((int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY)

static TimestampTz simulated = 0; /* 0 = the time is that of the machine */

TimestampTz
df_now(void)
{
	return simulated != 0 ? simulated : GetCurrentTimestamp();
}

void
df_clock_simulate(TimestampTz now)
{
	simulated = now;
}

bool
df_clock_is_simulated(void)
{
	return simulated != 0;
}

void
df_random_bytes(void *buffer, size_t length)
{
	if (!pg_strong_random(buffer, length))
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not generate random values")));
}

/*
 * The upper 60 bits of a UUIDv7 as one number: Unix milliseconds, then the
 * fraction of the millisecond in 12 bits, as PostgreSQL 18 fills "rand_a".
 */
static uint64
uuid_ticks(TimestampTz at)
{
	int64 us = at + EPOCH_SHIFT_US;

	return ((uint64) (us / 1000) << 12) | (uint64) ((us % 1000) * 4096 / 1000);
}

static void
put_ticks(pg_uuid_t *uuid, uint64 ticks)
{
	uint64 ms = ticks >> 12;

	for (int i = 0; i < 6; i++)
		uuid->data[i] = (unsigned char) (ms >> (8 * (5 - i)));
	uuid->data[6] = (unsigned char) (0x70 | ((ticks >> 8) & 0x0f));
	uuid->data[7] = (unsigned char) ticks;
}

/* greater than every other UUID of this process, even if the clock was set back meanwhile */
pg_uuid_t
df_new_uuid(void)
{
	static uint64 last = 0;
	/* a simulated time is ahead: what is made afterwards would be older */
	uint64 ticks = uuid_ticks(GetCurrentTimestamp());
	pg_uuid_t uuid;

	if (ticks <= last)
		ticks = last + 1;
	last = ticks;
	put_ticks(&uuid, ticks);
	df_random_bytes(uuid.data + 8, 8);
	uuid.data[8] = (uuid.data[8] & 0x3f) | 0x80;
	df_uuid_put_node(&uuid, df_node);
	return uuid;
}

pg_uuid_t
df_uuid_floor(TimestampTz at)
{
	pg_uuid_t uuid;

	memset(&uuid, 0, sizeof(uuid));
	put_ticks(&uuid, uuid_ticks(at));
	uuid.data[8] = 0x80;
	return uuid;
}

int64
df_random_int64(void)
{
	int64 result;

	df_random_bytes(&result, sizeof(result));
	return result;
}

double
df_random(void)
{
	/* the longest back-off, and the same each time */
	return df_clock_is_simulated() ? 1.0 : df_compat_random();
}
