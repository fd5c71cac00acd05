/*
 * store/right_table.h
 *	  Rights that owners of workflows gave to other roles: rows of
 *	  dataflows.workflow_right.
 *
 * Between df_store_enter() and df_store_leave(); what a row points to is
 * allocated in `cxt`.
 */
#ifndef DF_STORE_RIGHT_TABLE_H
#define DF_STORE_RIGHT_TABLE_H

#include "datatype/timestamp.h"
#include "nodes/pg_list.h"

/* what PUBLIC is called in a row; no role can have this name */
#define DF_EVERY_ROLE "public"

/* "signal:" and an event is the right to signal that one */
#define DF_SIGNAL_PREFIX "signal:"

typedef struct DfRightRow
{
	Oid role; /* InvalidOid = every role, or one that was not there at the last adopt() */
	char *role_name;
	char *right;
} DfRightRow;

/*
 * The rows of a workflow that may be about a role, a List of DfRightRow: as the running query
 * sees them, for a STABLE function, or as they are committed this moment.
 */
extern List *df_rights_list(const char *workflow, Oid role, bool of_query, MemoryContext cxt);

/* a right that is given or taken */
typedef struct DfNewRight
{
	const char *workflow;
	Oid role;
	const char *role_name;
	const char *right; /* taken: NULL = all */
	const char *by;
	TimestampTz now;
	bool held; /* the database is: the name tells the role, else the oid does */
} DfNewRight;

/* unless it is there already */
extern void df_right_insert(const DfNewRight *new);

/* `signal` takes each signal:<event> along; a role that is gone is told by its name */
extern void df_right_delete(const DfNewRight *old);

/* all rights in a workflow, whose name is another owner's from now on */
extern void df_rights_drop(const char *workflow);

/* all rights of a role, in every workflow */
extern void df_rights_drop_of_role(Oid role);

/* gives who had EXECUTE by name on a workflow's function what that meant before 0.2 */
extern void df_rights_from_grants(bool held);

/* for adopt(): the roles that have the names, in this cluster */
extern void df_rights_adopt(bool held);

/* brings the names of renamed roles up to date, and deletes what dropped roles had */
extern void df_rights_tidy(void);

#endif /* DF_STORE_RIGHT_TABLE_H */
