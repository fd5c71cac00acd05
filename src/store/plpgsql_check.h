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

extern bool df_plpgsql_check_is_there(void);

/*
 * The schema of its function; NULL = the extension has none that is known here.  A schema or a
 * function that is only called so is not it.
 */
extern char *df_plpgsql_check_schema(void);

/*
 * Its findings in a PL/pgSQL function: a list of DfFinding, without those about style.  As the
 * present role, with the session's search_path; in a subtransaction.  If the checker raises an
 * error it is NIL, and *why its message; else *why is NULL.
 */
extern List *df_plpgsql_check(const char *schema, Oid function, char **why);

#endif /* DF_STORE_PLPGSQL_CHECK_H */
