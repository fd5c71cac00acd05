/*
 * shared/function_watch.c
 *	  Whether what was found out about functions still holds.
 *
 * Runs where functions are looked up, in sessions and in workers, in the caller's transaction
 * and role.  Must never raise an error in the callback.
 */
#include "postgres.h"

#include "shared/function_watch.h"
#include "utils/inval.h"
#include "utils/syscache.h"

static uint64 number = 1;

static void
something_changed(Datum arg, int cacheid, uint32 hashvalue)
{
	number++;
}

uint64
df_functions_number(void)
{
	static bool watching = false;

	if (!watching)
	{
		CacheRegisterSyscacheCallback(PROCOID, something_changed, (Datum) 0);
		CacheRegisterSyscacheCallback(NAMESPACEOID, something_changed, (Datum) 0);
		watching = true;
	}
	AcceptInvalidationMessages();
	return number;
}
