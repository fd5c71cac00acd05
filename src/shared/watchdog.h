/*
 * shared/watchdog.h
 *	  That a process of the engine ends when it has to, whatever it is doing.
 *
 * It has to if the postmaster has died, if it was asked to (SIGTERM: leaving),
 * or if it must die at the next chance.  A cancel (SIGINT) is heard only while
 * code of a user's is running: the engine's own transactions end whole, with
 * their wait for a synchronous standby.
 */
#ifndef DF_WATCHDOG_H
#define DF_WATCHDOG_H

#include "df_types.h"

/* once per process, after connecting; the process counts as busy from then on */
extern void df_watchdog_start(void);
extern bool df_watchdog_is_on(void);

/* around each long sleep: who sleeps needs no timer, for its wait hears everything */
extern void df_watchdog_sleep(void);
extern void df_watchdog_wake(void);

/* when a transaction begins: not at each wake, or the timer's own would be the next one */
extern void df_watchdog_arm(void);

/* for SIGTERM: end in good order, a second later without it; or end at the next chance */
extern void df_handle_leave(SIGNAL_ARGS);
extern void df_handle_die(SIGNAL_ARGS);

/* for SIGINT */
extern void df_handle_cancel(SIGNAL_ARGS);

extern bool df_leaving(void); /* nothing new is to be begun */
extern int64 df_leaving_ms(void); /* since when, 0 = it is not */
extern bool df_must_end(void); /* nothing may leave this process any more */

#endif /* DF_WATCHDOG_H */
