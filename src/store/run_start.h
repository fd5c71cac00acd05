/*
 * store/run_start.h
 *	  New runs, and signals of whole statements.
 *
 * Between df_store_enter() and df_store_leave().
 */
#ifndef DF_STORE_RUN_START_H
#define DF_STORE_RUN_START_H

#include "store/inbox_table.h"
#include "store/rights.h"

typedef struct DfNewRun
{
	pg_uuid_t id;
	int64 identity;
	TimestampTz now; /* it starts and is due */
	const char *workflow;
	int version;
	const char *key; /* NULL = none */
	const char *started_by;
	const pg_uuid_t *restarted_from; /* NULL = none */
	const pg_uuid_t *parent; /* NULL = none */
	int parent_n;
	const Jsonb *input;
	const char *traceparent; /* NULL = the session's */
} DfNewRun;

/* false if another run holds the key */
extern bool df_run_insert(const DfNewRun *run);

/* its columns, for the statements that insert many */
extern const struct DfTable df_new_run_table;
#define DF_IN_RUN DF_IN_OTHER /* all of them */
#define DF_IN_RUNS (DF_IN_OTHER << 1) /* but those in which the runs of a statement differ */

/* the run that holds the key, if there is one that the snapshot shows, and who may see it */
extern bool df_run_of_key(const char *workflow, const char *key, pg_uuid_t *id, DfSeenRun *seen,
						  MemoryContext cxt);

/* what a restart needs of the old run; false if there is no such run */
typedef struct DfOldRun
{
	DfSeenRun seen; /* with its workflow */
	char *key; /* NULL = none */
	char *state;
	Jsonb *input;
} DfOldRun;

extern bool df_run_old(const pg_uuid_t *id, DfOldRun *run, MemoryContext cxt);

/* rows of one statement: parallel arrays of finished values */
typedef struct DfRows
{
	int n;
	Datum *ids; /* uuid; not used by signals */
	Datum *keys; /* text */
	bool *no_key;
	Datum *values; /* jsonb: inputs or payloads */
	Datum *events; /* text; of signals */
} DfRows;

/* `common` gives all but id, key and input; returns how many were started */
extern uint64 df_runs_insert(const DfNewRun *common, const DfRows *rows);

/*
 * Signals by key; `common` gives all but key, payload and event.  Returns how many were
 * refused: see DF_MAX_WAITING_SIGNALS.
 */
extern uint64 df_signals_insert(const DfNewMessage *common, const DfRows *rows);

#endif /* DF_STORE_RUN_START_H */
