/*
 * engine/run_record.c
 *	  Writes what became of runs: the one way into the tables for who moves them.
 *
 * Runs in workers and sql workers, and in sessions that simulate, in their transaction;
 * writes through the store, as the extension's owner.  Nothing is decided here, but whether a
 * child by key was started.
 */
#include "postgres.h"

#include "engine/child_run.h"
#include "engine/run_record.h"
#include "store/attempt_table.h"
#include "store/inbox_read.h"
#include "store/record.h"
#include "store/store.h"

void
df_runs_record(List *runs, List *attempts)
{
	DfStore store;

	df_store_enter(&store);
	df_children_record(runs);
	df_record_runs(runs);
	df_record_attempts(attempts);
	df_record_messages(runs);
	df_store_leave(&store);
}
