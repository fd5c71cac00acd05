/*
 * engine/outcome.h
 *	  What outcome.c and probe.c share: the ways a step can end.
 */
#ifndef DF_OUTCOME_H
#define DF_OUTCOME_H

#include "engine/template.h"
#include "flow/flow.h"
#include "types/response.h"
#include "types/run.h"
#include "types/system_policy.h"

/* returns what the answer says about the system (for its breaker) */
extern DfVerdict df_step_response(DfRun *run, DfStep *step, const DfResponse *response,
								  const DfSystemPolicy *policy);

/* it was certainly not carried out, and is to be sent again at once: no attempt was used */
extern void df_step_unsend(DfRun *run, DfStep *step);

/* it cannot leave before `until`, and `why`; no attempt is used */
extern void df_step_hold(DfRun *run, DfStep *step, const char *why, TimestampTz until);

extern char *df_step_key(const DfRun *run, const DfStep *step);

extern void df_step_vars(DfRun *run, DfStep *step, DfTemplateVars *vars);
/*
 * the same key would find the first attempt, if it was carried out; asked whenever it is to be
 * sent
 */
extern bool df_step_key_is_trusted(const DfStep *step, const DfSystemPolicy *policy);
extern void df_step_done(DfRun *run, DfStep *step, const DfResponse *response, Jsonb *output);
/* the response may be NULL: what the step's error says is what is accepted */
extern void df_step_accept_doubt(DfRun *run, DfStep *step, const DfResponse *response);
extern bool df_step_is_unsure(const DfStep *step);
extern bool df_step_unwanted(const DfRun *run, const DfStep *step);
extern TimestampTz df_step_settled_at(const DfStep *step, const DfSystemPolicy *policy);
extern char *df_step_remedy(const DfRun *run, const DfStep *step);
extern void df_step_doubtful(DfRun *run, DfStep *step, const DfResponse *response,
							 const char *message);
extern TimestampTz df_step_next_try(DfRun *run, DfStep *step, const DfResponse *response,
									const DfSystemPolicy *policy);

/* probe.c */
extern void df_probe_response(DfRun *run, DfStep *step, const DfResponse *response,
							  const DfSystemPolicy *policy);
extern bool df_probe_wanted_first(DfRun *run, DfStep *step);
extern bool df_probe_render(DfRun *run, DfStep *step, char **path, Jsonb **body, char **missing);

#endif /* DF_OUTCOME_H */
