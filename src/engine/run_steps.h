/*
 * engine/run_steps.h
 *	  The steps of a run in memory: adding one, and simple questions about them.
 */
#ifndef DF_RUN_STEPS_H
#define DF_RUN_STEPS_H

#include "types/run.h"

/* whether the body may go on past this step */
extern bool df_step_ended(const DfStep *step);
extern bool df_undo_in_progress(const DfStep *step);
extern bool df_step_to_be_rendered(const DfStep *step);
extern bool df_run_has_to_send(const DfRun *run);
extern DfStep *df_run_due_query(const DfRun *run); /* whose SQL is due, NULL = none */
extern void df_run_add_step(DfRun *run, DfStep *step);
extern int df_run_next_n(const DfRun *run);

#endif /* DF_RUN_STEPS_H */
