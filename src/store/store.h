/*
 * store/store.h
 *	  The only SQL of the project: how a statement is run.
 *
 * Every use is
 *		DfStore store;
 *		df_store_enter(&store);
 *		... statements ...
 *		df_store_leave(&store);
 * in a transaction.  In between the user id is the extension's owner, the
 * search_path is pg_catalog and SPI is connected; results live in SPI's memory
 * and must be copied (in store.result_context, or with df_copy_*) before
 * leaving.  An ERROR in between needs no leave: the abort of the
 * (sub)transaction undoes the user id, the settings and SPI.
 * No user's expression, cast or output function may be evaluated in between:
 * parameters are finished values of built-in types.
 *
 * A statement names our tables and functions with their schema and everything
 * else without one (a = b, count(*)).  The search_path is pg_catalog, pg_temp:
 * operators and functions are never looked for in pg_temp, relations and types
 * are found in pg_catalog first, and only superusers create in pg_catalog.  So
 * there is nothing that OPERATOR(pg_catalog.=) could keep away.
 */
#ifndef DF_STORE_H
#define DF_STORE_H

#include "datatype/timestamp.h"
#include "nodes/pg_list.h"
#include "shared/as_role.h"
#include "store/plan.h"
#include "utils/jsonb.h"
#include "utils/uuid.h"

typedef struct DfStore
{
	DfAsRole before;
	int gucs; /* nest level */
	bool was_reading; /* of the store that this one is in */
	MemoryContext result_context; /* the caller's */
	ErrorContextCallback explain; /* pushed if the library does not fit the schema */
} DfStore;

extern void df_store_enter(DfStore *store);

/*
 * the same as another role: for statements that read our views and call our functions, by its
 * rights
 */
extern void df_store_enter_as(DfStore *store, Oid role);

/*
 * the same, in which df_plan_run() only reads: all statements see what the running query sees, at
 * one moment, and one that writes or locks raises an error
 */
extern void df_store_enter_reading(DfStore *store);
extern void df_store_leave(DfStore *store);

/* what df_plan_run() does when it is first called */
extern void df_plan_prepare(DfPlan *plan);

/* runs it and returns the number of rows; nulls may be NULL (' ' and 'n' as in SPI) */
extern uint64 df_plan_run(DfPlan *plan, Datum *values, const char *nulls, long limit);

/* runs a SELECT without parameters: a list, in cxt, of the oids in its only column */
extern List *df_plan_oids(DfPlan *plan, MemoryContext cxt);

/* df_plan_run() of a SELECT, with what is committed this moment, at any isolation level */
extern uint64 df_plan_run_latest(DfPlan *plan, Datum *values, const char *nulls, long limit);

/* the same with the snapshot of the query that called a STABLE function; in parallel workers too */
extern uint64 df_plan_run_of_query(DfPlan *plan, Datum *values, const char *nulls, long limit);

/* values of the last result, row/column from 0; text and jsonb are copied to `cxt` */
extern bool df_is_null(uint64 row, int column);
extern Datum df_value(uint64 row, int column); /* by value, or pointing into SPI memory */
extern char *df_copy_text(MemoryContext cxt, uint64 row, int column); /* NULL if null */
extern Jsonb *df_copy_jsonb(MemoryContext cxt, uint64 row, int column);
extern pg_uuid_t df_copy_uuid(uint64 row, int column);
extern int64 df_int64(uint64 row, int column, int64 if_null);
extern int32 df_int32(uint64 row, int column, int32 if_null);
extern bool df_bool(uint64 row, int column, bool if_null);
extern TimestampTz df_time(uint64 row, int column); /* DF_NEVER if null */

/* a list, in cxt, of the texts in a column of the last result; NULL if null */
extern List *df_copy_texts(MemoryContext cxt, uint64 n, int column);

/* lappend() to a list that is in cxt: in the store the current context is SPI's */
extern List *df_append(MemoryContext cxt, List *list, void *item);

/* arrays as parameters, for statements over many rows; nulls may be NULL */
extern Datum df_array(Oid element_type, Datum *values, bool *nulls, int n);
extern Datum df_text_array(List *strings);

/* the owner of its tables; InvalidOid if this database has no extension */
extern Oid df_extension_owner(void);
extern bool df_extension_exists(void);

/* whether the engine may use it: it is there, in the version that this library was made for */
extern bool df_extension_usable(void);

#endif /* DF_STORE_H */
