/*
 * store/plan.h
 *	  One statement: its text, its parameters, and what is kept of it.
 */
#ifndef DF_STORE_PLAN_H
#define DF_STORE_PLAN_H

#include "executor/spi.h"

#define DF_MAX_ARGS 64

struct DfColumn;
struct DfTable;

/* one statement: constant text, prepared once per process, result code checked */
typedef struct DfPlan
{
	const char *sql;
	int expect; /* SPI_OK_... */
	int nargs; /* parameters of its own */
	Oid types[DF_MAX_ARGS];
	/* store/column_map.h: the text has marks for these columns; NULL = it has none */
	const struct DfTable *table;
	int in; /* those columns of the table that have one of these bits */

	/* set when it is first used */
	bool expanded; /* its marks are replaced */
	int nparams; /* with those of its columns */
	const struct DfColumn **columns;
	int ncolumns;
	SPIPlanPtr plan; /* NULL until then */
} DfPlan;

/*
 * The rest of a plan behind its text and SPI_OK_...: the types of its parameters
 * (DF_NO_PARAMS if it has none), the columns that its marks are about.
 */
#define DF_PARAMS(...) \
	lengthof(((const Oid[]){__VA_ARGS__})), \
	{ \
		__VA_ARGS__ \
	}
#define DF_NO_PARAMS \
	0, \
	{ \
		InvalidOid \
	}
#define DF_COLUMNS(table, in) &(table), in

#endif /* DF_STORE_PLAN_H */
