/*
 * store/forget_run.h
 *	  Erasing what the runs of one key held.
 *
 * Between df_store_enter() and df_store_leave().
 */
#ifndef DF_STORE_FORGET_RUN_H
#define DF_STORE_FORGET_RUN_H

#include "datatype/timestamp.h"
#include "utils/uuid.h"

typedef struct DfForget
{
	const char *workflow;
	const char *key;
	Oid owner; /* of the workflow */
	const char *pseudonym; /* what replaces the key */
	const char *by;
	TimestampTz now;
} DfForget;

typedef struct DfForgetRuns
{
	int n;
	Datum *ids; /* uuid */
	char *live; /* one that has not ended, as text; NULL = none */
	char *live_state;
} DfForgetRuns;

/*
 * locks the runs of the key, those that were restarted from them and those that they called;
 * results in `cxt`
 */
extern void df_forget_find(const DfForget *forget, DfForgetRuns *runs, MemoryContext cxt);

/* a request of a person's, such as an undo, that the engine has not acted upon; NULL = none */
extern char *df_forget_asked(const DfForgetRuns *runs, MemoryContext cxt);

/* erases; signals of the key that no run has taken are deleted */
extern void df_forget_erase(const DfForget *forget, const DfForgetRuns *runs);

/* whether that was done to the run: there is nothing left to undo or restart it with */
extern bool df_run_is_forgotten(const pg_uuid_t *run);

#endif /* DF_STORE_FORGET_RUN_H */
