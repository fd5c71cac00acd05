/*
 * store/rights.h
 *	  Who may do what with a workflow and its runs.
 */
#ifndef DF_STORE_RIGHTS_H
#define DF_STORE_RIGHTS_H

#include "store/workflow_table.h"
#include "utils/uuid.h"

/* a member of the extension's owner */
extern bool df_may_own_extension(Oid role);

/* start, signal, cancel, ...: members of the owner, and who may execute the function by name */
extern bool df_may_use(Oid role, const DfWorkflowRow *workflow);

/* a member of the owner role */
extern bool df_may_own(Oid role, const DfWorkflowRow *workflow);

/* the same, raising 42501; `verb` is what was asked for: "start", "signal", ... */
extern void df_require_use(Oid role, const DfWorkflowRow *workflow, const char *verb);
extern void df_require_own(Oid role, const DfWorkflowRow *workflow, const char *verb);

/* the newest version of a workflow that is not dropped, or DF005; inside the store */
extern void df_require_workflow(const char *name, DfWorkflowRow *row, MemoryContext cxt);

/* what a role sees of a run */
typedef enum DfSight
{
	DF_SEES_NOTHING,
	DF_SEES_META, /* members of pg_monitor: all but inputs, outputs and payloads */
	DF_SEES_ALL /* superusers, members of the workflow's owner and of who started it */
} DfSight;

/* `owner` and `owner_name` must both be those of the definition */
extern bool df_is_owner(Oid role, Oid owner, const char *owner_name);
extern bool df_is_starter(Oid role, const char *started_by);

/* what the role sees of every run */
extern DfSight df_sight_of_all(Oid role);

/* what it sees of one; owner_name NULL = its workflow is not there */
extern DfSight df_sight(Oid role, Oid owner, const char *owner_name, const char *started_by);

/* raises 42501 if that is less than `least` */
extern void df_require_sight(Oid role, const pg_uuid_t *run, DfSight seen, DfSight least);

/* raises 25006 if nothing can be written here; `what` completes "cannot ..." */
extern void df_require_writable(const char *what);

#endif /* DF_STORE_RIGHTS_H */
