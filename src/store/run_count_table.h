/*
 * store/run_count_table.h
 *	  How many runs have ended, by workflow and state.
 */
#ifndef DF_STORE_RUN_COUNT_TABLE_H
#define DF_STORE_RUN_COUNT_TABLE_H

#include "nodes/pg_list.h"
#include "types/states.h"

/* what this transaction changes; begun as zeros, in the present memory context */
typedef struct DfRunCounts
{
	List *changes;
} DfRunCounts;

/* a run reaches a state (by = 1), leaves it or is deleted in it (-1); only ended ones count */
extern void df_run_counts_add(DfRunCounts *counts, const char *workflow, DfRunState state,
							  int64 by);

/* inside the store, in the transaction that writes or deletes these runs */
extern void df_run_counts_write(const DfRunCounts *counts);

/* counts all ended runs anew, for tables that were filled or emptied by hand; inside the store */
extern void df_run_counts_correct(void);

#endif /* DF_STORE_RUN_COUNT_TABLE_H */
