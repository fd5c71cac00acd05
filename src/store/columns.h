/*
 * store/columns.h
 *	  Rows by their maps of columns (store/column_map.h): read into structs, and
 *	  written from them.
 *
 * Between df_store_enter() and df_store_leave().
 */
#ifndef DF_STORE_COLUMNS_H
#define DF_STORE_COLUMNS_H

#include "store/column_map.h"
#include "store/store.h"

/*
 * Reads the columns of the statement that has just run from a row of its result
 * into the struct; what that points to is allocated in `cxt`.  Fields of columns
 * that the statement does not have are left alone.
 */
extern void df_row_read(const DfPlan *plan, uint64 row, void *into, MemoryContext cxt);

/*
 * Runs a statement with {$} for one row.  `own` are the statement's own
 * parameters, NULL = it has none.
 */
extern uint64 df_row_run(DfPlan *plan, const Datum *own, const void *row, const void *owner);

/* many rows for one statement with {$[]} */
typedef struct DfBatch
{
	DfPlan *plan;
	int nrows;
	int maxrows;
	Datum *values[DF_MAX_ARGS]; /* by column */
	bool *nulls[DF_MAX_ARGS];
} DfBatch;

extern void df_batch_begin(DfBatch *batch, DfPlan *plan, int maxrows);
extern void df_batch_add(DfBatch *batch, const void *row, const void *owner);

/* runs the statement unless there is no row; returns how many it touched */
extern uint64 df_batch_run(DfBatch *batch, const Datum *own);

#endif /* DF_STORE_COLUMNS_H */
