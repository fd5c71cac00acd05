/*
 * store/page_calls.c
 *	  What the page shows and asks for: one statement each.
 *
 * Runs in the ingress process, in the caller's transaction, as the role of the
 * token, not as the extension's owner: the text is ours, reads our views and
 * calls our functions, so that their rights hold.  Only window_floor() runs as
 * the owner.  What came from outside must never be anything but a parameter.
 * Lists are bounded by a limit and go by an index, or read a fixed number of the
 * newest runs: the process that waits for them serves webhooks, too.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"

#include "store/page_calls.h"
#include "store/store.h"

typedef struct Call
{
	DfPageCall call;
	int window; /* reads so many of the newest runs; 0 = an index bounds what it reads */
	DfPlan plan;
} Call;

/* ---- pieces of statements ------------------------------------------------- */

/* clang-format off */

#define WINDOW 20000
#define AN_HOUR_AGO "(now() - '1 hour'::interval)"

/* run ids begin with their milliseconds, 48 bits: a time is the least id of that time */
#define ID_AT(t) \
	"CASE WHEN " t " IS NOT NULL THEN (" \
	"  lpad(to_hex(least(greatest(extract(epoch FROM " t ") * 1000, 0)," \
	"   281474976710655)::bigint), 12, '0')" \
	"  || '00000000000000000000')::uuid END"
#define ANY_ID "'00000000-0000-0000-0000-000000000000'::uuid"
#define NO_ID "'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid"

/* what may be large is cut: a browser shows it, and this process has other requests */
#define SHOWN(column) "dataflows._shown(" column ") AS "
#define SHOWN_TEXT(column) \
	"CASE WHEN octet_length(" column ") <= 262144 THEN " column \
	" ELSE 'too large to be shown here' END AS "

#define RUN_COLUMNS \
	"r.run, r.workflow, r.version, r.key, r.owner, r.state, r.step, r.waiting_for, r.wake_at," \
	" r.started_by, r.started_at, r.finished_at, r.cause, r.error ->> 'message' AS error," \
	" r.stuck ->> 'reason' AS stuck"
#define WHOLE_RUN \
	"q.run, q.workflow, q.version, q.key, q.owner, q.state, q.step, q.waiting_for, q.wake_at," \
	" q.started_by, q.started_at, q.finished_at, " SHOWN("q.input") "input," \
	" " SHOWN("q.result") "result, " SHOWN("q.error") "error, q.stuck, q.cause, q.drifted," \
	" q.parent, q.restarted_from, q.deadline, q.round, q.traceparent"
#define STEP_COLUMNS \
	"z.run, z.n, z.step, z.kind, z.system, z.state, z.attempts, z.request, z.status," \
	" " SHOWN("z.output") "output, " SHOWN("z.error") "error, z.undo, z.undo_state," \
	" z.idempotency_key, z.started_at, z.finished_at, " SHOWN_TEXT("z.body") "body," \
	" " SHOWN_TEXT("z.undo_body") "undo_body, z.sent_at, z.wake_at, z.undo_attempts," \
	" z.undo_since, " SHOWN("z.undo_error") "undo_error, z.workflow, z.key, z.child, z.round"
#define SIGNAL_COLUMNS \
	"z.sent_by, z.sent_at, z.event, z.consumed_by, z.run, z.workflow, z.key," \
	" " SHOWN("z.payload") "payload, z.state, z.consumed_at, z.expires_at, z.sent_pid, z.id," \
	" z.on_behalf_of"

/* a run's steps and their attempts are shown two hundred steps at a time; $2 = after which */
#define THESE " AND z.n > coalesce($2::int, 0) AND z.n <= coalesce($2::int, 0) + 200"
#define OF_RUN(view, columns, which, order) \
	"(SELECT coalesce(json_agg(y), '[]') FROM (" \
	"   SELECT " columns \
	"   FROM dataflows." view " AS z" \
	"   WHERE z.run = $1::uuid" which \
	"   ORDER BY " order " LIMIT 1000) AS y)"

