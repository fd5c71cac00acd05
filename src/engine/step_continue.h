/*
 * engine/step_continue.h
 *	  The rounds of a run.
 */
#ifndef DF_STEP_CONTINUE_H
#define DF_STEP_CONTINUE_H

#include "types/run.h"

/*
 * Ends this round with a step of its own and begins the next one, which may take a
 * function that was replaced meanwhile.
 */
extern void df_run_begin_round(DfRun *run, Jsonb *input);

#endif /* DF_STEP_CONTINUE_H */
