/*
 * worker/wait.h
 *	  The one wait of a process of the engine.
 */
#ifndef DF_WAIT_H
#define DF_WAIT_H

#include "df_types.h"
#include "storage/latch.h"

/*
 * once per process, after connecting; `fd` (PGINVALID_SOCKET = none) is one more thing to wait
 * for
 */
extern void df_wait_init(pgsocket fd);

/*
 * Sleeps until the latch is set, the fd is readable or that time has come
 * (DF_NEVER = no time).  Returns WL_LATCH_SET, WL_SOCKET_READABLE and WL_TIMEOUT
 * as they apply.  The latch is reset before it returns: look at everything that
 * may have set it afterwards.  If the postmaster has died, so does this process.
 * The caller has no transaction, and calls CHECK_FOR_INTERRUPTS() afterwards.
 */
extern int df_wait_until(TimestampTz until);

/*
 * a short wait for the latch alone: while there are no descriptors, the fd stays readable and
 * nobody can help it
 */
extern void df_wait_for_descriptors(int ms);

/* the earlier of two times, of which either may be DF_NEVER */
extern TimestampTz df_earlier(TimestampTz a, TimestampTz b);

#endif /* DF_WAIT_H */
