/*
 * worker/trace.h
 *	  Spans of runs, steps and attempts, and their way to the collector.
 */
#ifndef DF_TRACE_H
#define DF_TRACE_H

#include "http/client.h"
#include "types/response.h"
#include "types/run.h"

/* of the i-th export, of n spans; no address and no other mark has bit 1 */
#define DF_TRACE_COOKIE(i, n) (((uint64) (i) << 20) | ((n) << 2) | 2)
#define DF_TRACE_SPANS(cookie) (((cookie) &3) == 2 ? (int) ((cookie) >> 2) & 0x3ffff : 0)

/* in the first transaction of the process: what may be looked up only there */
extern void df_trace_set_up(void);

/* the header that goes with what is about to be sent for the step; NULL = none */
extern const char *df_trace_header(const DfRun *run, const DfStep *step);

/* the memory of the turn before is gone, and with it what was not committed */
extern void df_trace_begin_turn(void);

/* an attempt that has ended; put out with the next commit */
extern void df_trace_attempt(const DfRun *run, const DfStep *step, const DfResponse *response);

/* after a commit, before what was dirty is marked clean: what has ended in these runs */
extern void df_trace_commit(List *runs);

/* sends what is waiting, if it is time; outside transactions */
extern void df_trace_export(void);

/* true, and the result is freed, if it is of an export */
extern bool df_trace_arrive(DfHttpResult *result);

/* when df_trace_export() has something to do, DF_NEVER = nothing */
extern TimestampTz df_trace_due(void);

#endif /* DF_TRACE_H */
