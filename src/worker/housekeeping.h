/*
 * worker/housekeeping.h
 *	  A coordinator's tidying: what is to be thrown away, a little at a time.
 */
#ifndef DF_HOUSEKEEPING_H
#define DF_HOUSEKEEPING_H

#include "df_types.h"

/* a sweep: everything is to be looked at */
extern void df_tidy_sweep(void);

/* does what is due, in a bounded piece; outside of a transaction */
extern void df_tidy(void);

/* when it is to be called, DF_NEVER = not before the next sweep */
extern TimestampTz df_tidy_due(void);

#endif /* DF_HOUSEKEEPING_H */
