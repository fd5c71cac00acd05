/*
 * engine/run_inbox.c
 *	  What runs need of the tables while they are advanced: signals, and further keys.
 *
 * Runs in a worker, and in a session that simulates, in its transaction and as the role that
 * owns the workflow; reads and claims through the store.  Bodies are not entered here.
 */
#include "postgres.h"

#include "engine/operator.h"
#include "engine/run_inbox.h"
#include "engine/step_wait.h"
#include "store/alias_table.h"
#include "store/inbox_read.h"
#include "store/store.h"

static char *
copy_of(const char *text)
{
	return text != NULL ? pstrdup(text) : NULL;
}

void
df_run_deliver(DfRun *run, const DfMessage *message)
{
	MemoryContext old = MemoryContextSwitchTo(run->cxt);
	DfMessage *copy = palloc(sizeof(DfMessage));

	*copy = *message;
	copy->is_new = true;
	copy->event = copy_of(message->event);
	copy->note = copy_of(message->note);
	copy->sent_by = copy_of(message->sent_by);
	copy->on_behalf_of = copy_of(message->on_behalf_of);
	if (message->payload != NULL)
	{
		copy->payload = palloc(VARSIZE(message->payload));
		memcpy(copy->payload, message->payload, VARSIZE(message->payload));
	}
	MemoryContextSwitchTo(old);
	df_run_message(run, copy);
}

void
df_runs_read_inboxes(List *runs)
{
	List *wanted = NIL;
	ListCell *lc;
	ListCell *mc;
	DfStore store;

	foreach (lc, runs)
		wanted = list_concat(wanted, df_run_wanted_signals(lfirst(lc)));
	df_store_enter(&store);
	df_load_signals(runs, wanted);
	df_store_leave(&store);
	foreach (lc, runs)
	{
		DfRun *run = lfirst(lc);

		foreach (mc, run->engine.loaded_messages)
			df_run_message(run, lfirst(mc));
		run->engine.loaded_messages = NIL;
		run->engine.wants_inbox = false;
		run->engine.inbox_loaded = true;
		run->engine.advance = true;
	}
}

void
df_run_apply_cancels(DfRun *run)
{
	DfStore store;
	ListCell *lc;

	df_store_enter(&store);
	df_load_cancels(run);
	df_store_leave(&store);
	foreach (lc, run->engine.loaded_messages)
		df_run_message(run, lfirst(lc));
	run->engine.loaded_messages = NIL;
}

bool
df_run_try_alias(DfRun *run, const DfStep *step, char **holder)
{
	DfStore store;
	bool known;

	df_store_enter(&store);
	known = df_alias_try(run, step->row.request, store.result_context, holder);
	df_store_leave(&store);
	return known;
}
