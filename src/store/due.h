/*
 * store/due.h
 *	  Who has something due, and whose leases are void.
 *
 * Between df_store_enter() and df_store_leave().
 */
#ifndef DF_STORE_DUE_H
#define DF_STORE_DUE_H

#include "datatype/timestamp.h"
#include "nodes/pg_list.h"
#include "store/store.h"

/* the owner of workflows that have something due, or will have */
typedef struct DfDueOwner
{
	Oid owner;
	char *name;
	TimestampTz wake_at; /* earliest of its runs, DF_NEVER if none */
	bool inbox; /* has new rows */
	bool sql; /* it is for a sql worker */
} DfDueOwner;

/* the owner whose runs have waited longest comes first */
extern List *df_due_owners(bool sql, MemoryContext cxt);

/*
 * Runs held under leases that no process has any more are due at once.
 * is_alive() is asked after the leases have been read: a worker shows its
 * lease in shared memory before it uses it.
 */
extern bool df_return_leases(TimestampTz up_to, bool (*is_alive)(int64 lease));

/* the runs of a lease are due at once; false: a transaction has locked some of them */
extern bool df_give_back_lease(int64 lease);

#endif /* DF_STORE_DUE_H */
