/*
 * store/local_time_trigger.c
 *	  Triggers from before the update whose keys show times as the session does.
 *
 * Runs in a user's session, in the trigger of its statement, as the extension's owner.  A run
 * that waits has its key in that form, and a signal by the same column must find it.  The
 * update script alone writes the table; a trigger that is made anew has another oid.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "store/local_time_trigger.h"
#include "store/store.h"
#include "utils/lsyscache.h"

bool
df_trigger_uses_local_time(Oid trigger)
{
	static DfPlan plan = {
		"WITH RECURSIVE t (oid, parent) AS ("
		"  SELECT g.oid, g.tgparentid FROM pg_trigger AS g WHERE g.oid = $1"
		"  UNION ALL"
		"  SELECT g.oid, g.tgparentid FROM t JOIN pg_trigger AS g ON g.oid = t.parent)"
		" SELECT FROM t JOIN dataflows.local_time_trigger AS k ON k.trigger = t.oid",
		SPI_OK_SELECT,
		DF_PARAMS(OIDOID)};
	Datum values[1] = {ObjectIdGetDatum(trigger)};
	DfStore store;
	bool found;

	/* before the update of the schema there are no others */
	if (!OidIsValid(get_relname_relid("local_time_trigger", get_namespace_oid("dataflows", true))))
		return true;
	df_store_enter(&store);
	found = df_plan_run(&plan, values, NULL, 1) > 0;
	df_store_leave(&store);
	return found;
}
