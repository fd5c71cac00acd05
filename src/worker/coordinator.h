/*
 * worker/coordinator.h
 *	  What the files of the coordinator share, in the order of its turn.
 *
 *	  notify_insert.c	signals that came by NOTIFY
 *	  supervise.c		workers that have ended
 *	  table_check.c		what is due
 *	  supervise.c		slots for the workers that are needed
 *	  housekeeping.c	what is to be thrown away
 */
#ifndef DF_COORDINATOR_H
#define DF_COORDINATOR_H

#include "df_types.h"
#include "shared/slots.h"
#include "store/due.h"
#include "worker/wait.h"

typedef struct DfCoordinator
{
	DfSlot *slot;
	MemoryContext turn_cxt;

	/* when to do what, DF_NEVER = not for the sake of time */
	TimestampTz next_check;
	TimestampTz next_sweep;

	/* what this turn has to do */
	bool check_wanted; /* something has happened since the last check */
	bool leases_void; /* a worker ended: what it held is due */
	bool all_leases; /* even those of runs that seem not to be due */
	bool sweeping;

	/* what the last check found */
	List *due_owners; /* of DfDueOwner, in turn_cxt */
	bool ours; /* the runs are this database's own */
	Oid ingress_role; /* of the ingress process that there is to be */
} DfCoordinator;

extern DfCoordinator df_coordinator;

/* the tables are to be checked at that time at the latest */
static inline void
df_check_by(TimestampTz time)
{
	df_coordinator.next_check = df_earlier(df_coordinator.next_check, time);
}

/* ---- notify_insert.c -------------------------------------------------------- */

extern void df_insert_notifications(void);
extern TimestampTz df_notify_due(void);

/* ---- supervise.c ------------------------------------------------------------ */

extern bool df_reap_workers(void);
extern void df_supervise(void);
extern void df_hurry_ingress(void);
extern void df_wake_all_workers(void);
extern int df_count_workers(DfSlotKind kind, Oid owner, int *up);
extern bool df_lease_is_alive(int64 lease);
extern DfSlotKind df_worker_kind_for(const DfDueOwner *due);
extern bool df_owner_is_due_now(const DfDueOwner *due, TimestampTz now);

/* ---- table_check.c ---------------------------------------------------------- */

extern void df_check_tables(void);

/* ---- coordinator.c ---------------------------------------------------------- */

extern PGDLLEXPORT void dataflows_coordinator_main(Datum arg);

#endif /* DF_COORDINATOR_H */
