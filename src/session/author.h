/*
 * session/author.h
 *	  Rights on the extension's functions and schema.
 */
#ifndef DF_AUTHOR_H
#define DF_AUTHOR_H

#include "nodes/pg_list.h"

/* the two trigger functions, as GRANT names them */
extern List *df_trigger_functions(void);

/*
 * The roles beside its owner that may create objects in a schema, as a list of oids; may
 * contain ACL_ID_PUBLIC.
 */
extern List *df_schema_creators(Oid schema);

/* quoted as needed, or PUBLIC */
extern char *df_grantee_name(Oid role);

#endif /* DF_AUTHOR_H */
