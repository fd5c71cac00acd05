/*
 * shared/slots.h
 *	  Shared memory: who runs where.
 *
 * One array of slots, all protected by one LWLock (df_shared->lock), but for
 * what is marked [own], which only the slot's own process writes and others
 * read as it comes.
 *
 * The life of a slot:
 *		FREE -> WANTED		df_slot_take(), by launcher or coordinator
 *		WANTED -> STARTING	the launcher registers the process (worker/process.c)
 *		STARTING -> RUNNING	the process claims it: df_slot_claim()
 *		RUNNING -> GONE		df_slot_retire(), or the exit of the process
 *		RUNNING -> WANTED	a worker gives its place away and wants another: df_slot_give_way()
 *		RUNNING -> AT_REST	a coordinator gives its place away: df_slot_rest()
 *		AT_REST -> STARTING	it is woken, or its time has come
 *		GONE -> FREE		by launcher or coordinator, once pid is 0
 *
 * A slot costs a little memory (dataflows.max_processes).  A process needs a
 * place among max_worker_processes, too, of which there may be fewer: shared/line.h.
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
	DF_SLOT_PROBE, /* looks whether a database has the extension */
	DF_SLOT_COORDINATOR,
	DF_SLOT_WORKER, /* this and what follows is a coordinator's to start */
	DF_SLOT_SQL_WORKER,
	DF_SLOT_INGRESS
} DfSlotKind;

typedef enum DfSlotState
{
	DF_PROC_WANTED, /* to be started by the launcher */
	DF_PROC_AT_REST, /* a coordinator that left its place to others */
	DF_PROC_STARTING, /* registered, not there yet */
	DF_PROC_RUNNING,
	DF_PROC_GONE /* ended; whoever started it takes the slot back */
} DfSlotState;

/* how the process of a slot ended */
typedef enum DfSlotEnd
{
	DF_END_BADLY, /* an error, a signal: started again with back-off */
	DF_END_RETIRED, /* nothing left to do here */
	DF_END_ASIDE /* stepped aside for DDL, or wants a fresh start: again at once */
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
	bool woken; /* a wake came since the process last looked */
	int64 lease; /* nonce under which a worker holds runs; new with each process */
	DfSlotEnd end; /* meaningful while GONE */
	TimestampTz started_at;
	TimestampTz not_before; /* WANTED, AT_REST: a process is wanted from this time on */
	int failures; /* starts in a row that ended badly */
	bool extra; /* its owner has another worker of that kind */
	bool give_way; /* RUNNING: others wait for a place, it is to leave in good order */
	TimestampTz asked_at; /* to do so */
	char reason[160]; /* why it is not running, for status() */
	char trouble[200]; /* what it tries in vain (shared/trouble.c), for status(); "" = nothing */
	TimestampTz trouble_since;
	TimestampTz lacks_since; /* coordinator: it found no slot for a worker, DF_NEVER = it did */
	/* of the coordinator alone, kept while it is at rest [own] */
	TimestampTz next_sweep;
	bool hears; /* a live run accepts NOTIFY */
	/* of each process alone [own] */
	bool idle; /* it would leave without a loss */
	/* of the worker alone [own]; of the ingress: in a handler, for no run */
	bool in_body;
	bool counted; /* that entry is counted in the run's row already, or is in no run */
	pg_uuid_t body_run;
	TimestampTz body_since;
	uint64 turns;
	uint64 commits;
	int runs_held;
	int in_flight;
} DfSlot;

/* databases in which nothing is to run while some DDL is under way */
#define DF_MAX_HOLDS 32

typedef struct DfHold
{
	Oid database; /* InvalidOid = unused */
	int pid; /* backend that holds it, until its transaction ends */
} DfHold;

/* webhooks whose handlers ran into their time limit: turned away for a while */
#define DF_MAX_PAUSES 64

typedef struct DfPause
{
	Oid database;
	uint64 path; /* its hash */
	TimestampTz until; /* 0 = unused */
} DfPause;

typedef struct DfShared
{
	LWLock *lock;
	Latch *launcher_latch; /* NULL while there is no launcher */
	int launcher_pid;
	char launcher_reason[160];
	char launcher_trouble[200];
	int launcher_failures; /* launchers in a row that ended before their first turn was done */
	bool rescan; /* the launcher is to look at pg_database again */
	bool probe_lacks; /* the launcher found no slot for a probe: workers wait for one behind it */
	TimestampTz full_since; /* somebody waits for a place, DF_NEVER = nobody does */
	ConditionVariable moved; /* broadcast when a run stopped moving */
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
extern bool df_slot_is_up(const DfSlot *slot); /* has a process, or will have one at once */
extern void df_slot_hurry(DfSlot *slot); /* no reason to wait any longer, but for a back-off */
extern bool df_database_held(Oid database);

/* entries into a body without an exit after which its run is stuck */
#define DF_CRASHES_ALLOWED 3

/* the process of a slot; these take the lock */
extern DfSlot *df_slot_claim(int index,
							 uint32 generation); /* ends the process if it is not its any more */
extern bool df_slot_take_wake(DfSlot *slot); /* returns and clears `woken`: call before looking */
extern void df_slot_step_aside(DfSlot *slot); /* end now and be started again at once */

/*
 * Leave for want of work.  False: woken meanwhile, look again; true: end now.
 * next_due is when there will be work again, as far as it is known.
 */
extern bool df_slot_retire(DfSlot *slot, TimestampTz next_due);
extern bool
df_slot_rest(DfSlot *slot,
			 TimestampTz until); /* of a coordinator: it is woken, or comes back by then */

/* a worker leaves its place to others: end now; next_due is when it wants one again */
extern void df_slot_give_way(DfSlot *slot, TimestampTz next_due);

/* it was registered, and its process will never come; takes the lock */
extern void df_slot_lost(DfSlot *slot);
extern void df_slot_reason(DfSlot *slot, const char *reason);

/* a worker is in a body, or in somebody's SQL: it is to blame if the process ends now */
extern void df_slot_enter_body(DfSlot *slot, pg_uuid_t run, bool counted);
extern void df_slot_leave_body(DfSlot *slot);

/* set the latch of the owner's workers of that kind, or of the coordinator; takes the lock */
extern void df_slot_wake(DfSlotKind kind, Oid database, Oid owner);
extern void df_slot_wake_coordinator(Oid database);
extern void
df_slot_wake_all(Oid database); /* all its processes; a coordinator at rest comes back */
extern bool df_slot_has_coordinator(Oid database); /* has the launcher found the extension there? */

/* the launcher is to look: at all databases, or at one that may be new to it */
extern void df_launcher_wake(void); /* something is WANTED */
extern void df_launcher_rescan(void);
extern void df_launcher_probe(Oid database);

/* hold a database until df_hold_release(); false = no room */
extern bool df_hold_database(Oid database);
extern void df_hold_release(void); /* all of this backend's; cheap if there are none */
extern int df_hold_terminate(Oid database); /* SIGTERM to its processes; how many there are */

#endif /* DF_SLOTS_H */
