/*
 * worker/process.h
 *	  How a process of the engine is started, and what it does first and last.
 */
#ifndef DF_PROCESS_H
#define DF_PROCESS_H

#include "shared/slots.h"

/* ---- in the launcher ------------------------------------------------------ */

typedef enum DfProcessStart
{
	DF_START_DONE,
	DF_START_CHANGED, /* the slot was changed meanwhile */
	DF_START_NO_WORKER /* none of max_worker_processes is free; it stays WANTED */
} DfProcessStart;

/*
 * Registers the process of a slot that is WANTED or AT_REST, in a session of the
 * slot's owner (InvalidOid = a superuser), unless the generation has changed.  Call
 * it without the lock.
 */
extern DfProcessStart df_process_start(int index, uint32 generation);

/*
 * Marks STARTING slots whose process will never come as GONE.  Call it whenever the
 * latch was set.  Returns when to call it again, DF_NEVER = no need.
 */
extern TimestampTz df_process_check(void);

/* when to try again after so many failures in a row: 1 s, doubled up to 60 s */
extern TimestampTz df_process_back_off(int failures);

/* ---- in the process that is started --------------------------------------- */

/*
 * A process of ours lives for months, so the loop of each has two memory contexts.
 * df_process_cxt lives as long as the process.  df_turn_cxt is the current context
 * at the top of the loop, which asserts that and resets it: code of a turn pallocs
 * freely and frees nothing.  Whatever is to outlive the turn is allocated in a
 * context that is named: df_process_cxt, or one of its own.
 */
extern MemoryContext df_process_cxt;
extern MemoryContext df_turn_cxt;

/* creates both and makes df_turn_cxt current; it keeps a first block of that size, 0 = default */
extern void df_process_memory(Size first_block);

/* at the top of the loop, and wherever a turn has ended */
extern void df_reset_turn_memory(void);

/*
 * The first call of a main function: claims the slot whose index is `arg`, installs
 * signal handlers, connects to the slot's database as the slot's owner and pins the
 * session's settings.  Ends the process if the slot has been given to another use,
 * or if the database is held.
 */
extern DfSlot *df_process_begin(Datum arg);

/* in a transaction; false: the role of this session was dropped, end the process */
extern bool df_process_role_exists(void);

/*
 * In a transaction: may an ingress process run in this database as that role?  If
 * the settings ask for one but there can be none, *problem says why.
 */
extern bool df_process_may_listen(Oid role, const char **problem);

/*
 * After each wait and each turn: ends the process if the postmaster is gone, handles
 * interrupts, and reads postgresql.conf after a reload.
 */
extern void df_process_interrupts(void);

/* why the role can have no session in the database, and what to do about it; else NULL */
extern const char *df_process_role_problem(Oid database, Oid role, const char **remedy);

#endif /* DF_PROCESS_H */
