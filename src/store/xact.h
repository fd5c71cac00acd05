/*
 * store/xact.h
 *	  The only place where a transaction of the engine begins and ends.
 *
 * For the processes of the engine alone; a session's transaction is its own.
 */
#ifndef DF_STORE_XACT_H
#define DF_STORE_XACT_H

/* afterwards the current memory context is the transaction's */
extern void df_xact_begin(void);

/* both: afterwards the current memory context is the one df_xact_begin() was called in */
extern void
df_xact_commit(void); /* and is on the synchronous standbys; if not, the process must die */
extern void df_xact_commit_locally(void); /* waits for no standby: for who is about to end */
extern void df_xact_abort(void); /* also after a caught ERROR; harmless without a transaction */

/* before a long sleep: statistics that were held back go out */
extern void df_xact_idle(void);

/* true between begin and commit/abort; may be asked in a signal handler */
extern bool df_xact_busy(void);

/* after connecting: what ALTER ROLE or ALTER DATABASE may have bent */
extern void df_session_pin(void);

/*
 * in a subtransaction, before code of a role runs in another's session: what that one may have
 * bent
 */
extern void df_settings_of_others_pin(void);

/* a shorter wait for locks than the usual one, which 0 brings back; after df_session_pin() */
extern void df_xact_lock_timeout(int ms);

/* after connecting, or when settings were read again: no lock is waited for longer than a second */
extern void df_xact_limit_locks(void);

#endif /* DF_STORE_XACT_H */
