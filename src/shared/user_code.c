/*
 * shared/user_code.c
 *	  Time limits and cancels for users' code that runs in this process.
 *
 * Used in workers, sql workers, ingress processes and sessions that call
 * receive_webhook(), around the call of the user's code, in its transaction.
 * statement_timeout is not armed in background workers, so we have a timer of our own.
 * Its handler only sets flags.  Never raise an error here.
 */
#include "postgres.h"

#include <signal.h>

#include "miscadmin.h"
#include "storage/latch.h"
#include "storage/lock.h"
#include "storage/proc.h"
#include "utils/timeout.h"

#include "shared/clock.h"
#include "shared/user_code.h"

/* the timer's interval; an interval in which the code waits for a lock does not count */
#define TICK_MS 100

static TimeoutId timer = MAX_TIMEOUTS;
/* how deep: the SQL of a query step may call receive_webhook() */
static volatile sig_atomic_t running = 0;
static volatile sig_atomic_t cut = DF_CUT_NONE;
static volatile sig_atomic_t overran = false;
static bool takes_cancels = false; /* all that come: see df_user_code_take_cancels() */
static int limit = 0;
static int grace = 0;
static int tick = 0; /* length of the present interval */
static int ran = 0; /* milliseconds that count against the limit */
static LOCKTAG waited_for;

static bool
waiting_for_lock(void)
{
	return MyProc != NULL && MyProc->waitStatus == PROC_WAIT_STATUS_WAITING;
}

/* only this process changes waitLock, and the lock table is never freed */
static void
note_lock(void)
{
	LOCK *lock = MyProc->waitLock;

	if (lock != NULL)
		waited_for = lock->tag;
}

static void
cancel(DfCut why)
{
	cut = why;
	InterruptPending = true;
	QueryCancelPending = true;
	SetLatch(MyLatch);
}

static void
next_tick(void)
{
	tick = Min(TICK_MS, Max(limit - ran, 1));
	enable_timeout_after(timer, tick);
}

/* in a signal handler: flags only */
static void
out_of_time(void)
{
	if (running == 0)
		return;
	if (cut != DF_CUT_NONE)
	{
		overran = cut == DF_CUT_LIMIT;
		InterruptPending = true;
		ProcDiePending = true;
		SetLatch(MyLatch);
	}
	else
	{
		if (waiting_for_lock())
			note_lock();
		else
			ran += tick;
		if (ran < limit || waiting_for_lock())
		{
			next_tick();
			return;
		}
		cancel(DF_CUT_LIMIT);
		/* code that catches the cancel and goes on is ended with its process */
		enable_timeout_after(timer, grace);
	}
}

void
df_user_code_take_cancels(void)
{
	takes_cancels = true;
}

bool
df_user_code_is_cut(void)
{
	return cut != DF_CUT_NONE;
}

bool
df_user_code_in_session(void)
{
	return !takes_cancels;
}

void
df_user_code_begin(int limit_ms, int grace_ms)
{
	if (running++ > 0)
		return;
	if (timer == MAX_TIMEOUTS)
		timer = RegisterTimeout(USER_TIMEOUT, out_of_time);
	cut = DF_CUT_NONE;
	limit = limit_ms;
	grace = grace_ms;
	ran = 0;
	memset(&waited_for, 0, sizeof(waited_for));
	if (limit > 0)
		next_tick();
}

Oid
df_user_code_waited_for(void)
{
	bool relation = waited_for.locktag_type == LOCKTAG_RELATION ||
		waited_for.locktag_type == LOCKTAG_TUPLE;

	return relation && waited_for.locktag_field1 == MyDatabaseId ? waited_for.locktag_field2
																 : InvalidOid;
}

/*
 * In a process of ours a pending cancel was meant for the code that has just ended, or
 * comes from the timeout of a lock that it waited for: forget it.  A session's cancel
 * is left to the session.
 */
DfCut
df_user_code_end(void)
{
	if (running == 0 || --running > 0)
		return DF_CUT_NONE;
	if (limit > 0)
		disable_timeout(timer, false);
	if (cut != DF_CUT_NONE || takes_cancels)
		QueryCancelPending = false;
	return (DfCut) cut;
}

bool
df_user_code_overran(void)
{
	return overran;
}

bool
df_user_code_running(void)
{
	return running > 0;
}

void
df_user_code_leave(void)
{
	if (running > 0 && cut == DF_CUT_NONE)
		cancel(DF_CUT_LEAVING);
}
