/*
 * store/alert.h
 *	  Telling the administrator that runs got stuck: dataflows.on_stuck.
 *
 * Between df_store_enter() and df_store_leave(), in the transaction that made
 * them stuck, after it has written that.
 */
#ifndef DF_STORE_ALERT_H
#define DF_STORE_ALERT_H

#include "df_types.h"

/* ids of runs that have just got stuck */
extern void df_alert_stuck(const pg_uuid_t *runs, int n);

/* the same, of those in the list whose flag says so */
extern void df_alert_runs(List *runs);

#endif /* DF_STORE_ALERT_H */
