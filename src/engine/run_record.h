/*
 * engine/run_record.h
 *	  Writes what became of runs.
 */
#ifndef DF_RUN_RECORD_H
#define DF_RUN_RECORD_H

#include "types/run.h"

/* of the attempts (a List of DfAttempt) those that failed */
extern void df_runs_record(List *runs, List *attempts);

#endif /* DF_RUN_RECORD_H */
