/*
 * worker/run_list.c
 *	  The runs that a worker has claimed, and the list of those that this turn
 *	  has to record.
 *
 * Runs in a worker and in a sql worker, at any point of a turn; changes memory
 * only.  It must never raise an error half-way: its callers use it after one.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "worker/turn.h"

/* the list outlives the store's memory, in which this may be called */
void
df_turn_list_add(DfRun *run)
{
	MemoryContext old;

	if (df_run_rests(run))
		return;
	old = MemoryContextSwitchTo(df_worker.turn_cxt);
	if (!run->worker.on_turn_list)
		df_worker.touched = lappend(df_worker.touched, run);
	run->worker.on_turn_list = true;
	MemoryContextSwitchTo(old);
}

void
df_release_run(DfRun *run)
{
	ListCell *lc;

	Assert(run->in_flight == 0);
	foreach (lc, df_worker.departures)
		if (((DfDeparture *) lfirst(lc))->flight != NULL &&
			((DfDeparture *) lfirst(lc))->flight->run == run)
			((DfDeparture *) lfirst(lc))->flight = NULL;
	dlist_delete(&run->worker.node);
	df_worker.nruns--;
	df_worker.touched = list_delete_ptr(df_worker.touched, run);
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
