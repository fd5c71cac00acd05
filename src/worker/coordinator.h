/*
 * worker/coordinator.h
 *	  What the files of the coordinator share.  A turn of it is, in this order:
 *
 *	  notify_insert.c	write signals that came by NOTIFY into the inbox
 *	  supervise.c		free the slots of workers that have ended
 *	  table_check.c		read what is due, return the leases of ended workers
 *	  resting_runs.c	end runs, or make them stuck, that no worker can take
 *	  supervise.c		take slots for the workers that are needed
 *	  housekeeping.c	delete what has expired
 */
#ifndef DF_COORDINATOR_H
#define DF_COORDINATOR_H

#include "shared/slots.h"
#include "store/due.h"
#include "worker/wait.h"

typedef struct DfCoordinator
{
	DfSlot *slot;

	/* when to do what though nothing happens, DF_NEVER = not at all */
	TimestampTz next_check;
	TimestampTz next_sweep;

	/* what this turn has to do */
	bool check_wanted; /* something has happened since the last check */
	bool worker_ended; /* return the leases of ended workers */
	bool all_leases; /* even of runs that are not due, as after a start */
	bool sweeping;

	/* what the last check found */
	List *due_owners; /* of DfDueOwner, in df_turn_cxt */
	bool ours; /* the runs belong to this database, which is not a copy */
	Oid ingress_role; /* of the ingress process to have, InvalidOid = none */
} DfCoordinator;

extern DfCoordinator df_coordinator;

/* check the tables at that time at the latest */
static inline void
df_check_by(TimestampTz time)
{
	df_coordinator.next_check = df_earlier(df_coordinator.next_check, time);
}

/* ---- notify_insert.c -------------------------------------------------------- */

extern void df_insert_notifications(void);
extern TimestampTz df_notify_due(void);

/* ---- supervise.c ------------------------------------------------------------ */

extern bool df_reap_workers(void); /* true: one has ended */
extern void df_supervise(void); /* after a check */
extern void df_start_ingress_now(void);
extern void df_wake_all_workers(void);
extern int df_count_workers(DfSlotKind kind, Oid owner, int *up);
extern bool df_lease_is_live(int64 lease); /* a running process has it */
extern DfSlotKind df_worker_kind_for(const DfDueOwner *due);
extern bool df_owner_is_due_now(const DfDueOwner *due, TimestampTz now);

/* ---- table_check.c ---------------------------------------------------------- */

extern void df_check_tables(void);

/* ---- resting_runs.c --------------------------------------------------------- */

/* makes due runs of an owner stuck that can have no session; returns how many */
extern int df_make_runs_stuck(const DfDueOwner *owner, const char *problem, const char *remedy);

/*
 * Carries out abandon() where no worker does: for runs at rest, and for all runs of an
 * owner that can have no worker (InvalidOid = no owner).  Returns how many ended.
 */
extern int df_abandon_asked(Oid owner);

/* ---- coordinator.c ---------------------------------------------------------- */

extern PGDLLEXPORT void dataflows_coordinator_main(Datum arg);

#endif /* DF_COORDINATOR_H */
