/*
 * worker/failure.c
 *	  Errors of a turn: which are transient, which run is to blame, what is logged.
 *
 * Runs in a worker, after an error ended the turn's transaction or another one of
 * the turn.  Never rely on the state of the run that was being changed: it may be
 * half changed.
 */
#include "postgres.h"

#include <errno.h>

#include "utils/memutils.h"

#include "engine/body.h"
#include "engine/run_life.h"
#include "shared/clock.h"
#include "shared/trouble.h"
#include "store/run_table.h"
#include "store/store.h"
#include "store/xact.h"
#include "worker/turn.h"

/* after so many transient errors in a row while one run was changed, that run is to blame */
#define MAX_TRANSIENT_ERRORS 3
/* after so many failed turns in a row, wait before the next one */
#define MAX_FAILED_TURNS 3

static DfTrouble trouble = {"go on with its runs"};
/* of this turn: the error that delays the next one, in error_cxt; NULL = none */
static ErrorData *noted_error = NULL;
/* the run whose state is being changed; NULL = an error is no run's */
static DfRun *blamed = NULL;
static int last_sqlstate = 0;
static int failed_turns = 0; /* in a row */

/* ---- broken runs -------------------------------------------------- */

/*
 * The run's state in memory may be wrong, or can never be written: release it, so
 * that it is loaded from its row again.  Its requests that were not sent yet are
 * dropped; responses to those that were sent are ignored, and their steps count as
 * lost.
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
	df_turn_list_remove(run);
	df_run_set_life(run, DF_LIFE_BROKEN);
	run->engine.advance = false;
	run->worker.let_go_at = df_now();
}

/* its row says when it is due again; if that cannot be written either, try in a second */
static void
release_broken_run(DfRun *run)
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
		MemoryContextSwitchTo(df_turn_cxt);
		(void) df_transaction_failed();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(df_turn_cxt);
	if (ok)
		df_run_let_go(run);
	else
		run->worker.let_go_at = df_now() + USECS_PER_SEC;
}

/* those with no request in flight */
void
df_release_broken_runs(void)
{
	TimestampTz now = df_now();
	dlist_mutable_iter iter;

	dlist_foreach_modify (iter, &df_worker.runs)
	{
		DfRun *run = dlist_container(DfRun, worker.node, iter.cur);

		if (run->life == DF_LIFE_BROKEN && run->worker.in_flight == 0 &&
			run->worker.let_go_at <= now)
			release_broken_run(run);
	}
}

/* ---- errors ---------------------------------------------------------------- */

/* our own tables were altered or are damaged: no run is to blame, and it lasts until repaired */
static bool
is_about_schema(int sqlerrcode)
{
	return ERRCODE_TO_CATEGORY(sqlerrcode) == ERRCODE_SYNTAX_ERROR_OR_ACCESS_RULE_VIOLATION ||
		sqlerrcode == ERRCODE_DATA_CORRUPTED || sqlerrcode == ERRCODE_INDEX_CORRUPTED;
}

/*
 * In PG_CATCH(): aborts the transaction and returns whether its error is transient.
 * A permanent error is logged now.  A transient one, or any error after several
 * failed turns, is kept and noted at the end of the turn, which delays the next.
 * The copy goes into error_cxt, which has memory when there is no more.
 */
bool
df_transaction_failed(void)
{
	MemoryContext old = MemoryContextSwitchTo(df_worker.error_cxt);
	ErrorData *error = CopyErrorData();
	bool transient = df_error_is_transient(error->sqlerrcode) || is_about_schema(error->sqlerrcode);

	/* PostgreSQL has no SQLSTATE for a quota, a limit on file size or a read-only disk */
	if (error->sqlerrcode == ERRCODE_INTERNAL_ERROR)
		transient = error->saved_errno == EDQUOT || error->saved_errno == EFBIG ||
			error->saved_errno == EROFS;
	MemoryContextSwitchTo(old);
	last_sqlstate = error->sqlerrcode;
	if (!transient && failed_turns < MAX_FAILED_TURNS)
		EmitErrorReport();
	else if (noted_error == NULL || df_error_is_lock(noted_error->sqlerrcode))
		noted_error = error;
	FlushErrorState();
	df_xact_abort();
	return transient;
}

void
df_blame_begin(DfRun *run)
{
	Assert(blamed == NULL);
	blamed = run;
}

void
df_blame_end(void)
{
	blamed = NULL;
}

/*
 * No disk or memory, and if the run were broken, an answer that came would be lost with it:
 * its step would be said to be in doubt.  It waits until there is room again.
 */
static bool
answer_waits_for_room(const DfRun *run)
{
	return ERRCODE_TO_CATEGORY(last_sqlstate) ==
		ERRCODE_TO_CATEGORY(ERRCODE_INSUFFICIENT_RESOURCES) &&
		(run->worker.in_flight > 0 || run->worker.response_applied);
}

/*
 * In PG_CATCH(): the same, and decides about the run that was being changed.  After
 * a transient error it is advanced again; after a permanent one, or too many
 * transient ones in a row, it is broken.
 */
bool
df_turn_failed(void)
{
	DfRun *run = blamed;
	bool transient;

	MemoryContextSwitchTo(df_turn_cxt);
	df_slot_leave_body(df_worker.slot);
	/* before anything is logged: the entry was on the stack that is gone */
	df_body_forget();
	transient = df_transaction_failed();
	blamed = NULL;
	if (run == NULL)
		return transient;
	if (transient &&
		(++run->worker.transient_errors <= MAX_TRANSIENT_ERRORS || answer_waits_for_room(run)))
	{
		run->engine.advance = true;
		df_turn_list_add(run);
	}
	else
		df_break_run(run);
	return transient;
}

/*
 * At the end of a turn: its noted error delays the next turn, unless it is about a
 * lock and came while recording: then only the runs that need the lock wait.
 */
void
df_note_failures(bool early)
{
	bool lock = noted_error != NULL && df_error_is_lock(noted_error->sqlerrcode);

	if (noted_error != NULL && (early || !lock))
		df_trouble_note(&trouble, noted_error);
	else
		df_trouble_over(&trouble);
	df_deferred_note_error(lock ? noted_error : NULL);
	noted_error = NULL;
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
	return df_error_is_lock(last_sqlstate);
}

bool
df_failed_for_resources(void)
{
	return noted_error != NULL && !df_error_is_lock(noted_error->sqlerrcode);
}

void
df_count_failed_turn(bool failed)
{
	failed_turns = failed ? failed_turns + 1 : 0;
}
