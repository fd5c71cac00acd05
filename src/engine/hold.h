/*
 * engine/hold.h
 *	  Clocks that stand still while a step cannot be sent through no fault of its own.
 */
#ifndef DF_HOLD_H
#define DF_HOLD_H

#include "types/run.h"
#include "types/system_policy.h"

/* the clocks of the step and of its run's deadline stand still, until it is sent */
extern void df_step_hold_begins(DfRun *run, DfStep *step);
extern void df_step_hold_ends(DfRun *run, DfStep *step);

/* the clock of the run's deadline goes on if no step is held any more */
extern void df_run_check_holds(DfRun *run);

/* for so long the clock of the step's present phase, or of the run's deadline, stood still */
extern int64 df_step_stopped_us(const DfStep *step, TimestampTz now);

/*
 * Since when pauses of the workflow and of the database count for the step's time, or for the
 * run's; DF_NEVER = they make no difference now, for the time has not passed.
 */
extern TimestampTz df_step_asks_for_pauses(DfRun *run, DfStep *step, const DfSystemPolicy *policy);
extern TimestampTz df_run_asks_for_pauses(const DfRun *run);

#endif /* DF_HOLD_H */
