/*
 * session/signal_notice.h
 *	  Says to who signals that the signal does not count now.
 */
#ifndef DF_SIGNAL_NOTICE_H
#define DF_SIGNAL_NOTICE_H

#include "store/inbox_table.h"

/*
 * Inside the store: a NOTICE if the run waits, and not for this event by this role.  `sees`:
 * whether the sender may see the run, and be told at which steps it waits.
 */
extern void df_signal_notice(const DfInboxTarget *target, const char *event, Oid sender,
							 bool sees);

#endif /* DF_SIGNAL_NOTICE_H */
