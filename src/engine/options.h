/*
 * engine/options.h
 *	  What a body asked for with a step, read from its options.
 */
#ifndef DF_OPTIONS_H
#define DF_OPTIONS_H

#include "types/step.h"

/* "POST" of "POST /users" */
extern const char *df_step_method(const DfStep *step);
extern const char *df_step_path(const DfStep *step);
extern const int *df_step_accept(const DfStep *step, int *n);
extern bool df_step_until_met(const DfStep *step, const Jsonb *output);

#endif /* DF_OPTIONS_H */
