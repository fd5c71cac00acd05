/*
 * engine/live.h
 *	  A run in a worker's memory, and what the engine does with it.
 *
 * Everything of a run lives in run->cxt, which goes away when the worker lets
 * go of the run.  The engine changes these structs; store/record.c writes what
 * is marked dirty; nobody else looks inside.
 */
#ifndef DF_LIVE_H
#define DF_LIVE_H

#include "df_types.h"
#include "flow/flow.h"
#include "lib/ilist.h"
#include "nodes/pg_list.h"

/* one version of a workflow, as the worker knows it */
typedef struct DfWorkflow
{
	char	   *name;
	int			version;
	char	   *function;		/* qualified signature */
	Oid			function_owner;
	Oid			owner;
	char	   *owner_name;
	char	   *on_failure;		/* NULL = none */
	Jsonb	   *retry;			/* NULL = the system's */
	bool		stuck_on_error;
	/* ten failures in a row at one step with one status: stop undoing customers */
	char		fail_step[DF_MAX_NAME + 1];
	int			fail_status;
	int			fail_count;
} DfWorkflow;

/* a signal or another request of the inbox that is for this run */
typedef struct DfMessage
{
	int64		id;
	char	   *kind;
	char	   *event;
	Jsonb	   *payload;
	char	   *note;
	char	   *sent_by;
	TimestampTz sent_at;
	bool		done;			/* to be written */
	int			consumed_by;	/* step, 0 = none */
} DfMessage;

/* what is to be sent next for a step that is in flight or about to be */
typedef enum DfPhase
{
	DF_PHASE_DO,
	DF_PHASE_PROBE,
	DF_PHASE_UNDO
} DfPhase;

typedef struct DfStep
{
	int			n;
	char	   *name;			/* base#k */
	DfStepKind	kind;
	char	   *system;
	char	   *request;		/* "METHOD /path" or what else identifies it */
	Jsonb	   *headers;
	char	   *body;
	Jsonb	   *options;
	uint32		base_hash;
	TimestampTz started_at;

	DfStepState state;
	int			attempts;
	int			renewals;
	TimestampTz sent_at;
	TimestampTz wake_at;
	TimestampTz finished_at;
	int			status;
	Jsonb	   *output;
	Jsonb	   *answer;
	Jsonb	   *error;
	char	   *undo;
	char	   *undo_body;
	DfUndoState undo_state;
	int			undo_attempts;
	TimestampTz undo_since;
	Jsonb	   *undo_error;

	/* memory only */
	bool		fresh;			/* no row yet */
	bool		dirty;			/* differs from its row */
	bool		to_send;		/* the dispatcher is to send `phase` */
	bool		in_flight;
	bool		credentials;	/* refused by the system: waits without using attempts */
	DfPhase		phase;
	int			called;			/* number of the entry that last called it */
	int			next_same;		/* index of the next step of that base name, -1 */
	TimestampTz attempt_at;		/* when the attempt in flight left */
} DfStep;

/* a failed try, to be written */
typedef struct DfAttempt
{
	pg_uuid_t	run;
	int			n;
	int			seq;
	bool		undo;
	TimestampTz at;
	double		took_ms;
	int			status;			/* 0 = none */
	const char *outcome;
	char	   *error;
	TimestampTz next_at;
} DfAttempt;

typedef struct DfRun
{
	dlist_node	node;			/* the worker's list */
	pg_uuid_t	id;
	char		id_text[40];
	MemoryContext cxt;
	DfWorkflow *workflow;
	char	   *key;
	char	   *started_by;
	TimestampTz started_at;
	Jsonb	   *input;

	DfRunState	state;
	TimestampTz wake_at;
	int64		lease;			/* 0 = none */
	int64		db_lease;		/* what the row has, the guard of our update */
	TimestampTz finished_at;
	char	   *waiting_for;
	int			entries;
	int			body_retries;
	int64		body_hash;		/* 0 = not entered yet */
	bool		drifted;
	DfCause		cause;
	Jsonb	   *result;
	Jsonb	   *error;
	Jsonb	   *stuck;

	DfStep	  **steps;			/* steps[i]->n == i + 1 */
	int			nsteps;
	int			maxsteps;
	struct df_name_hash *names;
	List	   *messages;		/* of DfMessage, oldest first */
	bool		inbox_loaded;

	bool		dirty;			/* the row differs */
	bool		advance;		/* something happened: look at it */
	bool		want_inbox;		/* a wait was begun: read the inbox, look again */
	bool		released;		/* the worker is to let go of it after the commit */
	bool		broken;			/* recording it failed: alone next time */
	int			entry_no;		/* counts entries into the body */
	int			calls;			/* recorded steps called in this entry */
	int		   *blocked;		/* indexes of the steps that the body waits for */
	int			nblocked;
	bool		blocked_any;
	int			in_flight;
} DfRun;

