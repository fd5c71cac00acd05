/*
 * engine/body_log.h
 *	  What a body, or the SQL of a query step, says in the server's log.
 */
#ifndef DF_BODY_LOG_H
#define DF_BODY_LOG_H

#include "types/run.h"

/* an entry into a body: how far it has come */
typedef struct DfLogEntry
{
	DfRun *run;
	DfStep *last_recorded; /* of the steps that were there when it began; NULL = none */
	int calls; /* of functions of ours so far: body.c */
	int64 fingerprint; /* of the function: body.c, 0 = not known yet */
} DfLogEntry;

/* around an entry; suspended: it ended in a call that the next one comes back to */
extern void df_log_entry_begins(DfLogEntry *entry, DfRun *run);
extern void df_log_entry_ends(DfLogEntry *entry, bool suspended);
extern void df_log_entry_forget(void); /* after an error that left it */

/* in a callback of error reporting: adds which run's body it comes from */
extern void df_log_say_entry(const DfRun *run);

/* such a callback, for the SQL of a query step */
typedef struct DfLogStep
{
	const DfRun *run;
	const DfStep *step;
} DfLogStep;

extern void df_log_say_step(void *arg);

#endif /* DF_BODY_LOG_H */
