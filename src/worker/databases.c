/*
 * worker/databases.c
 *	  The launcher's list of databases, and which of them is checked next.
 *
 * Runs in the launcher; reads pg_database in short transactions, and takes slots for
 * checks under df_shared->lock.  Never connect to a database here: a check does.
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "catalog/pg_database.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "shared/clock.h"
#include "store/xact.h"
#include "types/base.h"
#include "worker/launcher.h"
#include "worker/process.h"

/* when all slots are in use, try again after this time */
#define NO_SLOT_MS 5000

/* databases to check that have no slot yet: Oids, in df_process_cxt */
static List *unchecked = NIL;

/* ---- which databases there are -------------------------------------------- */

static bool
may_connect(Form_pg_database database)
{
	return database->datallowconn && database->datconnlimit > -2; /* -2 = being dropped */
}

/* may it have the extension in use? */
static bool
is_checkable(Form_pg_database database)
{
	return may_connect(database) && !database->datistemplate;
}

/* in a transaction: can a process of that kind connect? */
bool
df_database_admits(DfSlotKind kind, Oid database)
{
	HeapTuple tuple = SearchSysCache1(DATABASEOID, ObjectIdGetDatum(database));
	bool admits;

	if (!HeapTupleIsValid(tuple))
		return false;
	admits = kind == DF_SLOT_CHECK ? is_checkable((Form_pg_database) GETSTRUCT(tuple))
								   : may_connect((Form_pg_database) GETSTRUCT(tuple));
	ReleaseSysCache(tuple);
	return admits;
}

/* puts all databases on the list; those with a coordinator are skipped later */
static void
scan_databases(void)
{
	Relation relation;
	TableScanDesc scan;
	HeapTuple tuple;

	df_xact_begin();
	relation = table_open(DatabaseRelationId, AccessShareLock);
	scan = table_beginscan_catalog(relation, 0, NULL);
	while ((tuple = heap_getnext(scan, ForwardScanDirection)) != NULL)
	{
		Form_pg_database database = (Form_pg_database) GETSTRUCT(tuple);
		MemoryContext old;

		if (!is_checkable(database))
			continue;
		old = MemoryContextSwitchTo(df_process_cxt);
		unchecked = list_append_unique_oid(unchecked, database->oid);
		MemoryContextSwitchTo(old);
	}
	table_endscan(scan);
	table_close(relation, AccessShareLock);
	df_xact_commit();
}

void
df_scan_databases(void)
{
	bool asked;

	LWLockAcquire(df_shared->lock, LW_EXCLUSIVE);
	asked = df_shared->rescan;
	df_shared->rescan = false;
	LWLockRelease(df_shared->lock);
	if (asked)
		scan_databases();
}

/* ---- databases to check: under the lock ------------------------------------ */

bool
df_has_slot(DfSlotKind kind, Oid database, bool gone_only)
{
	for (int i = 0; i < df_shared->nslots; i++)
	{
		DfSlot *slot = &df_shared->slots[i];

		if (slot->kind == kind && slot->database == database &&
			(!gone_only || slot->state == DF_PROC_GONE))
			return true;
	}
	return false;
}

/* a slot whose database waits for a check; NULL = none */
static DfSlot *
slot_to_check(TimestampTz now)
{
	for (int i = 0; i < df_shared->nslots; i++)
	{
		DfSlot *slot = &df_shared->slots[i];

		if (slot->kind == DF_SLOT_COORDINATOR && slot->state == DF_PROC_WANTED &&
			!OidIsValid(slot->owner) && slot->pid == 0 && slot->not_before <= now &&
			!df_database_held(slot->database))
			return slot;
	}
	return NULL;
}

/* the next database on the list; InvalidOid = none, or it is held */
static Oid
next_unchecked(void)
{
	while (unchecked != NIL)
	{
		Oid database = linitial_oid(unchecked);

		if (df_database_held(database))
			break;
		if (!df_has_slot(DF_SLOT_COORDINATOR, database, false))
			return database;
		unchecked = list_delete_first(unchecked);
	}
	return InvalidOid;
}

/* a check of a database that is held must not block the others */
static bool
have_check(void)
{
	for (int i = 0; i < df_shared->nslots; i++)
		if (df_shared->slots[i].kind == DF_SLOT_CHECK &&
			!df_database_held(df_shared->slots[i].database))
			return true;
	return false;
}

/*
 * Have one check WANTED at a time, beside those for CREATE EXTENSION.  The slot of a
 * coordinator that ended is used for the check of its database, because there may be
 * no other.  True: no slot is free.
 */
static bool
want_check(void)
{
	Oid database = InvalidOid;
	bool full = false;

	LWLockAcquire(df_shared->lock, LW_EXCLUSIVE);
	if (!have_check())
	{
		DfSlot *slot = slot_to_check(df_now());

		df_shared->check_lacks_slot = false;
		if (slot != NULL)
		{
			slot->kind = DF_SLOT_CHECK;
			slot->generation++;
		}
		else
		{
			database = next_unchecked();
			full = OidIsValid(database) &&
				df_slot_take(DF_SLOT_CHECK, database, InvalidOid) == NULL;
			df_shared->check_lacks_slot = full;
		}
	}
	strlcpy(df_shared->launcher_reason, full ? "out of dataflows.max_processes" : "",
			sizeof(df_shared->launcher_reason));
	LWLockRelease(df_shared->lock);
	if (!full)
		unchecked = list_delete_oid(unchecked, database);
	return full;
}

/* returns when to try again if there is no slot for a check */
TimestampTz
df_check_databases(void)
{
	static bool reported = false;

	if (!want_check())
		return DF_NEVER;
	if (!reported)
		ereport(LOG,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("all %d slots of dataflows are in use", df_shared->nslots),
				 errhint("Increase dataflows.max_processes and restart the server.")));
	reported = true;
	return TimestampTzPlusMilliseconds(df_now(), NO_SLOT_MS);
}
