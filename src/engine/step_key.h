/*
 * engine/step_key.h
 *	  The idempotency key of a step, and what its templates are rendered from.
 */
#ifndef DF_STEP_KEY_H
#define DF_STEP_KEY_H

#include "engine/template.h"
#include "types/response.h"
#include "types/run.h"

extern char *df_step_key(const DfRun *run, const DfStep *step);
extern char *df_step_undo_key(const DfRun *run, const DfStep *step);

/* it is done, and status and headers are those of the response; not so if a probe has found it */
extern bool df_step_has_own_response(const DfStep *step);

/* those that are recorded, and the usual content-type, which is not */
extern Jsonb *df_step_response_headers(const DfStep *step);

extern void df_step_vars(DfRun *run, DfStep *step, DfTemplateVars *vars);

/* a request made of templates */
typedef struct DfRendered
{
	char *request; /* METHOD /path */
	Jsonb *body;
	Jsonb *headers; /* over the step's own; null = this one is left out */
} DfRendered;

/* false, with *why set to what is wrong with a field */
extern bool df_probe_render(DfRun *run, DfStep *step, DfRendered *probe, char **why);

/* of a step with an undo: it names what the resource has not */
extern bool df_undo_lacks_fields(DfRun *run, DfStep *step, const Jsonb *resource,
								 const DfResponse *response);

#endif /* DF_STEP_KEY_H */
