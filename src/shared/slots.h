/*
 * shared/slots.h
 *	  Shared memory: who runs where.
 *
 * One array of slots, all protected by one LWLock (lock()), but for `in_body`
 * and `body_since`, which only the slot's own process writes.
 */
#ifndef DF_SLOTS_H
#define DF_SLOTS_H

#include "df_types.h"
#include "storage/condition_variable.h"
#include "storage/latch.h"
#include "storage/lwlock.h"

typedef enum DfSlotKind
{
	DF_SLOT_FREE,
	DF_SLOT_PROBE,				/* looks whether a database has the extension */
	DF_SLOT_COORDINATOR,
	DF_SLOT_WORKER,
	DF_SLOT_SQL_WORKER
} DfSlotKind;

typedef enum DfSlotState
{
	DF_PROC_WANTED,				/* to be started by launcher or coordinator */
	DF_PROC_STARTING,			/* registered, not there yet */
	DF_PROC_RUNNING,
	DF_PROC_GONE				/* ended; whoever started it takes the slot back */
} DfSlotState;

typedef struct DfSlot
{
	DfSlotKind	kind;
	DfSlotState state;
	uint32		generation;		/* counts the uses of this slot */
	Oid			database;
	Oid			owner;			/* role of a worker, extension owner of a coordinator */
	int			pid;			/* 0 until it runs */
	Latch	   *latch;			/* of that process, valid while RUNNING */
	bool		woken;			/* a wake came since the process last looked */
	int64		lease;			/* nonce under which a worker holds runs */
	TimestampTz started_at;
	TimestampTz not_before;		/* back-off: not to be started earlier */
	int			failures;		/* starts in a row that ended badly */
	char		reason[160];	/* why it is not running, for status() */
	/* of the worker alone */
	bool		in_body;
	pg_uuid_t	body_run;
	TimestampTz body_since;
	uint64		turns;
	uint64		commits;
	int			runs_held;
	int			in_flight;
} DfSlot;

typedef struct DfShared
{
	LWLock	   *lock;
	Latch	   *launcher_latch;	/* NULL while there is no launcher */
	int			launcher_pid;
	char		launcher_reason[160];
	ConditionVariable moved;	/* broadcast when a run stopped moving */
	int			nslots;
	DfSlot		slots[FLEXIBLE_ARRAY_MEMBER];
} DfShared;

/* NULL if the library was not preloaded */
extern DfShared *df_shared;

extern void df_shared_request(void);	/* from _PG_init */
extern int	df_shared_nslots(void);

/* finders; the caller holds the lock */
extern DfSlot *df_slot_find(DfSlotKind kind, Oid database, Oid owner);
extern DfSlot *df_slot_take(DfSlotKind kind, Oid database, Oid owner);	/* NULL = all in use */
extern void df_slot_free(DfSlot *slot);

/* set the latch of the owner's workers, or of the coordinator; takes the lock */
extern void df_slot_wake(Oid database, Oid owner);
extern void df_slot_wake_coordinator(Oid database);

#endif							/* DF_SLOTS_H */
