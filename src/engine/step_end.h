/*
 * engine/step_end.h
 *	  How a step that calls a system ends: done, accepted in doubt, or left to a person.
 */
#ifndef DF_STEP_END_H
#define DF_STEP_END_H

#include "types/response.h"
#include "types/run.h"

extern void df_step_done(DfRun *run, DfStep *step, const DfResponse *response, Jsonb *output);
extern void df_step_say_accepted(DfRun *run, DfStep *step);

/* a candidate for undo; its body or a person is told */
extern void df_step_ends_in_doubt(DfStep *step);

/* the run is stuck until a person says what became of the step */
extern void df_step_ask_person(DfRun *run, DfStep *step);

/* what a person is to do about a step in doubt, with the calls to make */
extern char *df_step_remedy(DfRun *run, DfStep *step);

#endif /* DF_STEP_END_H */
