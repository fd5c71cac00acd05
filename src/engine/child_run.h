/*
 * engine/child_run.h
 *	  What a run and those that it called have to do with each other.
 */
#ifndef DF_CHILD_RUN_H
#define DF_CHILD_RUN_H

#include "types/run.h"

/*
 * Inside the store, before the runs are recorded and in the same transaction:
 * inserts the children that were called, asks those that are to be cancelled or
 * undone, tells the parents of those that have ended.
 */
extern void df_children_record(List *runs);

/* the run that the step waits for, or would start */
extern char *df_child_id(const DfStep *step);

/* its child run is under way, or is being undone: that will say when it has ended */
extern bool df_step_waits_for_child(const DfStep *step);

/* a message of kind "child": a run that this one called has ended */
extern void df_child_message(DfRun *run, DfMessage *message);

/* the step is waiting: starts its child, or looks at the run that it is attached to */
extern void df_child_settle(DfRun *run, DfStep *step, TimestampTz now);

/*
 * rolling back: a child that is under way is to be cancelled, one that has completed to be undone
 */
extern void df_child_cancel(DfRun *run, DfStep *step);
extern void df_child_undo(DfRun *run, DfStep *step);

#endif /* DF_CHILD_RUN_H */
