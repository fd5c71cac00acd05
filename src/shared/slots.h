/*
 * shared/slots.h
 *	  Shared memory: one slot for each process of the engine.
 *
 * All slots are protected by one LWLock (df_shared->lock), except for fields marked
 * [own]: only the slot's process writes them, and others read them without the lock.
 *
 * The life of a slot:
 *		FREE -> WANTED		df_slot_take(), by launcher or coordinator
 *		WANTED -> STARTING	the launcher registers the process (worker/process.c)
 *		STARTING -> RUNNING	the process claims the slot: df_slot_claim()
 *		RUNNING -> GONE		df_slot_retire(), or the process exits
 *		RUNNING -> WANTED	a worker ends for others and queues again: df_slot_give_way()
 *		RUNNING -> AT_REST	a coordinator ends for others: df_slot_rest()
 *		AT_REST -> STARTING	it is woken, or due again
 *		GONE -> FREE		by launcher or coordinator, once pid is 0
 *
 * A slot is a little memory (dataflows.max_processes).  A running process also needs
 * one of max_worker_processes, of which there may be fewer: shared/slot_queue.h.
 */
#ifndef DF_SLOTS_H
#define DF_SLOTS_H

#include "datatype/timestamp.h"
#include "storage/condition_variable.h"
#include "storage/latch.h"
#include "storage/lwlock.h"
#include "utils/uuid.h"

typedef enum DfSlotKind
{
	DF_SLOT_FREE,
	DF_SLOT_CHECK, /* checks whether a database has the extension; shown as "probe" */
	DF_SLOT_COORDINATOR,
	DF_SLOT_WORKER, /* coordinators take the slots of this and the following kinds */
	DF_SLOT_SQL_WORKER,
	DF_SLOT_INGRESS
} DfSlotKind;

typedef enum DfSlotState
{
	DF_PROC_WANTED, /* to be started by the launcher */
	DF_PROC_AT_REST, /* a coordinator that ended so that others can run */
	DF_PROC_STARTING, /* registered, not running yet */
	DF_PROC_RUNNING,
	DF_PROC_GONE /* ended; launcher or coordinator frees the slot or starts another process */
} DfSlotState;

/* how the process of a slot ended */
typedef enum DfSlotEnd
{
	DF_END_FAILED, /* an error or a signal: start it again with back-off */
	DF_END_RETIRED, /* it had nothing left to do */
	DF_END_RESTART /* it left a database to DDL, or needs a new session: start it again at once */
} DfSlotEnd;

typedef struct DfSlot
{
	DfSlotKind kind;
	DfSlotState state;
	uint32 generation; /* counts the uses of this slot */
	Oid database;
	Oid owner; /* role of a worker, extension owner of a coordinator */
	int pid; /* 0 until it runs and again once it has ended */
	Latch *latch; /* of that process, valid while pid is set */
	bool woken; /* since df_slot_take_wake() */
	bool has_to_send; /* a coordinator: since df_slot_take_to_send() */
	int64 lease; /* random number that marks the runs a worker has claimed; new per process */
	DfSlotEnd end; /* meaningful while GONE */
	TimestampTz started_at;
	TimestampTz not_before; /* WANTED, AT_REST: start it from this time on */
	int failures; /* in a row */
	bool extra; /* its owner has another worker of this kind */
	bool give_way; /* RUNNING: others wait to be started, it is to end in good order */
	TimestampTz asked_at; /* when give_way was set */
	char reason[160]; /* why it is not running, for status() */
	char trouble[200]; /* what keeps failing (shared/trouble.c), for status(); "" = nothing */
	TimestampTz trouble_since;
	TimestampTz lacks_slot_since; /* coordinator: no slot is free for a worker; DF_NEVER = one is */
	/* of a coordinator, kept while it is at rest [own] */
	TimestampTz next_sweep;
	bool listens; /* some live run accepts NOTIFY */
	/* [own] */
	bool idle; /* it could end without loss */
	/* of a worker [own]; of an ingress process: in a handler, for no run */
	bool in_body;
	bool counted; /* the run's row counts this entry already, or there is no run */
	pg_uuid_t body_run;
	TimestampTz body_since;
	uint64 turns;
	uint64 commits;
	int runs_held;
	int in_flight;
} DfSlot;

/* databases in which no process of ours may run during some DDL */
#define DF_MAX_HOLDS 32

typedef struct DfHold
{
	Oid database; /* InvalidOid = unused */
	int pid; /* of the backend that holds it, until its transaction ends */
} DfHold;

