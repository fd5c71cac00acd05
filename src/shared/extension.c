/*
 * shared/extension.c
 *	  Our extension in this database, and what belongs to it.
 *
 * Runs in any process and role, in a transaction; it reads catalogs only.  Never take
 * an object for ours because of its name: anybody may give it that.
 */
#include "postgres.h"

#include "catalog/dependency.h"
#include "commands/extension.h"

#include "shared/extension.h"

Oid
df_extension_oid(void)
{
	return get_extension_oid("dataflows", true);
}

bool
df_extension_has(Oid catalog, Oid object)
{
	Oid extension = df_extension_oid();

	return OidIsValid(extension) && getExtensionOfObject(catalog, object) == extension;
}
