/*
 * engine/run_life.h
 *	  A run's life in this worker's memory: from the claim until it is let go of.
 */
#ifndef DF_RUN_LIFE_H
#define DF_RUN_LIFE_H

#include "types/run.h"

extern void df_run_set_life(DfRun *run, DfRunLife to);

/* its row is to say that no worker holds it; it leaves memory once that is recorded */
extern void df_run_release(DfRun *run);

/* a run that was released and is not recorded yet: this process goes on with it */
extern void df_run_take_up(DfRun *run, int64 lease);

/* after a deferral: what it was before */
extern void df_run_end_deferral(DfRun *run);

#endif /* DF_RUN_LIFE_H */
