/*
 * engine/attempt.h
 *	  The attempts of steps and undos: those that failed are recorded, all are counted.
 */
#ifndef DF_ATTEMPT_H
#define DF_ATTEMPT_H

#include "types/response.h"
#include "types/run.h"

/* what was written in this turn beside runs and steps; palloc'd in the turn's context */
extern List *df_turn_attempts;

extern void df_attempt_note(DfRun *run, DfStep *step, const DfResponse *response,
							const char *outcome, TimestampTz next_at);
extern void df_attempt_count(const DfStep *step, const DfResponse *response);

#endif /* DF_ATTEMPT_H */
