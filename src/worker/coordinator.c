/*
 * worker/coordinator.c
 *	  The coordinator, one process per database with the extension: its loop and
 *	  how it sleeps.  coordinator.h lists what it does in a turn.
 *
 * A session of the extension's owner, in short transactions, and only when there
 * is a reason: it was woken, a worker ended, a notification came, a run is due
 * whose owner has no worker, or the next sweep is.  Never run users' code, enter a
 * body or open a socket here.
 *
 * If the server has too few process slots, the coordinator is asked to give its
 * own to others, and rests: its slot says when to start it again, and what would
 * wake it starts it.
 */
#include "postgres.h"

#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "tcop/tcopprot.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "guc.h"
#include "shared/clock.h"
#include "shared/slot_queue.h"
#include "shared/watchdog.h"
#include "store/xact.h"
#include "types/base.h"
#include "worker/coordinator.h"
#include "worker/guarded.h"
#include "worker/housekeeping.h"
#include "worker/notify.h"
#include "worker/process.h"
#include "worker/wait.h"
#include "worker/state_changes.h"

/* a resting coordinator comes back for its sweeps, but not more often than this */
#define REST_MS 60000

DfCoordinator df_coordinator = {.worker_ended = true, .all_leases = true, .check_wanted = true};

static DfTrouble check_trouble = {"check what is due"};

/*
 * Outside of transactions the loop sees the flag and ends without a log message.
 * A transaction may be waiting for a lock, so it is interrupted.
 */
static void
handle_sigterm(SIGNAL_ARGS)
{
	df_handle_leave(postgres_signal_arg);
	if (df_xact_busy())
		die(postgres_signal_arg);
}

/*
 * Give the slot to a process that waits for one, until we are woken or something is
 * due.  Workers go on meanwhile.
 */
static void
rest(TimestampTz next)
{
	TimestampTz until = Max(df_coordinator.next_sweep,
							TimestampTzPlusMilliseconds(df_coordinator.slot->started_at, REST_MS));

	if (next != df_coordinator.next_sweep)
		until = df_earlier(until, next);
	/* unfinished housekeeping goes on in the next sweep */
	df_coordinator.slot->next_sweep =
		df_housekeeping_due() == DF_NEVER ? df_coordinator.next_sweep : until;
	if (df_slot_rest(df_coordinator.slot, until))
		proc_exit(0);
}

static bool
has_come(TimestampTz time, TimestampTz now)
{
	return time != DF_NEVER && time <= now;
}

/* after a failed check, being woken does not repeat it before its retry is due */
static void
check_if_needed(void)
{
	TimestampTz now = df_now();
	bool ended = df_reap_workers();

	df_coordinator.check_wanted |= df_slot_take_wake(df_coordinator.slot) | ended;
	df_coordinator.worker_ended |= ended;
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
		df_housekeeping_sweep();
}

/* returns when the next turn is due if nothing happens before */
static TimestampTz
turn(void)
{
	TimestampTz next;

	df_notify_read();
	df_insert_notifications();
	check_if_needed();
	df_state_changes_notify(df_slot_take_to_send(df_coordinator.slot) || df_coordinator.sweeping);
	df_housekeeping();
	df_coordinator.due_owners = NIL;
	next = check_trouble.failures > 0
		? check_trouble.retry_at
		: df_earlier(df_coordinator.next_sweep, df_coordinator.next_check);
	next = df_earlier(df_earlier(next, df_notify_due()), df_state_changes_due());
	return df_earlier(next, df_housekeeping_due());
}

void
dataflows_coordinator_main(Datum arg)
{
	df_coordinator.slot = df_process_begin(arg);
	pqsignal(SIGTERM, handle_sigterm);
	df_wait_init(PGINVALID_SOCKET);
	df_process_memory(0);
	df_coordinator.next_sweep = df_coordinator.slot->next_sweep != DF_NEVER
		? df_coordinator.slot->next_sweep
		: TimestampTzPlusMilliseconds(df_now(), df_sweep_interval);
	df_notify_listen();

	for (;;)
	{
		TimestampTz next;

		df_reset_turn_memory();
		if (ConfigReloadPending)
		{
			df_coordinator.next_check = df_now();
			df_coordinator.next_sweep = df_now();
			/* the new settings may have removed the cause */
			check_trouble.retry_at = DF_NEVER;
			df_start_ingress_now();
		}
		df_process_interrupts();
		if (df_leaving())
			break;
		next = turn();
		df_xact_idle();
		df_queue_set_idle(df_coordinator.slot,
						  next > df_now() && df_housekeeping_due() == DF_NEVER);
		if (df_must_give_way(df_coordinator.slot))
			rest(next);
		(void) df_wait_until(next);
		df_queue_set_idle(df_coordinator.slot, false);
	}
}
