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

/* a loaded step: whether it has a child run of its own */
extern void df_child_loaded(DfStep *step);

/* a message of kind "child": a run that this one called has ended */
extern void df_child_message(DfRun *run, DfMessage *message);

/* children that are not started yet, and attached runs that are due to be looked at */
extern void df_children_poll(DfRun *run);

/*
 * rolling back: a child that is under way is to be cancelled, one that has completed to be undone
 */
extern void df_child_cancel(DfRun *run, DfStep *step);
extern void df_child_undo(DfRun *run, DfStep *step);

/* the run that is waited for, in words */
extern char *df_child_words(const DfStep *step);

/* what response() returns of a call */
extern Jsonb *df_child_response(const DfStep *step);

#endif /* DF_CHILD_RUN_H */
