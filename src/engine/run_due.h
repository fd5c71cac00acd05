/*
 * engine/run_due.h
 *	  When something of a run is due, and what becomes of its steps then.
 */
#ifndef DF_RUN_DUE_H
#define DF_RUN_DUE_H

#include "types/run.h"

extern bool df_run_goes_forward(const DfRun *run);
extern TimestampTz df_run_deadline(const DfRun *run);
extern TimestampTz df_run_deadline_from(const DfRun *run, TimestampTz since);
extern void df_run_renew_deadline(DfRun *run);
extern TimestampTz df_run_next_step_due(const DfRun *run);
extern TimestampTz df_run_next_due(const DfRun *run);
extern void df_run_send_due_steps(DfRun *run);
extern void df_run_settle_waits(DfRun *run);

#endif /* DF_RUN_DUE_H */
