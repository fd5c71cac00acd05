/*
 * worker/process.h
 *	  How a process of the engine is started, and what it does first and last.
 */
#ifndef DF_PROCESS_H
#define DF_PROCESS_H

#include "df_types.h"
#include "shared/slots.h"

/* ---- in the launcher ------------------------------------------------------ */

typedef enum DfProcessStart
{
	DF_START_DONE,
	DF_START_CHANGED, /* the slot is not wanted any more */
	DF_START_NO_PLACE /* none of max_worker_processes is free; it stays WANTED */
} DfProcessStart;

/*
 * Registers the process of a slot that is WANTED or AT_REST, in a session of the
 * slot's owner (InvalidOid = a superuser), if this use of the slot still is.  Called
 * without the lock.
 */
extern DfProcessStart df_process_start(int index, uint32 generation);

/*
 * STARTING slots whose process will never come are GONE; call when the latch was
 * set.  Returns when to look again, DF_NEVER if there is no such time.
 */
extern TimestampTz df_process_check(void);

/* when to try again after so many failures in a row: 1 s, doubled up to 60 s */
extern TimestampTz df_process_back_off(int failures);

/* ---- in what is started --------------------------------------------------- */

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
 * The first call of a main function: claims the slot `arg`, installs the
 * standard signal handlers, connects to the slot's database as the slot's
 * owner and pins the session.  If the slot is not ours any more, or the database
 * is held, the process ends here.
 */
extern DfSlot *df_process_begin(Datum arg);

/* in a transaction: false if the role of this session was dropped, for which it is time to end */
extern bool df_process_role_exists(void);

/*
 * in a transaction: whether this database is to hear webhooks, as that role; if it is to and
 * cannot, there is a problem
 */
extern bool df_process_may_listen(Oid role, const char **problem);

/*
 * after each wait and each turn: the end of the postmaster, interrupts, and postgresql.conf if it
 * was reloaded
 */
extern void df_process_interrupts(void);

/* a role that cannot be a session of this database: why, and what to do; else NULL */
extern const char *df_process_role_problem(Oid database, Oid role, const char **remedy);

#endif /* DF_PROCESS_H */
