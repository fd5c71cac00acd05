/*
 * shared/crash.h
 *	  Which bodies were running when the server crashed.
 *
 * A process that enters a body notes the run in memory that is mapped from a file, so
 * that the note survives all processes; it costs a few stores per entry.  Notes that
 * are found when the server starts are of runs that were in their body when it
 * crashed.  The coordinator of their database counts those entries.
 */
#ifndef DF_CRASH_H
#define DF_CRASH_H

#include "utils/uuid.h"

/* in the postmaster, when it creates shared memory and no other process runs */
extern void df_crash_startup(int nslots);

/* in each process of the engine, before it calls any of the following */
extern void df_crash_attach(void);

/* the process of that slot enters a body; counted: the run's row counts this entry already */
extern void df_crash_enter(int slot, Oid database, const pg_uuid_t *run, bool counted);
extern void df_crash_leave(int slot);

/* the list of runs whose last entry is to be counted; the caller holds the lock of the slots */
extern void df_crash_add(Oid database, const pg_uuid_t *run);
extern int df_crash_list(Oid database, pg_uuid_t *runs, int max);
extern void df_crash_forget(Oid database, const pg_uuid_t *run);

#endif /* DF_CRASH_H */
