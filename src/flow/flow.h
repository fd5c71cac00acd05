/*
 * flow/flow.h
 *	  Pure decisions: the state machines, retries, the order of undo.  No SQL, no
 *	  clock, no randomness of its own (given as arguments), no palloc beyond the
 *	  result.
 */
#ifndef DF_FLOW_H
#define DF_FLOW_H

#include "datatype/timestamp.h"
#include "types/message.h"
#include "types/retry.h"
#include "types/states.h"
#include "types/truth.h"

/* ---- run_state.c, step_state.c -------------------------------------------- */

typedef struct DfTransition
{
	int from;
	int event;
	int to;
	const char *comment;
} DfTransition;

extern const DfTransition df_run_transitions[];
extern const int df_n_run_transitions;
extern const DfTransition df_step_transitions[];
extern const int df_n_step_transitions;
extern const DfTransition df_undo_transitions[]; /* from,to only; event = to */
extern const int df_n_undo_transitions;

/* the next state, or -1 if the machine has no such transition */
extern int df_run_next(DfRunState from, DfRunEvent event);
extern int df_step_next(DfStepState from, DfStepEvent event);
extern bool df_undo_allowed(DfUndoState from, DfUndoState to);

extern const char *df_run_state_name(DfRunState state);
extern const char *df_run_event_name(DfRunEvent event);
extern const char *df_step_state_name(DfStepState state);
extern const char *df_step_event_name(DfStepEvent event);
extern const char *df_undo_state_name(DfUndoState state);
extern const char *df_step_kind_name(DfStepKind kind);
extern const char *df_cause_name(DfCause cause); /* NULL for DF_CAUSE_NONE */
extern int df_run_state_of(const char *name); /* -1 = no such name; likewise below */
extern int df_step_state_of(const char *name);
extern int df_undo_state_of(const char *name);
extern int df_step_kind_of(const char *name);
extern int df_cause_of(const char *name);
extern int df_undo_on_of(const char *name);
extern const char *df_why_name(DfWhy why); /* NULL for DF_WHY_NONE */
extern int df_why_of(const char *name);
extern bool df_run_is_terminal(DfRunState state);
extern bool df_run_holds_key(DfRunState state); /* all but rolled_back, cancelled, abandoned */
extern bool df_step_is_ended(DfStepState state); /* done, failed, in_doubt */

/* ---- message_kind.c: what can be in the inbox ----------------------------- */

extern const char *df_message_kind_name(DfMessageKind kind);
extern DfMessageKind df_message_kind_of(const char *name); /* DF_MESSAGE_NONE = no such name */

/* ---- same_effect.c: whether two steps ask for much the same --------------- */

/*
 * of the same kind and system: requests by method and path, where segments that look like ids
 * count as equal; statements by what they begin with; what others ask for by its text
 */
extern bool df_same_effect(DfStepKind kind, const char *one, const char *other);

/* ---- retry.c -------------------------------------------------------------- */

typedef struct DfRetryQuestion
{
	DfRetry policy;
	int attempts; /* made so far, >= 1 */
	TimestampTz first_at; /* when the first attempt began */
	TimestampTz now;
	int64 retry_after_ms; /* what the system asked for, -1 = nothing */
	double jitter; /* in [0,1), the caller's random number */
} DfRetryQuestion;

/* when to try again, or DF_NEVER if the budget is used up */
extern TimestampTz df_retry_at(const DfRetryQuestion *question);

/* the budget is used up: whether by a limit that the step or the workflow set itself */
extern bool df_retry_ends_by_own_limit(const DfRetry *policy, int attempts);

/* ---- undo.c: the undo plan ------------------------------------------------ */

typedef struct DfUndoItem
{
	int n; /* the step's number = start order */
	DfStepState state;
	DfUndoState undo_state;
	bool has_undo; /* an undo was declared */
	bool before_pivot; /* a point of no return came after it */
} DfUndoItem;

typedef enum DfUndoNext
{
	DF_PLAN_WAIT, /* a step or an undo is still in flight */
	DF_PLAN_UNDO, /* *index is to be undone now */
	DF_PLAN_DONE, /* everything is undone */
	DF_PLAN_STUCK /* all that could be undone is; some could not */
} DfUndoNext;

/* whether a step may have had an effect that its undo would take back */
extern bool df_undo_candidate(const DfUndoItem *item);

/* who tells whether the condition of an undo holds */
typedef enum DfUndoWitness
{
	DF_WITNESS_NOBODY, /* no response to the step, or one to a probe */
	DF_WITNESS_RESPONSE,
	DF_WITNESS_PERSON /* the output is somebody's word */
} DfUndoWitness;

typedef enum DfUndoClaim
{
	DF_CLAIM_OURS, /* it is a candidate */
	DF_CLAIM_NOT_OURS, /* there is nothing to undo */
	DF_CLAIM_OPEN /* nobody can tell: it is not sent, and a person looks if it is due */
} DfUndoClaim;

/* `others`: another attempt may have been carried out than the one that was answered */
extern DfUndoClaim df_undo_claim(DfTruth condition, DfUndoWitness witness, bool others);

/* what comes next in rolling back; items in order of n */
extern DfUndoNext df_undo_plan(const DfUndoItem *items, int nitems, int *index);

/* ---- classify.c: what an error out of a body means ------------------------ */

typedef enum DfBodyError
{
	DF_BODY_FAILED, /* the run fails: roll back */
	DF_BODY_STUCK, /* a deploy error: a person is needed, nothing is undone */
	DF_BODY_TRANSIENT /* try the body again */
} DfBodyError;

/*
 * sqlstate: as in ErrorData, but of no DF001; message is looked at for wrapped Python errors
 * only
 */
extern DfBodyError df_classify_body_error(int sqlstate, const char *message, DfUndoOn undo_on);

/* what is known of the step of an uncaught DF001 */
typedef struct DfFailure
{
	DfWhy why;
	bool doubt_fails; /* the step says doubt => 'fail' */
	int child_state; /* of why = child: DfRunState, -1 = unknown */
	int sqlstate; /* of SQL, 0 = none */
} DfFailure;

extern DfBodyError df_classify_failure(const DfFailure *failure, DfUndoOn undo_on);

/* why the SQL of a query step failed; never called for a transient error */
extern DfWhy df_why_sql_failed(int sqlstate);

#endif /* DF_FLOW_H */
