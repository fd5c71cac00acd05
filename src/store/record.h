/*
 * store/record.h
 *	  Writing for the worker: everything that became of runs in one turn.
 */
#ifndef DF_STORE_RECORD_H
#define DF_STORE_RECORD_H

#include "df_types.h"

/*
 * Writes what is dirty of these runs and marks it clean.  Raises if a run is
 * not held as run->db_lease says: then somebody else has it.
 */
extern void df_record_runs(List *runs);

extern void df_record_attempts(List *attempts);

/* messages of these runs that were consumed or took effect */
extern void df_record_messages(List *runs);

/* inbox rows that were looked at and are kept: ids, and the runs that they are for */
extern void df_record_kept(List *rows);

/* after a commit: what was written is the state of the tables */
extern void df_record_clean(List *runs);

/* the run is ours, and an entry into its body is counted, before it happens */
extern void df_record_entry(DfRun *run, int64 lease);

/*
 * The lease goes, or was never written; the run is looked at again in ten seconds;
 * nothing else changes.
 */
extern void df_record_release(const DfRun *run, int64 lease);

#endif /* DF_STORE_RECORD_H */
