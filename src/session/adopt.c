/*
 * session/adopt.c
 *	  adopt(), and what CREATE EXTENSION calls at its end.
 *
 * Runs in a user's backend, in his transaction and role.  It must never start
 * a process or set a latch before the commit.
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "utils/acl.h"

#include "shared/slots.h"
#include "shared/wake.h"
#include "store/identity.h"
#include "store/store.h"

PG_FUNCTION_INFO_V1(dataflows_adopt);
PG_FUNCTION_INFO_V1(dataflows_created);

/* this copy of the database is the one whose runs are to move from now on */
Datum
dataflows_adopt(PG_FUNCTION_ARGS)
{
	List	   *owners = NIL;
	ListCell   *cell;
	int64		n;

	if (!has_privs_of_role(GetUserId(), df_extension_owner()))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to adopt the runs of this database"),
				 errhint("Ask a superuser or the owner of extension \"dataflows\" to call adopt().")));

	n = df_identity_adopt(&owners);
	foreach(cell, owners)
		df_wake_owner(lfirst_oid(cell));
	PG_RETURN_INT64(n);
}

Datum
dataflows_created(PG_FUNCTION_ARGS)
{
	if (df_shared == NULL && !IsBinaryUpgrade)
		ereport(WARNING,
				(errcode(DF_ERR_NOT_LOADED),
				 errmsg("extension \"dataflows\" is created, but its engine is not loaded: no run will move"),
				 errhint("Add \"dataflows\" to shared_preload_libraries and restart the server.")));
	df_wake_launcher();
	PG_RETURN_VOID();
}
