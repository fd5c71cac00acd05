/*
 * store/state_change_table.h
 *	  State changes of runs whose workflow names a channel, until they are sent.
 */
#ifndef DF_STORE_STATE_CHANGE_TABLE_H
#define DF_STORE_STATE_CHANGE_TABLE_H

#include "nodes/pg_list.h"

/* in the transaction that writes these runs, inside the store; wakes the coordinator at commit */
extern void df_state_changes_record(List *runs);

/*
 * Notifies a batch and deletes it, in one transaction; the number of what it sent.  Fails
 * with 54000 while the server's queue of notifications is nearly full.
 */
extern int df_state_changes_send(int max);

#endif /* DF_STORE_STATE_CHANGE_TABLE_H */
