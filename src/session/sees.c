/*
 * session/sees.c
 *	  Who sees which run, for the views.
 *
 * Runs in a user's backend or a parallel worker, in the caller's transaction and role, once
 * per row that a view reads.  Keeps the result of the previous row while the query runs, so
 * that a hundred thousand rows of one workflow need one look-up.  Reads catalogs, the rights
 * in a workflow and, for an owner that was renamed, the row that tells whether this database
 * is held.  Must never raise an error because a role was dropped.
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "store/rights.h"
#include "store/sight.h"
#include "types/base.h"
#include "utils/builtins.h"

#include "compat.h"

PG_FUNCTION_INFO_V1(dataflows_sees);
PG_FUNCTION_INFO_V1(dataflows_sees_run);

typedef struct SightCache
{
	bool valid;
	Oid caller;
	DfSight everywhere;
	Oid owner;
	char owner_name[NAMEDATALEN];
	bool is_owner;
	char started_by[NAMEDATALEN];
	bool is_starter;
	Datum texts[DF_SEES_ALL + 1];
} SightCache;

static SightCache *
sight_cache(FmgrInfo *flinfo)
{
	SightCache *cache = flinfo->fn_extra;
	MemoryContext old;

	if (cache == NULL)
	{
		cache = flinfo->fn_extra = MemoryContextAllocZero(flinfo->fn_mcxt, sizeof(SightCache));
		old = MemoryContextSwitchTo(flinfo->fn_mcxt);
		cache->texts[DF_SEES_META] = CStringGetTextDatum("meta");
		cache->texts[DF_SEES_ALL] = CStringGetTextDatum("all");
		MemoryContextSwitchTo(old);
	}
	if (!cache->valid || cache->caller != GetUserId())
	{
		cache->valid = true;
		cache->caller = GetUserId();
		cache->owner = InvalidOid;
		cache->owner_name[0] = cache->started_by[0] = '\0';
		cache->is_owner = cache->is_starter = false;
		cache->everywhere = df_sight_of_all(cache->caller);
	}
	return cache;
}

/* true if the name is that of the previous row; else keeps it */
static bool
same_name(char *kept, const text *name)
{
	size_t len = VARSIZE_ANY_EXHDR(name);

	if (len < NAMEDATALEN && kept[len] == '\0' && memcmp(kept, VARDATA_ANY(name), len) == 0 &&
		len > 0)
		return true;
	text_to_cstring_buffer(name, kept, NAMEDATALEN);
	return false;
}

static void
judge_owner(SightCache *cache, Oid owner, const text *name)
{
	if (same_name(cache->owner_name, name) && cache->owner == owner)
		return;
	cache->owner = owner;
	cache->is_owner = df_is_owner(cache->caller, owner, cache->owner_name);
}

static void
judge_starter(SightCache *cache, const text *name)
{
	if (same_name(cache->started_by, name))
		return;
	cache->is_starter = df_is_starter(cache->caller, cache->started_by);
}

static Datum
answer(FunctionCallInfo fcinfo, const SightCache *cache, DfSight sight)
{
	if (sight == DF_SEES_NOTHING)
		PG_RETURN_NULL();
	PG_RETURN_DATUM(cache->texts[sight]);
}

/*
 * _sees(owner oid, owner_name text, started_by text): 'all', 'meta' or NULL; of what belongs
 * to a role, such as a webhook
 */
Datum
dataflows_sees(PG_FUNCTION_ARGS)
{
	SightCache *cache = sight_cache(fcinfo->flinfo);
	DfSight sight = cache->everywhere;

	if (sight != DF_SEES_ALL && !PG_ARGISNULL(0) && !PG_ARGISNULL(1))
	{
		judge_owner(cache, PG_GETARG_OID(0), PG_GETARG_TEXT_PP(1));
		if (cache->is_owner)
			sight = DF_SEES_ALL;
	}
	if (sight != DF_SEES_ALL && !PG_ARGISNULL(2))
	{
		judge_starter(cache, PG_GETARG_TEXT_PP(2));
		if (cache->is_starter)
			sight = DF_SEES_ALL;
	}
	return answer(fcinfo, cache, sight);
}

/*
 * _sees(workflow text, version int, started_by text): the same of a run, or of what hangs on
 * one; version NULL = the newest
 */
Datum
dataflows_sees_run(PG_FUNCTION_ARGS)
{
	SightCache *cache = sight_cache(fcinfo->flinfo);
	DfSight sight = cache->everywhere;

	if (sight != DF_SEES_ALL && !PG_ARGISNULL(2))
	{
		judge_starter(cache, PG_GETARG_TEXT_PP(2));
		if (cache->is_starter)
			sight = DF_SEES_ALL;
	}
	if (sight != DF_SEES_ALL && !PG_ARGISNULL(0))
	{
		char workflow[DF_MAX_NAME + 1];

		text_to_cstring_buffer(PG_GETARG_TEXT_PP(0), workflow, sizeof(workflow));
		sight = Max(sight,
					df_sight_of_workflow(cache->caller, workflow,
										 PG_ARGISNULL(1) ? 0 : PG_GETARG_INT32(1)));
	}
	return answer(fcinfo, cache, sight);
}
