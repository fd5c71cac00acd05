/*
 * store/attempt_table.h
 *	  Failed attempts of steps and undos.
 *
 * Between df_store_enter() and df_store_leave().
 */
#ifndef DF_STORE_ATTEMPT_TABLE_H
#define DF_STORE_ATTEMPT_TABLE_H

#include "types/step.h"

/* a List of DfAttempt */
extern void df_record_attempts(List *attempts);

#endif /* DF_STORE_ATTEMPT_TABLE_H */
