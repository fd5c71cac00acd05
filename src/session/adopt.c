/*
 * session/adopt.c
 *	  adopt(), renew_link_key(), and what CREATE EXTENSION calls at its end.
 *
 * Runs in a user's backend, in the caller's transaction and role.  Must never start a
 * process or set a latch before the commit.
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"

#include "shared/slots.h"
#include "shared/wake.h"
#include "store/identity.h"
#include "store/rights.h"
#include "store/store.h"

PG_FUNCTION_INFO_V1(dataflows_adopt);
PG_FUNCTION_INFO_V1(dataflows_renew_link_key);
PG_FUNCTION_INFO_V1(dataflows_created);

/* `what` completes "permission denied to ...", `call` "to call ..." */
static void
require_extension_owner(const char *what, const char *call)
{
	if (df_may_own_extension(GetUserId()))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("permission denied to %s", what),
			 errhint("Ask a superuser or the owner of extension \"dataflows\" to call %s.", call)));
}

/* makes this copy of the database the one whose runs move */
Datum
dataflows_adopt(PG_FUNCTION_ARGS)
{
	List *owners = NIL;
	ListCell *cell;
	int64 n;

	require_extension_owner("adopt the runs of this database", "adopt()");
	df_require_writable("adopt the runs of a database");
	n = df_identity_adopt(&owners);
	foreach (cell, owners)
		df_wake_owner(lfirst_oid(cell));
	PG_RETURN_INT64(n);
}

Datum
dataflows_renew_link_key(PG_FUNCTION_ARGS)
{
	DfStore store;

	require_extension_owner("renew the key of links", "renew_link_key()");
	df_require_writable("renew the key of links");
	df_store_enter(&store);
	df_link_key_renew();
	df_store_leave(&store);
	PG_RETURN_VOID();
}

Datum
dataflows_created(PG_FUNCTION_ARGS)
{
	if (df_shared == NULL && !IsBinaryUpgrade)
		ereport(WARNING,
				(errcode(DF_ERR_NOT_LOADED),
				 errmsg("extension \"dataflows\" is created, but its engine is not loaded: no run "
						"will move"),
				 errhint("Add \"dataflows\" to shared_preload_libraries and restart the server.")));
	df_wake_launcher();
	PG_RETURN_VOID();
}
