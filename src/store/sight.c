/*
 * store/sight.c
 *	  What a role sees of the runs of a workflow, decided once per query.
 *
 * Runs wherever a view is read, in the reader's transaction, in parallel workers too; the role
 * that is judged is an argument.  It reads the definition and the rights with the snapshot of
 * the query, keeps what it found for as long as that snapshot is used, and must never write.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "storage/proc.h"
#include "store/rights.h"
#include "store/sight.h"
#include "store/store.h"
#include "types/base.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "compat.h"

/*
 * A view asks for each row.  The answer depends on the workflow alone, so it is kept, per
 * role, for as long as queries read with the same snapshot: two snapshots of a session with
 * these numbers see the same rows.
 */
typedef struct SightKey
{
	Oid role;
	LocalTransactionId lxid;
	TransactionId xmin;
	TransactionId xmax;
	uint32 xcnt;
	int32 subxcnt;
	CommandId curcid;
} SightKey;

typedef struct SightEntry
{
	char name[DF_MAX_NAME + 1]; /* the key of the hash: name and version, zeros behind */
	int version;
	DfSight sight;
} SightEntry;

#define SIGHT_KEY_SIZE (offsetof(SightEntry, version) + sizeof(int))

static HTAB *
sights_of(Oid role)
{
	static HTAB *sights = NULL;
	static SightKey kept;
	Snapshot snapshot = GetActiveSnapshot();
	SightKey key;
	HASHCTL control;

	memset(&key, 0, sizeof(key));
	key.role = role;
	key.lxid = df_compat_lxid();
	key.xmin = snapshot->xmin;
	key.xmax = snapshot->xmax;
	key.xcnt = snapshot->xcnt;
	key.subxcnt = snapshot->subxcnt;
	key.curcid = snapshot->curcid;
	if (sights != NULL && memcmp(&key, &kept, sizeof(key)) == 0)
		return sights;
	if (sights != NULL)
		hash_destroy(sights);
	sights = NULL;
	memset(&control, 0, sizeof(control));
	control.keysize = SIGHT_KEY_SIZE;
	control.entrysize = sizeof(SightEntry);
	control.hcxt = TopMemoryContext;
	sights = hash_create("dataflows sights", 16, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	kept = key;
	return sights;
}

static bool
find_owner(const char *name, int version, DfWorkflowRow *workflow, MemoryContext cxt)
{
	static DfPlan plan = {
		"SELECT w.owner, w.owner_name"
		" FROM dataflows.workflow AS w"
		" WHERE w.name = $1 AND ($2 = 0 OR w.version = $2)"
		" ORDER BY w.version DESC LIMIT 1",
		SPI_OK_SELECT,
		DF_PARAMS(TEXTOID, INT4OID)};
	Datum values[2] = {CStringGetTextDatum(name), Int32GetDatum(version)};
	DfStore store;
	bool found;

	memset(workflow, 0, sizeof(*workflow));
	df_store_enter(&store);
	found = df_plan_run_of_query(&plan, values, NULL, 1) > 0;
	if (found)
	{
		workflow->owner = DatumGetObjectId(df_value(0, 0));
		workflow->owner_name = df_copy_text(cxt, 0, 1);
		workflow->name = MemoryContextStrdup(cxt, name);
	}
	df_store_leave(&store);
	return found;
}

static DfSight
decide_sight(Oid role, const char *name, int version)
{
	MemoryContext cxt =
		AllocSetContextCreate(CurrentMemoryContext, "dataflows rights", ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(cxt);
	DfSight sight = df_sight_of_all(role);
	DfWorkflowRow workflow;
	DfRights rights;

	if (sight != DF_SEES_ALL && find_owner(name, version, &workflow, cxt))
	{
		MemoryContextSwitchTo(cxt);
		df_rights_read_of_query(role, &workflow, true, &rights);
		if (df_rights_have(&rights, DF_RIGHT_SEE, NULL))
			sight = DF_SEES_ALL;
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(cxt);
	return sight;
}

DfSight
df_sight_of_workflow(Oid role, const char *name, int version)
{
	SightEntry wanted;
	SightEntry *entry;
	DfSight sight;

	memset(&wanted, 0, sizeof(wanted));
	strlcpy(wanted.name, name, sizeof(wanted.name));
	wanted.version = version;
	entry = hash_search(sights_of(role), &wanted, HASH_FIND, NULL);
	if (entry != NULL)
		return entry->sight;
	sight = decide_sight(role, name, version);
	entry = hash_search(sights_of(role), &wanted, HASH_ENTER, NULL);
	entry->sight = sight;
	return sight;
}
