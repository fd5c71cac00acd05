/*
 * worker/guarded.h
 *	  Work of a process whose error is not to end it.
 */
#ifndef DF_GUARDED_H
#define DF_GUARDED_H

#include "df_types.h"
#include "shared/trouble.h"

/* false: it raised; its transaction is aborted, and the trouble knows what and when to try again */
extern bool df_guarded(void (*action)(void), DfTrouble *trouble);

/*
 * in PG_CATCH(): the same for an error that was caught elsewhere; afterwards in that memory
 * context
 */
extern int df_caught(DfTrouble *trouble, MemoryContext context);

#endif /* DF_GUARDED_H */