#define LIST(query) "SELECT coalesce(json_agg(x), '[]')::text FROM (" query ") AS x"

/* ---- the statements ------------------------------------------------------- */

/* the names of the arguments follow the text, with NULL behind the last one */
#define NARGS(...) (lengthof(((const char *const[]){__VA_ARGS__})) - 1)
#define TEXTS {TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID}
#define SHOW(name, sql, ...) \
	{{name, false, {__VA_ARGS__}}, 0, {sql, SPI_OK_SELECT, NARGS(__VA_ARGS__), TEXTS}}
/* its last parameter, behind the arguments, is the least id of the window */
#define SHOW_WINDOW(name, sql, ...) \
	{{name, false, {__VA_ARGS__}}, WINDOW, {sql, SPI_OK_SELECT, NARGS(__VA_ARGS__) + 1, TEXTS}}
#define ASK(name, call, ...) \
	{{name, true, {__VA_ARGS__}}, 0, {"SELECT json_build_object('done', " call ")::text", \
		SPI_OK_SELECT, NARGS(__VA_ARGS__), TEXTS}}

static Call calls[] = {
	SHOW("me",
		"SELECT json_build_object('role', CURRENT_USER, 'database', current_database())::text",
		NULL),

	/* next: before which run to go on; NULL = all were read */
	SHOW_WINDOW("runs",
		"SELECT json_build_object('runs', coalesce(json_agg(x), '[]'),"
		"  'next', CASE WHEN count(*) = 50 THEN min(x.run::text) ELSE $7 END)::text"
		" FROM ("
		"  SELECT " RUN_COLUMNS
		"  FROM dataflows.runs AS r"
		"  WHERE ($1 IS NULL OR r.workflow = $1)"
		"  AND ($2 IS NULL OR r.state = $2)"
		"  AND ($3 IS NULL OR starts_with(r.key, $3))"
		"  AND r.run >= coalesce(" ID_AT("$4::timestamptz") ", " ANY_ID ")"
		"  AND r.run < least(" ID_AT("$5::timestamptz") ", $6::uuid, " NO_ID ")"
		"  AND r.run >= coalesce($7::uuid, " ANY_ID ")"
		"  ORDER BY r.run DESC LIMIT 50) AS x",
		"workflow", "state", "prefix", "since", "until", "before", NULL),

	/* by the index on workflow and key, one workflow after the other */
	SHOW("runs_by_key",
		"SELECT json_build_object('runs', coalesce(json_agg(x), '[]'))::text"
		" FROM ("
		"  SELECT " RUN_COLUMNS
		"  FROM dataflows.runs AS r"
		"  WHERE r.workflow = ANY (ARRAY("
		"   SELECT w.name FROM dataflows.workflows AS w WHERE $1 IS NULL OR w.name = $1))"
		"  AND r.key = $2 AND ($3 IS NULL OR r.state = $3)"
		"  ORDER BY r.run DESC LIMIT 50) AS x",
		"workflow", "key", "state", NULL),

	SHOW("run",
		"SELECT json_build_object('run', to_json(r),"
		"  'last', (SELECT z.n FROM dataflows.steps AS z"
		"   WHERE z.run = $1::uuid ORDER BY z.n DESC LIMIT 1),"
		"  'steps', " OF_RUN("steps", STEP_COLUMNS, THESE, "z.n") ","
		"  'attempts', " OF_RUN("attempts", "z.*", THESE, "z.at DESC") ","
		"  'signals', " OF_RUN("signals", SIGNAL_COLUMNS, "", "z.id DESC") ","
		"  'requests', " OF_RUN("requests", "z.*", "", "z.id DESC") ")::text"
		" FROM (SELECT " WHOLE_RUN " FROM dataflows.runs AS q WHERE q.run = $1::uuid) AS r",
		"run", "after", NULL),

	SHOW("stuck",
		LIST("SELECT s.* FROM dataflows.stuck AS s ORDER BY s.run DESC LIMIT 200"),
		NULL),
	SHOW("pending_undo",
		LIST("SELECT p.* FROM dataflows.pending_undo AS p ORDER BY p.run DESC LIMIT 200"),
		NULL),

	/* without what counts live runs: that reads them all */
	SHOW("systems",
		LIST(
			"SELECT s.system, s.url, s.in_flight, s.max_concurrency, s.allowed, s.rate_limit,"
			"  s.breaker, s.held_until, s.reason, s.held_owners, s.error_rate, s.requests,"
			"  s.failures, s.latency_ms"
			" FROM dataflows.systems AS s"
			" ORDER BY s.system LIMIT 500"),
		NULL),
	SHOW("workflows",
		LIST(
			"SELECT w.name, w.version, w.function, w.owner, w.paused, w.on_failure, w.retry,"
			"  w.deadline, w.undo_on, w.defined_at"
			" FROM dataflows.workflows AS w"
			" ORDER BY w.name, w.version DESC LIMIT 500"),
		NULL),
	SHOW("webhooks",
		LIST(
			"SELECT w.path, w.starts, w.signals, w.event, w.key, w.verify, w.filter, w.handler,"
			"  w.owner, w.created_at"
			" FROM dataflows.webhooks AS w"
			" ORDER BY w.path LIMIT 500"),
		NULL),
	SHOW("schedules",
		LIST(
			"SELECT s.name, s.cron, s.workflow, s.owner, s.active, s.last_at, s.last_run,"
			"  s.last_status, s.last_message, " SHOWN("s.input") "input, s.scheduled_at"
			" FROM dataflows.schedules AS s"
			" ORDER BY s.name LIMIT 500"),
		NULL),

	/*
	 * Of the last hour, but no more than the newest twenty thousand runs: what
	 * ended, by when it ended, and what got stuck and still is, by when.
	 */
	SHOW_WINDOW("throughput",
		LIST(
			"SELECT t.minute, t.state, sum(t.n) AS n"
			" FROM ("
			"  SELECT date_trunc('minute', r.finished_at) AS minute, r.state, count(*) AS n"
			"  FROM dataflows.runs AS r"
			"  WHERE r.run >= greatest(" ID_AT(AN_HOUR_AGO) ", $1::uuid)"
			"  AND r.finished_at >= " AN_HOUR_AGO
			"  GROUP BY 1, 2"
			"  UNION ALL"
			"  SELECT date_trunc('minute', s.since), 'stuck', count(*)"
			"  FROM ("
			"   SELECT q.since FROM dataflows.stuck AS q ORDER BY q.run DESC LIMIT 1000) AS s"
			"  WHERE s.since >= " AN_HOUR_AGO
			"  GROUP BY 1) AS t"
			" GROUP BY 1, 2"
			" ORDER BY 1, 2"),
		NULL),
	SHOW_WINDOW("latency",
		LIST(
			"SELECT date_trunc('minute', s.finished_at) AS minute, s.system, count(*) AS n,"
			"  percentile_cont(0.5) WITHIN GROUP (ORDER BY s.ms) AS p50,"
			"  percentile_cont(0.95) WITHIN GROUP (ORDER BY s.ms) AS p95"
			" FROM ("
			"  SELECT q.system, q.finished_at,"
			"   extract(epoch FROM q.finished_at - q.sent_at)::float8 * 1000 AS ms"
			"  FROM dataflows.steps AS q"
			"  WHERE q.run >= greatest(" ID_AT(AN_HOUR_AGO) ", $1::uuid)"
			"  ORDER BY q.run DESC LIMIT 20000) AS s"
			" WHERE s.system IS NOT NULL AND s.finished_at >= " AN_HOUR_AGO " AND s.ms >= 0"
			" GROUP BY 1, 2"
			" ORDER BY 1, 2"),
		NULL),

	ASK("retry",
		"dataflows.retry($1::uuid, $2)",
		"run", "note", NULL),
	ASK("cancel",
		"dataflows.cancel($1::uuid, $2)",
		"run", "note", NULL),
	ASK("abandon",
		"dataflows.abandon($1::uuid, $2)",
		"run", "note", NULL),
	ASK("undo",
		"dataflows.undo($1::uuid, $2)",
		"run", "note", NULL),
	ASK("resolve",
		"dataflows.resolve($1::uuid, $2, $3, $4, $5::jsonb)",
		"run", "step", "outcome", "note", "output", NULL),
	ASK("signal",
		"dataflows.signal($1::uuid, $2, coalesce($3, '{}')::jsonb)",
		"run", "event", "payload", NULL),
	ASK("pause",
		"dataflows.pause($1, $2)",
		"workflow", "note", NULL),
	ASK("resume",
		"dataflows.resume($1, $2)",
		"workflow", "note", NULL),
};

