/*
 * worker/trace.h
 *	  Spans of runs, steps and attempts, and their export to a collector.
 */
#ifndef DF_TRACE_H
#define DF_TRACE_H

#include "http/client.h"
#include "types/response.h"
#include "types/run.h"

/* of the i-th export, with n spans; neither an address nor another mark has bit 1 set */
#define DF_TRACE_COOKIE(i, n) (((uint64) (i) << 20) | ((n) << 2) | 2)
#define DF_TRACE_SPANS(cookie) (((cookie) &3) == 2 ? (int) ((cookie) >> 2) & 0x3ffff : 0)

/* in the first transaction of the process: looks up what it needs of the catalogs */
extern void df_trace_set_up(void);

/* the header for the request that is about to be sent for the step; NULL = none */
extern const char *df_trace_header(const DfRun *run, const DfStep *step);

/* forgets attempts of a turn that was not committed */
extern void df_trace_begin_turn(void);

/* an attempt has ended; its span is made by the next commit */
extern void df_trace_attempt(const DfRun *run, const DfStep *step, const DfResponse *response);

/* after a commit, while the runs still differ from what was saved before: spans of what ended */
extern void df_trace_commit(List *runs);

/* exports spans that are due; outside of transactions */
extern void df_trace_export(void);

/* true: it was the response to an export, and is freed */
extern bool df_trace_arrive(DfHttpResult *result);

/* when df_trace_export() has something to do, DF_NEVER = nothing */
extern TimestampTz df_trace_due(void);

#endif /* DF_TRACE_H */
