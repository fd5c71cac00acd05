/*
 * engine/transition.h
 *	  The one place where the state of a run, a step or an undo changes.
 */
#ifndef DF_TRANSITION_H
#define DF_TRANSITION_H

#include "types/run.h"

extern void df_run_transition(DfRun *run, DfRunEvent event);
/* it has ended, and that is not recorded yet */
extern bool df_run_has_just_ended(const DfRun *run);
extern void df_step_transition(DfRun *run, DfStep *step, DfStepEvent event);
extern void df_undo_transition(DfRun *run, DfStep *step, DfUndoState to);

#endif /* DF_TRANSITION_H */
