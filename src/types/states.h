/*
 * types/states.h
 *	  The states and events of runs, steps and undos, and the kinds of steps.
 *
 * Nobody's: flow/run_state.c and flow/step_state.c hold the machines,
 * engine/transition.c alone moves a run or a step from state to state.
 */
#ifndef DF_TYPES_STATES_H
#define DF_TYPES_STATES_H

#include "postgres.h"

/* ---- runs ----------------------------------------------------------------- */

typedef enum DfRunState
{
	DF_RUN_QUEUED,
	DF_RUN_RUNNING,
	DF_RUN_WAITING,
	DF_RUN_ROLLING_BACK,
	DF_RUN_STUCK,
	DF_RUN_COMPLETED, /* this and what follows is terminal */
	DF_RUN_ROLLED_BACK,
	DF_RUN_CANCELLED,
	DF_RUN_ABANDONED
} DfRunState;
#define DF_RUN_NSTATES (DF_RUN_ABANDONED + 1)

typedef enum DfRunEvent
{
	DF_RUN_ENTER, /* a worker enters the body */
	DF_RUN_WAIT, /* nothing to do before an event or a time */
	DF_RUN_COMPLETE, /* the body returned, all steps have ended */
	DF_RUN_FAIL, /* the body raised: undo what was done */
	DF_RUN_CANCEL, /* somebody asked for cancellation */
	DF_RUN_GET_STUCK, /* a person is needed */
	DF_RUN_RETRY, /* a person says: go on forwards */
	DF_RUN_RETRY_ROLLBACK, /* a person says: go on undoing */
	DF_RUN_UNDO, /* undo of a completed run */
	DF_RUN_ROLLBACK_DONE, /* everything is undone after a failure */
	DF_RUN_CANCEL_DONE, /* everything is undone after a cancel */
	DF_RUN_ABANDON /* a person takes the run off our hands */
} DfRunEvent;
#define DF_RUN_NEVENTS (DF_RUN_ABANDON + 1)

/* why a run is rolling back (or was); DF_CAUSE_NONE while it goes forward */
typedef enum DfCause
{
	DF_CAUSE_NONE,
	DF_CAUSE_FAILED,
	DF_CAUSE_CANCELLED,
	DF_CAUSE_UNDO
} DfCause;

/* which errors of the body fail a run: define_workflow(undo_on) */
typedef enum DfUndoOn
{
	DF_UNDO_ON_FAILURE, /* what the author or a system said on purpose */
	DF_UNDO_ON_ERROR, /* any error, but what is wrong with the deployment */
	DF_UNDO_ON_NEVER /* none: nothing is undone before cancel() */
} DfUndoOn;
#define DF_NUNDO_ON (DF_UNDO_ON_NEVER + 1)

/* ---- steps ---------------------------------------------------------------- */

typedef enum DfStepKind
{
	DF_STEP_HTTP,
	DF_STEP_WAIT, /* wait_for(): an event */
	DF_STEP_SLEEP,
	DF_STEP_UNDO, /* on_rollback(): nothing but an undo */
	DF_STEP_QUERY,
	DF_STEP_ONCE,
	DF_STEP_CALL,
	DF_STEP_MAIL,
	DF_STEP_PIVOT,
	DF_STEP_ALIAS, /* alias(): a further key of the run */
	DF_STEP_CONTINUE /* continue_with(): the end of a round */
} DfStepKind;
#define DF_STEP_NKINDS (DF_STEP_CONTINUE + 1)

typedef enum DfStepState
{
	DF_STEP_PENDING, /* to be sent, certainly not carried out yet */
	DF_STEP_SENT, /* committed before the bytes are sent */
	DF_STEP_WAITING, /* for an event, a time or a child */
	DF_STEP_DOUBT, /* may have been carried out: in_doubt */
	DF_STEP_DONE,
	DF_STEP_FAILED
} DfStepState;
#define DF_STEP_NSTATES (DF_STEP_FAILED + 1)

typedef enum DfStepEvent
{
	DF_STEP_SEND, /* the intent is written, the bytes follow */
	DF_STEP_HOLD, /* wait for an event, a time or a child */
	DF_STEP_AGAIN, /* not carried out: to be tried again */
	DF_STEP_SUCCEED,
	DF_STEP_FAIL,
	DF_STEP_LOSE, /* bytes left, no answer: in doubt */
	DF_STEP_RENEW /* retry(): a failed step is rendered again */
} DfStepEvent;
#define DF_STEP_NEVENTS (DF_STEP_RENEW + 1)

/* why a step raises DF001; the DETAIL of the error says it by name */
typedef enum DfWhy
{
	DF_WHY_NONE,
	DF_WHY_REFUSED, /* the system said no */
	DF_WHY_OWN_LIMIT, /* a retry limit that the step or the workflow set ran out */
	DF_WHY_LIMIT, /* one that neither of them set ran out */
	DF_WHY_IN_DOUBT, /* nobody can tell whether it was carried out */
	DF_WHY_TIMEOUT, /* what it waited for did not come in time */
	DF_WHY_CHILD, /* the run that it called did not complete */
	DF_WHY_ERROR /* something is wrong on our side: SQL, a setting, what cannot be read */
} DfWhy;
#define DF_NWHYS (DF_WHY_ERROR + 1)

typedef enum DfUndoState
{
	DF_UNDO_NONE, /* nothing to undo */
	DF_UNDO_DUE,
	DF_UNDO_SENT,
	DF_UNDO_UNDONE,
	DF_UNDO_GONE, /* 404 or 410: it is not there */
	DF_UNDO_FAILED /* undo_failed: a person must */
} DfUndoState;
#define DF_UNDO_NSTATES (DF_UNDO_FAILED + 1)

#endif /* DF_TYPES_STATES_H */
