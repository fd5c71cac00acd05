/*
 * shared/as_role.h
 *	  Acting as another role for a while.
 */
#ifndef DF_AS_ROLE_H
#define DF_AS_ROLE_H

#include "postgres.h"

/* the caller's role, to come back to */
typedef struct DfAsRole
{
	Oid user;
	int security;
} DfAsRole;

/*
 * From here to df_as_role_end() this process acts as `role`.  Set `restricted`
 * where code of users runs: then it cannot change what outlives it (temporary
 * objects, cursors, settings of the session).  An error needs no end: aborting
 * the transaction or subtransaction restores the role.
 */
extern void df_as_role_begin(DfAsRole *before, Oid role, bool restricted);
extern void df_as_role_end(const DfAsRole *before);

/*
 * The role whose runs are moved here, inside the store too: in a process of ours that of the
 * session, while simulate() runs the owner of the workflow; InvalidOid: that of the session.
 */
extern Oid df_engine_role(void);
extern void df_engine_acts_for(Oid role);

#endif /* DF_AS_ROLE_H */
