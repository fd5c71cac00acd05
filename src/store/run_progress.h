/*
 * store/run_progress.h
 *	  What await() and status() read.
 *
 * Between df_store_enter() and df_store_leave().
 */
#ifndef DF_STORE_RUN_PROGRESS_H
#define DF_STORE_RUN_PROGRESS_H

#include "datatype/timestamp.h"
#include "nodes/pg_list.h"
#include "store/rights.h"
#include "utils/uuid.h"

/* a run as it is this moment */
typedef struct DfRunProgress
{
	char *state; /* as in the row */
	bool ended; /* so that nothing moves it by itself: terminal or stuck */
	bool settled; /* it does not move: ended, stuck, or waiting for an event */
	TransactionId xmin; /* of the last change of the row */
	DfSeenRun seen;
} DfRunProgress;

/*
 * Reads with the latest snapshot, whatever the transaction's isolation level
 * is; false if there is no such run.  Text is allocated in `cxt`.
 */
extern bool df_run_progress(const pg_uuid_t *run, DfRunProgress *progress, MemoryContext cxt);

/* an owner of workflows, and what there is to do for it */
typedef struct DfOwnerWork
{
	Oid owner;
	char *name;
	int workflows;
	int paused; /* of these */
	TimestampTz wake_at; /* of the first run that nobody holds, DF_NEVER if none */
	bool inbox; /* has new rows */
} DfOwnerWork;

/* how many runs have not ended, by the indexes of those that are due and that wait */
extern int64 df_count_live_runs(void);

extern List *df_owners_read(int64 identity, MemoryContext cxt);

#endif /* DF_STORE_RUN_PROGRESS_H */
