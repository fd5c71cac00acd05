/*
 * fdw/system.c
 *	  Reads systems and credentials from the catalogs, and caches them.
 *
 * Runs in workers, as the owner of the runs they serve, inside a transaction.  Each process
 * has a cache of its own.  Catalog invalidations only mark it stale; the next look-up
 * empties it, and what was in it lives until the transaction ends.  Returns ordinary problems
 * (no such system, no right) as a sentence instead of an error.  Secrets leave this file
 * only in a DfSystem.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/reloptions.h"
#include "catalog/pg_foreign_data_wrapper.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_user_mapping.h"
#include "compat.h"
#include "fdw/options.h"
#include "fdw/system.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "shared/clock.h"
#include "shared/extension.h"
#include "utils/acl.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#define WRAPPER_NAME "dataflows"

typedef struct SystemKey
{
	Oid user;
	bool simulated; /* read without credentials */
	char name[NAMEDATALEN];
} SystemKey;

typedef struct SystemEntry
{
	SystemKey key; /* must be first */
	MemoryContext cxt;
	DfSystem *system;
} SystemEntry;

static HTAB *cache = NULL;
static MemoryContext cache_cxt = NULL;
static bool cache_stale = false;

static void
mark_stale(Datum arg, int cacheid, uint32 hashvalue)
{
	cache_stale = true;
}

