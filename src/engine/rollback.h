/*
 * engine/rollback.h
 *	  Undoing a run, last step first, and on_failure afterwards.
 */
#ifndef DF_ROLLBACK_H
#define DF_ROLLBACK_H

#include "types/run.h"

extern void df_run_roll_back(DfRun *run);

#endif /* DF_ROLLBACK_H */