/* ---- run.c: what a run does next ------------------------------------------ */

/* a run out of its row; steps and messages are added by the two below */
extern void df_run_add_step(DfRun *run, DfStep *step);
extern void df_run_loaded(DfRun *run);	/* all recorded steps are there */
extern void df_run_advance(DfRun *run);
extern void df_run_message(DfRun *run, DfMessage *message); /* something new in the inbox */
extern TimestampTz df_run_next_due(const DfRun *run);
extern void df_run_get_stuck(DfRun *run, int sqlstate, const char *reason, const char *remedy);
extern void df_run_fail(DfRun *run, Jsonb *error, const char *step, int status);

/* ---- transition.c: the one place where states change ----------------------- */

extern void df_run_transition(DfRun *run, DfRunEvent event);
extern void df_step_transition(DfRun *run, DfStep *step, DfStepEvent event);
extern void df_undo_transition(DfRun *run, DfStep *step, DfUndoState to);

/* ---- outcome.c: what an answer does to a step ------------------------------ */

typedef struct DfReply
{
	DfFate		fate;
	int			status;
	const char *body;
	size_t		body_len;
	const char *headers;
	const char *content_type;
	int64		retry_after_ms;
	int64		took_us;
	const char *error;
} DfReply;

typedef struct DfSystemPolicy
{
	bool		key_trusted;
	int64		key_ttl_ms;
	DfRetry		retry;
	int64		settle_ms;
} DfSystemPolicy;

/* returns what the answer says about the system (for its breaker) */
extern DfVerdict df_step_reply(DfRun *run, DfStep *step, const DfReply *reply,
							   const DfSystemPolicy *policy);

/* the request that is to leave next for step->phase; NULL with *why set if none can be made */
typedef struct DfOutgoing
{
	const char *method;
	const char *path;
	const char *body;
	const char *idempotency_key;
	const char *content_type;
	int64		timeout_ms;		/* 0 = the system's */
} DfOutgoing;

extern bool df_step_outgoing(DfRun *run, DfStep *step, DfOutgoing *out, bool form, char **why);
extern char *df_step_key(const DfRun *run, const DfStep *step);

/* ---- body.c, replay.c -------------------------------------------------------- */

typedef enum DfBodyResult
{
	DF_BODY_RETURNED,
	DF_BODY_SUSPENDED,
	DF_BODY_RAISED,
	DF_BODY_REFUSED				/* could not be entered: stuck, reason given */
} DfBodyResult;

typedef struct DfBodyExit
{
	DfBodyResult result;
	Jsonb	   *value;			/* RETURNED; in run->cxt, NULL = SQL NULL */
	ErrorData  *error;			/* RAISED */
	int			sqlstate;		/* that decides, maybe of an inner error */
	const char *reason;			/* REFUSED */
} DfBodyExit;

extern void df_body_enter(DfRun *run, const char *function, Jsonb *argument, DfBodyExit *exit);
extern void df_body_begin_turn(void);	/* arms the body timer's bookkeeping */
extern void df_body_end_turn(void);
extern DfStep *df_replay_find(DfRun *run, const char *base, char **name);
extern void df_replay_begin(DfRun *run);
extern void df_replay_index(DfRun *run, DfStep *step);
extern int	df_replay_uncalled(const DfRun *run, const char **which);

/* whether the body may go on past this step */
extern bool df_step_ended(const DfStep *step);

/* what was written in this turn beside runs and steps; palloc'd in the turn's context */
extern List *df_turn_attempts;

#endif							/* DF_LIVE_H */
