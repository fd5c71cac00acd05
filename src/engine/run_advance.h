/*
 * engine/run_advance.h
 *	  What a run does next: the one way in.
 */
#ifndef DF_RUN_ADVANCE_H
#define DF_RUN_ADVANCE_H

#include "types/run.h"

/* may_retain: there is room to keep it in memory while it waits */
extern void df_run_advance(DfRun *run, bool may_retain);

#endif /* DF_RUN_ADVANCE_H */
