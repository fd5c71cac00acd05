/*
 * worker/coordinator.c
 *	  One process per database that has the extension: hears NOTIFY, asks for
 *	  workers, takes back what dead ones held, sweeps, purges.
 *
 * Runs as a session of the extension's owner, in short transactions of its own,
 * and only when something has happened: it was woken, a worker has ended, a
 * notification came, a run is due whose owner has no worker, or the sweep is.
 * It must never run anything of a user's, enter a body or open a socket.
 *
 * If the server has too few places for processes, it is asked to leave its own to
 * others, and rests: its slot says by when it is to be back, and whoever
 * would wake it has it started again.
 */
#include "postgres.h"

#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "tcop/tcopprot.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "guc.h"
#include "shared/clock.h"
#include "shared/line.h"
#include "shared/watchdog.h"
#include "store/xact.h"
#include "worker/coordinator.h"
#include "worker/guarded.h"
#include "worker/notify.h"
#include "worker/process.h"
#include "worker/housekeeping.h"
#include "worker/wait.h"

/* who rests comes back for its sweeps, but not more often than this */
#define REST_MS 60000

DfCoordinator df_coordinator = {.leases_void = true, .all_leases = true, .check_wanted = true};

static DfTrouble check_trouble = {"look what is due"};

/*
 * Between transactions the process ends by itself, without a line in the log.
 * In a transaction that may be waiting for somebody's lock it goes at once.
 */
static void
handle_sigterm(SIGNAL_ARGS)
{
	df_handle_leave(postgres_signal_arg);
	if (df_xact_busy())
		die(postgres_signal_arg);
}

/*
 * Others wait for a place: ours is left to them, until we are woken or something
 * is due.  Workers go on, or come and go, without us.
 */
static void
rest(TimestampTz next)
{
	TimestampTz until = Max(df_coordinator.next_sweep,
							TimestampTzPlusMilliseconds(df_coordinator.slot->started_at, REST_MS));

	if (next != df_coordinator.next_sweep)
		until = df_earlier(until, next);
	/* what is to be tidied up goes on in the next sweep */
	df_coordinator.slot->next_sweep = df_tidy_due() == DF_NEVER ? df_coordinator.next_sweep : until;
	if (df_slot_rest(df_coordinator.slot, until))
		proc_exit(0);
}

static bool
has_come(TimestampTz time, TimestampTz now)
{
	return time != DF_NEVER && time <= now;
}

/* a look that failed is repeated when its time has come, whoever wakes us meanwhile */
static void
check_if_needed(void)
{
	TimestampTz now = df_now();
	bool ended = df_reap_workers();

	df_coordinator.check_wanted |= df_slot_take_wake(df_coordinator.slot) | ended;
	df_coordinator.leases_void |= ended;
	df_coordinator.sweeping = df_coordinator.next_sweep <= now;
	if (!df_coordinator.check_wanted && !df_coordinator.sweeping &&
		!has_come(df_coordinator.next_check, now))
		return;
	if (df_trouble_waits(&check_trouble, now) || !df_guarded(df_check_tables, &check_trouble))
		return;
	df_supervise();
	if (!df_coordinator.sweeping)
		return;
	df_notify_flush_complaints();
	df_coordinator.next_sweep = TimestampTzPlusMilliseconds(now, df_sweep_interval);
	if (df_coordinator.ours)
		df_tidy_sweep();
}

/* one turn; returns when the next is due if nothing happens before */
static TimestampTz
turn(void)
{
	TimestampTz next;

	df_notify_read();
	df_insert_notifications();
	check_if_needed();
	df_tidy();
	MemoryContextReset(df_coordinator.turn_cxt);
	df_coordinator.due_owners = NIL;
	next = check_trouble.failures > 0
		? check_trouble.retry_at
		: df_earlier(df_coordinator.next_sweep, df_coordinator.next_check);
	return df_earlier(df_earlier(next, df_notify_due()), df_tidy_due());
}

void
dataflows_coordinator_main(Datum arg)
{
	df_coordinator.slot = df_process_begin(arg);
	pqsignal(SIGTERM, handle_sigterm);
	df_wait_init(PGINVALID_SOCKET);
	df_coordinator.turn_cxt = AllocSetContextCreate(TopMemoryContext, "dataflows coordinator turn",
													ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(TopMemoryContext);
	df_coordinator.next_sweep = df_coordinator.slot->next_sweep != DF_NEVER
		? df_coordinator.slot->next_sweep
		: TimestampTzPlusMilliseconds(df_now(), df_sweep_interval);
	df_notify_listen();

	for (;;)
	{
		TimestampTz next;

		if (ConfigReloadPending)
		{
			df_coordinator.next_check = df_now();
			df_coordinator.next_sweep = df_now();
			/* perhaps it is mended */
			check_trouble.retry_at = DF_NEVER;
			df_hurry_ingress();
		}
		df_process_interrupts();
		if (df_leaving())
			break;
		next = turn();
		df_xact_idle();
		df_line_idle(df_coordinator.slot, next > df_now() && df_tidy_due() == DF_NEVER);
		if (df_line_is_asked(df_coordinator.slot))
			rest(next);
		(void) df_wait_until(next);
		df_line_idle(df_coordinator.slot, false);
	}
}
