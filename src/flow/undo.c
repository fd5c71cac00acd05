/*
 * flow/undo.c
 *	  The undo order: what is undone next, and whether anything is left.
 *
 * Called by a worker each time it advances a run that is rolling back, in no
 * transaction.  Pure, and without memory: the order is computed from the recorded
 * states each time, so a rollback that was cut off at any point goes on from
 * there.  It must never name a step twice, nor an older one while a newer one is
 * not settled, nor pass over one silently.
 */
#include "postgres.h"

#include "flow/flow.h"

/*
 * A step that failed for certain has no effect; one that failed in doubt is
 * in_doubt, not failed.
 */
bool
df_undo_candidate(const DfUndoItem *item)
{
	if (!item->has_undo || item->before_pivot)
		return false;
	return item->state == DF_STEP_DONE || item->state == DF_STEP_DOUBT;
}

/*
 * What is in flight ends first: its outcome may be one more thing to undo.
 * A step that waits and has an undo is a child run, which may still be doing
 * things; one that waits without an undo is an event or a sleep that nobody
 * needs any more.  A pending step was not carried out and never will be.
 */
static bool
is_in_flight(const DfUndoItem *item)
{
	if (item->state == DF_STEP_SENT || item->undo_state == DF_UNDO_SENT)
		return true;
	return item->state == DF_STEP_WAITING && item->has_undo && !item->before_pivot;
}

static bool
is_to_be_undone(const DfUndoItem *item)
{
	return df_undo_candidate(item) &&
		(item->undo_state == DF_UNDO_NONE || item->undo_state == DF_UNDO_DUE);
}

/*
 * A "no" is believed only of the first attempt: "there was one already" may be about what an
 * earlier attempt made, whose response was lost.  A "yes" is true in any case.
 */
DfUndoClaim
df_undo_claim(DfTruth condition, DfUndoWitness witness, bool others)
{
	if (witness == DF_WITNESS_NOBODY || condition == DF_UNKNOWN)
		return DF_CLAIM_OPEN;
	if (condition == DF_TRUE)
		return DF_CLAIM_OURS;
	return witness == DF_WITNESS_RESPONSE && !others ? DF_CLAIM_NOT_OURS : DF_CLAIM_OPEN;
}

DfUndoNext
df_undo_plan(const DfUndoItem *items, int nitems, int *index)
{
	bool some_failed = false;
	int newest = -1;
	int i;

	*index = -1;
	for (i = 0; i < nitems; i++)
	{
		if (is_in_flight(&items[i]))
			return DF_PLAN_WAIT;
		if (is_to_be_undone(&items[i]))
			newest = i;
		else if (df_undo_candidate(&items[i]) && items[i].undo_state == DF_UNDO_FAILED)
			some_failed = true;
	}

	if (newest >= 0)
	{
		*index = newest;
		return DF_PLAN_UNDO;
	}
	return some_failed ? DF_PLAN_STUCK : DF_PLAN_DONE;
}
