/*
 * worker/worker.c
 *	  The worker process: claim, enter, send, wait, record.
 *
 * One session of the role that owns the workflows, and of no other; more of them
 * share the work by SKIP LOCKED.  It holds runs in memory under its lease, moves
 * bytes with no transaction open, and records in turns (worker/turn.c).  It
 * never runs SQL of its own: the store does.  With nothing to do it sleeps
 * without a timer, and after dataflows.worker_idle it ends.
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

#include "engine/due.h"
#include "guc.h"
#include "shared/clock.h"
#include "shared/line.h"
#include "shared/watchdog.h"
#include "store/due.h"
#include "store/identity.h"
#include "store/store.h"
#include "store/xact.h"
#include "worker/guarded.h"
#include "worker/process.h"
#include "worker/token.h"
#include "worker/trace.h"
#include "worker/turn.h"
#include "worker/wait.h"

/* a batch is worth waiting for while many answers are on their way, this long */
#define LINGER_US 400

/*
 * How long a worker that is to end waits for answers that are on their way: what
 * it does not hear is in doubt after the restart.  DDL that has us step aside
 * is kept waiting no longer than a second.
 */
#define DRAIN_MS 800
/* but what comes must be recorded before the watchdog ends us */
#define LAST_ANSWER_MS 1800

/*
 * descriptors for the resolver and for files of libcurl's; for what a process has open beside
 * files
 */
#define SPARE_DESCRIPTORS 16
#define OWN_DESCRIPTORS 24
/* of those that PostgreSQL gives away: for what users' code opens */
#define FOR_OTHERS 8

DfWorker df_worker;

/* a number that no other worker, living or dead, ever had */
static int64
new_lease(DfSlot *slot)
{
	int64 lease = 0;

	while (lease == 0)
		if (!pg_strong_random(&lease, sizeof(lease)))
			ereport(
				FATAL,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("dataflows worker could not make a lease: there are no random numbers")));
	LWLockAcquire(df_shared->lock, LW_EXCLUSIVE);
	slot->lease = lease;
	LWLockRelease(df_shared->lock);
	return lease;
}

/*
 * A busy worker asks for the same large blocks in every turn: let malloc keep
 * them instead of giving them back to the kernel to be cleared again.
 */
static void
keep_memory(void)
{
#ifdef M_TRIM_THRESHOLD
	(void) mallopt(M_MMAP_THRESHOLD, 32 * 1024 * 1024);
	(void) mallopt(M_TRIM_THRESHOLD, 64 * 1024 * 1024);
#endif
}

/*
 * For how many requests at a time there are descriptors.  PostgreSQL takes as
 * many as it finds useful, up to max_safe_fds, and lets others have a third of
 * those (postgres_fdw for its connections): if it leaves too few, most of that
 * third is taken.
 */
static int
count_places(void)
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
	keep_memory();
	df_worker.process_cxt =
		AllocSetContextCreate(TopMemoryContext, "dataflows worker", ALLOCSET_DEFAULT_SIZES);
	/* a first block that outlives the resets: a busy turn does not go to malloc */
	df_worker.turn_cxt = AllocSetContextCreate(TopMemoryContext, "dataflows turn",
											   0, 1024 * 1024, 8 * 1024 * 1024);
	df_worker.error_cxt =
		AllocSetContextCreate(TopMemoryContext, "dataflows error", 16 * 1024, 16 * 1024, 64 * 1024);
	df_worker.runs_cxt =
		AllocSetContextCreate(TopMemoryContext, "dataflows runs", ALLOCSET_DEFAULT_SIZES);
	dlist_init(&df_worker.runs);
	df_worker.look = df_worker.more = true;

	df_xact_begin();
	df_worker.gone = !df_extension_usable();
	df_worker.identity = df_extension_exists() ? df_identity_hash() : 0;
	df_trace_set_up();
	df_xact_commit();
	if (!df_http_init())
		ereport(FATAL,
				(errcode(ERRCODE_SYSTEM_ERROR),
				 errmsg("dataflows worker could not initialize libcurl")));
	df_wait_init(df_http_fd());
	df_worker.places = df_worker.most_places = count_places();
	/*
	 * idle connections are kept unless descriptors are scarce: one made anew costs more than a
	 * request
	 */
	if (df_worker.places < df_max_in_flight)
		df_http_limit(df_worker.places);
}

/* finished exchanges; they stay until a turn has applied them */
static void
collect(void)
{
	MemoryContext old = MemoryContextSwitchTo(df_worker.process_cxt);
	DfHttpResult *result;

	df_http_perform();
	while ((result = df_http_next()) != NULL)
	{
		if (!df_trace_arrive(result) && !df_token_arrive(result))
			df_worker.results = lappend(df_worker.results, result);
	}
	MemoryContextSwitchTo(old);
}

/* answers come one by one, a commit is for many: give the next ones a moment */
static void
collect_more(void)
{
	TimestampTz until = df_now() + LINGER_US;
	int worth = df_worker.in_flight / 2;

	while (list_length(df_worker.results) < worth && df_now() < until)
		collect();
}

static TimestampTz
next_due_in_memory(void)
{
	TimestampTz due = df_turn_aside_due();
	dlist_iter iter;

	dlist_foreach (iter, &df_worker.runs)
	{
		DfRun *run = dlist_container(DfRun, worker.node, iter.cur);

		if (run->worker.deferred)
			continue;
		if (run->broken)
		{
			if (run->worker.in_flight == 0)
				due = df_earlier(due, run->row.wake_at);
			continue;
		}
		if (run->engine.advance)
			return df_now();
		due = df_earlier(due, df_run_next_due(run));
	}
	return due;
}

