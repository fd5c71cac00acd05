/*
 * shared/clock.h
 *	  The one place that reads the clock and draws random numbers.
 */
#ifndef DF_CLOCK_H
#define DF_CLOCK_H

#include "datatype/timestamp.h"
#include "utils/uuid.h"

#include <time.h>

extern TimestampTz df_now(void);

/*
 * While simulate() runs in this session: df_now() stands still at that time, 0 = it goes on as
 * ever.  Meanwhile nothing leaves the session: metrics, wakes and what a process remembers of
 * what is committed ask the second.
 */
extern void df_clock_simulate(TimestampTz now);
extern bool df_clock_is_simulated(void);

/*
 * Microseconds since some moment, to measure how long something takes: unlike df_now()
 * it never jumps.  Inline, so that unit tests of http/ need no other file of this room.
 */
static inline int64
df_monotonic_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64) now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* a new UUIDv7: time-ordered, also within one process and millisecond */
extern pg_uuid_t df_new_uuid(void);

/* the least UUIDv7 of that time: no UUID made then or later is below it */
extern pg_uuid_t df_uuid_floor(TimestampTz at);

/* from the strong source, for keys and tokens; raises if there is none */
extern void df_random_bytes(void *buffer, size_t length);

/* a nonce, likewise */
extern int64 df_random_int64(void);

/* a number in [0,1) for jitter, 1 in a simulation; may be guessed, and costs no system call */
extern double df_random(void);

#endif /* DF_CLOCK_H */
