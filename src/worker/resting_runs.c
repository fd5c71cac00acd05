/*
 * worker/resting_runs.c
 *	  Ends or makes stuck runs that no worker can take: because their owner can have
 *	  no session, or because they were abandoned while at rest.
 *
 * Runs in a coordinator, in a subtransaction of its check of the tables, as the
 * extension's owner, also in a database that is held.  The runs are claimed, changed
 * and recorded by the same code as in a worker, but without their steps: never enter a
 * body here, or read what a step holds.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "engine/child_run.h"
#include "engine/operator.h"
#include "engine/run_failure.h"
#include "shared/wake.h"
#include "store/identity.h"
#include "store/inbox_read.h"
#include "store/record.h"
#include "store/run_table.h"
#include "worker/coordinator.h"
#include "worker/process.h"

static MemoryContext
create_context(void)
{
	return AllocSetContextCreate(df_turn_cxt, "dataflows resting runs",
								 ALLOCSET_DEFAULT_SIZES);
}

/* ---- stuck ---------------------------------------------------------------- */

static int
make_batch_stuck(const DfDueOwner *owner, bool inbox, const char *reason, const char *remedy)
{
	MemoryContext cxt = create_context();
	List *runs = df_claim_of_owner(owner->owner, owner->name, df_identity_hash(), inbox, cxt);
	int n = list_length(runs);
	ListCell *lc;

	foreach (lc, runs)
		df_run_mark_stuck(lfirst(lc), ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION, reason, remedy);
	df_record_runs(runs);
	MemoryContextDelete(cxt);
	return n;
}

int
df_make_runs_stuck(const DfDueOwner *owner, const char *problem, const char *remedy)
{
	char *reason = psprintf("role \"%s\" owns the workflow, but %s", owner->name, problem);

	return make_batch_stuck(owner, false, reason, remedy) +
		make_batch_stuck(owner, true, reason, remedy);
}

/* ---- abandoned ------------------------------------------------------------ */

/* adds the runs that these have called, and so on: they are abandoned with their callers */
static List *
with_children(List *runs, MemoryContext cxt)
{
	List *all = runs;
	List *parents = runs;

	while (parents != NIL)
	{
		List *children = df_claim_children(parents, cxt);
		List *added = NIL;
		ListCell *lc;

		foreach (lc, children)
		{
			DfRun *child = lfirst(lc);

			if (df_run_find(runs, &child->id) != NULL)
				continue; /* it was abandoned itself */
			child->engine.loaded_messages =
				df_run_find(parents, &child->parent)->engine.loaded_messages;
			added = lappend(added, child);
		}
		all = list_concat_copy(all, added);
		parents = added;
	}
	return all;
}

int
df_abandon_asked(Oid owner)
{
	MemoryContext cxt = create_context();
	List *runs = with_children(df_claim_abandoned(owner, cxt), cxt);
	int n = list_length(runs);
	ListCell *lc;

	foreach (lc, runs)
	{
		DfRun *run = lfirst(lc);

		df_run_abandon(run, linitial(run->engine.loaded_messages));
	}
	if (n > 0)
	{
		df_children_record(runs);
		df_record_runs(runs);
		/* including what a child has just sent to a parent that ends, too */
		df_inbox_close(runs);
		df_wake_awaiters(NULL);
	}
	MemoryContextDelete(cxt);
	return n;
}
