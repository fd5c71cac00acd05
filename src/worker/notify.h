/*
 * worker/notify.h
 *	  Receives NOTIFY dataflows, '...' in a coordinator.
 */
#ifndef DF_NOTIFY_H
#define DF_NOTIFY_H

#include "store/notify_signal.h"

/* LISTEN; once, outside of a transaction */
extern void df_notify_listen(void);

/* moves notifications out of the server's queue; after each wait, outside of a transaction */
extern void df_notify_read(void);

extern bool df_notify_has_some(void);

/*
 * Parses the i-th notification (from 0) into `cxt`.  False: its payload is bad, which
 * was reported.  Outside of a transaction.
 */
extern int df_notify_count(void);
extern bool df_notify_parse(int i, MemoryContext cxt, DfNotifySignal *signal);

/* removes the first n */
extern void df_notify_drop(int n);

/* logs one that is ignored: at once, then at most one line per minute */
extern void df_notify_complain(int pid, const char *why);
extern void df_notify_flush_complaints(void);

#endif /* DF_NOTIFY_H */
