/*
 * engine/blocked.h
 *	  Which steps the body waits for, and whether it may be entered again.
 */
#ifndef DF_BLOCKED_H
#define DF_BLOCKED_H

#include "types/run.h"

extern void df_run_loaded(DfRun *run); /* all recorded steps are there */
extern bool df_run_unblocked(const DfRun *run); /* the body may be entered */
extern bool df_run_block_on_unended(DfRun *run);

#endif /* DF_BLOCKED_H */
