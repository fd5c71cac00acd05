/*
 * shared/clock.h
 *	  The one place that reads the clock.
 */
#ifndef DF_CLOCK_H
#define DF_CLOCK_H

#include "df_types.h"

extern TimestampTz df_now(void);

/* a new UUIDv7: time-ordered, also within one process and millisecond */
extern pg_uuid_t df_new_uuid(void);

/* a number in [0,1) for jitter */
extern double df_random(void);

#endif							/* DF_CLOCK_H */
