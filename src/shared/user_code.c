/*
 * shared/user_code.c
 *	  Code of a user's that is running in this process, and what ends it.
 *
 * Used in workers, sql workers, the ingress and in sessions that call
 * receive_webhook(), around the call of the user's code, in their transaction.
 * statement_timeout is not armed in background workers, so the timer is our own.
 * Its handler sets flags only; nothing here may raise an error.
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
#include "shared/watchdog.h"

/* it is looked at so often; what passes while it waits for a lock is not its own time */
#define TICK_MS 100

static TimeoutId timer = MAX_TIMEOUTS;
static volatile sig_atomic_t running =
	0; /* how deep: the SQL of a query step may pass a webhook on */
static volatile sig_atomic_t cut = DF_CUT_NONE;
static volatile sig_atomic_t overran = false;
static int limit = 0;
static int grace = 0;
static int tick = 0; /* that is running */
static int ran = 0; /* time of its own, up to that */
static LOCKTAG waited_for;

static bool
waiting_for_lock(void)
{
	return MyProc != NULL && MyProc->waitStatus == PROC_WAIT_STATUS_WAITING;
}

/* nobody but us sets or clears what we wait for, and its memory is never given back */
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
		/* what catches the cancel, too, ends with its process */
		enable_timeout_after(timer, grace);
	}
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
 * A session's own cancel is the session's affair; one of a process of ours is for
 * the code that has just ended, as is the late alarm of a lock that it waited for.
 */
DfCut
df_user_code_end(void)
{
	if (running == 0 || --running > 0)
		return DF_CUT_NONE;
	if (limit > 0)
		disable_timeout(timer, false);
	if (cut != DF_CUT_NONE || df_watchdog_is_on())
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
