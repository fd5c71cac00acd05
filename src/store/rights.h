/*
 * store/rights.h
 *	  Who may do what with a workflow and its runs.
 */
#ifndef DF_STORE_RIGHTS_H
#define DF_STORE_RIGHTS_H

#include "nodes/pg_list.h"
#include "store/workflow_table.h"
#include "utils/uuid.h"

/* a member of the extension's owner */
extern bool df_may_own_extension(Oid role);

/*
 * What may be allowed to a role that is no member of the owner; bits.  `operate` is retry,
 * resolve, undo, abandon, pause and resume.
 */
typedef enum DfRight
{
	DF_RIGHT_START = 1 << 0,
	DF_RIGHT_SIGNAL = 1 << 1,
	DF_RIGHT_SEE = 1 << 2,
	DF_RIGHT_CANCEL = 1 << 3,
	DF_RIGHT_OPERATE = 1 << 4
} DfRight;

/* of "start", ...; 0 if no right is called so.  "signal:<event>" is told by DF_SIGNAL_PREFIX. */
extern int df_right_of(const char *name);
extern List *df_right_names(void);

/* what one role may do with one workflow */
typedef struct DfRights
{
	bool owns; /* a member of the owner: everything */
	int given; /* the DfRights that it was given */
	List *events; /* those that it may signal, if it may not signal all */
} DfRights;

/*
 * Reads it, in any transaction, inside the store or not; the events are in the present memory
 * context.  A member of the owner costs no statement.
 */
extern void df_rights_read(Oid role, const DfWorkflowRow *workflow, DfRights *rights);

/* the same, of_query: for a STABLE function, with the snapshot of the query that called it */
extern void df_rights_read_of_query(Oid role, const DfWorkflowRow *workflow, bool of_query,
									DfRights *rights);

/* `event` is that of DF_RIGHT_SIGNAL; NULL = any */
extern bool df_rights_have(const DfRights *rights, DfRight right, const char *event);

/* both in one */
extern bool df_may(Oid role, const DfWorkflowRow *workflow, DfRight right, const char *event);

/* a member of the owner role */
extern bool df_may_own(Oid role, const DfWorkflowRow *workflow);

/* the same, raising 42501; `verb` is what was asked for: "start", "signal", ... */
extern void df_require_right(Oid role, const DfWorkflowRow *workflow, DfRight right,
							 const char *event, const char *verb);
extern void df_require_own(Oid role, const DfWorkflowRow *workflow, const char *verb);

/* raises 42704 unless the role that owns the workflow is */
extern void df_require_owner_there(const DfWorkflowRow *workflow);

/* the error of df_require_right() */
extern void df_refuse_right(Oid role, const DfWorkflowRow *workflow, DfRight right,
							const char *event, const char *verb);

/* the newest version of a workflow that is not dropped, or DF005; inside the store */
extern void df_require_workflow(const char *name, DfWorkflowRow *row, MemoryContext cxt);

/* what a role sees of a run */
typedef enum DfSight
{
	DF_SEES_NOTHING,
	DF_SEES_META, /* members of pg_monitor: all but inputs, outputs and payloads */
	DF_SEES_ALL /* superusers, members of the owner and of who started it, who may `see` */
} DfSight;

/* the owner that a row names by oid and name */
extern bool df_is_owner(Oid role, Oid owner, const char *owner_name);
extern bool df_is_starter(Oid role, const char *started_by);

/* what the role sees of every run */
extern DfSight df_sight_of_all(Oid role);

/* the run that is looked at; owner_name NULL = its workflow is not there */
typedef struct DfSeenRun
{
	const char *workflow;
	Oid owner;
	const char *owner_name;
	const char *started_by;
} DfSeenRun;

/* its columns in a statement that reads run r and its workflow w, and the struct from them */
#define DF_SEEN_COLUMNS "r.workflow, w.owner, w.owner_name, r.started_by"
extern void df_seen_run_read(DfSeenRun *run, uint64 row, int first, MemoryContext cxt);

/* what it sees of one; inside the store or not */
extern DfSight df_sight(Oid role, const DfSeenRun *run);

/* raises 42501 if that is less than `least` */
extern void df_require_sight(Oid role, const pg_uuid_t *run, DfSight seen, DfSight least);

/* raises 25006 if nothing can be written here; `what` completes "cannot ..." */
extern void df_require_writable(const char *what);

#endif /* DF_STORE_RIGHTS_H */
