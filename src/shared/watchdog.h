/*
 * shared/watchdog.h
 *	  Makes sure that a process of the engine ends when it must, whatever it does.
 *
 * It must end if the postmaster has died, if it got SIGTERM (df_leaving()), or if it
 * has to die at the next opportunity.  A cancel (SIGINT) is obeyed only while users'
 * code runs: the engine's own transactions are never cut short, nor is their wait for
 * a synchronous standby.
 */
#ifndef DF_WATCHDOG_H
#define DF_WATCHDOG_H

/* once per process, after connecting; from then on it counts as busy */
extern void df_watchdog_start(void);
extern bool df_watchdog_is_on(void);

/* around each long sleep, whose wait notices everything without a timer */
extern void df_watchdog_sleep(void);
extern void df_watchdog_wake(void);

/* when a transaction begins; not after each sleep, or the timer itself would end the next one */
extern void df_watchdog_arm(void);

/* for SIGTERM: the loop ends the process, a second SIGTERM does at once; or die at once */
extern void df_handle_leave(SIGNAL_ARGS);
extern void df_handle_die(SIGNAL_ARGS);

/* for SIGINT */
extern void df_handle_cancel(SIGNAL_ARGS);

extern bool df_leaving(void); /* asked to end: begin nothing new */
extern int64 df_leaving_ms(void); /* for how long, 0 = not asked */
extern bool df_must_end(void); /* send nothing any more */

#endif /* DF_WATCHDOG_H */
