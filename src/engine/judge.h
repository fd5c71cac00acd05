/*
 * engine/judge.h
 *	  Takes a response to flow/meaning.c, with all that it has to know.
 */
#ifndef DF_ENGINE_JUDGE_H
#define DF_ENGINE_JUDGE_H

#include "flow/meaning.h"
#include "types/response.h"
#include "types/run.h"
#include "types/system_policy.h"

/* to the request that the phase of the step says */
extern DfCame df_judge(DfRun *run, DfStep *step, const DfResponse *response,
					   const DfSystemPolicy *policy);

/* to the step itself; *output is what its body says, in run->cxt */
extern DfCame df_judge_step(DfRun *run, DfStep *step, const DfResponse *response,
							const DfSystemPolicy *policy, Jsonb **output);

/* $status and $headers of a jsonpath */
extern Jsonb *df_response_variables(const DfResponse *response);

#endif /* DF_ENGINE_JUDGE_H */
