/*
 * session/rows.h
 *	  Functions that return rows.
 */
#ifndef DF_ROWS_H
#define DF_ROWS_H

#include "access/htup_details.h"
#include "access/tupdesc.h"
#include "fmgr.h"
#include "nodes/pg_list.h"

/*
 * all rows of the result, as a list of HeapTuple, in memory that lasts until the last is
 * fetched
 */
typedef List *(*DfMakeRows)(FunctionCallInfo fcinfo, TupleDesc desc);

/* the return value of each call; hint: the correct way to call it */
extern Datum df_return_rows(FunctionCallInfo fcinfo, DfMakeRows make, const char *hint);

#endif /* DF_ROWS_H */
