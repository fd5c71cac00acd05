/*
 * engine/probe.h
 *	  What a response to a probe does to its step.
 */
#ifndef DF_PROBE_H
#define DF_PROBE_H

#include "flow/meaning.h"
#include "types/response.h"
#include "types/run.h"
#include "types/system_policy.h"

extern DfMeaning df_probe_response(DfRun *run, DfStep *step, const DfResponse *response,
								   const DfSystemPolicy *policy);

#endif /* DF_PROBE_H */
