/*
 * engine/live.h
 *	  What the engine does with a run in a worker's memory.
 *
 * The engine changes DfRun and DfStep; store/record.c writes what is marked
 * dirty; the worker reads what is to be sent.
 */
#ifndef DF_LIVE_H
#define DF_LIVE_H

#include "df_types.h"
#include "flow/flow.h"

/* ---- run_steps.c: the steps of a run ---------------------------------------- */

/* of on_failure, not of the body */
extern bool df_is_handler_step(const DfStep *step);
/* whether the body may go on past this step */
extern bool df_step_ended(const DfStep *step);
extern bool df_undo_in_progress(const DfStep *step);
extern bool df_step_waits_for_child(const DfStep *step);
extern bool df_step_to_be_rendered(const DfStep *step);
extern bool df_run_has_to_send(const DfRun *run);
extern DfStep *df_run_step_to_run(const DfRun *run); /* whose SQL is due, NULL = none */
extern void df_run_add_step(DfRun *run, DfStep *step);
extern int df_run_next_n(const DfRun *run);

/* ---- due.c: when something is due ------------------------------------------- */

extern bool df_run_goes_forward(const DfRun *run);
extern TimestampTz df_run_deadline(const DfRun *run);
extern TimestampTz df_run_deadline_from(const DfRun *run, TimestampTz since);
extern void df_run_renew_deadline(DfRun *run);
extern TimestampTz df_run_next_step_due(const DfRun *run);
extern TimestampTz df_run_next_due(const DfRun *run);
extern void df_run_send_due_steps(DfRun *run);

/* ---- failure.c: failing, getting stuck -------------------------------------- */

extern void df_run_get_stuck(DfRun *run, int sqlstate, const char *reason, const char *remedy);
extern void df_run_fail(DfRun *run, Jsonb *error, const char *step, int status);

/* ---- waits.c: signals, timeouts, sleeps ------------------------------------- */

extern List *df_wait_events(const DfStep *step);
extern List *df_run_wanted_signals(DfRun *run); /* of DfWantedSignal */
extern void df_run_settle_waits(DfRun *run);

/* ---- step_alias.c: a further key -------------------------------------------- */

extern DfStep *df_run_alias_wanted(const DfRun *run); /* that asks for a key, NULL = none */
extern void df_run_alias_answer(DfRun *run, DfStep *step, const char *holder);
extern void df_run_alias_later(DfRun *run); /* another transaction has it */

/* ---- blocked.c: what the body waits for ------------------------------------- */

extern void df_run_loaded(DfRun *run); /* all recorded steps are there */
extern bool df_run_unblocked(const DfRun *run);
extern bool df_run_block_on_unended(DfRun *run);

/* ---- park.c: what is released, what stays ----------------------------------- */

extern void df_run_claim_anew(DfRun *run);
extern void df_run_park(DfRun *run);

/* ---- rollback.c: undoing ---------------------------------------------------- */

extern void df_run_roll_back(DfRun *run);

/* ---- advance.c: what a run does next ---------------------------------------- */

extern void df_run_advance(DfRun *run);

/* ---- operator.c: what people ask of a run ----------------------------------- */

extern void df_run_message(DfRun *run, DfMessage *message); /* something new in the inbox */

/* ---- transition.c: the one place where states change ---------------------- */

extern void df_run_transition(DfRun *run, DfRunEvent event);
extern void df_step_transition(DfRun *run, DfStep *step, DfStepEvent event);
extern void df_undo_transition(DfRun *run, DfStep *step, DfUndoState to);

/* ---- outcome.c: what an answer does to a step ----------------------------- */

typedef struct DfReply
{
	DfFate fate;
	int status;
	const char *body;
	size_t body_len;
	const char *headers;
	const char *content_type;
	int64 retry_after_ms;
	int64 took_us;
	const char *error;
	const char *shown; /* the body without our secrets, for errors; NULL = it holds none */
	size_t shown_len;
} DfReply;

typedef struct DfSystemPolicy
{
	bool key_trusted;
	int64 key_ttl_ms;
	DfRetry retry;
	int64 settle_ms;
} DfSystemPolicy;

/* returns what the answer says about the system (for its breaker) */
extern DfVerdict df_step_reply(DfRun *run, DfStep *step, const DfReply *reply,
							   const DfSystemPolicy *policy);

/* it was certainly not carried out, and is to be sent again at once: no attempt was used */
extern void df_step_unsend(DfRun *run, DfStep *step);

/* it cannot leave before `until`, and `why`; no attempt is used */
extern void df_step_hold(DfRun *run, DfStep *step, const char *why, TimestampTz until);

/* the request that is to leave next for step->phase; NULL with *why set if none can be made */
typedef struct DfOutgoing
{
	const char *method;
	const char *path;
	const char *body;
	const char *idempotency_key;
	const char *content_type;
	const char *mail_from; /* a mail: the envelope; the body is the message */
	const char **mail_to; /* NULL-terminated */
	int64 timeout_ms; /* 0 = the system's */
} DfOutgoing;

extern bool df_step_outgoing(DfRun *run, DfStep *step, DfOutgoing *out, bool form, char **why);
extern char *df_step_key(const DfRun *run, const DfStep *step);

/* ---- body.c, replay.c ----------------------------------------------------- */

typedef enum DfBodyResult
{
	DF_BODY_RETURNED,
	DF_BODY_SUSPENDED,
	DF_BODY_CONTINUED, /* continue_with() was called */
	DF_BODY_RAISED,
	DF_BODY_REFUSED /* could not be entered: stuck, reason given */
} DfBodyResult;

typedef struct DfBodyExit
{
	DfBodyResult result;
	Jsonb *value; /* RETURNED, CONTINUED; in run->cxt, NULL = SQL NULL */
	ErrorData *error; /* RAISED */
	int sqlstate; /* that decides, maybe of an inner error */
	const char *reason; /* REFUSED */
} DfBodyExit;

extern void df_body_enter(DfRun *run, const char *function, Jsonb *argument, DfBodyExit *exit);
extern void df_body_forget(void); /* after an error that left a body */
extern DfStep *df_replay_find(DfRun *run, const char *base, char **name);
extern void df_replay_begin(DfRun *run);
extern void df_replay_index(DfRun *run, DfStep *step);
extern DfStep *df_replay_named(DfRun *run, const char *name); /* by its whole name; NULL = none */
extern int df_replay_uncalled(const DfRun *run, const char **which);

/* ---- body_error.c, entry.c --------------------------------------------------- */

extern void df_body_raised(DfRun *run, DfBodyExit *exit, bool handler);
extern void df_body_retry_later(DfRun *run, const char *message);
extern void df_run_enter(DfRun *run, bool handler);

/* what was written in this turn beside runs and steps; palloc'd in the turn's context */
extern List *df_turn_attempts;

#endif /* DF_LIVE_H */
