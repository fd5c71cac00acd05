/*
 * simulate/session_guard.h
 *	  Keeps the code of a simulated workflow from what is of the caller's session.
 */
#ifndef DF_SIMULATE_SESSION_GUARD_H
#define DF_SIMULATE_SESSION_GUARD_H

/*
 * While it is up, statements that would change the session beyond the end of the simulation
 * raise 0A000.  Put it down after an error, too.
 */
extern void df_session_guard(bool up);

#endif /* DF_SIMULATE_SESSION_GUARD_H */
