/*
 * types/run.h
 *	  One run in a worker's memory.
 *
 * Its worker's, in a memory context of its own: the engine changes it,
 * store/run_table.c reads its row and writes it.
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

/*
 * Everything of a run lives in run->cxt, which goes away when the worker lets
 * go of the run.
 */
typedef struct DfRun
{
	dlist_node node; /* the worker's list */
	pg_uuid_t id;
	char id_text[40];
	MemoryContext cxt;
	char *workflow_name;
	DfWorkflow *workflow;
	char *key;
	char *started_by;
	char *traceparent; /* of who started it, NULL = none */
	TimestampTz started_at;
	Jsonb *input;
	pg_uuid_t parent; /* of a child run */
	int parent_n; /* step of the parent, 0 = nobody called it */

	DfRunState state;
	TimestampTz wake_at;
	int64 lease; /* 0 = none */
	int64 db_lease; /* what the row has, the guard of our update */
	bool sql; /* parked for a sql worker, not for a worker */
	TimestampTz finished_at;
	char *waiting_for;
	int entries;
	int body_retries;
	int64 body_hash; /* 0 = not entered yet */
	bool drifted;
	DfCause cause;
	int round; /* continue_with() began it anew so many times */
	int round_n; /* last step of the rounds before this one */
	int pivot_n; /* last point of no return in them, 0 = none */
	TimestampTz deadline; /* given anew by retry(); DF_NEVER = what the workflow says */
	Jsonb *result;
	Jsonb *error;
	Jsonb *stuck;

	DfStep **steps; /* steps[i]->index == i, n ascends */
	int nsteps;
	int maxsteps;
	struct df_name_hash *names;
	struct df_whole_hash *whole_names; /* made when it is first asked for */
	int nwhole; /* so many steps are in it */
	List *messages; /* of DfMessage, oldest first */
	bool inbox_loaded; /* for all that it waits for now */
	List *loaded_steps; /* what the store has read, until the engine takes it */
	List *loaded_messages;

	TimestampTz fails_at; /* its deadline, DF_NEVER = none */
	bool dirty; /* the row differs */
	bool alert; /* it got stuck, and dataflows.on_stuck has not been told */
	bool advance; /* something happened: look at it */
	bool touched; /* is on the turn's list */
	bool want_inbox; /* a wait was begun: read the inbox, look again */
	int nformer; /* so many of the steps are of rounds before this one */
	bool former_loaded; /* those of them that may have to be undone are here, */
	bool former_more; /* but for older ones, */
	bool former_failed; /* and the undo of one that is not here has failed */
	bool new_round; /* to be written */
	bool want_alias; /* a step asks for a key: try to take it, look again */
	bool next_turn; /* an alias was taken: the body goes on once that is committed */
	bool released; /* the worker is to let go of it after the commit */
	bool adopted; /* its recorded steps are all here */
	bool broken; /* not to be trusted any more: only to be let go of, at wake_at */
	bool family; /* some step has to_start or ask */
	bool keyed_start; /* one of them by key: whether it starts is known after the recording */
	bool tell_parent; /* it has ended: whoever called it is to know */
	bool may_linger; /* there is room to keep it while its children end */
	bool urgent; /* some step may be */
	TimestampTz linger_until; /* it is kept, though nothing of it is in flight */
	int depth; /* callers above it, -1 = not known yet */
	int entry_no; /* counts entries into the body */
	int calls; /* recorded steps called in this entry */
	int *blocked; /* indexes of the steps that the body waits for */
	int nblocked;
	bool blocked_any;
	int in_flight;
	int upsets; /* errors in a row, not of its making, that came while it was looked at */
	bool answered; /* an answer was applied that is not recorded yet */
	bool aside; /* it could not be recorded yet: nothing is done with it before it is */
	List *attempts_aside; /* of DfAttempt, to be recorded with it */
} DfRun;

/* there is nothing to be done with it for now */
static inline bool
df_run_rests(const DfRun *run)
{
	return run->broken || run->aside;
}

#endif /* DF_TYPES_RUN_H */