/* webhooks whose handler exceeded its time limit: requests get 503 for a while */
#define DF_MAX_PAUSES 64

typedef struct DfPause
{
	Oid database;
	uint64 path; /* its hash */
	TimestampTz until; /* 0 = unused */
} DfPause;

/* sessions in await() are woken by groups of runs, so that an end wakes few that wait for others */
#define DF_AWAIT_GROUPS 256

typedef struct DfShared
{
	LWLock *lock;
	Latch *launcher_latch; /* NULL while there is no launcher */
	int launcher_pid;
	char launcher_reason[160];
	char launcher_trouble[200];
	int launcher_failures; /* launchers in a row that ended before the end of their first turn */
	bool rescan; /* the launcher is to read pg_database again */
	bool check_lacks_slot; /* no slot is free for a check: it gets one before any worker */
	TimestampTz full_since; /* max_worker_processes is used up; DF_NEVER = it is not */
	/* by the hash of a run's id: broadcast when such a run stopped moving */
	ConditionVariable moved[DF_AWAIT_GROUPS];
	DfHold holds[DF_MAX_HOLDS];
	DfPause pauses[DF_MAX_PAUSES];
	int nslots;
	DfSlot slots[FLEXIBLE_ARRAY_MEMBER];
} DfShared;

/* NULL if the library was not preloaded */
extern DfShared *df_shared;

extern void df_shared_request(void); /* shmem_request_hook */
extern void df_shared_startup(void); /* shmem_startup_hook */

extern const char *df_slot_kind_name(DfSlotKind kind);

/* finders; the caller holds the lock */
extern DfSlot *df_slot_find(DfSlotKind kind, Oid database,
							Oid owner); /* not GONE; InvalidOid = any owner */
extern DfSlot *df_slot_take(DfSlotKind kind, Oid database, Oid owner); /* NULL = all in use */
extern void df_slot_free(DfSlot *slot);
extern bool df_slot_is_up(const DfSlot *slot); /* its process is running or starting */
extern void df_slot_start_soon(DfSlot *slot); /* due now, unless it is in a back-off */
extern bool df_database_held(Oid database);

/* after so many entries into its body without an exit a run is stuck */
#define DF_CRASHES_ALLOWED 3

/* the process of a slot; these take the lock */
extern DfSlot *df_slot_claim(int index, uint32 generation); /* may end the process */
extern bool df_slot_take_wake(DfSlot *slot); /* returns and clears `woken`, before you check */

/* the coordinator has something to send: state changes; a resting one is started */
extern void df_slot_wake_to_send(Oid database);
extern bool df_slot_take_to_send(DfSlot *slot);
extern void df_slot_restart(DfSlot *slot); /* end now; it is started again at once */

/*
 * A process without work, or a coordinator that rests.  True: end now.  False: it was
 * woken meanwhile, check again.  next_due is when there will be work, as far as is
 * known; a resting coordinator is started again then.
 */
extern bool df_slot_retire(DfSlot *slot, TimestampTz next_due);
extern bool df_slot_rest(DfSlot *slot, TimestampTz next_due);

/* a worker lets others run: end now; it queues again, to be started at next_due */
extern void df_slot_give_way(DfSlot *slot, TimestampTz next_due);

/* its process was registered and will never run */
extern void df_slot_lost(DfSlot *slot);
extern void df_slot_reason(DfSlot *slot, const char *reason);

/* a body or a user's SQL is running: it is to blame if the process ends now */
extern void df_slot_enter_body(DfSlot *slot, pg_uuid_t run, bool counted);
extern void df_slot_leave_body(DfSlot *slot);

/* sets the latch of the owner's workers of that kind, or of the coordinator; takes the lock */
extern void df_slot_wake(DfSlotKind kind, Oid database, Oid owner);
extern void df_slot_wake_coordinator(Oid database);
extern void df_slot_wake_all(Oid database); /* all its processes, also a resting coordinator */
extern bool df_slot_has_coordinator(Oid database); /* the launcher knows of the extension there */

extern void df_launcher_wake(void); /* something is WANTED */
extern void df_launcher_rescan(void); /* databases were created or altered */
extern void df_launcher_check(Oid database); /* it may have the extension now */

/* hold a database until df_hold_release(); false = no room */
extern bool df_hold_database(Oid database);
extern void df_hold_release(void); /* all of this backend's; cheap if there are none */
extern int df_hold_terminate(Oid database); /* sends SIGTERM to its processes, returns how many */

#endif /* DF_SLOTS_H */
