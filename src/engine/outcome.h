/*
 * engine/outcome.h
 *	  The ways a step can end.
 */
#ifndef DF_OUTCOME_H
#define DF_OUTCOME_H

#include "engine/template.h"
#include "flow/meaning.h"
#include "types/response.h"
#include "types/run.h"
#include "types/system_policy.h"

/* returns what the response says about the system (for its breaker) */
extern DfMeaning df_step_response(DfRun *run, DfStep *step, const DfResponse *response,
								  const DfSystemPolicy *policy);

/*
 * It is about to leave, as step->phase says then: a step in doubt may have to be probed
 * first, which changes the phase.  false: it stays here, in doubt or accepted.
 */
extern bool df_step_may_leave(DfRun *run, DfStep *step, const DfSystemPolicy *policy,
							  bool same_url);

/* it was certainly not carried out, and is to be sent again at once: no attempt was used */
extern void df_step_unsend(DfRun *run, DfStep *step);

/* it cannot leave before `until`, and `why`; no attempt is used */
extern void df_step_hold(DfRun *run, DfStep *step, const char *why, TimestampTz until);

extern char *df_step_key(const DfRun *run, const DfStep *step);
extern void df_step_vars(DfRun *run, DfStep *step, DfTemplateVars *vars);
extern void df_step_done(DfRun *run, DfStep *step, const DfResponse *response, Jsonb *output);
extern void df_step_say_accepted(DfRun *run, DfStep *step);

/* what a person is to do about a step in doubt, with the calls to make */
extern char *df_step_remedy(const DfRun *run, const DfStep *step);

/* probe.c */
extern DfMeaning df_probe_response(DfRun *run, DfStep *step, const DfResponse *response,
								   const DfSystemPolicy *policy);
extern bool df_probe_render(DfRun *run, DfStep *step, char **path, Jsonb **body, char **missing);

#endif /* DF_OUTCOME_H */
