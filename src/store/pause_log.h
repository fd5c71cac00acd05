/*
 * store/pause_log.h
 *	  For how long a workflow was paused.
 */
#ifndef DF_STORE_PAUSE_LOG_H
#define DF_STORE_PAUSE_LOG_H

#include "datatype/timestamp.h"
#include "utils/uuid.h"

/* between two times it or the database was paused for so many microseconds */
extern int64 df_paused_us(const char *workflow, TimestampTz since, TimestampTz until);

/*
 * For how long the clocks of the deadlines of its children, and of theirs, have stood still,
 * in all; *now_held: one of them stands still now.
 */
extern int64 df_children_held_us(const pg_uuid_t *run, TimestampTz now, bool *now_held);

#endif /* DF_STORE_PAUSE_LOG_H */
