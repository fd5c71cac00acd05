/*
 * worker/worker.c
 *	  The worker process: its loop, how it sleeps, and how it ends.
 *
 * One session of the role that owns the workflows; several workers of one owner
 * share the work by SKIP LOCKED.  A worker keeps runs in memory under its lease,
 * moves bytes while no transaction is open, and records in turns (worker/turn.c).
 * It sleeps without a timer while it has nothing to do, and ends after
 * dataflows.worker_idle.  Never run SQL here, and never wait in a transaction.
 */
#include "postgres.h"

#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <sys/resource.h>

#include "libpq/pqsignal.h"
#include "miscadmin.h"
#include "storage/fd.h"
#include "storage/ipc.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "engine/run_due.h"
#include "guc.h"
#include "shared/clock.h"
#include "shared/slot_queue.h"
#include "shared/watchdog.h"
#include "store/due.h"
#include "store/identity.h"
#include "store/store.h"
#include "store/xact.h"
#include "worker/guarded.h"
#include "worker/process.h"
#include "worker/token.h"
#include "worker/token_response.h"
#include "worker/trace.h"
#include "worker/turn.h"
#include "worker/wait.h"

/* while many responses are outstanding, wait this long for more of them before a turn */
#define BATCH_WAIT_US 400
#define BATCH_MIN_IN_FLIGHT 8

/*
 * How long a worker that was asked to end waits for responses: a request whose
 * response it does not see is in doubt after the restart.  DROP DATABASE and the
 * like wait for us, so it is less than a second.
 */
#define DRAIN_MS 800
/* no longer than this after the request to end, or the watchdog ends us before we record */
#define DRAIN_END_MS 1800

/* descriptors for the resolver and for files that libcurl opens */
#define SPARE_DESCRIPTORS 16
/* descriptors that a process has open beside files */
#define OWN_DESCRIPTORS 24
/* of the third that PostgreSQL grants to extensions: left to users' code */
#define FOR_OTHERS 8

DfWorker df_worker;

/* a random number that no other worker, running or ended, has used */
static int64
new_lease(DfSlot *slot)
{
	int64 lease = 0;

	while (lease == 0)
		lease = df_random_int64();
	LWLockAcquire(df_shared->lock, LW_EXCLUSIVE);
	slot->lease = lease;
	LWLockRelease(df_shared->lock);
	return lease;
}

/*
 * A busy worker needs the same large blocks in every turn: have malloc keep them,
 * because the kernel would clear them each time.
 */
static void
keep_freed_memory(void)
{
#ifdef M_TRIM_THRESHOLD
	(void) mallopt(M_MMAP_THRESHOLD, 32 * 1024 * 1024);
	(void) mallopt(M_TRIM_THRESHOLD, 64 * 1024 * 1024);
#endif
}

/*
 * Count how many requests can be in flight at a time with the descriptors that
 * there are.  PostgreSQL reserves max_safe_fds for itself and grants a third of
 * them to extensions; if the others are too few, take most of that third.
 */
static int
count_possible_requests(void)
{
	int wanted = df_max_in_flight + SPARE_DESCRIPTORS;
	struct rlimit limit;
	int places;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= INT_MAX)
		return INT_MAX;
	places = Max((int) limit.rlim_cur - max_safe_fds - OWN_DESCRIPTORS, 0);
	for (int taken = 0; places < wanted && taken < max_safe_fds / 3 - FOR_OTHERS; taken++, places++)
		ReserveExternalFD();
	places = Max(places - SPARE_DESCRIPTORS, 1);
	if (places < df_max_in_flight)
		ereport(LOG,
				(errcode(ERRCODE_INSUFFICIENT_RESOURCES),
				 errmsg("dataflows worker has descriptors for %d requests at a time, fewer than "
						"dataflows.max_in_flight (%d)",
						places, df_max_in_flight),
				 errhint("Give the server more open files: ulimit -n, LimitNOFILE.")));
	return places;
}

