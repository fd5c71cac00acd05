/*
 * shared/function.c
 *	  Finds the function of a workflow by its stored signature.
 *
 * Runs in sessions, which check rights on it, and in workers, which enter it.  Reads
 * catalogs only.  Never use the search_path: "jsonb" is PostgreSQL's type, even if
 * some schema has another one.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "compat.h"
#include "access/htup_details.h"
#include "nodes/pg_list.h"
#include "shared/function.h"
#include "utils/builtins.h"
#include "utils/regproc.h"
#include "utils/syscache.h"

/* a function with n arguments of type jsonb */
static Oid
oid_with_arguments(const char *signature, int n)
{
	const char *paren = strrchr(signature, '(');
	Oid arguments[2] = {JSONBOID, JSONBOID};
	List *names;
	Oid schema;

	if (paren == NULL)
		return InvalidOid;
	names = stringToQualifiedNameList(pnstrdup(signature, paren - signature), NULL);
	if (list_length(names) != 2)
		return InvalidOid;
	schema = get_namespace_oid(strVal(linitial(names)), true);
	if (!OidIsValid(schema))
		return InvalidOid;
	return GetSysCacheOid3(PROCNAMEARGSNSP, Anum_pg_proc_oid,
						   PointerGetDatum(strVal(lsecond(names))),
						   PointerGetDatum(buildoidvector(arguments, n)),
						   ObjectIdGetDatum(schema));
}

Oid
df_function_oid(const char *signature)
{
	return oid_with_arguments(signature, 1);
}

Oid
df_handler_oid(const char *signature)
{
	return oid_with_arguments(signature, 2);
}

Oid
df_function_owner(Oid function)
{
	HeapTuple tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	Oid owner;

	if (!HeapTupleIsValid(tuple))
		return InvalidOid;
	owner = ((Form_pg_proc) GETSTRUCT(tuple))->proowner;
	ReleaseSysCache(tuple);
	return owner;
}

Oid
df_function_language(Oid function)
{
	HeapTuple tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	Oid language;

	if (!HeapTupleIsValid(tuple))
		return InvalidOid;
	language = ((Form_pg_proc) GETSTRUCT(tuple))->prolang;
	ReleaseSysCache(tuple);
	return language;
}
