/*
 * store/workflow_table.h
 *	  Definitions of workflows: one row per version.
 *
 * Between df_store_enter() and df_store_leave(); what a row points to is
 * allocated in `cxt`.
 */
#ifndef DF_STORE_WORKFLOW_TABLE_H
#define DF_STORE_WORKFLOW_TABLE_H

#include "types/workflow_version.h"
#include "nodes/pg_list.h"

typedef struct DfWorkflowRow
{
	char *name;
	int version;
	char *function; /* "schema.name(jsonb)", quoted as needed */
	Oid function_owner;
	Oid owner;
	char *owner_name;
	char *on_failure; /* likewise, or NULL */
	Jsonb *retry; /* or NULL */
	Interval *deadline; /* or NULL */
	char *accept_notify;
	char *undo_on;
	char *on_error; /* of a dump of 0.1; else NULL */
	char *notify; /* NULL = none */
	int64 fingerprint; /* of both functions when it was defined, 0 = by 0.1 */
	bool paused;
	bool dropped;
} DfWorkflowRow;

/* the newest version, a dropped one too; false if the name was never defined */
extern bool df_workflow_latest(const char *name, DfWorkflowRow *row, MemoryContext cxt);

/* the version that a run keeps */
extern bool df_workflow_version(const char *name, int version, DfWorkflowRow *row,
								MemoryContext cxt);

/* false if that version is there already */
extern bool df_workflow_insert(const DfWorkflowRow *row);

/* waits for a session that is defining or dropping the same workflow */
extern void df_workflow_lock(const char *name);
extern void df_workflow_mark_dropped(const char *name);
extern int64 df_workflow_live_runs(const char *name);

/* the names of the workflows of that owner that are not paused; in cxt */
extern List *df_load_workflow_names(Oid owner, MemoryContext cxt);

/* one version, as a worker knows it; NULL if it is gone */
extern DfWorkflow *df_load_workflow(const char *name, int version, MemoryContext cxt);

#endif /* DF_STORE_WORKFLOW_TABLE_H */
