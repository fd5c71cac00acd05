/*
 * shared/user_code.h
 *	  Code of a user's that is running in this process, and what ends it.
 *
 * A body, the SQL of a query step, the handler of a webhook.  Time limits and
 * cancels are for these alone: what the engine does around them must not end
 * halfway.
 */
#ifndef DF_USER_CODE_H
#define DF_USER_CODE_H

#include "df_types.h"

/* why it was cancelled; a cancel by somebody else is none of these */
typedef enum DfCut
{
	DF_CUT_NONE,
	DF_CUT_LIMIT, /* it ran too long */
	DF_CUT_LEAVING /* the process has been asked to end */
} DfCut;

/*
 * The timer has two stages: after the limit the code is cancelled, and if it goes
 * on all the same, the process ends after the grace.  The time in which it waits
 * for a lock does not count.  limit_ms = 0: no limit.  Within other code of a
 * user's that one's limit counts.
 */
extern void df_user_code_begin(int limit_ms, int grace_ms);

/* also after an error; a cancel that came too late is forgotten */
extern DfCut df_user_code_end(void);

/*
 * the relation whose lock, or a lock in which, it waited for last; InvalidOid = not known; kept
 * until the next begin
 */
extern Oid df_user_code_waited_for(void);

/* these may be called in a signal handler */
extern bool df_user_code_running(void);
extern void df_user_code_leave(void); /* cancels it, as the process is to end */

/* it went on after its limit and the cancel, which the process ends of */
extern bool df_user_code_overran(void);

#endif /* DF_USER_CODE_H */
