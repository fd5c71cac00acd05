/*
 * shared/watchdog.c
 *	  Makes sure that a process of the engine ends when it must, whatever it does.
 *
 * Runs in every process of the engine: signal handlers, and a timer that the first
 * transaction after a sleep arms and that goes on while the process is busy.  They
 * only set flags, with one exception: half a second after a process was told that the
 * postmaster is dead, _exit() ends it.  But never in a critical section or while it
 * holds a lightweight lock, since other processes may be waiting for that.  A process
 * that stays attached to shared memory would prevent a restart of the server.
 */
#include "postgres.h"

#include <signal.h>
#include <unistd.h>

#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/pmsignal.h"
#include "tcop/tcopprot.h"
#include "utils/timeout.h"

#include "shared/clock.h"
#include "shared/user_code.h"
#include "shared/watchdog.h"

#define TICK_MS 250
/* after the request to end: cancel users' code, then have the process die, repeatedly */
#define CANCEL_MS 1000
#define DIE_MS 2000
#define DIE_AGAIN_MS 1000
/* after the postmaster was found dead */
#define EXIT_MS 500
#define EXIT_TICK_MS 50

static TimeoutId timer = MAX_TIMEOUTS;
static volatile sig_atomic_t busy = false;
static volatile sig_atomic_t leaving = false;
static volatile int64 leaving_us = 0;
static volatile int64 killed_us = 0;
static volatile int64 orphan_us = 0;

/* ---- signal handlers: flags only ------------------------------------------ */

static void
die_soon(void)
{
	InterruptPending = true;
	ProcDiePending = true;
	SetLatch(MyLatch);
}

/*
 * Timeout handlers run with interrupts held off once, and a lightweight lock holds
 * them off once more.  During proc_exit() they are held off until the end, but after
 * the callbacks for shared memory no lock is held.
 */
static bool
holds_nothing(void)
{
	return CritSectionCount == 0 &&
		(InterruptHoldoffCount <= 1 || (proc_exit_inprogress && !shmem_exit_inprogress));
}

static int
end_orphan(int64 now)
{
	if (orphan_us == 0)
		orphan_us = now;
	else if (now - orphan_us >= EXIT_MS * 1000 && holds_nothing())
		_exit(1);
	die_soon();
	return EXIT_TICK_MS;
}

static void
enforce_end(int64 now)
{
	if (now - leaving_us >= DIE_MS * 1000 && now - killed_us >= DIE_AGAIN_MS * 1000)
	{
		killed_us = now;
		die_soon();
	}
	else if (now - leaving_us >= CANCEL_MS * 1000)
		df_user_code_leave();
}

static void
tick(void)
{
	int64 now = df_monotonic_us();
	int next = TICK_MS;

	if (!busy)
		return;
	if (!PostmasterIsAlive())
		next = end_orphan(now);
	else if (leaving)
		enforce_end(now);
	enable_timeout_after(timer, next);
}

/* a SIGTERM that is repeated within a second counts once */
void
df_handle_leave(SIGNAL_ARGS)
{
	int save_errno = errno;
	int64 now = df_monotonic_us();

	if (!leaving)
	{
		leaving_us = now;
		leaving = true;
	}
	else if (now - leaving_us >= CANCEL_MS * 1000)
		die_soon();
	SetLatch(MyLatch);
	errno = save_errno;
}

void
df_handle_die(SIGNAL_ARGS)
{
	df_handle_leave(postgres_signal_arg);
	die(postgres_signal_arg);
}

/* lock_timeout sends SIGINT to this process, too */
void
df_handle_cancel(SIGNAL_ARGS)
{
	int save_errno = errno;

	if (df_user_code_running() || get_timeout_indicator(LOCK_TIMEOUT, false))
		StatementCancelHandler(postgres_signal_arg);
	errno = save_errno;
}

/* ---- called by the process -------------------------------------------------- */

void
df_watchdog_start(void)
{
	timer = RegisterTimeout(USER_TIMEOUT, tick);
	df_user_code_take_cancels();
	df_watchdog_wake();
	df_watchdog_arm();
}

bool
df_watchdog_is_on(void)
{
	return timer != MAX_TIMEOUTS;
}

void
df_watchdog_sleep(void)
{
	busy = false;
}

void
df_watchdog_wake(void)
{
	busy = true;
}

void
df_watchdog_arm(void)
{
	if (!get_timeout_active(timer))
		enable_timeout_after(timer, TICK_MS);
}

bool
df_leaving(void)
{
	return leaving != 0;
}

int64
df_leaving_ms(void)
{
	return leaving ? (df_monotonic_us() - leaving_us) / 1000 : 0;
}

bool
df_must_end(void)
{
	return leaving || ProcDiePending || !PostmasterIsAlive();
}
