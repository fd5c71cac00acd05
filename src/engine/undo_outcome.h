/*
 * engine/undo_outcome.h
 *	  The undo of a step: how it is rendered, and what a response to it does.
 */
#ifndef DF_UNDO_OUTCOME_H
#define DF_UNDO_OUTCOME_H

#include "flow/meaning.h"
#include "types/response.h"
#include "types/run.h"
#include "types/system_policy.h"

/* false, with *why set to what is wrong with a field; true if there is nothing to render */
extern bool df_step_render_undo(DfRun *run, DfStep *step, char **why);

/* returns what the response says about the system */
extern DfMeaning df_undo_response(DfRun *run, DfStep *step, const DfResponse *response,
								  const DfSystemPolicy *policy);

#endif /* DF_UNDO_OUTCOME_H */
