/*
 * worker/wait.h
 *	  The only wait of a process of the engine.
 */
#ifndef DF_WAIT_H
#define DF_WAIT_H

#include "datatype/timestamp.h"
#include "storage/latch.h"

/* once per process, after connecting; `fd` is waited for, too (PGINVALID_SOCKET = none) */
extern void df_wait_init(pgsocket fd);

/*
 * Sleeps until the latch is set, the fd is readable or `until` has come (DF_NEVER =
 * no timeout), and returns which of WL_LATCH_SET, WL_SOCKET_READABLE, WL_TIMEOUT it
 * was.  Resets the latch before it returns, so check whatever may have set it only
 * then.  Ends the process if the postmaster has died.  Call it without a
 * transaction, and df_process_interrupts() afterwards.
 */
extern int df_wait_until(TimestampTz until);

/*
 * A short wait for the latch alone.  While no descriptor is free, the listener cannot
 * accept, and its fd stays readable: df_wait_until() would return at once.
 */
extern void df_wait_for_descriptors(int ms);

#endif /* DF_WAIT_H */
