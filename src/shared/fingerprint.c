/*
 * shared/fingerprint.c
 *	  Fingerprint of a function: whether it is still what it was.
 *
 * Runs in sessions, which define workflows and accept what has changed, and in workers,
 * before they enter a body; in the caller's transaction and role.  Reads catalogs only.
 * Never use an oid in it: a restored dump has others.
 *
 * What a body does is also in the functions that it calls.  Which those are cannot be
 * known without running it, so each identifier in the source that is the name of a function
 * counts, wherever it stands.  That may be one too many, hardly one too few.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "compat.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "nodes/pg_list.h"
#include "parser/scansup.h"
#include "shared/fingerprint.h"
#include "shared/function_watch.h"
#include "utils/builtins.h"
#include "utils/catcache.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

/* more functions than a workflow has */
#define MAX_FUNCTIONS 1000

typedef struct Walk
{
	List *seen; /* oids of the functions that are in it */
	uint64 sum; /* the order in which they are named does not matter */
} Walk;

/* ---- one function --------------------------------------------------------- */

static char *
text_attribute(HeapTuple tuple, AttrNumber attribute)
{
	bool isnull;
	Datum datum = SysCacheGetAttr(PROCOID, tuple, attribute, &isnull);

	return isnull ? pstrdup("") : TextDatumGetCString(datum);
}

/* what it says, in whatever form the catalog has it */
static char *
source_of(HeapTuple tuple)
{
	Oid function = ((Form_pg_proc) GETSTRUCT(tuple))->oid;
	bool no_body;

	(void) SysCacheGetAttr(PROCOID, tuple, Anum_pg_proc_prosqlbody, &no_body);
	if (no_body)
		return text_attribute(tuple, Anum_pg_proc_prosrc);
	/* as text, since its tree has oids */
	return TextDatumGetCString(
		DirectFunctionCall1(pg_get_function_sqlbody, ObjectIdGetDatum(function)));
}

static char *
settings_of(HeapTuple tuple)
{
	bool isnull;
	Datum datum = SysCacheGetAttr(PROCOID, tuple, Anum_pg_proc_proconfig, &isnull);

	return isnull ? pstrdup("") : OidOutputFunctionCall(F_ARRAY_OUT, datum);
}

/* all that decides what a call of it does */
static char *
definition_of(HeapTuple tuple, const char *source)
{
	Form_pg_proc proc = (Form_pg_proc) GETSTRUCT(tuple);
	Datum arguments =
		DirectFunctionCall1(pg_get_function_arguments, ObjectIdGetDatum(proc->oid));

	return psprintf("%s\n%s\n%s\n%s\n%d%d%c\n%s", get_language_name(proc->prolang, true),
					TextDatumGetCString(arguments),
					text_attribute(tuple, Anum_pg_proc_probin), settings_of(tuple),
					proc->prosecdef, proc->proisstrict, proc->provolatile, source);
}

static uint64
hash_text(const char *text)
{
	return hash_bytes_extended((const unsigned char *) text, strlen(text), 0);
}

/* ---- the functions that it names ------------------------------------------ */

static void visit(Walk *walk, Oid function);

static bool
is_users(const Form_pg_proc proc)
{
	return (proc->prokind == PROKIND_FUNCTION || proc->prokind == PROKIND_PROCEDURE) &&
		proc->pronamespace != PG_CATALOG_NAMESPACE && !isAnyTempNamespace(proc->pronamespace) &&
		proc->pronamespace != get_namespace_oid("information_schema", true) &&
		proc->pronamespace != get_namespace_oid("dataflows", true);
}

/* in any schema: which one a search_path finds is not decided here */
static void
visit_named(Walk *walk, const char *name)
{
	CatCList *list = SearchSysCacheList1(PROCNAMEARGSNSP, CStringGetDatum(name));
	List *functions = NIL;
	ListCell *lc;

	for (int i = 0; i < list->n_members; i++)
	{
		Form_pg_proc proc = (Form_pg_proc) GETSTRUCT(&list->members[i]->tuple);

		if (is_users(proc))
			functions = lappend_oid(functions, proc->oid);
	}
	ReleaseSysCacheList(list);
	foreach (lc, functions)
		visit(walk, lfirst_oid(lc));
}

static bool
begins_identifier(char c)
{
	return c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || IS_HIGHBIT_SET(c);
}

