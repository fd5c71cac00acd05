/*
 * store/find_runs.h
 *	  Which runs there are: the newest ones, and the one with a key.
 */
#ifndef DF_STORE_FIND_RUNS_H
#define DF_STORE_FIND_RUNS_H

#include "datatype/timestamp.h"
#include "nodes/pg_list.h"
#include "store/rights.h"
#include "types/states.h"
#include "utils/uuid.h"

/* what is wanted of list_runs() */
typedef struct DfRunFilter
{
	const char *workflow; /* NULL = all */
	const char *in_state; /* NULL = all */
	const pg_uuid_t *before; /* NULL = from the newest on */
	int max;
} DfRunFilter;

/*
 * The ids of the newest runs that the role sees, newest first: an array in the present memory
 * context.  As the running query sees the tables; enters the store by itself.
 */
extern pg_uuid_t *df_newest_runs(Oid role, const DfRunFilter *filter, int *n);

/* the run that holds the key, by itself or as an alias, else the newest that had it */
extern bool df_find_by_key(const char *workflow, const char *key, pg_uuid_t *run, DfSeenRun *seen,
						   MemoryContext cxt);

#endif /* DF_STORE_FIND_RUNS_H */
