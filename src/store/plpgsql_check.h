/*
 * store/plpgsql_check.h
 *	  What the extension plpgsql_check finds in a function, where it is installed.
 */
#ifndef DF_STORE_PLPGSQL_CHECK_H
#define DF_STORE_PLPGSQL_CHECK_H

#include "nodes/pg_list.h"

/* one finding; texts may be NULL */
typedef struct DfFinding
{
	int line; /* 0 = of no line */
	char *sqlstate;
	char *statement; /* the kind of statement there */
	char *message;
	char *detail;
	char *hint;
} DfFinding;

/*
 * The schema of the extension; NULL = this database has it not.  A schema or a function that
 * is only called so is not it.
 */
extern char *df_plpgsql_check_schema(void);

/*
 * Its findings in a PL/pgSQL function: a list of DfFinding.  As the present role, with the
 * session's search_path; in a subtransaction.  NIL also if the checker raises an error.
 */
extern List *df_plpgsql_check(const char *schema, Oid function);

#endif /* DF_STORE_PLPGSQL_CHECK_H */
