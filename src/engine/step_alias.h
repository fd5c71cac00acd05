/*
 * engine/step_alias.h
 *	  What becomes of the key that alias() asks for.
 */
#ifndef DF_STEP_ALIAS_H
#define DF_STEP_ALIAS_H

#include "types/run.h"

extern DfStep *df_run_alias_wanted(const DfRun *run); /* that asks for a key, NULL = none */
extern void df_run_alias_answer(DfRun *run, DfStep *step, const char *holder);
extern void df_run_alias_later(DfRun *run); /* another transaction has it */

#endif /* DF_STEP_ALIAS_H */
