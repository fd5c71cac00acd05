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
df_turn_list_remove(DfRun *run)
{
	df_worker.turn_list = list_delete_ptr(df_worker.turn_list, run);
	run->worker.on_turn_list = false;
}

#ifdef USE_ASSERT_CHECKING
static bool
is_about_to_send(const DfRun *run)
{
	ListCell *lc;

	foreach (lc, df_worker.departures)
		if (((DfDeparture *) lfirst(lc))->flight != NULL &&
			((DfDeparture *) lfirst(lc))->flight->run == run)
			return true;
	return false;
}
#endif

/*
 * The one way out of memory: of a run that is recorded and released, one that is
 * broken and whose lease is given back, one that was never loaded, one that a sql
 * worker is through with.  What was decided for it since it was last recorded is lost.
 */
void
df_run_let_go(DfRun *run)
{
	Assert(run->worker.in_flight == 0 && !is_about_to_send(run));
	/* one that is not in the list was claimed twice */
	if (run->worker.node.next != NULL)
	{
		dlist_delete(&run->worker.node);
		df_worker.nruns--;
		df_turn_list_remove(run);
	}
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
