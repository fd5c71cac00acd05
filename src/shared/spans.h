/*
 * shared/spans.h
 *	  Spans that wait for their export to a collector of traces.
 *
 * A ring in shared memory: processes of the engine put spans in, a worker of the same
 * database takes them out and exports them.  When the ring is full, the oldest is
 * dropped and counted: tracing never delays anything.
 */
#ifndef DF_SPANS_H
#define DF_SPANS_H

#include "datatype/timestamp.h"
#include "utils/uuid.h"

typedef enum DfSpanKind
{
	DF_SPAN_RUN,
	DF_SPAN_STEP,
	DF_SPAN_ATTEMPT
} DfSpanKind;

typedef struct DfSpan
{
	Oid database;
	DfSpanKind kind;
	bool failed;
	uint8 trace[16];
	uint64 id;
	uint64 parent; /* 0 = none */
	TimestampTz start;
	TimestampTz end;
	pg_uuid_t run;
	int n; /* of a step, 0 = none */
	int attempt; /* 0 = none */
	int status; /* of HTTP, 0 = none */
	char name[96]; /* longer ones are cut between characters */
	char workflow[64];
	char system[64];
	char what[24]; /* kind of the step, phase of the attempt */
	char state[16];
} DfSpan;

typedef struct DfSpanCounts
{
	uint64 exported;
	uint64 dropped;
	int waiting;
	char error[160]; /* of the last export that failed, "" = none since */
} DfSpanCounts;

extern Size df_spans_size(void);
extern void df_spans_startup(void); /* shmem_startup_hook, under AddinShmemInitLock */

extern void df_span_put(const DfSpan *span);

/* up to `max` of this database, oldest first */
extern int df_spans_take(Oid database, DfSpan *spans, int max);
extern int df_spans_waiting(Oid database);

/* the export of n spans has ended; error NULL = the collector has them */
extern void df_spans_sent(int n, const char *error);
extern void df_spans_counts(DfSpanCounts *counts);

#endif /* DF_SPANS_H */
