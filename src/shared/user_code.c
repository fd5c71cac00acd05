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
#include "storage/proc.h"
#include "utils/timeout.h"

#include "shared/clock.h"
#include "shared/user_code.h"
#include "shared/watchdog.h"

/* while it waits for a lock it is looked at again so often */
#define LOOK_AGAIN_MS 10

static TimeoutId timer = MAX_TIMEOUTS;
static volatile sig_atomic_t running = 0;	/* how deep: the SQL of a query step may pass a webhook on */
static volatile sig_atomic_t cut = DF_CUT_NONE;
static int	limit = 0;
static int	grace = 0;

static bool
waiting_for_lock(void)
{
	return MyProc != NULL && MyProc->waitStatus == PROC_WAIT_STATUS_WAITING;
}

static void
cancel(DfCut why)
{
	cut = why;
	InterruptPending = true;
	QueryCancelPending = true;
	SetLatch(MyLatch);
}

/* in a signal handler: flags only */
static void
out_of_time(void)
{
	if (running == 0)
		return;
	if (cut != DF_CUT_NONE)
	{
		InterruptPending = true;
		ProcDiePending = true;
		SetLatch(MyLatch);
	}
	else if (waiting_for_lock())
		enable_timeout_after(timer, LOOK_AGAIN_MS);
	else
	{
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
	if (limit > 0)
		enable_timeout_after(timer, limit);
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
