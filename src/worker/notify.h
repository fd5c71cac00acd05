/*
 * worker/notify.h
 *	  NOTIFY dataflows, '...' as a coordinator hears it.
 */
#ifndef DF_NOTIFY_H
#define DF_NOTIFY_H

#include "df_types.h"
#include "store/notify_signal.h"

/* LISTEN; once, outside of a transaction */
extern void df_notify_listen(void);

/*
 * takes what has come out of the server's queue; outside of a transaction, whenever the latch was
 * set
 */
extern void df_notify_read(void);

extern bool df_notify_has_some(void);

/*
 * The i-th notification that was taken in (from 0), parsed into `cxt`; false =
 * not for us to act on, and counted.  Outside of a transaction.
 */
extern int df_notify_count(void);
extern bool df_notify_parse(int i, MemoryContext cxt, DfNotifySignal *signal);

/* the first n are dealt with */
extern void df_notify_drop(int n);

/* one that was refused, for the log: a line at once, then at most one a minute */
extern void df_notify_complain(int pid, const char *why);
extern void df_notify_flush_complaints(void);

#endif /* DF_NOTIFY_H */
