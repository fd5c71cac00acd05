/*
 * store/workflow_owner.h
 *	  Who owns workflows: giving them to another role, and whose runs would be left alone.
 *
 * Between df_store_enter() and df_store_leave(), but for the last one.
 */
#ifndef DF_STORE_WORKFLOW_OWNER_H
#define DF_STORE_WORKFLOW_OWNER_H

#include "datatype/timestamp.h"
#include "nodes/pg_list.h"

/*
 * All versions of the workflow, and its webhooks and schedules that the old owner has, belong
 * to that role; the functions count as those that were meant, whoever owns them now.
 */
extern void df_workflow_give(const char *workflow, Oid old_owner, Oid owner,
							 const char *owner_name);

/* retry() of the runs that are stuck because of their owner or the owner of their function */
extern void df_workflow_send_on(const char *workflow, const char *sent_by, TimestampTz now);

/* a workflow with live runs */
typedef struct DfLiveWorkflow
{
	char *name;
	int64 runs;
} DfLiveWorkflow;

/* of workflows that this role owns: DfLiveWorkflow, by name, in cxt */
extern List *df_live_workflows_of(Oid owner, MemoryContext cxt);

/*
 * Another number after df_workflow_give() was committed, here or elsewhere; at times without a
 * cause.
 */
extern uint64 df_workflow_owners_number(void);

#endif /* DF_STORE_WORKFLOW_OWNER_H */
