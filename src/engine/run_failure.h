/*
 * engine/run_failure.h
 *	  How a run fails, or gets stuck until a person acts.
 */
#ifndef DF_RUN_FAILURE_H
#define DF_RUN_FAILURE_H

#include "types/run.h"

extern void df_run_get_stuck(DfRun *run, int sqlstate, const char *reason, const char *remedy);
extern void df_run_fail(DfRun *run, Jsonb *error, const char *step, int status);

#endif /* DF_RUN_FAILURE_H */
