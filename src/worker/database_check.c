/*
 * worker/database_check.c
 *	  Looks whether a database has the extension, and whose it is.
 *
 * Runs as a short-lived background worker, one at a time in the cluster, in a
 * superuser's session of the database, in one transaction that reads catalogs
 * and nothing else.  Its finding stands in its slot; the launcher reads it.  It
 * must never run anything that a user can replace: a schema that is only called
 * dataflows is not the extension.
 */
#include "postgres.h"

#include "catalog/dependency.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_extension.h"
#include "commands/extension.h"
#include "utils/lsyscache.h"

#include "shared/slots.h"
#include "store/store.h"
#include "store/xact.h"
#include "worker/launcher.h"
#include "worker/process.h"

/* the owner, if the tables are really members of the extension; else InvalidOid */
static Oid
find_owner(void)
{
	Oid extension = get_extension_oid("dataflows", true);
	Oid schema = get_namespace_oid("dataflows", true);
	Oid table;

	if (!OidIsValid(extension) || !OidIsValid(schema))
		return InvalidOid;
	table = get_relname_relid("run", schema);
	if (!OidIsValid(table) || getExtensionOfObject(RelationRelationId, table) != extension)
		return InvalidOid;
	return df_extension_owner();
}

void
dataflows_probe_main(Datum arg)
{
	DfSlot *slot = df_process_begin(arg);
	Oid owner;

	df_xact_begin();
	owner = find_owner();
	df_xact_commit();

	LWLockAcquire(df_shared->lock, LW_EXCLUSIVE);
	slot->owner = owner;
	slot->woken = false;
	LWLockRelease(df_shared->lock);
	(void) df_slot_retire(slot, DF_NEVER);
}
