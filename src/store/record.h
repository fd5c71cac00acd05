/*
 * store/record.h
 *	  Writing for the worker: everything that became of runs in one turn.
 */
#ifndef DF_STORE_RECORD_H
#define DF_STORE_RECORD_H

#include "nodes/pg_list.h"

/*
 * Writes what of these runs and their steps differs from what was saved.  Raises if a
 * run is not held as run->saved.lease says: then another worker has it.
 */
extern void df_record_runs(List *runs);

/* after a commit: what was written is the state of the tables */
extern void df_record_saved(List *runs);

#endif /* DF_STORE_RECORD_H */
