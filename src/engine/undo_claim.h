/*
 * engine/undo_claim.h
 *	  Whether an undo with a condition is the step's to send.
 */
#ifndef DF_UNDO_CLAIM_H
#define DF_UNDO_CLAIM_H

#include "flow/flow.h"
#include "types/run.h"

extern DfUndoClaim df_step_undo_claim(DfRun *run, DfStep *step);

/* nobody can tell, but not because of the response: nobody has to look before it is due */
extern bool df_step_undo_waits_for_rollback(DfRun *run, DfStep *step);

/* why nobody can tell, for people */
extern char *df_step_undo_claim_why(DfRun *run, DfStep *step);

#endif /* DF_UNDO_CLAIM_H */
