/*
 * engine/child_run.h
 *	  Parents and children: a run and the runs that it called.
 */
#ifndef DF_CHILD_RUN_H
#define DF_CHILD_RUN_H

#include "types/run.h"

/*
 * Between df_store_enter() and df_store_leave(), before the runs are recorded and
 * in the same transaction: inserts the children that were called, sends requests
 * to those that are to be cancelled or undone, tells the parents of runs that have
 * ended.
 */
extern void df_children_record(List *runs);

/* the id of the run that the step waits for, or will insert */
extern char *df_child_id(const DfStep *step);

/* its child run is live, or is being undone: a message says when that has ended */
extern bool df_step_waits_for_child(const DfStep *step);

/* a message of kind "child": a run that this one called has ended */
extern void df_child_message(DfRun *run, DfMessage *message);

/* the step is waiting: has its child inserted, or checks the run that it is attached to */
extern void df_child_settle(DfRun *run, DfStep *step, TimestampTz now);

/* the parent rolls back: a live child is cancelled, a completed one undone */
extern void df_child_cancel(DfRun *run, DfStep *step);
extern void df_child_undo(DfRun *run, DfStep *step);

#endif /* DF_CHILD_RUN_H */
