/*
 * store/due.h
 *	  What a coordinator reads and writes: each function is a few statements,
 *	  called between df_store_enter() and df_store_leave().
 */
#ifndef DF_STORE_DUE_H
#define DF_STORE_DUE_H

#include "df_types.h"
#include "nodes/pg_list.h"
#include "store/store.h"

/* the owner of workflows that have something due, or will have */
typedef struct DfDueOwner
{
	Oid owner;
	char *name;
	TimestampTz wake_at; /* earliest of its runs, DF_NEVER if none */
	bool inbox; /* has rows that nobody has looked at */
	bool sql; /* it is for a sql worker */
} DfDueOwner;

/* who has waited longest comes first */
extern List *df_due_owners(bool sql, MemoryContext cxt);

/*
 * Runs held under leases that no process has any more are due at once.
 * is_alive() is asked after the leases have been read: a worker shows its
 * lease in shared memory before it uses it.
 */
extern bool df_return_leases(TimestampTz up_to, bool (*is_alive)(int64 lease));

/* a worker gives back what it holds: it is due at once; false: somebody has locked some of it */
extern bool df_give_back_lease(int64 lease);

/* due runs of an owner who can have no session are stuck; returns how many */
extern uint64 df_stick_owner(const DfDueOwner *owner, const char *problem, const char *remedy);

/*
 * Carries out abandon() where no worker does: of runs at rest, and of that owner
 * if it can have no worker (InvalidOid = of nobody's).  Returns how many ended.
 */
extern uint64 df_abandon_asked(Oid owner);

/* the server or a worker ended inside the body of that run; 55P03 if somebody has locked it */
extern void df_count_crash(const pg_uuid_t *run);

/* ---- NOTIFY --------------------------------------------------------------- */

typedef enum DfNotifyFate
{
	DF_NOTIFY_TAKEN,
	DF_NOTIFY_UNKNOWN, /* no such run or workflow */
	DF_NOTIFY_REFUSED, /* accept_notify does not allow it */
	DF_NOTIFY_TOO_LATE, /* the run has ended */
	DF_NOTIFY_TOO_MANY /* that it has not taken */
} DfNotifyFate;

typedef struct DfNotifySignal
{
	bool by_key;
	pg_uuid_t run;
	char *workflow; /* by_key */
	char *key; /* by_key */
	char *event;
	Jsonb *payload;
	int pid;
	TimestampTz at;
} DfNotifySignal;

/* is there a live run that NOTIFY may signal? */
extern bool df_some_accept_notify(void);

/* writes the inbox row; *owner is who is to be woken */
extern DfNotifyFate df_insert_notify(const DfNotifySignal *signal, Oid *owner);

#endif /* DF_STORE_DUE_H */
