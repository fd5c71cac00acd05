/*
 * worker/database_check.c
 *	  Checks whether a database has the extension, and who owns it.
 *
 * Runs as a short-lived background worker, shown as "probe" in status(), one at a
 * time in the cluster; in a superuser's session of the database and one transaction
 * that reads catalogs only.  It leaves the owner in its slot, where the launcher
 * reads it.  Never call anything that a user can replace: a schema that is merely
 * named dataflows is not the extension.
 */
#include "postgres.h"

#include "shared/slots.h"
#include "store/store.h"
#include "store/xact.h"
#include "types/base.h"
#include "worker/launcher.h"
#include "worker/process.h"

void
dataflows_database_check_main(Datum arg)
{
	DfSlot *slot = df_process_begin(arg);
	Oid owner;

	df_xact_begin();
	owner = df_extension_owner();
	df_xact_commit();

	LWLockAcquire(df_shared->lock, LW_EXCLUSIVE);
	slot->owner = owner;
	slot->woken = false;
	LWLockRelease(df_shared->lock);
	(void) df_slot_retire(slot, DF_NEVER);
}