static void
set_up(DfSlot *slot)
{
	memset(&df_worker, 0, sizeof(df_worker));
	df_worker.slot = slot;
	df_worker.lease = new_lease(slot);
	keep_freed_memory();
	/* a large first block, which a reset keeps: a busy turn needs no malloc */
	df_process_memory(1024 * 1024);
	df_worker.error_cxt =
		AllocSetContextCreate(TopMemoryContext, "dataflows error", 16 * 1024, 16 * 1024, 64 * 1024);
	df_worker.runs_cxt =
		AllocSetContextCreate(TopMemoryContext, "dataflows runs", ALLOCSET_DEFAULT_SIZES);
	dlist_init(&df_worker.runs);
	df_worker.check_tables = df_worker.more_due = true;

	df_xact_begin();
	df_worker.obsolete = !df_extension_usable();
	df_worker.identity = df_extension_exists() ? df_identity_hash() : 0;
	df_trace_set_up();
	df_xact_commit();
	if (!df_http_init())
		ereport(FATAL,
				(errcode(ERRCODE_SYSTEM_ERROR),
				 errmsg("dataflows worker could not initialize libcurl")));
	df_wait_init(df_http_fd());
	df_worker.request_limit = df_worker.max_request_limit = count_possible_requests();
	/* unless descriptors are scarce, keep idle connections: a new one costs more than a request */
	if (df_worker.request_limit < df_max_in_flight)
		df_http_limit(df_worker.request_limit);
}

/* move bytes, and keep the responses that are complete until a turn has applied them */
static void
collect(void)
{
	MemoryContext old = MemoryContextSwitchTo(df_process_cxt);
	DfHttpResult *result;

	df_http_perform();
	while ((result = df_http_next()) != NULL)
	{
		if (!df_trace_arrive(result) && !df_token_arrive(result))
			df_worker.responses = lappend(df_worker.responses, result);
	}
	MemoryContextSwitchTo(old);
}

/* one commit can record many responses: give the next ones a moment to arrive */
static void
collect_batch(void)
{
	TimestampTz until = df_now() + BATCH_WAIT_US;
	int enough = df_worker.in_flight / 2;

	while (list_length(df_worker.responses) < enough && df_now() < until)
		collect();
}

static TimestampTz
next_due_in_memory(void)
{
	TimestampTz due = df_deferred_due();
	dlist_iter iter;

	dlist_foreach (iter, &df_worker.runs)
	{
		DfRun *run = dlist_container(DfRun, worker.node, iter.cur);

		if (run->life == DF_LIFE_DEFERRED)
			continue;
		if (run->life == DF_LIFE_BROKEN)
		{
			if (run->worker.in_flight == 0)
				due = df_earlier(due, run->worker.let_go_at);
			continue;
		}
		if (run->engine.advance)
			return df_now();
		due = df_earlier(due, df_run_next_due(run));
	}
	return due;
}

static bool
has_something_to_record(void)
{
	TimestampTz deferred = df_deferred_due();

	return (deferred != DF_NEVER && deferred <= df_now()) || df_have_responses() ||
		df_token_unrecorded();
}

static bool
turn_wanted(TimestampTz due)
{
	TimestampTz now = df_now();
	TimestampTz until;
	bool room = df_worker.nruns <= df_max_runs - Max(1, df_max_runs / 8);

	if (df_turn_waits(&until))
		return false;
	if (df_have_responses() || df_worker.check_tables || df_worker.token_arrived ||
		df_token_unrecorded())
		return true;
	if (due != DF_NEVER && due <= now)
		return true;
	if (df_worker.more_due && room)
		return true;
	return df_worker.next_due != DF_NEVER && df_worker.next_due <= now && room;
}

/* when to wake up though nothing happens */
static TimestampTz
sleep_until(TimestampTz due)
{
	TimestampTz until;
	bool waits = df_turn_waits(&until);
	long http = df_http_timeout_ms();

	if (!waits)
		until = due;
	if (http >= 0)
		until = df_earlier(until, df_now() + http * 1000);
	until = df_earlier(until, df_trace_due());
	if (waits)
		return until;
	if (df_worker.nruns < df_max_runs)
		until = df_earlier(until, df_worker.next_due);
	if (df_worker.nruns == 0)
		until = df_earlier(until, df_worker.idle_since + (int64) df_worker_idle * 1000);
	return until;
}

/* nothing in memory and nothing due: the process could end without loss */
static bool
is_idle(void)
{
	return df_worker.nruns == 0 && !df_worker.more_due && !df_worker.check_tables &&
		df_trace_due() == DF_NEVER && !df_token_refreshing() &&
		(df_worker.next_due == DF_NEVER || df_worker.next_due > df_now());
}

/* idle for dataflows.worker_idle: give the process slot back */
static bool
may_retire(void)
{
	TimestampTz idle;

	if (df_worker.nruns > 0 || df_worker.more_due || df_worker.check_tables ||
		df_trace_due() != DF_NEVER || df_token_refreshing())
	{
		df_worker.idle_since = DF_NEVER;
		return false;
	}
	if (df_worker.idle_since == DF_NEVER)
		df_worker.idle_since = df_now();
	idle = df_worker.idle_since + (int64) df_worker_idle * 1000;
	return df_now() >= idle && (df_worker.next_due == DF_NEVER || df_worker.next_due > df_now());
}

