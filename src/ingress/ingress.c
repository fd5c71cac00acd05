/*
 * ingress/ingress.c
 *	  The ingress process: serves webhooks, links, the page and metrics.
 *
 * It is a session of dataflows.ingress_role that does nothing else.  The listener returns
 * complete requests.  Those that need the database are handled in one transaction per batch,
 * each in a subtransaction of its own, and are answered after the commit.  Requests of
 * people are slow: each has a transaction of its own, one between two batches.  So have
 * deliveries to a role whose handlers were slow (ingress/patience.c).  A webhook therefore
 * waits for at most one of each.  Must never respond before the commit, wait for a client
 * inside a transaction, or run user code other than handlers of webhooks.
 */
#include "postgres.h"

#include <limits.h>

#include "miscadmin.h"
#include "storage/ipc.h"
#include "utils/acl.h"
#include "utils/memutils.h"
#include "utils/timeout.h"
#include "utils/timestamp.h"

#include "guc.h"
#include "ingress/ingress.h"
#include "ingress/listener.h"
#include "ingress/live.h"
#include "ingress/patience.h"
#include "ingress/routes.h"
#include "shared/clock.h"
#include "shared/descriptors.h"
#include "shared/json.h"
#include "shared/metrics.h"
#include "shared/slots.h"
#include "shared/trouble.h"
#include "shared/watchdog.h"
#include "store/store.h"
#include "store/subxact.h"
#include "store/xact.h"
#include "types/base.h"
#include "worker/guarded.h"
#include "worker/process.h"
#include "worker/wait.h"

#define MAX_BATCH 64
#define SAY_EVERY_MS 60000
/* how often to check for free descriptors */
#define STARVED_MS 100
/*
 * How long a request may wait for a lock of somebody's open transaction: all other requests
 * wait with it, and the sender tries again.  It is less than deadlock_timeout, so that the
 * deadlock check of a user's session never finds us.
 */
#define LOCK_MS 50

static DfSlot *me;

typedef struct Work
{
	DfRequest *request;
	DfRouteHandler handler;
} Work;

/* ---- the timer: of the whole request, beside that of a handler ------------ */

static TimeoutId request_timer = MAX_TIMEOUTS;

/* in a signal handler: flags only */
static void
request_timeout_handler(void)
{
	InterruptPending = true;
	QueryCancelPending = true;
	SetLatch(MyLatch);
}

/* ---- a batch -------------------------------------------------------------- */

static void
run_handler(void *arg)
{
	Work *work = arg;

	work->handler(work->request);
}

static void
answer_busy(DfRequest *request, int retry_after_s)
{
	static const char text[] = DF_JSON_ERROR("not possible now");
	char seconds[16];

	snprintf(seconds, sizeof(seconds), "%d", retry_after_s);
	(void) df_request_reply(request, 503, "application/json", text, strlen(text));
	(void) df_request_add_header(request, "Retry-After", seconds);
}

static void
answer_failure(DfRequest *request)
{
	answer_busy(request, 60);
}

/* a link lets who has it send its event: it must not be in a log */
static const char *
shown_path(const DfRequest *request)
{
	return strncmp(request->path, "/event/", 7) == 0 ? "/event/..." : request->path;
}

/* anybody can send requests, so do not log each one */
static void
say_failure(const DfRequest *request, const ErrorData *error)
{
	static TimestampTz said = DF_NEVER;
	static int unsaid = 0;
	TimestampTz now = df_now();

	if (said != DF_NEVER && !TimestampDifferenceExceeds(said, now, SAY_EVERY_MS))
	{
		unsaid++;
		return;
	}
	said = now;
	ereport(LOG,
			(errcode(error->sqlerrcode),
			 errmsg("dataflows ingress could not answer %s %s: %s", request->method,
					shown_path(request), error->message),
			 unsaid > 0
				 ? errdetail("%d more requests failed since the last such line.", unsaid)
				 : 0,
			 errhidestmt(true), errhidecontext(true)));
	unsaid = 0;
}

static void
carry_out(Work *work)
{
	ErrorData *error;

	if (df_leaving())
	{
		answer_failure(work->request);
		return;
	}
	enable_timeout_after(request_timer,
						 (int) Min((int64) df_body_timeout + df_handler_timeout, INT_MAX));
	if (!df_subxact(run_handler, work, true, &error))
	{
		say_failure(work->request, error);
		answer_failure(work->request);
	}
	disable_timeout(request_timer, false);
	QueryCancelPending = false;
}

