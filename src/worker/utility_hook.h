/*
 * worker/utility_hook.h
 *	  DDL that the engine has to step aside for.
 */
#ifndef DF_UTILITY_HOOK_H
#define DF_UTILITY_HOOK_H

extern void df_utility_hook_install(void); /* from _PG_init */

#endif /* DF_UTILITY_HOOK_H */
