/*
 * store/run_table.h
 *	  Runs, for the worker that holds them: claiming what is due, writing what
 *	  became of it.
 *
 * Between df_store_enter() and df_store_leave().
 */
#ifndef DF_STORE_RUN_TABLE_H
#define DF_STORE_RUN_TABLE_H

#include "types/run.h"

/* the run of that id among these, NULL = there is none */
extern DfRun *df_run_find(List *runs, const pg_uuid_t *id);

/*
 * Locks up to `limit` runs of these workflows that are due and that nobody holds, at most `each`
 * per workflow; those that wait for a sql worker, or the others. The runs are new, in contexts
 * below `parent`, with run->saved.lease as found; run->workflow is NULL, its version in *versions.
 */
extern List *df_claim_due(List *names, bool sql, int64 identity, int each, int limit,
						  MemoryContext parent, List **versions);

/* the same for runs named by id, whatever their wake_at */
extern List *df_claim_runs(List *ids, int64 identity, MemoryContext parent, List **versions);

/* when the next run is due, DF_NEVER = none */
extern TimestampTz df_next_due(List *names, bool sql, int64 identity);

/*
 * Writes the rows of these runs that differ from them.  Raises if one is not held
 * as run->saved.lease says: then somebody else has it.
 */
extern void df_runs_update(List *runs);

/* the run is ours, and an entry into its body is counted, before it happens */
extern void df_record_entry(DfRun *run, int64 lease);

/*
 * The lease goes, or was never written; the run is looked at again in ten seconds;
 * nothing else changes.
 */
extern void df_record_release(const DfRun *run, int64 lease);

#endif /* DF_STORE_RUN_TABLE_H */
