/*
 * session/author.h
 *	  Rights on the extension's functions and schema.
 */
#ifndef DF_AUTHOR_H
#define DF_AUTHOR_H

#include "nodes/parsenodes.h"

/* the trigger functions, as GRANT names them */
extern List *df_trigger_functions(void);

/* these and define_workflow(): what an author may execute */
extern List *df_author_functions(void);

/* the function that GRANT names so; its name is that of one overload only */
extern Oid df_own_function(ObjectWithArgs *function);

/* until no other session changes who may execute one of them */
extern void df_wait_for_grants(void);

/*
 * The roles beside its owner that may create objects in a schema, as a list of oids; may
 * contain ACL_ID_PUBLIC.
 */
extern List *df_schema_creators(Oid schema);

/* quoted as needed, or PUBLIC */
extern char *df_grantee_name(Oid role);

#endif /* DF_AUTHOR_H */
