/*
 * store/rights.h
 *	  Who may do what with a workflow and its runs.
 */
#ifndef DF_RIGHTS_H
#define DF_RIGHTS_H

#include "df_types.h"
#include "store/workflow.h"

/* start, signal, cancel, ...: members of the owner, and who may execute the function by name */
extern bool df_may_use(Oid role, const DfWorkflowRow *workflow);

/* a member of the owner role */
extern bool df_may_own(Oid role, const DfWorkflowRow *workflow);

/* the same, raising 42501; `verb` is what was asked for: "start", "signal", ... */
extern void df_require_use(Oid role, const DfWorkflowRow *workflow, const char *verb);
extern void df_require_own(Oid role, const DfWorkflowRow *workflow, const char *verb);

/* the newest version of a workflow that is not dropped, or DF005; inside the store */
extern void df_require_workflow(const char *name, DfWorkflowRow *row, MemoryContext cxt);

/* raises 25006 if nothing can be written here; `what` completes "cannot ..." */
extern void df_require_writable(const char *what);

#endif							/* DF_RIGHTS_H */