static void
one_turn(void)
{
	df_worker.token_arrived = false;
	df_turn();
	df_worker.slot->runs_held = df_worker.nruns;
	df_worker.slot->in_flight = df_worker.in_flight;
	df_reset_turn_memory();
	df_worker.turn_list = df_worker.departures = NIL;
}

/* wait for responses and record them; begins nothing new, as df_is_winding_down() says */
static void
record_responses(TimestampTz until)
{
	TimestampTz next;
	bool waits;
	long http = df_http_timeout_ms();

	collect();
	waits = df_turn_waits(&next);
	if (!waits)
		next = df_deferred_due();
	if (!waits && has_something_to_record())
		one_turn();
	else
		(void) df_wait_until(
			df_earlier(df_earlier(until, next), http < 0 ? DF_NEVER : df_now() + http * 1000));
	df_process_interrupts();
}

/* the process was asked to end: record the responses that come soon */
static void
drain(void)
{
	TimestampTz until = df_now() + Min(DRAIN_MS, DRAIN_END_MS - df_leaving_ms()) * 1000;

	while ((df_worker.in_flight > 0 || df_token_refreshing()) && df_now() < until)
		record_responses(until);
	/* once more for deferred runs, then for responses that came meanwhile */
	for (int i = 0; i < 2 && (df_worker.ndeferred > 0 || has_something_to_record()); i++)
		one_turn();
	df_slot_restart(df_worker.slot);
}

static bool all_returned; /* set by return_lease() */

static void
return_lease(void)
{
	DfStore store;

	df_xact_begin();
	df_store_enter(&store);
	all_returned = df_give_back_lease(df_worker.lease);
	df_store_leave(&store);
	df_xact_commit();
}

/* makes the runs in memory due for other workers; false: some could not be */
static bool
return_runs(void)
{
	static DfTrouble trouble = {"give its runs back"};

	return df_guarded(return_lease, &trouble) && all_returned;
}

/*
 * Another process waits for our slot.  Wait for the responses that are outstanding,
 * however long that takes, since their requests would be in doubt; return the other
 * runs to the table.
 */
static void
give_way(void)
{
	TimestampTz again = is_idle() ? df_worker.next_due : df_now();

	df_worker.giving_way = true;
	while ((df_worker.in_flight > 0 || df_worker.ndeferred > 0 || df_have_responses() ||
			df_token_refreshing()) &&
		   !df_worker.obsolete && !df_leaving())
		record_responses(DF_NEVER);
	if (df_worker.obsolete)
		return;
	if (df_leaving())
		drain();
	else if (df_worker.nruns > 0 && !return_runs())
		df_slot_restart(df_worker.slot); /* the coordinator returns their leases */
	else
		df_slot_give_way(df_worker.slot, again);
}

void
dataflows_worker_main(Datum arg)
{
	DfSlot *slot = df_process_begin(arg);

	/* do not end at once: a planned stop must not put every request in doubt */
	pqsignal(SIGTERM, df_handle_leave);
	set_up(slot);
	for (;;)
	{
		TimestampTz due;

		df_reset_turn_memory();
		if (df_worker.obsolete)
			break;
		if (df_leaving())
		{
			drain();
			break;
		}
		if (df_must_give_way(slot))
		{
			give_way();
			break;
		}

		collect();
		if (df_worker.responses != NIL && df_worker.in_flight >= BATCH_MIN_IN_FLIGHT)
			collect_batch();
		if (df_slot_take_wake(slot))
			df_worker.check_tables = df_worker.more_due = df_worker.inbox_changed = true;
		df_trace_export();
		due = next_due_in_memory();
		if (turn_wanted(due))
		{
			one_turn();
			df_process_interrupts();
			continue;
		}
		if (may_retire())
		{
			if (df_slot_retire(slot, df_worker.next_due))
				break;
			continue;
		}
		df_xact_idle();
		df_queue_set_idle(slot, is_idle());
		if (df_must_give_way(slot))
			continue;
		(void) df_wait_until(sleep_until(due));
		df_queue_set_idle(slot, false);
		df_process_interrupts();
	}
	/* with requests in flight libcurl might wait for a name server here */
	if (df_http_in_flight() == 0)
		df_http_shutdown();
	proc_exit(0);
}
