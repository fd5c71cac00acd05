/*
 * engine/waits.h
 *	  What ends a wait: a signal, its timeout, or the time slept for.
 */
#ifndef DF_WAITS_H
#define DF_WAITS_H

#include "types/run.h"

extern List *df_wait_events(const DfStep *step);
extern List *df_run_wanted_signals(DfRun *run); /* of DfWantedSignal */
extern void df_run_settle_waits(DfRun *run);

#endif /* DF_WAITS_H */
