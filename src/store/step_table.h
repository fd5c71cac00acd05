/*
 * store/step_table.h
 *	  Steps: reading those of runs that are claimed, writing what became of them.
 *
 * Between df_store_enter() and df_store_leave().
 */
#ifndef DF_STORE_STEP_TABLE_H
#define DF_STORE_STEP_TABLE_H

#include "types/run.h"

/* run->loaded_steps gets them in order; the engine files them under their names */
extern void df_load_steps(List *runs);

/* writes the steps of these runs that have no row yet, or differ from theirs */
extern void df_steps_record(List *runs);

#endif /* DF_STORE_STEP_TABLE_H */
