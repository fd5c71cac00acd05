/*
 * engine/run_load.h
 *	  The end of loading a run that was claimed.
 */
#ifndef DF_RUN_LOAD_H
#define DF_RUN_LOAD_H

#include "types/run.h"

/* its row was read and is locked: it is ours from now on; workflow NULL = there is none */
extern void df_run_take(DfRun *run, DfWorkflow *workflow, int64 lease);

/* indexes the steps by name, judges requests that were lost; the run is active then */
extern void df_run_load(DfRun *run);

#endif /* DF_RUN_LOAD_H */
