/*
 * shared/function_watch.h
 *	  Whether what was found out about functions still holds.
 */
#ifndef DF_FUNCTION_WATCH_H
#define DF_FUNCTION_WATCH_H

#include "postgres.h"

/*
 * Another number, never 0, if a function or a schema may have changed since the last call.  Ask
 * before functions are looked at, and keep the number with what was found.
 */
extern uint64 df_functions_number(void);

#endif /* DF_FUNCTION_WATCH_H */
