/*
 * store/pause_log.h
 *	  For how long a workflow was paused.
 */
#ifndef DF_STORE_PAUSE_LOG_H
#define DF_STORE_PAUSE_LOG_H

#include "datatype/timestamp.h"

/* between two times it or the database was paused for so many microseconds */
extern int64 df_paused_us(const char *workflow, TimestampTz since, TimestampTz until);

#endif /* DF_STORE_PAUSE_LOG_H */
