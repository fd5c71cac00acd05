/*
 * engine/proven.h
 *	  Whether a step, its undo or its probe has once succeeded in its workflow as it is.
 */
#ifndef DF_ENGINE_PROVEN_H
#define DF_ENGINE_PROVEN_H

#include "types/run.h"

/* it has been done just now */
extern void df_step_proven(DfRun *run, DfStep *step);

extern bool df_step_was_proven(DfRun *run, DfStep *step);

/* likewise of its undo, as its template has it */
extern void df_undo_proven(DfRun *run, DfStep *step);
extern bool df_undo_was_proven(DfRun *run, DfStep *step);

/* likewise of its probe: it was answered, and so that it could be read */
extern void df_probe_proven(DfRun *run, DfStep *step);
extern bool df_probe_was_proven(DfRun *run, DfStep *step);

#endif /* DF_ENGINE_PROVEN_H */
