/*
 * worker/run_list.c
 *	  The runs that a worker has claimed, and the list of those to record in this
 *	  turn.
 *
 * Runs in workers and sql workers, at any point of a turn, after an error too.
 * Changes memory only.  Never raise an error here: the callers are cleaning up.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "worker/turn.h"

/* may be called inside the store, whose memory the list must outlive */
void
df_turn_list_add(DfRun *run)
{
	MemoryContext old;

	if (df_run_rests(run))
		return;
	old = MemoryContextSwitchTo(df_turn_cxt);
	if (!run->worker.on_turn_list)
		df_worker.turn_list = lappend(df_worker.turn_list, run);
	run->worker.on_turn_list = true;
	MemoryContextSwitchTo(old);
}

void
df_release_run(DfRun *run)
{
	ListCell *lc;

	Assert(run->worker.in_flight == 0);
	foreach (lc, df_worker.departures)
		if (((DfDeparture *) lfirst(lc))->flight != NULL &&
			((DfDeparture *) lfirst(lc))->flight->run == run)
			((DfDeparture *) lfirst(lc))->flight = NULL;
	dlist_delete(&run->worker.node);
	df_worker.nruns--;
	df_worker.turn_list = list_delete_ptr(df_worker.turn_list, run);
	MemoryContextDelete(run->cxt);
}

DfRun *
df_find_run(const pg_uuid_t *id)
{
	dlist_iter iter;

	dlist_foreach (iter, &df_worker.runs)
	{
		DfRun *run = dlist_container(DfRun, worker.node, iter.cur);

		if (memcmp(&run->id, id, sizeof(*id)) == 0)
			return run;
	}
	return NULL;
}
