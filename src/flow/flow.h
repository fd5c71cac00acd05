/*
 * flow/flow.h
 *	  Pure decisions: the two state machines, retries, what an answer means, the
 *	  order of undo.  No SQL, no clock, no randomness of its own (given as
 *	  arguments), no palloc beyond the result.
 */
#ifndef DF_FLOW_H
#define DF_FLOW_H

#include "df_types.h"

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
extern bool df_run_is_terminal(DfRunState state);
extern bool df_run_holds_key(DfRunState state); /* all but rolled_back, cancelled, abandoned */
extern bool df_step_is_ended(DfStepState state); /* done, failed, in_doubt */

/* ---- message_kind.c: what stands in the inbox ----------------------------- */

extern const char *df_message_kind_name(DfMessageKind kind);
extern DfMessageKind df_message_kind_of(const char *name); /* DF_MESSAGE_NONE = no such name */

/* ---- answer.c: what an answer means --------------------------------------- */

typedef enum DfVerdict
{
	DF_VERDICT_DONE, /* carried out: record the output */
	DF_VERDICT_DONE_NO_UNDO, /* an accepted status: done, nothing to undo */
	DF_VERDICT_RETRY, /* not carried out: try again */
	DF_VERDICT_RETRY_SAME, /* maybe carried out, harmless to repeat with same key and bytes */
	DF_VERDICT_FAILED, /* refused for good */
	DF_VERDICT_DOUBT, /* may have been carried out, must not be repeated blindly */
	DF_VERDICT_UNUSABLE, /* 2xx whose body cannot be used: carried out, output unknown */
	DF_VERDICT_CREDENTIALS /* 401, 403: the system's fault, not the run's */
} DfVerdict;

typedef struct DfAnswer
{
	DfFate fate;
	int status;
	DfMethodClass method;
	bool key_trusted; /* a trusted key that is younger than its TTL */
	bool body_unusable; /* announced JSON that does not parse, NUL, bad encoding */
	bool was_doubt; /* an earlier attempt of this step is in doubt */
	bool was_lost; /* an earlier attempt was lost, though a probe has settled it since */
	const int *accept; /* statuses that are answers */
	int naccept;
} DfAnswer;

extern DfVerdict df_answer_verdict(const DfAnswer *answer);

/* the same for an undo request: DONE = undone, DONE_NO_UNDO = gone, RETRY, FAILED */
extern DfVerdict df_answer_undo_verdict(const DfAnswer *answer);

/* the same for a mail: DONE, RETRY, FAILED, DOUBT or CREDENTIALS */
extern DfVerdict df_answer_mail_verdict(const DfAnswer *answer);

extern DfMethodClass df_method_class(const char *method);

/* a definite no, that another time would not lift */
extern bool df_status_is_refusal(int status);

/* ---- probe.c: what a probe's answer means --------------------------------- */

typedef struct DfProbeQuestion
{
	int found; /* records: 0, 1, more; -1 = the probe cannot tell */
	bool was_sent; /* the step's own request left at least once */
	bool settled; /* long enough after the last send to believe "not there" */
	bool carried_out; /* a 2xx was seen, only its body was of no use */
	bool refused; /* the last attempt was refused for good */
	bool unwanted; /* the run is being rolled back: nobody wants it any more */
	bool undoing; /* asked for what the undo needs to know */
	bool harmless; /* may be sent again as it is: by its method, or a key that is still trusted */
	bool budget_left; /* there may be one more attempt */
	DfDoubtPolicy doubt;
} DfProbeQuestion;

typedef enum DfProbeVerdict
{
	DF_PROBE_ADOPT, /* it is there, and ours */
	DF_PROBE_EXISTED, /* it was there before we sent anything */
	DF_PROBE_SEND, /* not there: send it */
	DF_PROBE_SEND_SAME, /* it cannot tell, but sending again does no harm, or is asked for */
	DF_PROBE_LATER, /* not there, but that is to be believed only later */
	DF_PROBE_NOT_DONE, /* it was not carried out, and will not be */
	DF_PROBE_ACCEPT, /* doubt => 'accept' */
	DF_PROBE_DOUBTFUL, /* nobody can tell */
	DF_PROBE_STUCK /* carried out for certain, but what came of it is not known */
} DfProbeVerdict;

extern DfProbeVerdict df_probe_verdict(const DfProbeQuestion *question);

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

/* what comes next in rolling back; items in order of n */
extern DfUndoNext df_undo_plan(const DfUndoItem *items, int nitems, int *index);

/* ---- classify.c: what an error out of a body means ------------------------ */

typedef enum DfBodyError
{
	DF_BODY_FAILED, /* the run fails: roll back */
	DF_BODY_STUCK, /* a deploy error: a person is needed, nothing is undone */
	DF_BODY_TRANSIENT /* try the body again */
} DfBodyError;

/* sqlstate: as in ErrorData; message is looked at for wrapped Python errors only */
extern DfBodyError df_classify_body_error(int sqlstate, const char *message);

#endif /* DF_FLOW_H */
