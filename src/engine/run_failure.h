/*
 * engine/run_failure.h
 *	  How a run fails, or gets stuck until a person acts.
 */
#ifndef DF_RUN_FAILURE_H
#define DF_RUN_FAILURE_H

#include "types/run.h"

/* `remedy` is what a person is to do; NULL = repair the cause and call retry() */
extern void df_run_get_stuck(DfRun *run, int sqlstate, const char *reason, const char *remedy);

/* the same with all that is known of the error */
extern void df_run_get_stuck_by(DfRun *run, int sqlstate, const char *reason, const char *remedy,
								const ErrorData *error);

/* the same for a run without its steps, and without a line in the log */
extern void df_run_mark_stuck(DfRun *run, int sqlstate, const char *reason, const char *remedy);
extern void df_run_fail(DfRun *run, Jsonb *error, const char *step, int status);

#endif /* DF_RUN_FAILURE_H */
