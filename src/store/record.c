/*
 * store/record.c
 *	  Writing for the worker: everything that became of runs in one turn.
 *
 * Runs in a worker, in its transaction, inside df_store_enter/leave.  One
 * statement for all rows of a kind, whatever the number of runs.  An update of
 * a run is guarded by the lease that its row had: a worker that lost it writes nothing.
 */
#include "postgres.h"

#include "store/alert.h"
#include "store/alias_table.h"
#include "store/proven_table.h"
#include "store/record.h"
#include "store/run_table.h"
#include "store/state_change_table.h"
#include "store/step_table.h"

/* signals that a run holds in memory at most when its turn is over */
#define MESSAGES_HELD 100

void
df_record_runs(List *runs)
{
	df_alias_confirm(runs);
	df_steps_record(runs);
	df_proven_record(runs);
	df_runs_update(runs);
	df_state_changes_record(runs);
	df_alert_runs(runs);
}

/* it is kept in its row, where the next wait finds it */
static void
forget_message(DfMessage *message)
{
	if (message->payload != NULL)
		pfree(message->payload);
	if (message->event != NULL)
		pfree(message->event);
	if (message->note != NULL)
		pfree(message->note);
	pfree(message->sent_by);
	pfree(message);
}

void
df_record_saved(List *runs)
{
	ListCell *lc;

	foreach (lc, runs)
	{
		DfRun *run = lfirst(lc);
		bool crowded = list_length(run->messages) > MESSAGES_HELD;
		ListCell *mc;

		df_run_saved(run);
		run->engine.has_keyed_start = false;
		for (int i = 0; i < run->nsteps; i++)
			if (df_step_differs(run->steps[i]))
				df_step_saved(run->steps[i]);
		for (int i = 0; i < run->nsteps && run->engine.proves; i++)
			df_proven_saved(run, run->steps[i]);
		run->engine.proves = false;
		for (int i = 0; i < run->nsteps && run->engine.has_child_work; i++)
		{
			run->steps[i]->engine.to_insert_child = false;
			run->steps[i]->engine.child_request = DF_MESSAGE_NONE;
		}
		run->engine.has_child_work = false;
		foreach (mc, run->messages)
		{
			DfMessage *message = lfirst(mc);

			message->is_new = false;
			if (message->done || crowded)
				run->messages = foreach_delete_current(run->messages, mc);
			if (crowded && !message->done)
				forget_message(message);
		}
		if (crowded)
			run->engine.inbox_loaded = false;
	}
}
