/*
 * worker/launcher.h
 *	  The launcher, our one static background worker, and the check of a database.
 */
#ifndef DF_LAUNCHER_H
#define DF_LAUNCHER_H

#include "shared/slots.h"

extern void df_launcher_register(void); /* from _PG_init, when preloaded */
extern PGDLLEXPORT void dataflows_launcher_main(Datum arg);
extern PGDLLEXPORT void dataflows_database_check_main(Datum arg);

/* ---- databases.c, in the launcher ------------------------------------------- */

extern void df_scan_databases(void); /* reads pg_database if that was asked for */
extern bool df_database_admits(DfSlotKind kind, Oid database); /* in a transaction */
extern TimestampTz df_check_databases(void); /* has the next one checked; when to call it again */
extern bool df_has_slot(DfSlotKind kind, Oid database, bool gone_only); /* under the lock */

#endif /* DF_LAUNCHER_H */
