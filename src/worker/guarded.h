/*
 * worker/guarded.h
 *	  Calls a function whose errors must not end the process.
 */
#ifndef DF_GUARDED_H
#define DF_GUARDED_H

#include "shared/trouble.h"

/* false: it raised an error; its transaction is aborted, the trouble has the error noted */
extern bool df_guarded(void (*action)(void), DfTrouble *trouble);

/*
 * In PG_CATCH(): aborts the transaction, notes the error, returns its SQLSTATE, and
 * leaves `context` current.
 */
extern int df_caught(DfTrouble *trouble, MemoryContext context);

#endif /* DF_GUARDED_H */
