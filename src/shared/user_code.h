/*
 * shared/user_code.h
 *	  Time limits and cancels for users' code that runs in this process.
 *
 * That is a body, the SQL of a query step, or the handler of a webhook.  Limits and
 * cancels are for these alone: what the engine does around them must not be cut short.
 */
#ifndef DF_USER_CODE_H
#define DF_USER_CODE_H

/* why we cancelled it; NONE also if another session did */
typedef enum DfCut
{
	DF_CUT_NONE,
	DF_CUT_LIMIT, /* it ran too long */
	DF_CUT_LEAVING /* the process has been asked to end */
} DfCut;

/*
 * After the limit the code is cancelled; if it still runs after the grace period, the
 * process is ended.  Time in which it waits for a lock does not count.  limit_ms = 0:
 * no limit.  Nested calls keep the limit of the outermost one.
 */
extern void df_user_code_begin(int limit_ms, int grace_ms);

/* once in a process of ours: a cancel that it gets is meant for users' code, nothing else */
extern void df_user_code_take_cancels(void);

/* this is a user's session: its cancels, locks and prepared statements are its own */
extern bool df_user_code_in_session(void);

/* while it runs: it has been cancelled by us */
extern bool df_user_code_is_cut(void);

/* also after an error; forgets a cancel that came too late */
extern DfCut df_user_code_end(void);

/*
 * The relation for whose lock, or a row's lock in it, the code waited last; InvalidOid
 * = unknown.  Kept until the next begin.
 */
extern Oid df_user_code_waited_for(void);

/* these may be called in a signal handler */
extern bool df_user_code_running(void);
extern void df_user_code_leave(void); /* cancels it, because the process must end */

/* it went on after its limit, cancel and grace period: the process ends because of it */
extern bool df_user_code_overran(void);

#endif /* DF_USER_CODE_H */
