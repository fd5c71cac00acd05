/*
 * session/author.h
 *	  Rights on the extension's functions and schema.
 */
#ifndef DF_AUTHOR_H
#define DF_AUTHOR_H

#include "nodes/pg_list.h"

/* start_on_insert() and signal_on_change(), as GRANT names them */
extern List *df_trigger_functions(void);

/*
 * who but its owner may create objects in a schema: a list of oids, ACL_ID_PUBLIC among them
 * perhaps
 */
extern List *df_schema_creators(Oid schema);

/* quoted as needed, or PUBLIC */
extern char *df_grantee_name(Oid role);

#endif /* DF_AUTHOR_H */
