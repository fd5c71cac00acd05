/*
 * types/run.h
 *	  One run in a worker's memory.
 *
 * It belongs to its worker alone: no other process sees it.  store/run_table.c makes it from its
 * row, the engine changes it, and store/run_table.c writes what differs from the row.
 * All of it lives in run->cxt, which goes away when the worker lets go of the run.
 * Each part below says who writes it; everybody in the worker may read all of it.
 */
#ifndef DF_TYPES_RUN_H
#define DF_TYPES_RUN_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "lib/ilist.h"
#include "nodes/pg_list.h"
#include "types/message.h"
#include "types/states.h"
#include "types/step.h"
#include "types/workflow_version.h"
#include "utils/jsonb.h"
#include "utils/uuid.h"

/* a run's life in this worker's memory: engine/run_life.c says what is true in each */
typedef enum DfRunLife
{
	DF_LIFE_CLAIMED, /* its row was read */
	DF_LIFE_ACTIVE, /* its steps are here */
	DF_LIFE_RETAINED, /* it waits, and is kept in memory for a moment */
	DF_LIFE_RELEASED, /* it leaves memory once it is recorded */
	DF_LIFE_DEFERRED, /* it could not be recorded yet */
	DF_LIFE_BROKEN /* what memory says of it is not to be trusted */
} DfRunLife;

/*
 * What its row holds and a worker changes.  Read by store/run_table.c, written to the
 * table by store/run_table.c; in between the engine owns it, unless a field says otherwise.
 * A value behind a pointer is replaced, never edited or freed.
 */
typedef struct DfRunRow
{
	DfRunState state; /* engine/transition.c */
	TimestampTz wake_at; /* when it is due next; of a leased run, when it was claimed */
	int64 lease; /* 0 = none; the worker's when it takes the run, 0 when it is released */
	TimestampTz finished_at; /* engine/transition.c */
	int64 body_hash; /* fingerprint of the function at the first entry, 0 = not entered yet */
	char *waiting_for; /* when it is parked, in words */
	Jsonb *input; /* a new one in each round */
	Jsonb *result; /* when it completes */
	int entries; /* counted before an entry that may end the server, 0 again after an exit */
	int round; /* 1, and one more for each continue_with() */
	int round_n; /* last step of the rounds before this one */
	int pivot_n; /* last point of no return in them, 0 = none */
	bool sql; /* parked for a sql worker, not for a worker */

	/* an ordinary run has none of these: they are written only if one of them differs */
	DfCause cause; /* when it begins to roll back */
	TimestampTz deadline; /* set again by retry(); DF_NEVER = what the workflow says */
	TimestampTz held_since; /* hold.c: the clock of the deadline stands still; DF_NEVER = it runs */
	int64 held_us; /* for how long it stood still before */
	Jsonb *error; /* when it fails or is cancelled */
	Jsonb *stuck; /* when it gets stuck */
	int body_retries; /* of a transient error of the body, 0 again after an exit */
	bool drifted; /* the function is not what it was, or took another way than is recorded */
} DfRunRow;

/* which steps of earlier rounds are here: they are read for a run that does not go forward */
typedef enum DfEarlierSteps
{
	DF_EARLIER_UNREAD,
	DF_EARLIER_NEWEST, /* there are older ones in the table */
	DF_EARLIER_ALL
} DfEarlierSteps;

