/*
 * engine/outcome.h
 *	  What a response does to the step that asked.
 */
#ifndef DF_OUTCOME_H
#define DF_OUTCOME_H

#include "flow/doubt.h"
#include "flow/meaning.h"
#include "types/response.h"
#include "types/run.h"
#include "types/system_policy.h"

/* returns what the response says about the system (for its breaker) */
extern DfMeaning df_step_response(DfRun *run, DfStep *step, const DfResponse *response,
								  const DfSystemPolicy *policy);

/*
 * It is about to leave, as its phase says then: a step in doubt may have to be probed
 * first, which changes the phase.  false: it stays here, in doubt or accepted, or its undo
 * has failed.
 */
extern bool df_step_may_leave(DfRun *run, DfStep *step, const DfSystemPolicy *policy,
							  DfWhere where);

/* it was certainly not carried out, and is to be sent again at once: no attempt was used */
extern void df_step_unsend(DfRun *run, DfStep *step);

/* its system is held until then: no attempt is used, and its clock stands still */
/* why: in words, NULL = its error says so */
extern void df_step_wait_held(DfRun *run, DfStep *step, const char *why, TimestampTz until);

/* the same, and `why` */
extern void df_step_hold(DfRun *run, DfStep *step, const char *why, TimestampTz until);

#endif /* DF_OUTCOME_H */
