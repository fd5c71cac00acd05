/*
 * engine/read_spec.h
 *	  What a body asked for with a step: its request and options, parsed once.
 */
#ifndef DF_ENGINE_READ_SPEC_H
#define DF_ENGINE_READ_SPEC_H

#include "types/retry.h"
#include "types/run.h"

/* parsed when it is first asked for, and again if the step was rendered again */
extern const DfStepSpec *df_step_spec(DfRun *run, DfStep *step);

/* the system's retry, with what the workflow and the step say instead */
extern DfRetry df_step_retry(DfRun *run, DfStep *step, const DfRetry *of_system);

#endif /* DF_ENGINE_READ_SPEC_H */
