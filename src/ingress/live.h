/*
 * ingress/live.h
 *	  What is new, for the people who look at the page: Server-Sent Events.
 */
#ifndef DF_LIVE_H
#define DF_LIVE_H

#include "ingress/listener.h"

/* /page/live?q=<question>&q=...: begins a stream; called like a handler */
extern void df_live_open(DfRequest *request);

/* outside a transaction: drops who has gone; whether a question is to be asked now */
extern bool df_live_is_due(void);

/* asks the question that is due the longest, in a transaction, and tells who looks at it */
extern void df_live_look(void);

/* that failed: it is asked again later */
extern void df_live_failed(void);

/* how long nothing is due; -1 = nobody looks */
extern long df_live_timeout_ms(void);

/* ends all streams, before the listener stops */
extern void df_live_stop(void);

#endif /* DF_LIVE_H */
