/*
 * store/identity.h
 *	  Which database this is, so that a copy of it does not send again.
 *
 * The identity is a random number that CREATE EXTENSION makes and no dump
 * carries, with the database's oid: a copy by SQL has another one.  A copy of
 * the files has the same; the token (dataflows.identity) or, where there is
 * none, the system identifier of the cluster tells it.
 */
#ifndef DF_STORE_IDENTITY_H
#define DF_STORE_IDENTITY_H

#include "datatype/timestamp.h"
#include "nodes/pg_list.h"

/* the present one: "<random>/<oid of the database>", palloc'd */
extern char *df_identity_text(void);

/* its fingerprint, as runs carry it */
extern int64 df_identity_hash(void);

/* what the row of dataflows.installation says, and what follows */
typedef struct DfInstallation
{
	bool defined; /* there is a workflow, or there was one */
	bool ours; /* it is of this database: runs move */
	const char *why_held; /* if it is not: in which way it is another's */
	bool new_token; /* it is ours, and dataflows.identity was set since the server started */
	bool paused;
	char *identity; /* NULL if there is no row */
	char *token; /* may be NULL, and so may the next */
	char *system;
} DfInstallation;

/* inside the store */
extern void df_installation_read(MemoryContext cxt, DfInstallation *installation);

/* inside the store: the row, if there is none yet */
extern void df_installation_insert(void);

/*
 * inside the store: the token that was set under the running engine is the installation's from
 * now on
 */
extern void df_installation_take_token(void);

/* whether this database is the one that its rows say; enters the store by itself */
extern bool df_identity_is_ours(void);

/*
 * Whether the role that a row names by oid and name is there.  The oid rules, as
 * a role may be renamed; in a copy that nobody has adopted oids may be another
 * cluster's, and the name must be the same, too.
 */
extern bool df_role_is_there(Oid role, const char *name);

/* inside the store: brings the names of renamed roles up to date; false: there is no more to do */
extern bool df_update_owner_names(TimestampTz now);

/*
 * adopt(): makes the present identity the installation's, and the runs that
 * have not ended those of the present identity.  Returns how many it took over; the
 * owners of workflows, who are to be woken, are put into *owners (a List of Oid).
 */
extern int64 df_identity_adopt(List **owners);

/* what the links of event_url() are signed with, in cxt; NULL if it is missing; inside the store */
extern bytea *df_link_key(MemoryContext cxt);

/* another one: links that were made before are not valid any more; inside the store */
extern void df_link_key_renew(void);

#endif /* DF_STORE_IDENTITY_H */
