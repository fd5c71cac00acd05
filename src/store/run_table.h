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

extern Datum df_run_ids(List *runs);

/*
 * Locks up to `limit` runs of these workflows that are due and that no worker has, at most `each`
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
 * Whether the rows of these runs, as far as they have no lease yet, are still as they
 * were when they were claimed; locks them.  The transaction of the claim has failed:
 * another worker may have claimed, run and released such a run since.
 */
extern bool df_claims_hold(List *runs);

/*
 * Writes the rows of these runs that differ from them.  Raises if one is not held
 * as run->saved.lease says: then another worker has it.
 */
extern void df_runs_update(List *runs);

/* the run is ours, and an entry into its body is counted, before it happens */
extern void df_record_entry(DfRun *run, int64 lease);

/*
 * The lease goes, or was never written; the run is due again in ten seconds;
 * nothing else changes.
 */
extern void df_record_release(const DfRun *run, int64 lease);

/* ---- for sessions that only read ------------------------------------------- */

/* the ids of a workflow's live runs, oldest first: an array in cxt */
extern pg_uuid_t *df_live_run_ids(const char *workflow, MemoryContext cxt, int *n);

/* of those that completed and were started since then, the newest */
extern pg_uuid_t *df_completed_run_ids(const char *workflow, TimestampTz since, int limit,
									   MemoryContext cxt, int *n);

/*
 * Reads runs as they are recorded, whoever has them, in contexts below `parent`; their versions
 * as df_claim_due() does.  `ended`: as if they had not ended yet.  Locks nothing.
 */
extern List *df_read_runs(const pg_uuid_t *ids, int n, bool ended, MemoryContext parent,
						  List **versions);

/* ---- for coordinators: runs that no worker has ---------------------------- */

/*
 * Locks up to 500 runs of an owner's that no worker has and that can get stuck:
 * those that are due, or those for which something is in the inbox.
 */
extern List *df_claim_of_owner(Oid owner, const char *owner_name, int64 identity, bool inbox,
							   MemoryContext parent);

/*
 * Locks up to 500 abandoned runs that no worker ends: those
 * that were at rest, and those of that owner (InvalidOid = of none).  The request
 * is the first of engine.loaded_messages.
 */
extern List *df_claim_abandoned(Oid owner, MemoryContext parent);

/* locks those that these runs have called, that no worker has and that can be abandoned */
extern List *df_claim_children(List *parents, MemoryContext parent);

/* the server or a worker ended inside the body of that run; 55P03 if it is locked */
extern void df_count_crash(const pg_uuid_t *run);

#endif /* DF_STORE_RUN_TABLE_H */