static void
create_cache(void)
{
	HASHCTL ctl;

	cache_cxt = AllocSetContextCreate(TopMemoryContext, "dataflows systems", ALLOCSET_SMALL_SIZES);
	memset(&ctl, 0, sizeof(ctl));
	ctl.keysize = sizeof(SystemKey);
	ctl.entrysize = sizeof(SystemEntry);
	ctl.hcxt = cache_cxt;
	cache = hash_create("dataflows systems", 16, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	CacheRegisterSyscacheCallback(FOREIGNSERVEROID, mark_stale, (Datum) 0);
	CacheRegisterSyscacheCallback(USERMAPPINGOID, mark_stale, (Datum) 0);
	CacheRegisterSyscacheCallback(FOREIGNDATAWRAPPEROID, mark_stale, (Datum) 0);
}

/* before the memory of a system goes away */
static void
forget_system(void *arg)
{
	df_options_forget(arg);
}

/*
 * Callers hold what they looked up for as long as their transaction, and look up more
 * meanwhile: so entries go away with it.  An invalidation that arrives while entries are
 * removed counts for the next call.
 */
static void
empty_stale_cache(void)
{
	HASH_SEQ_STATUS scan;
	SystemEntry *entry;

	if (!cache_stale)
		return;
	cache_stale = false;
	hash_seq_init(&scan, cache);
	while ((entry = hash_seq_search(&scan)) != NULL)
	{
		MemoryContextSetParent(entry->cxt, TopTransactionContext);
		hash_search(cache, &entry->key, HASH_REMOVE, NULL);
	}
}

static void
forget_options(List *options)
{
	ListCell *lc;

	foreach (lc, options)
	{
		char *value = strVal(lfirst_node(DefElem, lc)->arg);

		explicit_bzero(value, strlen(value));
	}
}

/*
 * GetUserMapping() raises an error if there is none; here a system without one is public, and
 * *mapping is InvalidOid.
 */
static List *
mapping_options(Oid server, Oid user, Oid *mapping)
{
	HeapTuple tuple =
		SearchSysCache2(USERMAPPINGUSERSERVER, ObjectIdGetDatum(user), ObjectIdGetDatum(server));
	List *options = NIL;
	Datum datum;
	bool isnull;

	if (!HeapTupleIsValid(tuple))
		tuple = SearchSysCache2(USERMAPPINGUSERSERVER, ObjectIdGetDatum(InvalidOid),
								ObjectIdGetDatum(server));
	*mapping = InvalidOid;
	if (!HeapTupleIsValid(tuple))
		return NIL;
	*mapping = ((Form_pg_user_mapping) GETSTRUCT(tuple))->oid;
	datum = SysCacheGetAttr(USERMAPPINGUSERSERVER, tuple, Anum_pg_user_mapping_umoptions, &isnull);
	if (!isnull)
		options = untransformRelOptions(datum);
	ReleaseSysCache(tuple);
	return options;
}

/* whether the wrapper is that of our extension: its name alone proves nothing */
static bool
is_ours(ForeignServer *server, char **why)
{
	ForeignDataWrapper *fdw = GetForeignDataWrapperExtended(server->fdwid, FDW_MISSING_OK);

	if (fdw != NULL && strcmp(fdw->fdwname, WRAPPER_NAME) == 0 &&
		df_extension_has(ForeignDataWrapperRelationId, fdw->fdwid))
		return true;
	*why = psprintf("foreign server \"%s\" is not a system: its wrapper is not "
					"that of the extension dataflows",
					server->servername);
	return false;
}

/* fills *system in the current context, for that role; false, with *problem, if that fails */
static bool
apply_options(DfSystem *system, ForeignServer *server, Oid user, DfOptionProblem *problem)
{
	List *options;
	Oid mapping = InvalidOid;
	bool valid;

	df_options_preset(system);
	system->oid = server->serverid;
	system->name = pstrdup(server->servername);
	valid = df_options_apply(system, ForeignServerRelationId, server->options, problem);
	/* nothing is sent in a simulation: no credentials are read, and so none can be missing */
	if (valid && !df_clock_is_simulated())
	{
		options = mapping_options(server->serverid, user, &mapping);
		valid = df_options_apply(system, UserMappingRelationId, options, problem);
		forget_options(options);
	}
	valid = valid && (df_clock_is_simulated() || df_options_fit(system, problem));
	if (valid)
		df_system_note_where(system, mapping);
	else
		df_options_forget(system);
	return valid;
}

bool
df_system_options_fit(Oid serverid, Oid user, DfOptionProblem *problem)
{
	ForeignServer *server = GetForeignServerExtended(serverid, FSV_MISSING_OK);
	DfSystem system;
	char *why;

	if (server == NULL || !is_ours(server, &why))
		return true;
	if (!apply_options(&system, server, user, problem))
		return false;
	df_options_forget(&system);
	return true;
}

/* false, with *why, if it cannot be used */
static bool
read_system(DfSystem *system, ForeignServer *server, char **why)
{
	DfOptionProblem problem;

	if (!apply_options(system, server, GetUserId(), &problem))
	{
		*why = psprintf("the options of system \"%s\" cannot be used: %s", server->servername,
						problem.message);
		return false;
	}
	return true;
}

/* the cache takes the context over only when nothing can fail any more */
static DfSystem *
load_system(const SystemKey *key, char **why)
{
	Oid serverid = get_foreign_server_oid(key->name, true);
	ForeignServer *server = NULL;
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext cxt;
	SystemEntry *entry;
	MemoryContextCallback *callback;
	DfSystem *system;
	char *problem = NULL;

	if (OidIsValid(serverid))
		server = GetForeignServerExtended(serverid, FSV_MISSING_OK);
	if (server == NULL)
		*why = psprintf("system \"%s\" does not exist", key->name);
	if (server == NULL || !is_ours(server, why))
		return NULL;
	cxt = AllocSetContextCreate(caller, "dataflows system", ALLOCSET_SMALL_SIZES);
	MemoryContextSwitchTo(cxt);
	system = palloc(sizeof(DfSystem));
	callback = palloc0(sizeof(MemoryContextCallback));
	if (!read_system(system, server, &problem))
		system = NULL;
	MemoryContextSwitchTo(caller);
	if (system == NULL)
	{
		*why = pstrdup(problem);
		MemoryContextDelete(cxt);
		return NULL;
	}
	callback->func = forget_system;
	callback->arg = system;
	MemoryContextRegisterResetCallback(cxt, callback);
	entry = hash_search(cache, key, HASH_ENTER, NULL);
	MemoryContextSetParent(cxt, cache_cxt);
	entry->cxt = cxt;
	entry->system = system;
	return system;
}

/* checked at each call, because a GRANT does not empty the cache */
static bool
may_use(const DfSystem *system, char **why)
{
	if (!SearchSysCacheExists1(FOREIGNSERVEROID, ObjectIdGetDatum(system->oid)))
		*why = psprintf("system \"%s\" does not exist", system->name);
	else if (object_aclcheck(ForeignServerRelationId, system->oid, GetUserId(), ACL_USAGE) !=
			 ACLCHECK_OK)
		*why = psprintf("role \"%s\" has no USAGE on system \"%s\"",
						GetUserNameFromId(GetUserId(), true), system->name);
	else
		return true;
	return false;
}

DfSystem *
df_system_get(const char *name, char **why)
{
	SystemEntry *entry;
	SystemKey key;
	DfSystem *system;

	*why = NULL;
	if (cache == NULL)
		create_cache();
	empty_stale_cache();
	if (strlen(name) >= NAMEDATALEN)
	{
		*why = psprintf("system \"%s\" does not exist", name);
		return NULL;
	}
	memset(&key, 0, sizeof(key));
	key.user = GetUserId();
	key.simulated = df_clock_is_simulated();
	strlcpy(key.name, name, sizeof(key.name));
	entry = hash_search(cache, &key, HASH_FIND, NULL);
	system = entry != NULL ? entry->system : load_system(&key, why);
	if (system == NULL || !may_use(system, why))
		return NULL;
	return system;
}
