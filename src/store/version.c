/*
 * store/version.c
 *	  Which version of the schema is installed, and whether this library fits it.
 *
 * Runs in every process, in the caller's transaction.  New files of the extension
 * are used from the next start of the server on; the schema of a database keeps the
 * old version until ALTER EXTENSION is run there.  In between the engine's
 * processes leave that database alone; calls of sessions are tried, and an error
 * that the old schema causes says what to do.  It reads a catalog and must never
 * raise for what it finds there.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/indexing.h"
#include "catalog/pg_extension.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"

#include "compat.h"
#include "store/version.h"

/* the extension's version in this database, NULL if it is not installed */
static char *
schema_version(void)
{
	Relation relation = table_open(ExtensionRelationId, AccessShareLock);
	ScanKeyData key[1];
	SysScanDesc scan;
	HeapTuple tuple;
	char *version = NULL;

	ScanKeyInit(&key[0], Anum_pg_extension_extname, BTEqualStrategyNumber, F_NAMEEQ,
				CStringGetDatum("dataflows"));
	scan = systable_beginscan(relation, ExtensionNameIndexId, true, NULL, 1, key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
	{
		bool isnull;
		Datum datum =
			heap_getattr(tuple, Anum_pg_extension_extversion, RelationGetDescr(relation), &isnull);

		version = isnull ? NULL : TextDatumGetCString(datum);
	}
	systable_endscan(scan);
	table_close(relation, AccessShareLock);
	return version;
}

/* once per transaction: it is asked before each statement */
bool
df_schema_fits(void)
{
	static LocalTransactionId asked = InvalidLocalTransactionId;
	LocalTransactionId now = df_compat_lxid();
	char *version;
	bool fits;

	if (asked == now)
		return true;
	version = schema_version();
	fits = version != NULL && strcmp(version, DF_VERSION) == 0;
	if (version != NULL)
		pfree(version);
	if (fits)
		asked = now;
	return fits;
}

const char *
df_schema_problem(void)
{
	char *version;

	if (df_schema_fits())
		return NULL;
	version = schema_version();
	if (version == NULL)
		return "the extension is not installed";
	return psprintf("the schema is of version %s, the library of %s", version, DF_VERSION);
}

/* negative if `version` is before `other`, number by number */
static long
compare_versions(const char *version, const char *other)
{
	while (*version != '\0' || *other != '\0')
	{
		char *rest;
		char *other_rest;
		long difference = strtol(version, &rest, 10) - strtol(other, &other_rest, 10);

		if (difference != 0)
			return difference;
		version = *rest == '\0' ? rest : rest + 1;
		other = *other_rest == '\0' ? other_rest : other_rest + 1;
	}
	return 0;
}

const char *
df_schema_remedy(void)
{
	char *version = schema_version();

	if (version == NULL)
		return "Run CREATE EXTENSION dataflows in this database.";
	if (compare_versions(version, DF_VERSION) > 0)
		return psprintf("Install the files of version %s and restart the server.", version);
	return "Run ALTER EXTENSION dataflows UPDATE in this database.";
}

void
df_schema_explain(void *arg)
{
	if (ERRCODE_TO_CATEGORY(geterrcode()) != ERRCODE_SYNTAX_ERROR_OR_ACCESS_RULE_VIOLATION ||
		geterrcode() == ERRCODE_INSUFFICIENT_PRIVILEGE)
		return;
	errhint("The library of \"dataflows\" is of version %s, the schema in this database is not. "
			"Run ALTER EXTENSION dataflows UPDATE.",
			DF_VERSION);
}
