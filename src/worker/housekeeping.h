/*
 * worker/housekeeping.h
 *	  A coordinator's housekeeping: deletes what has expired, a little at a time.
 */
#ifndef DF_HOUSEKEEPING_H
#define DF_HOUSEKEEPING_H

#include "datatype/timestamp.h"

/* a sweep begins: all jobs are due */
extern void df_housekeeping_sweep(void);

/* one bounded piece of each due job; outside of a transaction */
extern void df_housekeeping(void);

/* when to call it again, DF_NEVER = not before the next sweep */
extern TimestampTz df_housekeeping_due(void);

#endif /* DF_HOUSEKEEPING_H */
