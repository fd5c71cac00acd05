/*
 * worker/failure.c
 *	  A turn's errors: which of them pass, whose they are, what is said of them.
 *
 * Runs in a worker, after an error has ended the turn's transaction or one of its
 * second tries.  It must never trust the state of the run that was being changed.
 */
#include "postgres.h"

#include <errno.h>

#include "utils/memutils.h"

#include "engine/body.h"
#include "shared/clock.h"
#include "shared/trouble.h"
#include "store/run_table.h"
#include "store/store.h"
#include "store/xact.h"
#include "worker/turn.h"

/* errors that pass, but met one run again and again, are that run's */
#define UPSETS_ALLOWED 3
/* turns that fail in a row before the next one waits */
#define FAILED_TURNS 3

/* what keeps this worker from going on */
static DfTrouble trouble = {"go on with its runs"};
static ErrorData *worst = NULL; /* the error of this turn that is to be noted, in error_cxt */
static int last_error = 0; /* its SQLSTATE */
static int failed_turns = 0;

/* ---- runs that are broken -------------------------------------------------- */

/*
 * What memory says of this run is not to be trusted, or cannot be written: the
 * tables decide.  What was to leave for it does not; what is on the wire stays
 * unanswered.
 */
void
df_break_run(DfRun *run)
{
	ListCell *lc;

	foreach (lc, df_worker.departures)
	{
		DfDeparture *departure = lfirst(lc);

		if (departure->flight != NULL && departure->flight->run == run)
		{
			df_place_give_back(&departure->flight->place);
			df_worker.in_flight--;
			run->worker.in_flight--;
			departure->flight = NULL;
		}
	}
	run->broken = true;
	run->engine.advance = false;
	run->row.wake_at = df_now();
	df_worker.touched = list_delete_ptr(df_worker.touched, run);
}

/* ---- errors ---------------------------------------------------------------- */

/*
 * Our own tables are not what they should be: renamed, altered, damaged.  That is no
 * run's fault, and lasts until somebody mends them.
 */
static bool
is_of_the_schema(int sqlerrcode)
{
	return ERRCODE_TO_CATEGORY(sqlerrcode) == ERRCODE_SYNTAX_ERROR_OR_ACCESS_RULE_VIOLATION ||
		sqlerrcode == ERRCODE_DATA_CORRUPTED || sqlerrcode == ERRCODE_INDEX_CORRUPTED;
}

/*
 * An error has ended our transaction: true if it passes.  That one is noted at
 * the end of the turn, and any other that comes in one turn after another; else
 * it is said now.  After an error about memory there may be none for a copy of
 * it: that has a place of its own.
 */
bool
df_transaction_failed(void)
{
	MemoryContext old = MemoryContextSwitchTo(df_worker.error_cxt);
	ErrorData *error = CopyErrorData();
	bool passes = df_error_is_transient(error->sqlerrcode) || is_of_the_schema(error->sqlerrcode);

	/*
	 * what PostgreSQL has no SQLSTATE for: a quota, a limit on the size of files, a disk that has
	 * become read-only
	 */
	if (error->sqlerrcode == ERRCODE_INTERNAL_ERROR)
		passes = error->saved_errno == EDQUOT || error->saved_errno == EFBIG ||
			error->saved_errno == EROFS;
	MemoryContextSwitchTo(old);
	last_error = error->sqlerrcode;
	if (!passes && failed_turns < FAILED_TURNS)
		EmitErrorReport();
	else if (worst == NULL || df_error_is_lock(worst->sqlerrcode))
		worst = error;
	FlushErrorState();
	df_xact_abort();
	return passes;
}

/*
 * After an error: whoever's state was being changed is looked at again if the
 * error passes, and is broken if not, or if this happens to it again and again.
 * True: it passes.
 */
bool
df_turn_failed(void)
{
	DfRun *run = df_worker.current;
	bool passes;

	MemoryContextSwitchTo(df_worker.turn_cxt);
	df_slot_leave_body(df_worker.slot);
	passes = df_transaction_failed();
	df_body_forget();
	df_worker.current = NULL;
	if (run == NULL)
		return passes;
	if (passes && ++run->worker.upsets <= UPSETS_ALLOWED)
	{
		run->engine.advance = true;
		df_turn_list_add(run);
	}
	else
		df_break_run(run);
	return passes;
}

/* lets go of a broken run: its row says when to try again; if even that fails, later */
static void
give_back(DfRun *run)
{
	DfStore store;
	volatile bool ok = false;

	PG_TRY();
	{
		df_xact_begin();
		df_store_enter(&store);
		df_record_release(run, df_worker.lease);
		df_store_leave(&store);
		df_xact_commit();
		ok = true;
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(df_worker.turn_cxt);
		(void) df_transaction_failed();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(df_worker.turn_cxt);
	if (ok)
		df_release_run(run);
	else
		run->row.wake_at = df_now() + USECS_PER_SEC;
}

/* broken runs whose requests have ended */
void
df_give_back_broken(void)
{
	TimestampTz now = df_now();
	dlist_mutable_iter iter;

	dlist_foreach_modify (iter, &df_worker.runs)
	{
		DfRun *run = dlist_container(DfRun, worker.node, iter.cur);

		if (run->broken && run->worker.in_flight == 0 && run->row.wake_at <= now)
			give_back(run);
	}
}

/*
 * The turn's errors that pass, or come again and again, keep the next one waiting;
 * but not if somebody's lock was all, and the runs that need it are set aside.
 */
void
df_note_failures(bool blocked)
{
	bool lock = worst != NULL && df_error_is_lock(worst->sqlerrcode);

	if (worst != NULL && (blocked || !lock))
		df_trouble_note(&trouble, worst);
	else
		df_trouble_over(&trouble);
	df_aside_note(lock ? worst : NULL);
	worst = NULL;
	MemoryContextReset(df_worker.error_cxt);
}

bool
df_turn_waits(TimestampTz *until)
{
	*until = trouble.retry_at;
	return df_trouble_waits(&trouble, df_now());
}

bool
df_failed_for_lock(void)
{
	return df_error_is_lock(last_error);
}

bool
df_failed_for_room(void)
{
	return worst != NULL && !df_error_is_lock(worst->sqlerrcode);
}

void
df_count_failed_turn(bool failed)
{
	failed_turns = failed ? failed_turns + 1 : 0;
}
