/*
 * store/gauges.h
 *	  What is counted from the tables.
 *
 * Between df_store_enter() and df_store_leave().
 */
#ifndef DF_STORE_GAUGES_H
#define DF_STORE_GAUGES_H

#include "datatype/timestamp.h"
#include "nodes/pg_list.h"

typedef enum DfGaugeKind
{
	DF_GAUGE_RUNS, /* that have not ended, by state */
	DF_GAUGE_DUE, /* that no worker has claimed yet */
	DF_GAUGE_OLDEST_DUE, /* for so many seconds */
	DF_GAUGE_INBOX,
	DF_GAUGE_PENDING_UNDO,
	DF_GAUGE_OLDEST_ENDED, /* ended so many seconds ago, and not a child's */
	DF_GAUGE_TABLE_BYTES,
	DF_GAUGE_CAPPED /* 1: there is more than was counted */
} DfGaugeKind;

typedef struct DfGauge
{
	DfGaugeKind kind;
	char *name; /* of the workflow or the table; or NULL */
	char *state; /* or NULL */
	double value;
} DfGauge;

/* a List of DfGauge; what it costs does not depend on the runs that have ended */
extern List *df_gauges_read(TimestampTz now, int64 identity, MemoryContext cxt);

typedef struct DfWorkflowOwner
{
	char *workflow;
	Oid owner;
	char *owner_name;
} DfWorkflowOwner;

/* a List of DfWorkflowOwner, all versions */
extern List *df_workflow_owners(MemoryContext cxt);

#endif /* DF_STORE_GAUGES_H */