static DfTrouble commit_trouble = {"commit what requests ask for"};

/* true = committed */
static bool
in_one_transaction(Work *works, int n)
{
	volatile bool ok = false;

	PG_TRY();
	{
		df_xact_begin();
		MemoryContextSwitchTo(df_turn_cxt);
		df_patience_alone(n == 1);
		for (int i = 0; i < n; i++)
			carry_out(&works[i]);
		df_xact_commit();
		ok = true;
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(df_turn_cxt);
		disable_timeout(request_timer, false);
		(void) df_caught(&commit_trouble, df_turn_cxt);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(df_turn_cxt);
	if (ok)
		df_trouble_over(&commit_trouble);
	return ok;
}

/* a request whose commit fails must not fail the others */
static void
one_by_one(Work *works, int n)
{
	for (int i = 0; i < n; i++)
	{
		if (!in_one_transaction(&works[i], 1))
			answer_failure(works[i].request);
	}
}

static void
commit_and_answer(Work *works, int n)
{
	me->turns++;
	if (!in_one_transaction(works, n))
		one_by_one(works, n);
	me->commits++;
	df_metric_add(DF_METRIC_TURNS, "ingress", NULL, NULL, 1);
	df_metric_add(DF_METRIC_COMMITS, "ingress", NULL, NULL, 1);
	for (int i = 0; i < n; i++)
	{
		if (n > 1 && works[i].request->status == 0)
			df_listener_set_aside(works[i].request, DF_ASIDE_SLOW);
		else
			df_listener_answer(works[i].request);
	}
	df_reset_turn_memory();
}

/* its handler was cancelled a moment ago */
static bool
turned_away(DfRequest *request)
{
	int seconds = df_patience_paused_s(request->path);

	if (seconds > 0)
		answer_busy(request, seconds);
	return seconds > 0;
}

/* handles what has arrived, up to a batch; false if there was nothing */
static bool
serve(void)
{
	Work works[MAX_BATCH];
	int n = 0;
	bool any = false;
	DfRequest *request;

	while (n < MAX_BATCH && (request = df_listener_next()) != NULL)
	{
		any = true;
		works[n].request = request;
		works[n].handler = df_route(request);
		if (works[n].handler == NULL || turned_away(request))
			df_listener_answer(request);
		else if (df_route_has_time(request))
			df_listener_set_aside(request, DF_ASIDE_PEOPLE);
		else
			n++;
	}
	if (n > 0)
		commit_and_answer(works, n);
	return any;
}

/* handles one of the requests set aside; false if there was none */
static bool
serve_aside(DfAside kind)
{
	Work work;

	work.request = df_listener_next_aside(kind);
	if (work.request == NULL)
		return false;
	/* settings may have changed since it arrived */
	work.handler = df_route(work.request);
	if (work.handler == NULL || turned_away(work.request))
		df_listener_answer(work.request);
	else
		commit_and_answer(&work, 1);
	return true;
}

/* looks once for people who look at the page; false if nothing was due */
static bool
serve_live(void)
{
	static DfTrouble trouble = {"look for the page"};

	if (!df_live_is_due())
		return false;
	PG_TRY();
	{
		df_xact_begin();
		MemoryContextSwitchTo(df_turn_cxt);
		df_live_look();
		df_xact_commit();
		df_trouble_over(&trouble);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(df_turn_cxt);
		(void) df_caught(&trouble, df_turn_cxt);
		df_live_failed();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(df_turn_cxt);
	QueryCancelPending = false;
	df_reset_turn_memory();
	return true;
}

/* ---- the loop ------------------------------------------------------------- */

static bool
extension_is_there(void)
{
	bool there;

	df_xact_begin();
	there = df_extension_usable();
	df_xact_commit();
	return there;
}

/*
 * after a wake-up: checks that the extension is still there and that our role still has its
 * rights
 */
static bool
may_go_on(void)
{
	const char *problem;
	bool may;

	df_xact_begin();
	may = df_extension_usable() && get_role_oid(df_ingress_role, true) == GetSessionUserId() &&
		df_process_may_listen(GetSessionUserId(), &problem);
	df_xact_commit();
	return may;
}

/* the listener cannot start: log it once; the coordinator will start another process later */
static void
listen_or_leave(void)
{
	DfListenOptions options;
	const char *why = NULL;

	options.address = df_listen;
	options.max_body = df_max_body;
	options.max_connections = df_ingress_connections;
	options.timeout_s = df_ingress_timeout;
	if (df_listener_start(&options, &why))
		return;
	df_slot_reason(me, why);
	ereport(
		FATAL,
		(errcode(ERRCODE_CONFIG_FILE_ERROR),
		 errmsg("dataflows ingress cannot listen on \"%s\": %s", df_listen, why),
		 errhint(
			 "Correct dataflows.listen, or stop the process that uses the address; if that is the "
			 "engine of another database, name the database that should listen in "
			 "dataflows.ingress_database. The engine tries again by itself.")));
}

/* whether settings have changed that only a new process can apply */
static bool
settings_changed(const char *listen, const char *role, int connections, int timeout_s, int max_body)
{
	return strcmp(listen, df_listen) != 0 || strcmp(role, df_ingress_role) != 0 ||
		connections != df_ingress_connections || timeout_s != df_ingress_timeout ||
		max_body != df_max_body;
}

/*
 * no connection can be accepted for want of descriptors: the library would try again at
 * once, for ever
 */
static bool
is_starved(void)
{
	static DfTrouble trouble = {"accept connections"};
	ErrorData error;

	if (!df_descriptors_used_up(df_listener_fd()))
	{
		df_trouble_over(&trouble);
		return false;
	}
	memset(&error, 0, sizeof(error));
	error.sqlerrcode = ERRCODE_INSUFFICIENT_RESOURCES;
	error.message = strerror(EMFILE);
	error.hint = "Give the server more open files (ulimit -n, LimitNOFILE), or lower "
				 "dataflows.ingress_connections.";
	if (!df_trouble_waits(&trouble, df_now()))
		df_trouble_note(&trouble, &error);
	return true;
}

/*
 * False: this process is to end; what is committed is answered by df_listener_stop().  A commit
 * whose wait for a standby was cut off may be lost, and is not answered: who cuts it off sets
 * ProcDiePending, and df_process_interrupts() ends the process before anything leaves.
 */
static bool
send_responses(void)
{
	df_process_interrupts();
	if (df_leaving())
		return false;
	df_listener_run();
	return true;
}

/* true: a new process must take over, or none; false: the server is stopping */
static bool
listen_loop(void)
{
	char *listen = MemoryContextStrdup(df_process_cxt, df_listen);
	char *role = MemoryContextStrdup(df_process_cxt, df_ingress_role);
	int connections = df_ingress_connections;
	int timeout_s = df_ingress_timeout;
	int max_body = df_max_body;

	for (;;)
	{
		long timeout;
		long due;
		bool busy;

		df_reset_turn_memory();
		df_process_interrupts();
		if (df_leaving())
			return false;
		if (settings_changed(listen, role, connections, timeout_s, max_body) ||
			(df_slot_take_wake(me) && !may_go_on()))
			return true;
		/* send the responses and read what has arrived before sleeping */
		df_listener_run();
		busy = serve();
		/* their responses leave before a request of the page takes its time */
		if (busy && !send_responses())
			return false;
		busy |= serve_aside(DF_ASIDE_PEOPLE);
		/* handle what has arrived in the meantime before slow requests */
		if (!send_responses())
			return false;
		if (serve())
		{
			if (!send_responses())
				return false;
			busy = true;
		}
		busy |= serve_aside(DF_ASIDE_SLOW);
		busy |= serve_live();
		if (busy)
			continue;
		if (is_starved())
		{
			df_wait_for_descriptors(STARVED_MS);
			continue;
		}
		df_xact_idle();
		timeout = df_listener_timeout_ms();
		due = df_live_timeout_ms();
		if (due >= 0 && (timeout < 0 || due < timeout))
			timeout = due;
		(void) df_wait_until(timeout < 0 ? DF_NEVER
										 : TimestampTzPlusMilliseconds(df_now(), timeout));
	}
}

void
dataflows_ingress_main(Datum arg)
{
	bool aside;

	me = df_process_begin(arg);
	pqsignal(SIGTERM, df_handle_leave);
	df_xact_lock_timeout(LOCK_MS);
	df_process_memory(0);
	request_timer = RegisterTimeout(USER_TIMEOUT, request_timeout_handler);
	df_patience_start(me);
	if (!extension_is_there())
		proc_exit(0);
	listen_or_leave();
	df_wait_init(df_listener_fd());
	aside = listen_loop();
	/*
	 * free the address first: the next process is started as soon as this one reports its
	 * end
	 */
	df_live_stop();
	df_listener_stop();
	if (aside)
		df_slot_restart(me);
	proc_exit(0);
}
