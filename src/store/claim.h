/*
 * store/claim.h
 *	  Reading for the worker: its workflows, the runs that are due, their steps
 *	  and their inbox.
 */
#ifndef DF_STORE_CLAIM_H
#define DF_STORE_CLAIM_H

#include "df_types.h"

/* the names of the workflows of that owner that are not paused; in cxt */
extern List *df_load_workflow_names(Oid owner, MemoryContext cxt);

/* one version; NULL if it is gone */
extern DfWorkflow *df_load_workflow(const char *name, int version, MemoryContext cxt);

/*
 * Locks up to `limit` runs of these workflows that are due and that nobody holds, at most `each`
 * per workflow; those that wait for a sql worker, or the others. The runs are new, in contexts
 * below `parent`, with run->db_lease as found; run->workflow is NULL, its version in *versions.
 */
extern List *df_claim_due(List *names, bool sql, int64 identity, int each, int limit,
						  MemoryContext parent, List **versions);

/* the same for runs named by id, whatever their wake_at */
extern List *df_claim_runs(List *ids, int64 identity, MemoryContext parent, List **versions);

extern void df_load_steps(List *runs);

/* an event that a run waits for */
typedef struct DfWantedSignal
{
	DfRun *run;
	const char *event;
	bool by; /* not everybody's counts */
} DfWantedSignal;

/*
 * of these runs: what was sent of these events (a List of DfWantedSignal), by id or by key, and
 * is not consumed
 */
extern void df_load_signals(List *runs, List *wanted);

/* who has cancelled the run, and was not heard yet */
extern void df_load_cancels(DfRun *run);

/* what the engine has not looked at yet; the run as found by id or key */
typedef struct DfInboxRow
{
	DfMessage message;
	bool has_run;
	pg_uuid_t run;
	bool waiting; /* the run, or its on_failure, may be waiting for a signal */
	bool held; /* somebody's lease is on it */
} DfInboxRow;

/*
 * Up to `each` of each workflow, the oldest of it first, from behind the id
 * *after on.  *after becomes the id behind which there may be more, 0 = there is
 * no more.
 */
extern List *df_load_new_inbox(List *names, int each, int64 *after, MemoryContext cxt);

/* when the next run is due, DF_NEVER = none */
extern TimestampTz df_next_due(List *names, bool sql, int64 identity);

#endif /* DF_STORE_CLAIM_H */
