/*
 * shared/traceparent.h
 *	  The header traceparent of W3C Trace Context.
 */
#ifndef DF_TRACEPARENT_H
#define DF_TRACEPARENT_H

#include "types/run.h"

#define DF_TRACEPARENT_LEN 55

typedef struct DfTraceparent
{
	uint8 trace[16];
	uint64 parent; /* 0 = none */
	bool sampled;
} DfTraceparent;

/* "00-<32 hex>-<16 hex>-<2 hex>"; false if it is not one */
extern bool df_traceparent_parse(const char *text, DfTraceparent *traceparent);

/* `text` has room for DF_TRACEPARENT_LEN + 1 */
extern void df_traceparent_print(const DfTraceparent *traceparent, char *text);

/* the trace that a run belongs to: its caller's, or one of its own */
extern void df_run_trace(const DfRun *run, DfTraceparent *trace);

/* id of a span, never 0; n = 0: of the run, attempt = 0: of the step */
extern uint64 df_span_id(const DfRun *run, int n, int attempt);

/* for the run that this step calls; NULL = nothing is traced */
extern char *df_child_traceparent(const DfRun *run, const DfStep *step);

#endif /* DF_TRACEPARENT_H */