/* what the engine keeps of it between two advances; gone when it is released */
typedef struct DfRunEngine
{
	/* replay.c: steps under their names, filled as they are added */
	struct df_name_hash *names;
	struct df_whole_hash *whole_names; /* made when it is first asked for */
	int nwhole; /* so many steps are in it */
	int nearlier; /* so many of the steps are of rounds before this one: run_steps.c */
	int entry_no; /* counts entries into the body */
	int calls; /* recorded steps called in this entry */
	DfStep *last_called; /* replay.c, step_api.c: in this entry, NULL = none */
	int told_calls; /* body_log.c: how many calls the last entry made before it was suspended */
	int64 told_fingerprint; /* of what it entered */
	int astray; /* drift.c: number of the entry that called a new step before a recorded one */
	bool has_rollback; /* run_steps.c: on_rollback() is among the steps */

	/* store/step_table.c: of earlier rounds' steps, those that may have to be undone */
	DfEarlierSteps earlier;
	bool earlier_failed; /* the undo of one that is not here has failed */

	/* what the store has read, until the engine takes it */
	List *loaded_steps;
	List *loaded_messages;

	/* blocked.c and body.c: the steps that the body waits for, as indexes */
	int *blocked;
	int nblocked;
	bool blocked_any; /* one of them will do */

	TimestampTz fails_at; /* run_due.c: its deadline without holds, DF_NEVER = none */
	int64 paused_us; /* hold.c: for how long it was paused, as far as it was asked */
	TimestampTz retained_until; /* park.c: it may be RETAINED till then, DF_NEVER = undecided */
	int depth; /* callers above it, -1 = not known yet: step_call.c */

	bool advance; /* something happened to it: run_advance.c must check it */
	bool urgent; /* some step may be urgent: probe.c */
	bool inbox_loaded; /* for all that it waits for now */
	bool wants_inbox; /* a wait was begun: read the inbox, look again */
	bool wants_alias; /* a step asks for a key: try to take it, look again */
	bool awaits_commit; /* an alias was taken: the body goes on once that is committed */
	bool proves; /* some step does */
	bool has_child_work; /* some step has to_insert_child or child_request */
	bool has_keyed_start; /* one of them by key: whether it starts is known after the recording */
} DfRunEngine;

/* what the worker keeps of it: the engine reads in_flight, no more */
typedef struct DfRunWorker
{
	dlist_node node; /* run_list.c: in the list of all runs that it holds */
	bool on_turn_list; /* run_list.c */
	int in_flight; /* dispatch.c, flight.c: requests in flight, or about to be sent */
	int transient_errors; /* failure.c: in a row, while this run was being changed */
	bool response_applied; /* responses.c: one that is not recorded yet */
	bool held; /* intake.c: its workflow is paused, or another role's now */
	TimestampTz let_go_at; /* failure.c: of a broken run, when its lease is given back */
	List *deferred_attempts; /* deferred.c: of DfAttempt, to be recorded with it */
} DfRunWorker;

typedef struct DfRun
{
	/* which run it is: store/run_table.c, and the same ever after */
	pg_uuid_t id;
	char id_text[40];
	MemoryContext cxt;
	char *workflow_name;
	DfWorkflow *workflow; /* worker/intake.c; NULL = its version is missing */
	char *key;
	char *started_by;
	char *traceparent; /* of the session that started it, NULL = none */
	TimestampTz started_at;
	pg_uuid_t parent; /* of a child run */
	int parent_n; /* step of the parent, 0 = nobody called it */

	DfRunLife life; /* engine/run_life.c alone */

	DfStep **steps; /* run_steps.c: steps[i]->engine.index == i, n ascends */
	int nsteps;
	int maxsteps;
	List *messages; /* operator.c: of DfMessage, oldest first */

	DfRunRow row;
	DfRunRow saved; /* what the table has: store/record.c, after each commit */
	TransactionId row_version; /* xmin of its row when it was claimed: store/run_table.c */
	DfRunEngine engine;
	DfRunWorker worker;
} DfRun;

/* its row is what the table has now */
static inline void
df_run_saved(DfRun *run)
{
	memcpy(&run->saved, &run->row, sizeof(DfRunRow));
}

/*
 * Whether its row must be written.  Pointers are compared, not what they point to:
 * values are replaced and never freed.  A run whose lease is not in the table yet is
 * written in any case: that update is its claim.
 */
static inline bool
df_run_differs(const DfRun *run)
{
	return run->saved.lease == 0 || memcmp(&run->row, &run->saved, sizeof(DfRunRow)) != 0;
}

/* the same for what an ordinary run has none of */
static inline bool
df_run_rare_differs(const DfRun *run)
{
	return memcmp(&run->row.cause, &run->saved.cause,
				  sizeof(DfRunRow) - offsetof(DfRunRow, cause)) != 0;
}

/* there is nothing to be done with it for now */
static inline bool
df_run_rests(const DfRun *run)
{
	return run->life == DF_LIFE_BROKEN || run->life == DF_LIFE_DEFERRED;
}

#endif /* DF_TYPES_RUN_H */
