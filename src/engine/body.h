/*
 * engine/body.h
 *	  The body that is being executed, as its step calls see it.
 */
#ifndef DF_BODY_H
#define DF_BODY_H

#include "compat.h"
#include "engine/body_log.h"
#include "types/run.h"

/* the entry under way in this process, or NULL: then nobody may call a step */
typedef struct DfEntry
{
	DfRun *run;
	bool suspended; /* once set, every step call raises again */
	Jsonb *next_input; /* of continue_with(), in run->cxt */
	int64 fingerprint; /* of the function */
	int fatal; /* DF003 and its like: raised again and again, 0 = none */
	char *fatal_message;
	char *fatal_hint;
	int other_kind; /* number of the step that was called as one of another kind, 0 = none */
	char *cancelled; /* what the session's cancel said, in run->cxt; NULL = there was none */
	MemoryContext cxt; /* gone with the entry */
	ErrorData *inner; /* the last error that was not a wrapper's, in cxt */
	DfLogEntry log;
	Jsonb *failure; /* the detail of the last DF001, in cxt */
} DfEntry;

extern DfEntry *df_entry;

/* the run of the body under way; raises DF004 if there is none */
extern DfRun *df_entry_run(const char *function);

/* stop the body here: it is entered again when what it waits for is there */
pg_noreturn extern void df_suspend(DfStep *step);
pg_noreturn extern void df_suspend_on(int *indexes, int n, bool any);

/* stop the body for good with an error that no handler can hide */
pg_noreturn extern void df_fatal(int sqlstate, char *message, char *hint);

/* ---- entering it, for entry.c and the worker ------------------------------- */

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
	ErrorData *error; /* RAISED; REFUSED if an error left the body, else NULL */
	int sqlstate; /* that decides, maybe of an inner error */
	const char *reason; /* REFUSED */
	const char *remedy; /* REFUSED, NULL = the usual one */
	int other_kind; /* REFUSED: number of a step that it calls as one of another kind, or 0 */
	int64 fingerprint; /* of the function, 0 = it could not be entered */
} DfBodyExit;

extern void df_body_enter(DfRun *run, const char *function, Jsonb *argument, DfBodyExit *exit);
extern void df_body_forget(void); /* after an error that left a body */

#endif /* DF_BODY_H */
