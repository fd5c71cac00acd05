/*
 * session/node.c
 *	  node_of(): the node on which a run lives; and the error for runs that are not here.
 *
 * Runs in a user's backend, in the caller's transaction and role.  Reads one row of run, as the
 * extension's owner, and tells nothing of it but that it is here.  Must never write.
 */
#include "postgres.h"

#include "fmgr.h"
#include "guc.h"
#include "session/node.h"
#include "shared/uuid.h"
#include "store/run_progress.h"
#include "store/store.h"
#include "types/base.h"

PG_FUNCTION_INFO_V1(dataflows_node);
PG_FUNCTION_INFO_V1(dataflows_node_of);
PG_FUNCTION_INFO_V1(dataflows_share);

/* _node(): the setting; a session that has not loaded the library cannot read it otherwise */
Datum
dataflows_node(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT32(df_node);
}

/* _share(): likewise */
Datum
dataflows_share(PG_FUNCTION_ARGS)
{
	PG_RETURN_FLOAT8(df_share);
}

/*
 * node_of(run).  The row counts more than the id: a run that was started before this server got
 * its number is here all the same.
 */
Datum
dataflows_node_of(PG_FUNCTION_ARGS)
{
	pg_uuid_t *run = PG_GETARG_UUID_P(0);
	DfRunProgress progress;
	DfStore store;
	bool here;

	df_store_enter(&store);
	here = df_run_progress(run, &progress, store.result_context);
	df_store_leave(&store);
	PG_RETURN_INT32(here ? df_node : df_uuid_node(run));
}

void
df_refuse_unknown_run(const pg_uuid_t *run)
{
	int node = df_uuid_other_node(run);

	if (node != 0)
		ereport(ERROR,
				(errcode(DF_ERR_UNKNOWN),
				 errmsg("run \"%s\" lives on node %d", df_uuid_text(run), node),
				 errdetail("This is node %d, and the id says who started the run.", df_node),
				 errhint("Call the function on node %d, or insert a row into a table that is "
						 "routed there and has the trigger dataflows.act_on_insert().",
						 node)));
	ereport(ERROR,
			(errcode(DF_ERR_UNKNOWN), errmsg("run \"%s\" does not exist", df_uuid_text(run)),
			 errhint("Look for it in the view dataflows.runs; ended runs are purged after "
					 "dataflows.retention.")));
}