static bool
something_to_record(void)
{
	TimestampTz aside = df_turn_aside_due();

	return (aside != DF_NEVER && aside <= df_now()) || df_turn_has_results();
}

static bool
turn_wanted(TimestampTz due)
{
	TimestampTz now = df_now();
	TimestampTz until;
	bool room = df_worker.nruns <= df_max_runs - Max(1, df_max_runs / 8);

	if (df_turn_waits(&until))
		return false;
	if (df_turn_has_results() || df_worker.look || df_worker.token_news)
		return true;
	if (due != DF_NEVER && due <= now)
		return true;
	if (df_worker.more && room)
		return true;
	return df_worker.next_due != DF_NEVER && df_worker.next_due <= now && room;
}

/* when to wake up by ourselves */
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

/* nothing is held, nothing is due: it would be no loss to end */
static bool
is_idle(void)
{
	return df_worker.nruns == 0 && !df_worker.more && !df_worker.look &&
		df_trace_due() == DF_NEVER &&
		(df_worker.next_due == DF_NEVER || df_worker.next_due > df_now());
}

/* true: nothing to do for so long that the process is not worth its place */
static bool
may_retire(void)
{
	TimestampTz idle;

	if (df_worker.nruns > 0 || df_worker.more || df_worker.look || df_trace_due() != DF_NEVER)
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
	df_worker.token_news = false;
	df_turn();
	df_worker.slot->runs_held = df_worker.nruns;
	df_worker.slot->in_flight = df_worker.in_flight;
	MemoryContextSwitchTo(TopMemoryContext);
	MemoryContextReset(df_worker.turn_cxt);
	df_worker.touched = df_worker.departures = NIL;
}

/* answers are recorded, nothing new is begun */
static void
hear_some(TimestampTz until)
{
	TimestampTz next;
	bool waits;
	long http = df_http_timeout_ms();

	collect();
	waits = df_turn_waits(&next);
	if (!waits)
		next = df_turn_aside_due();
	if (!waits && something_to_record())
		one_turn();
	else
		(void) df_wait_until(
			df_earlier(df_earlier(until, next), http < 0 ? DF_NEVER : df_now() + http * 1000));
	df_process_interrupts();
}

/* the last turns of a process that was asked to end */
static void
drain(void)
{
	TimestampTz until = df_now() + Min(DRAIN_MS, LAST_ANSWER_MS - df_leaving_ms()) * 1000;

	while (df_worker.in_flight > 0 && df_now() < until)
		hear_some(until);
	/* what could not be recorded yet, and then what came meanwhile, once more */
	for (int i = 0; i < 2 && (df_worker.aside > 0 || df_turn_has_results()); i++)
		one_turn();
	df_slot_step_aside(df_worker.slot);
}

static bool all_given_back;

static void
return_lease(void)
{
	DfStore store;

	df_xact_begin();
	df_store_enter(&store);
	all_given_back = df_give_back_lease(df_worker.lease);
	df_store_leave(&store);
	df_xact_commit();
}

/* what we hold is due again, for whoever comes next; false: not all of it */
static bool
give_runs_back(void)
{
	static DfTrouble trouble = {"give its runs back"};

	return df_guarded(return_lease, &trouble) && all_given_back;
}

/*
 * Others wait for a place.  What is on the wire is heard out, however long it
 * takes, as it would be in doubt otherwise; the rest waits in the table for our
 * next turn.
 */
static void
give_way(void)
{
	TimestampTz again = is_idle() ? df_worker.next_due : df_now();

	df_worker.giving_way = true;
	while ((df_worker.in_flight > 0 || df_worker.aside > 0 || df_turn_has_results()) &&
		   !df_worker.gone && !df_leaving())
		hear_some(DF_NEVER);
	if (df_worker.gone)
		return;
	if (df_leaving())
		drain();
	else if (df_worker.nruns > 0 && !give_runs_back())
		df_slot_step_aside(df_worker.slot); /* the coordinator takes them back */
	else
		df_slot_give_way(df_worker.slot, again);
}

void
dataflows_worker_main(Datum arg)
{
	DfSlot *slot = df_process_begin(arg);

	/* not at once: a planned stop must not put every request on the wire in doubt */
	pqsignal(SIGTERM, df_handle_leave);
	set_up(slot);
	for (;;)
	{
		TimestampTz due;

		if (df_worker.gone)
			break;
		if (df_leaving())
		{
			drain();
			break;
		}
		if (df_line_is_asked(slot))
		{
			give_way();
			break;
		}

		collect();
		if (df_worker.results != NIL && df_worker.in_flight >= 8)
			collect_more();
		if (df_slot_take_wake(slot))
			df_worker.look = df_worker.more = df_worker.inbox_news = true;
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
		df_line_idle(slot, is_idle());
		if (df_line_is_asked(slot))
			continue;
		(void) df_wait_until(sleep_until(due));
		df_line_idle(slot, false);
		df_process_interrupts();
	}
	/* what is still on the wire may wait for a name server, and libcurl for that */
	if (df_http_in_flight() == 0)
		df_http_shutdown();
	proc_exit(0);
}
