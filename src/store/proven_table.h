/*
 * store/proven_table.h
 *	  What has once been done by a workflow as it is: a 400 to such a step is about its data, to
 *	  any other it may be a mistake of the workflow; and likewise a 404 to an undo or a probe.
 */
#ifndef DF_STORE_PROVEN_TABLE_H
#define DF_STORE_PROVEN_TABLE_H

#include "types/run.h"

/* what is recorded already needs no row; `what`: a hash, which engine/proven.c makes */
extern bool df_proven_is_known(const DfRun *run, uint64 what);

/* between df_store_enter() and df_store_leave(): looks into the table, too */
extern bool df_proven_find(const DfRun *run, uint64 what);

/* likewise: rows for what is marked at the steps of these runs */
extern void df_proven_record(List *runs);

/* they are committed */
extern void df_proven_saved(const DfRun *run, DfStep *step);

#endif /* DF_STORE_PROVEN_TABLE_H */
