/*
 * store/identity.h
 *	  Which database this is, so that a copy of it does not send again.
 */
#ifndef DF_IDENTITY_H
#define DF_IDENTITY_H

#include "df_types.h"
#include "nodes/pg_list.h"

/* "<dataflows.identity or the system identifier>/<oid of the database>", palloc'd */
extern char *df_identity_text(void);

/* its fingerprint, as runs carry it */
extern int64 df_identity_hash(void);

/*
 * adopt(): makes the present identity the installation's, and the runs that
 * have not ended those of the present identity.  Returns how many; the owners
 * of workflows, who are to be woken, are put into *owners (a List of Oid).
 */
extern int64 df_identity_adopt(List **owners);

#endif							/* DF_IDENTITY_H */
