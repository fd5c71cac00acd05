/*
 * worker/utility_hook.h
 *	  Commands for which our processes must leave a database, or which wake them.
 */
#ifndef DF_UTILITY_HOOK_H
#define DF_UTILITY_HOOK_H

extern void df_utility_hook_install(void); /* from _PG_init */

#endif /* DF_UTILITY_HOOK_H */
