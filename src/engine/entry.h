/*
 * engine/entry.h
 *	  One entry into the body, or into on_failure, and what it makes of the run.
 */
#ifndef DF_ENTRY_H
#define DF_ENTRY_H

#include "types/run.h"

extern void df_run_enter(DfRun *run, bool handler); /* handler: on_failure, not the body */

#endif /* DF_ENTRY_H */
