/*
 * engine/run_inbox.h
 *	  What runs need of the tables while they are advanced.
 */
#ifndef DF_RUN_INBOX_H
#define DF_RUN_INBOX_H

#include "types/run.h"

/* a copy that lives as long as the run */
extern void df_run_deliver(DfRun *run, const DfMessage *message);

/* whose bodies began to wait: signals that came before the wait count, too */
extern void df_runs_read_inboxes(List *runs);

/* requests to cancel it that came while its SQL ran, before the body goes on */
extern void df_run_apply_cancels(DfRun *run);

/* takes the key of an alias, or tells who holds it (NULL: the run); false: try again later */
extern bool df_run_try_alias(DfRun *run, const DfStep *step, char **holder);

#endif /* DF_RUN_INBOX_H */
