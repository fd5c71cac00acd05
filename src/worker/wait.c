/*
 * worker/wait.c
 *	  The only wait of a process of the engine.
 *
 * Runs in launcher, coordinators, workers and ingress, outside of transactions.
 * Latch, postmaster death and the extra descriptor are registered once; a wait sets
 * the timeout only.  Never do any work here.
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "shared/clock.h"
#include "shared/watchdog.h"
#include "types/base.h"
#include "worker/wait.h"

/* the clock may be set while we sleep: never sleep longer */
#define LONGEST_MS (60 * 60 * 1000L)

static WaitEventSet *wait_set = NULL;
static uint32 wait_event = 0;

void
df_wait_init(pgsocket fd)
{
	Assert(wait_set == NULL);
	wait_event = df_compat_wait_event("DataflowsMain");
	wait_set = df_compat_wait_event_set(3);
	AddWaitEventToSet(wait_set, WL_LATCH_SET, PGINVALID_SOCKET, MyLatch, NULL);
	AddWaitEventToSet(wait_set, WL_EXIT_ON_PM_DEATH, PGINVALID_SOCKET, NULL, NULL);
	if (fd != PGINVALID_SOCKET)
		AddWaitEventToSet(wait_set, WL_SOCKET_READABLE, fd, NULL, NULL);
}

/* rounded up: a process that wakes too early finds nothing to do and sleeps again */
static long
milliseconds_until(TimestampTz until)
{
	int64 us = until - df_now();

	if (us <= 0)
		return 0;
	return (long) Min((us + 999) / 1000, LONGEST_MS);
}

void
df_wait_for_descriptors(int ms)
{
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, ms, wait_event);
	ResetLatch(MyLatch);
}

int
df_wait_until(TimestampTz until)
{
	WaitEvent events[3];
	int happened = 0;
	int n;
	long timeout = until == DF_NEVER ? -1 : milliseconds_until(until);

	Assert(!IsTransactionState());
	df_watchdog_sleep();
	n = WaitEventSetWait(wait_set, timeout, events, lengthof(events), wait_event);
	df_watchdog_wake();
	if (n == 0)
		return WL_TIMEOUT;
	for (int i = 0; i < n; i++)
		happened |= events[i].events;
	if (happened & WL_LATCH_SET)
		ResetLatch(MyLatch);
	return happened;
}
