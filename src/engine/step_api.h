/*
 * engine/step_api.h
 *	  What the SQL-callable steps share: finding the recorded step of a call, or
 *	  making a new one.
 */
#ifndef DF_STEP_API_H
#define DF_STEP_API_H

#include "compat.h"
#include "engine/body.h"
#include "fdw/system.h"
#include "fmgr.h"

/* the recorded step that a call means; NULL: it is new, and *name is its name */
extern DfStep *df_step_recorded(DfRun *run, const char *base, DfStepKind kind, char **name);

/* a new step, pending, with nothing but its name */
extern DfStep *df_step_new(DfRun *run, char *name, DfStepKind kind);

/*
 * The same for one that does something in the world: `asked` says what, as `effect` of its kind
 * (engine/step_kind.h) does, and `body` with which content.  DF003 if it may be a recorded step
 * under a new name.
 */
extern DfStep *df_step_new_effect(DfRun *run, char *name, DfStepKind kind, const char *system,
								  const char *asked, const char *body);

/*
 * The step is recorded with another system or request than the call has: DF003.  Returns if a
 * person has accepted that: what is recorded counts.
 */
extern void df_step_mismatch(const DfStep *step, const char *what, const char *recorded,
							 const char *called);

/*
 * The same for what an unchanged function may render another way each time, such as a body with
 * the time in it: it is compared if the function is another one than that which asked for it.
 */
extern void df_step_compare(const DfStep *step, const char *what, const char *recorded,
							const char *called);
extern bool df_step_is_compared(const DfStep *step);

/* a step or event name that can be recorded, or 22023 */
extern char *df_checked_name(FunctionCallInfo fcinfo, int arg, const char *what);
extern char *df_check_name(char *name, const char *what);

/* the output of an ended step, or DF001 */
extern Datum df_step_result(FunctionCallInfo fcinfo, DfStep *step);

/* the same, but the body is suspended until the step has ended */
/*
 * In a simulation: ends the step before the body is left, if nothing else can happen until its
 * response comes.  Where that is so the body is not entered anew for each of a thousand steps.
 */
extern void (*df_answer_at_once)(DfRun *run, DfStep *step);

extern Datum df_step_await(FunctionCallInfo fcinfo, DfStep *step);

extern Jsonb *df_step_error_detail(const DfStep *step);

/* DF001; failure() returns its detail from now on */
pg_noreturn extern void df_step_raise(const char *message, Jsonb *detail);

/* the system that a step calls, or an error that names the step; the second: not a mail server */
extern DfSystem *df_step_system(const char *name, const char *step);
extern DfSystem *df_step_http_system(const char *name, const char *step);

/* a new step that waits for an event, or until a time (DF_NEVER = for ever) */
extern DfStep *df_step_begin_wait(DfRun *run, char *name, DfStepKind kind, TimestampTz until,
								  Jsonb *options);

/* now plus an interval argument; a time argument, which must not look like DF_NEVER */
extern TimestampTz df_time_from_now(FunctionCallInfo fcinfo, int arg, const char *what,
									const char *step);
extern TimestampTz df_time_given(TimestampTz at);

extern int64 df_interval_ms(Datum interval);

/* an argument, NULL if it is NULL */
extern char *df_arg_text(FunctionCallInfo fcinfo, int arg);
extern Jsonb *df_arg_jsonb(FunctionCallInfo fcinfo, int arg);

/*
 * an argument of type "any" that is text, or JSON (jsonb, json, or text that begins with "{" or
 * "["): one of both is set.  false = NULL; raises 22023 naming `what` for another type
 */
extern bool df_arg_text_or_json(FunctionCallInfo fcinfo, int arg, const char *what, char **text,
								Jsonb **json);

#endif /* DF_STEP_API_H */
