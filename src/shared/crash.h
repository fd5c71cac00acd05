/*
 * shared/crash.h
 *	  Whose bodies were running when the server died.
 *
 * Each process that enters bodies notes the run in memory that is mapped from a
 * file, so that the note outlives all processes: a few stores for each entry.
 * What stands there when the server starts is a run that was in a body when it
 * died.  The coordinator of its database counts that entry.
 */
#ifndef DF_CRASH_H
#define DF_CRASH_H

#include "df_types.h"

/* in the postmaster, when shared memory is made: no other process is there */
extern void df_crash_startup(int nslots);

/* in each process of the engine, before it uses anything below */
extern void df_crash_attach(void);

/* the process of that slot enters a body; counted = its entry is committed */
extern void df_crash_enter(int slot, Oid database, const pg_uuid_t *run, bool counted);
extern void df_crash_leave(int slot);

/* runs whose last entry is to be counted; the caller holds the lock of the slots */
extern void df_crash_add(Oid database, const pg_uuid_t *run);
extern int df_crash_list(Oid database, pg_uuid_t *runs, int max);
extern void df_crash_forget(Oid database, const pg_uuid_t *run);

#endif /* DF_CRASH_H */
