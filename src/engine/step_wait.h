/*
 * engine/step_wait.h
 *	  The events that a run waits for.
 */
#ifndef DF_STEP_WAIT_H
#define DF_STEP_WAIT_H

#include "types/run.h"

/* names: wait_for() has one, wait_any() several; in the present memory context */
extern List *df_wait_events(const DfStep *step);

/* a list of DfWantedSignal, in the present memory context */
extern List *df_run_wanted_signals(DfRun *run);

#endif /* DF_STEP_WAIT_H */
