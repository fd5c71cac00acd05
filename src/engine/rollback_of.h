/*
 * engine/rollback_of.h
 *	  on_rollback() of another step: when it is rendered.
 */
#ifndef DF_ROLLBACK_OF_H
#define DF_ROLLBACK_OF_H

#include "types/run.h"

/* the step has an output: renders what takes it back; false with *which and *why */
extern bool df_rollback_render_of(DfRun *run, DfStep *subject, DfStep **which, char **why);

/* a round ends: nothing has come, or will come, of steps that were not carried out */
extern void df_rollback_end_round(DfRun *run);

#endif /* DF_ROLLBACK_OF_H */
