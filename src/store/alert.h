/*
 * store/alert.h
 *	  Telling the administrator that runs got stuck: dataflows.on_stuck.
 *
 * Between df_store_enter() and df_store_leave(), in the transaction that made
 * them stuck, after it has written that.
 */
#ifndef DF_STORE_ALERT_H
#define DF_STORE_ALERT_H

#include "nodes/pg_list.h"

/* of these runs those that have just got stuck: dataflows.on_stuck hears of them */
extern void df_alert_runs(List *runs);

#endif /* DF_STORE_ALERT_H */
