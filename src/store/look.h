/*
 * store/look.h
 *	  What await() and status() read.
 *
 * Between df_store_enter() and df_store_leave().
 */
#ifndef DF_STORE_LOOK_H
#define DF_STORE_LOOK_H

#include "datatype/timestamp.h"
#include "nodes/pg_list.h"
#include "utils/uuid.h"

/* a run as it is this moment */
typedef struct DfRunLook
{
	char *state; /* as in the row */
	bool settled; /* it does not move: ended, stuck, or waiting for an event */
	TransactionId xmin; /* who wrote the row */
	Oid owner; /* InvalidOid if the version is missing */
	char *owner_name;
	char *started_by;
} DfRunLook;

/*
 * Reads with the latest snapshot, whatever the transaction's isolation level
 * is; false if there is no such run.  Text is allocated in `cxt`.
 */
extern bool df_run_look(const pg_uuid_t *run, DfRunLook *look, MemoryContext cxt);

/* an owner of workflows, and what is to be done for him */
typedef struct DfOwnerLook
{
	Oid owner;
	char *name;
	int workflows;
	int paused; /* of these */
	TimestampTz wake_at; /* of the first run that nobody holds, DF_NEVER if none */
	bool inbox; /* has rows that nobody has looked at */
} DfOwnerLook;

/* how many runs have not ended, by the indexes of those that are due and that wait */
extern int64 df_live_look(void);

extern List *df_owners_look(int64 identity, MemoryContext cxt);

#endif /* DF_STORE_LOOK_H */
