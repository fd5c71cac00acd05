/*
 * types/workflow_version.h
 *	  One version of a workflow in a worker's memory.
 *
 * The worker's, in the memory of its process: store/workflow_table.c reads it, the engine
 * counts its failures in a row.
 */
#ifndef DF_TYPES_WORKFLOW_VERSION_H
#define DF_TYPES_WORKFLOW_VERSION_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "types/base.h"
#include "types/states.h"
#include "utils/jsonb.h"

/* one version of a workflow, as the worker knows it */
typedef struct DfWorkflow
{
	char *name;
	int version;
	char *function; /* qualified signature */
	Oid function_owner;
	Oid owner;
	char *owner_name;
	char *on_failure; /* NULL = none */
	Jsonb *retry; /* NULL = the system's */
	DfUndoOn undo_on;
	char *notify; /* channel that hears of its runs, NULL = none */
	bool has_deadline;
	Interval deadline; /* from the start of a run */
	/* ten failures in a row at one step with one status: stop undoing customers */
	char fail_step[DF_MAX_NAME + 1];
	int fail_status;
	int fail_count;
} DfWorkflow;

#endif /* DF_TYPES_WORKFLOW_VERSION_H */