static bool
is_in_identifier(char c)
{
	return begins_identifier(c) || c == '$' || (c >= '0' && c <= '9');
}

/* the identifiers of a text in whatever language, in quotes and comments as well */
static void
visit_all_named(Walk *walk, const char *source)
{
	const char *p = source;

	while (*p != '\0')
	{
		const char *begin = p;

		CHECK_FOR_INTERRUPTS();
		if (*p == '"' && (p = strchr(begin + 1, '"')) != NULL)
		{
			/* also if these quotes are those of a string: its words come next */
			if (p - begin > 1 && p - begin <= NAMEDATALEN)
				visit_named(walk, pnstrdup(begin + 1, p - begin - 1));
			p = begin + 1;
			continue;
		}
		p = begin;
		while (is_in_identifier(*p))
			p++;
		if (p > begin && p - begin < NAMEDATALEN && begins_identifier(*begin))
			visit_named(walk, downcase_identifier(begin, p - begin, false, false));
		if (p == begin)
			p++;
	}
}

static void
visit(Walk *walk, Oid function)
{
	HeapTuple tuple;
	Form_pg_proc proc;
	char *source;
	char *definition;
	bool first = walk->seen == NIL;

	check_stack_depth();
	if (list_member_oid(walk->seen, function) || list_length(walk->seen) >= MAX_FUNCTIONS)
		return;
	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	if (!HeapTupleIsValid(tuple))
		return;
	walk->seen = lappend_oid(walk->seen, function);
	proc = (Form_pg_proc) GETSTRUCT(tuple);
	source = source_of(tuple);
	definition = definition_of(tuple, source);
	/* the first one is the same under any name */
	if (!first)
		definition = psprintf("%s.%s\n%s", get_namespace_name(proc->pronamespace),
							  NameStr(proc->proname), definition);
	ReleaseSysCache(tuple);
	walk->sum += hash_text(definition);
	visit_all_named(walk, source);
}

/* ---- what is known -------------------------------------------------------- */

/* to make one takes longer than to enter a small body */
typedef struct Known
{
	Oid function;
	int64 fingerprint;
} Known;

static Known known[64];

static Known *
place_of(Oid function)
{
	static uint64 known_number = 0;
	uint64 number = df_functions_number();

	if (number != known_number)
		memset(known, 0, sizeof(known));
	known_number = number;
	return &known[function % lengthof(known)];
}

/*
 * What changes the text of a body in BEGIN ATOMIC: names are written with their schemas, and
 * constants in one form, whatever the session has set.
 */
static const struct
{
	const char *name;
	const char *value;
} text_settings[] = {
	{"search_path", "pg_catalog, pg_temp"},
	{"quote_all_identifiers", "off"},
	{"DateStyle", "ISO, YMD"},
	{"IntervalStyle", "postgres"},
	{"TimeZone", "UTC"},
	{"extra_float_digits", "1"},
	{"bytea_output", "hex"},
};

static int64
make_fingerprint(Oid function)
{
	Walk walk = {NIL, 0};
	int gucs = NewGUCNestLevel();
	MemoryContext cxt = AllocSetContextCreate(CurrentMemoryContext, "dataflows fingerprint",
											  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(cxt);

	for (int i = 0; i < lengthof(text_settings); i++)
		(void) set_config_option(text_settings[i].name, text_settings[i].value, PGC_USERSET,
								 PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	visit(&walk, function);
	AtEOXact_GUC(false, gucs);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(cxt);
	return walk.sum == 0 ? 1 : (int64) walk.sum;
}

int64
df_fingerprint(Oid function)
{
	Known *place = place_of(function);
	int64 fingerprint;

	if (place->function == function)
		return place->fingerprint;
	fingerprint = make_fingerprint(function);
	place->function = function;
	place->fingerprint = fingerprint;
	return fingerprint;
}

char *
df_function_source(Oid function)
{
	HeapTuple tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	char *source;

	if (!HeapTupleIsValid(tuple))
		return pstrdup("");
	source = source_of(tuple);
	ReleaseSysCache(tuple);
	return source;
}

int64
df_fingerprint_0_1(Oid function)
{
	HeapTuple tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	int64 hash;

	if (!HeapTupleIsValid(tuple))
		return 0;
	hash = (int64) hash_text(text_attribute(tuple, Anum_pg_proc_prosrc));
	ReleaseSysCache(tuple);
	return hash;
}
