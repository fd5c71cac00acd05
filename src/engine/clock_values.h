/*
 * engine/clock_values.h
 *	  Whether two values differ in nothing but the time at which they were made.
 */
#ifndef DF_CLOCK_VALUES_H
#define DF_CLOCK_VALUES_H

#include "datatype/timestamp.h"
#include "utils/jsonb.h"

/* `one` was made at about `then`, the other one just now */
extern bool df_same_but_clock(const Jsonb *one, const Jsonb *other, TimestampTz then);

#endif /* DF_CLOCK_VALUES_H */
