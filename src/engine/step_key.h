/*
 * engine/step_key.h
 *	  The idempotency key of a step, and what its templates are rendered from.
 */
#ifndef DF_STEP_KEY_H
#define DF_STEP_KEY_H

#include "engine/template.h"
#include "types/run.h"

extern char *df_step_key(const DfRun *run, const DfStep *step);
extern char *df_step_undo_key(const DfRun *run, const DfStep *step);
extern void df_step_vars(DfRun *run, DfStep *step, DfTemplateVars *vars);

/* the path and the body of the step's probe; false, with *missing = the field that is not there */
extern bool df_probe_render(DfRun *run, DfStep *step, char **path, Jsonb **body, char **missing);

#endif /* DF_STEP_KEY_H */