/* clang-format on */

const DfPageCall *
df_page_call_find(const char *name)
{
	for (int i = 0; i < lengthof(calls); i++)
		if (strcmp(calls[i].call.name, name) == 0)
			return &calls[i].call;
	return NULL;
}

static char *
value_of(const DfPageCall *call, char **values, const char *name)
{
	for (int i = 0; call->args[i] != NULL; i++)
		if (strcmp(call->args[i], name) == 0)
			return values[i];
	return NULL;
}

/*
 * The least id of so many of the newest runs, of all owners; NULL = there are
 * not more.  A list that asks for each run whether the role may see it would
 * read a whole table of others' runs otherwise.  Only its milliseconds are given.
 */
static char *
window_floor(const Call *call, char **values)
{
	/* clang-format off */
	static DfPlan plan = {
		"SELECT left(r.run::text, 13) || '-0000-0000-000000000000'"
		" FROM dataflows.run AS r"
		" WHERE r.run < least(" ID_AT("$1::timestamptz") ", $2::uuid, " NO_ID ")"
		" ORDER BY r.run DESC OFFSET $3 LIMIT 1",
		SPI_OK_SELECT,
		DF_PARAMS(TEXTOID, TEXTOID, INT8OID)};
	/* clang-format on */
	char *bounds[] = {value_of(&call->call, values, "until"),
					  value_of(&call->call, values, "before")};
	Datum datums[3];
	char nulls[] = "   ";
	MemoryContext cxt = CurrentMemoryContext;
	DfStore store;
	char *result = NULL;

	for (int i = 0; i < lengthof(bounds); i++)
	{
		nulls[i] = bounds[i] == NULL ? 'n' : ' ';
		datums[i] = bounds[i] == NULL ? (Datum) 0 : CStringGetTextDatum(bounds[i]);
	}
	datums[2] = Int64GetDatum(call->window - 1);
	df_store_enter(&store);
	if (df_plan_run_latest(&plan, datums, nulls, 1) == 1)
		result = df_copy_text(cxt, 0, 0);
	df_store_leave(&store);
	return result;
}

char *
df_page_call_run(const DfPageCall *call, Oid role, char **values)
{
	Call *found = (Call *) call; /* its first member */
	Datum datums[DF_PAGE_MAX_ARGS];
	char nulls[DF_PAGE_MAX_ARGS + 1];
	MemoryContext cxt = CurrentMemoryContext;
	DfStore store;
	char *result = NULL;
	uint64 n;

	if (found->window > 0)
		values[found->plan.nargs - 1] = window_floor(found, values);
	for (int i = 0; i < found->plan.nargs; i++)
	{
		nulls[i] = values[i] == NULL ? 'n' : ' ';
		datums[i] = values[i] == NULL ? (Datum) 0 : CStringGetTextDatum(values[i]);
	}
	df_store_enter_as(&store, role);
	n = call->writes ? df_plan_run(&found->plan, datums, nulls, 1)
					 : df_plan_run_latest(&found->plan, datums, nulls, 1);
	if (n == 1)
		result = df_copy_text(cxt, 0, 0);
	df_store_leave(&store);
	return result;
}
