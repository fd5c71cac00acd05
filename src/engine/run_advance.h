/*
 * engine/run_advance.h
 *	  What a run does next: the one way in.
 */
#ifndef DF_RUN_ADVANCE_H
#define DF_RUN_ADVANCE_H

#include "types/run.h"

extern void df_run_advance(DfRun *run);

#endif /* DF_RUN_ADVANCE_H */
