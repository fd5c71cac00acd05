/*
 * engine/options.h
 *	  What a body asked for with a step, read from its options.
 */
#ifndef DF_OPTIONS_H
#define DF_OPTIONS_H

#include "engine/live.h"

/* "POST" of "POST /users" */
extern const char *df_step_method(const DfStep *step);
extern const char *df_step_path(const DfStep *step);
extern const int *df_step_accept(const DfStep *step, int *n);
extern bool df_step_until_met(const DfStep *step, const Jsonb *output);

/* jsonpath, quiet: no match and errors at run time are false and NULL */
extern bool df_jsonpath_match(const Jsonb *value, const char *path);
extern Jsonb *df_jsonpath_first(const Jsonb *value, const char *path, int *matches);

/* a document as the datum of a strict jsonpath; raises if it is malformed */
extern void df_jsonpath_check(const char *path, const char *what);

#endif							/* DF_OPTIONS_H */
