/*
 * store/proven_table.h
 *	  Steps that have once been done by a workflow as it is: a 400 to such a step is
 *	  about its data, to any other it may be a mistake of the workflow.
 */
#ifndef DF_STORE_PROVEN_TABLE_H
#define DF_STORE_PROVEN_TABLE_H

#include "types/run.h"

/* a step that proves so far nothing that is not recorded already needs no row */
extern bool df_proven_is_known(const DfRun *run, const DfStep *step);

/* between df_store_enter() and df_store_leave(): looks into the table, too */
extern bool df_proven_find(const DfRun *run, const DfStep *step);

/* likewise: rows for the steps of these runs that are marked so */
extern void df_proven_record(List *runs);

/* they are committed */
extern void df_proven_saved(const DfRun *run, DfStep *step);

#endif /* DF_STORE_PROVEN_TABLE_H */
