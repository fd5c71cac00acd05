/*
 * engine/step_evidence.h
 *	  Takes a step's case to flow/doubt.c, and keeps what is decided.
 */
#ifndef DF_ENGINE_STEP_EVIDENCE_H
#define DF_ENGINE_STEP_EVIDENCE_H

#include "flow/doubt.h"
#include "types/response.h"
#include "types/run.h"

/* policy NULL: it is not asked for times */
extern DfDoubtCase df_step_case(DfRun *run, DfStep *step, const DfSystemPolicy *policy);

/* the evidence, the event, the time and the phase of a decision */
extern void df_step_apply(DfRun *run, DfStep *step, const DfDecision *made);
extern void df_step_know(DfStep *step, const DfEvidence *evidence);

/* it is on its way to that system; and a person says that this is the one it was sent to */
extern void df_step_goes_to(DfStep *step, const DfSystem *system);
extern void df_step_is_not_elsewhere(DfStep *step);

/* what is to leave for the step now that it is due: itself or its probe */
extern DfPhase df_step_phase(DfRun *run, DfStep *step);

/* its undo is not sent before the probe has been asked */
extern bool df_step_undo_needs_probe(DfRun *run, DfStep *step);

/* DF_NEVER = the budget is used up */
extern TimestampTz df_step_next_try(DfRun *run, DfStep *step, const DfResponse *response,
									const DfSystemPolicy *policy);
extern TimestampTz df_undo_next_try(DfRun *run, DfStep *step, const DfResponse *response,
									const DfSystemPolicy *policy);

#endif /* DF_ENGINE_STEP_EVIDENCE_H */
