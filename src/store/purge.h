/*
 * store/purge.h
 *	  What a coordinator throws away, in batches.
 */
#ifndef DF_STORE_PURGE_H
#define DF_STORE_PURGE_H

#include "datatype/timestamp.h"

/*
 * Each deletes a batch of what is old at that time, passes over what is
 * locked, and returns true if there may be more.
 */
extern bool df_purge_orphans(TimestampTz now);
extern bool df_purge_signals(TimestampTz now);
extern bool df_purge_page_tokens(TimestampTz now);
extern bool df_purge_refresh_tokens(TimestampTz now);
extern bool df_purge_notes(TimestampTz before);
extern bool df_purge_deliveries(TimestampTz before);
extern bool df_purge_runs(TimestampTz before);

/* a sweep begins: what was passed over is read again */
extern void df_purge_begin(TimestampTz now);

#endif /* DF_STORE_PURGE_H */
