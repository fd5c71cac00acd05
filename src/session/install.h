/*
 * session/install.h
 *	  What the extension's scripts need: GRANT and REVOKE, and what users have made of our objects.
 */
#ifndef DF_SESSION_INSTALL_H
#define DF_SESSION_INSTALL_H

#include "postgres.h"

#include "nodes/parsenodes.h"
#include "utils/acl.h"

/*
 * privilege NULL = all; what a script grants belongs to the extension, and would be missing in a
 * dump; what `users` have does not
 */
extern void df_change_grant(bool is_grant, ObjectType type, List *objects, const char *privilege,
							Oid role, bool grant_option, bool users);

extern RoleSpec *df_role_spec(Oid role); /* ACL_ID_PUBLIC = PUBLIC */

/* the function's own, or the default */
extern Acl *df_function_acl(Oid function);

/* ObjectAddresses of what depends on an object and is not the extension's */
extern List *df_foreign_dependents(Oid class, Oid object);

#endif /* DF_SESSION_INSTALL_H */
