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
#include "utils/guc.h"

#include "store/page_calls.h"
#include "store/store.h"

/* what a question reads at most: so many of the newest runs of the database, of all owners */
typedef enum Bound
{
	BY_INDEX, /* an index bounds what it reads */
	BY_START, /* runs by when they were started */
	BY_END, /* runs that have ended, by when */
	BY_SAMPLE /* so many runs of each column of a chart */
} Bound;

typedef struct Call
{
	DfPageCall call;
	Bound bound;
	int window; /* how many runs */
	DfPlan plan;
} Call;

/* ---- pieces of statements ------------------------------------------------- */

/* clang-format off */

/* of charts */
#define WINDOW 20000
/*
 * Of a search: it looks into inputs, and a page that finds nothing asks for the next ones.  Where
 * inputs are large, it asks for fewer.
 */
#define SEARCHED 5000
/* of a chart that reads steps, for each of its columns */
#define SAMPLED 50
/* how many runs one action changes */
#define MANY "1000"

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
	"CASE WHEN octet_length(" column ") > 262144 THEN 'too large to be shown here'" \
	" ELSE " column " END AS "

/*
 * What a list shows of the runs r: of a live one also its last step, which says since when
 * it is as it is and when it is tried again, and the last attempt that failed.
 */
#define LISTED(runs) \
	"SELECT r.run, r.workflow, r.version, r.key, r.state, r.step, r.waiting_for," \
	"  r.started_by, r.started_at, r.finished_at, r.cause," \
	"  left(r.error ->> 'message', 500) AS error, left(r.stuck ->> 'reason', 500) AS stuck," \
	"  left(r.reason, 500) AS reason, s.attempts, left(a.error, 500) AS failure, a.status," \
	"  coalesce(r.finished_at, greatest(s.started_at, s.sent_at, s.finished_at, s.undo_since)," \
	"   r.started_at) AS since," \
	"  CASE WHEN r.state <> 'stuck' THEN coalesce(s.wake_at, r.wake_at) END AS next_at" \
	" FROM " runs " AS r" \
	" LEFT JOIN LATERAL (" \
	"  SELECT z.* FROM dataflows.steps AS z WHERE z.run = r.run ORDER BY z.n DESC LIMIT 1" \
	" ) AS s ON r.finished_at IS NULL" \
	" LEFT JOIN LATERAL (" \
	"  SELECT z.error, z.status FROM dataflows.attempts AS z" \
	"  WHERE z.run = r.run AND z.n = s.n ORDER BY z.at DESC LIMIT 1" \
	" ) AS a ON r.finished_at IS NULL" \
	" ORDER BY r.run DESC"
#define WHOLE_RUN \
	"q.run, q.workflow, q.version, q.key, q.owner, q.state, q.step, q.waiting_for, q.wake_at," \
	" q.started_by, q.started_at, q.finished_at, " SHOWN("q.input") "input," \
	" " SHOWN("q.result") "result, " SHOWN("q.error") "error, q.reason, q.stuck, q.cause," \
	" q.drifted, q.parent, q.restarted_from, q.deadline, q.round, q.traceparent"
/* of the picture: without what is large, which is asked for when a step is opened */
#define STEP_COLUMNS \
	"z.n, z.step, z.kind, z.system, z.state, z.attempts, z.request, z.status, z.meaning," \
	" z.error ->> 'message' AS error, z.undo, z.undo_state, z.started_at, z.finished_at," \
	" z.sent_at, z.wake_at, z.undo_attempts, z.undo_since," \
	" z.undo_error ->> 'message' AS undo_error, z.child, z.round, z.reason"
#define ATTEMPT_COLUMNS \
	"z.n, z.attempt, z.undo, z.at, z.took_ms, z.status, z.outcome, left(z.error, 1000) AS error," \
	" z.next_at"
#define SIGNAL_COLUMNS \
	"z.sent_by, z.sent_at, z.event, z.consumed_by," \
	" CASE WHEN pg_column_size(z.payload) > 4096 OR octet_length(z.payload::text) > 16384" \
	"  THEN to_jsonb('too large for a list'::text) ELSE z.payload END AS payload, z.state," \
	" z.consumed_at, z.id, z.on_behalf_of"
#define REQUEST_COLUMNS \
	"z.sent_by, z.sent_at, z.request, z.step, z.outcome, left(z.note, 1001) AS note, z.state," \
	" z.consumed_at, z.id, z.on_behalf_of"
#define LINKED(which) \
	"(SELECT json_build_object('run', z.run, 'key', z.key, 'workflow', z.workflow," \
	"   'state', z.state)" \
	"  FROM dataflows.runs AS z WHERE z.run = " which ")"

/* headers as they were sent, but for values that may be secrets of their author */
#define NO_SECRETS(headers) \
	"(SELECT json_object_agg(h.key, CASE WHEN h.key ~* 'auth|cookie|token|secret|key|signature'" \
	"   AND h.key !~* '^idempotency-key$' THEN to_jsonb('(not shown)'::text) ELSE h.value END)" \
	"  FROM jsonb_each(CASE WHEN jsonb_typeof(" headers ") = 'object' THEN " headers " END) AS h)"

/* a run's steps and their attempts are shown five hundred steps at a time; $2 = after which */
#define THESE " AND z.n > coalesce($2::int, 0) AND z.n <= coalesce($2::int, 0) + 500"
#define OF_RUN(view, columns, which, order) \
	"(SELECT coalesce(json_agg(y), '[]') FROM (" \
	"   SELECT " columns \
	"   FROM dataflows." view " AS z" \
	"   WHERE z.run = $1::uuid" which \
	"   ORDER BY " order " LIMIT 1000) AS y)"

#define LIST(query) "SELECT coalesce(json_agg(x), '[]')::text FROM (" query ") AS x"

/* reasons that differ in ids, addresses and long numbers alone are one reason */
#define ONE_REASON(reason) \
	"left(regexp_replace(" reason "," \
	"  '[0-9a-f]{8}-[0-9a-f-]{27}|[^\\s\"'']+@[^\\s\"'']+|#?\\d{4,}', '…', 'g'), 1000)"
#define STUCK_BY_REASON \
	"(SELECT s.run, s.key, s.workflow, coalesce(s.sqlstate, '') AS sqlstate, s.remedy," \
	"   " ONE_REASON("coalesce(s.reason, 'no reason is recorded')") " AS reason, s.since" \
	"  FROM dataflows.stuck AS s)"
#define PENDING_BY_REASON \
	"(SELECT p.run, p.key, p.n, p.workflow, p.step, p.system, p.request, p.state, p.undo," \
	"   p.answered, p.probe, p.since, p.idempotency_key, p.undo_key, p.remedy," \
	"   regexp_replace(p.step, '#\\d+$', '') AS steps, " ONE_REASON("p.why") " AS why" \
	"  FROM dataflows.pending_undo AS p)"

/* the runs of one reason, but for those that came after the person looked; $4 = the newest seen */
#define OF_REASON \
	"SELECT s.run FROM " STUCK_BY_REASON " AS s" \
	" WHERE s.workflow = $1 AND s.sqlstate = coalesce($2, '') AND s.reason = $3" \
	" AND ($4 IS NULL OR s.since <= $4::timestamptz)" \
	" ORDER BY s.run LIMIT " MANY
#define CHOSEN \
	"SELECT e::uuid AS run FROM jsonb_array_elements_text($1::jsonb) AS e LIMIT " MANY
#define DONE_OF(call, runs) \
	"SELECT json_build_object('done', count(*) FILTER (WHERE x.done), 'of', count(*))::text" \
	" FROM (SELECT " call " AS done FROM (" runs ") AS w OFFSET 0) AS x"

/* charts: sixty columns between $1 seconds ago and now */
#define RANGE "least(greatest(coalesce($1, '3600')::int, 60), 2592000)"
#define WIDTH "(" RANGE " / 60)"
#define SINCE "(now() - make_interval(secs => " RANGE "))"
#define COLUMN_OF(t) "floor(extract(epoch FROM " t ") / " WIDTH ") * " WIDTH

/* ---- the statements ------------------------------------------------------- */

/* the names of the arguments follow the text, with NULL behind the last one */
#define NARGS(...) (lengthof(((const char *const[]){__VA_ARGS__})) - 1)
#define TEXTS {TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID}
#define SHOW(name, sql, ...) \
	{{name, false, {__VA_ARGS__}}, BY_INDEX, 0, {sql, SPI_OK_SELECT, NARGS(__VA_ARGS__), TEXTS}}
/* its last parameter, behind the arguments, is where the window begins: an id, or a time */
#define SHOW_WINDOW(name, bound, window, sql, ...) \
	{{name, false, {__VA_ARGS__}}, bound, window, \
		{sql, SPI_OK_SELECT, NARGS(__VA_ARGS__) + 1, TEXTS}}
#define ASK_BY(name, sql, ...) \
	{{name, true, {__VA_ARGS__}}, BY_INDEX, 0, {sql, SPI_OK_SELECT, NARGS(__VA_ARGS__), TEXTS}}
#define ASK(name, call, ...) \
	ASK_BY(name, "SELECT json_build_object('done', " call ")::text", __VA_ARGS__)

static Call calls[] = {
	SHOW("me",
		"SELECT json_build_object('role', CURRENT_USER, 'database', current_database())::text",
		NULL),

	/* how many runs need a person, up to a thousand */
	SHOW("attention",
		"SELECT json_build_object('runs', count(DISTINCT x.run))::text"
		" FROM ("
		"  (SELECT s.run FROM dataflows.stuck AS s LIMIT 1000)"
		"  UNION ALL"
		"  (SELECT p.run FROM dataflows.pending_undo AS p LIMIT 1000)) AS x",
		NULL),
	SHOW("counts",
		LIST("SELECT c.workflow, c.state, c.runs FROM dataflows.run_counts AS c ORDER BY 1, 2"),
		NULL),

	/* next: before which run to go on; NULL = all were read */
	SHOW("runs",
		"SELECT json_build_object('runs', coalesce(json_agg(x) FILTER ("
		"   WHERE x.run >= coalesce(" ID_AT("$3::timestamptz") ", " ANY_ID ")), '[]'),"
		"  'next', CASE WHEN count(*) = 50 AND min(x.run::text)::uuid"
		"   >= coalesce(" ID_AT("$3::timestamptz") ", " ANY_ID ") THEN min(x.run::text) END)::text"
		" FROM (" LISTED("dataflows.list_runs($1, $2, $4::uuid, 50)") ") AS x",
		"workflow", "state", "since", "before", NULL),

	/* by indexes: what is an id or its beginning, a key or an alias */
	SHOW("find",
		"SELECT json_build_object('runs', coalesce(json_agg(x), '[]'))::text"
		" FROM (" LISTED("(SELECT v.* FROM ("
			"  SELECT dataflows.run_of(n.name, $1) AS run"
			"  FROM (SELECT DISTINCT w.name FROM dataflows.workflows AS w) AS n"
			"  UNION"
			"  (SELECT q.run FROM dataflows.runs AS q"
			"   WHERE q.workflow = ANY (ARRAY(SELECT w.name FROM dataflows.workflows AS w))"
			"   AND q.key = $1 ORDER BY q.run DESC LIMIT 50)"
			"  UNION"
			"  (SELECT q.run FROM dataflows.runs AS q"
			"   WHERE lower($1) ~ '^[0-9a-f]{8}[0-9a-f-]{0,28}$'"
			"   AND q.run >= (rpad(replace(lower($1), '-', ''), 32, '0'))::uuid"
			"   AND q.run <= (rpad(replace(lower($1), '-', ''), 32, 'f'))::uuid LIMIT 50)) AS f"
			" CROSS JOIN LATERAL ("
			"  SELECT q.* FROM dataflows.runs AS q WHERE q.run = f.run OFFSET 0) AS v"
			" WHERE ($2 IS NULL OR v.workflow = $2) AND ($3 IS NULL OR v.state = $3)"
			" ORDER BY v.run DESC LIMIT 50)") ") AS x",
		"text", "workflow", "state", NULL),

	/*
	 * By a part of the key, of the workflow's name or of a text in the input, among some
	 * thousand runs; next: before which run to go on, NULL = all were read.
	 */
	SHOW_WINDOW("search", BY_START, SEARCHED,
		"SELECT json_build_object('runs', coalesce(json_agg(x), '[]'),"
		"  'next', CASE WHEN count(*) = 50 THEN min(x.run::text) ELSE $7 END)::text"
		" FROM (" LISTED("(SELECT q.* FROM dataflows.runs AS q"
			" WHERE ($2 IS NULL OR q.workflow = $2)"
			" AND ($3 IS NULL OR q.state = $3)"
			" AND q.run >= coalesce(" ID_AT("$4::timestamptz") ", " ANY_ID ")"
			" AND q.run < coalesce($5::uuid, " NO_ID ")"
			" AND q.run >= coalesce($7::uuid, " ANY_ID ")"
			" AND (strpos(lower(q.key), lower($1)) > 0"
			"  OR strpos(lower(q.workflow), lower($1)) > 0"
			"  OR strpos(lower(q.input::text), lower($1)) > 0)"
			" ORDER BY q.run DESC LIMIT 50)") ") AS x",
		"text", "workflow", "state", "since", "before", "window", NULL),

	SHOW("run",
		"SELECT json_build_object('run', to_json(r),"
		"  'last', (SELECT z.n FROM dataflows.steps AS z"
		"   WHERE z.run = $1::uuid ORDER BY z.n DESC LIMIT 1),"
		"  'steps', " OF_RUN("steps", STEP_COLUMNS, THESE, "z.n") ","
		"  'attempts', " OF_RUN("attempts", ATTEMPT_COLUMNS, THESE, "z.at DESC") ","
		"  'signals', " OF_RUN("signals", SIGNAL_COLUMNS, "", "z.id DESC") ","
		"  'requests', " OF_RUN("requests", REQUEST_COLUMNS, "", "z.id DESC") ","
		"  'pending', " OF_RUN("pending_undo", "z.*", "", "z.n DESC") ","
		"  'since', (SELECT z.since FROM dataflows.stuck AS z WHERE z.run = $1::uuid),"
		"  'parent', " LINKED("r.parent") ","
		"  'restarted_from', " LINKED("r.restarted_from") ","
		"  'children', (SELECT coalesce(json_agg(" LINKED("y.child") "), '[]') FROM ("
		"   SELECT z.child FROM dataflows.steps AS z WHERE z.run = $1::uuid AND z.kind = 'call'"
		"   AND z.child IS NOT NULL ORDER BY z.n LIMIT 100) AS y))::text"
		" FROM (SELECT " WHOLE_RUN " FROM dataflows.runs AS q WHERE q.run = $1::uuid) AS r",
		"run", "after", NULL),
	/* what a step sent and what came back */
	SHOW("step",
		"SELECT to_json(x)::text FROM ("
		"  SELECT z.n, z.step, " SHOWN_TEXT("z.body") "body, " SHOWN("z.output") "output,"
		"   " SHOWN("z.error") "error, z.idempotency_key, " SHOWN_TEXT("z.undo_body") "undo_body,"
		"   " SHOWN("z.undo_error") "undo_error, z.undo_headers,"
		"   " NO_SECRETS("z.headers") " AS headers,"
		"   " NO_SECRETS("z.response_headers") " AS response_headers"
		"  FROM dataflows.steps AS z WHERE z.run = $1::uuid AND z.n = $2::int) AS x",
		"run", "n", NULL),

	/* of the newest thousand: the reasons with how many runs, and some of them */
	SHOW("stuck",
		LIST(
			"SELECT s.workflow, s.sqlstate, s.reason, min(s.remedy) AS remedy, count(*) AS n,"
			"  min(s.since) AS oldest, max(s.since) AS newest,"
			"  to_json((array_agg(json_build_object('run', s.run, 'key', s.key,"
			"   'since', s.since) ORDER BY s.run DESC))[1:50]) AS runs"
			" FROM (SELECT * FROM " STUCK_BY_REASON " AS o ORDER BY o.run DESC LIMIT " MANY ") AS s"
			" GROUP BY s.workflow, s.sqlstate, s.reason"
			" ORDER BY count(*) DESC, max(s.since) DESC LIMIT 100"),
		NULL),
	SHOW("pending",
		LIST(
			"SELECT p.workflow, p.steps AS step, p.system, p.why, count(*) AS n,"
			"  min(p.since) AS oldest, max(p.since) AS newest,"
			"  bool_and(p.undo_failed) AS undo_failed,"
			"  to_json((array_agg(json_build_object('run', p.run, 'key', p.key, 'n', p.n,"
			"   'step', p.step, 'request', p.request, 'state', p.state, 'undo', p.undo,"
			"   'answered', p.answered, 'probe', p.probe, 'since', p.since,"
			"   'idempotency_key', coalesce(p.undo_key, p.idempotency_key), 'remedy', p.remedy,"
			"   'undo_failed', p.undo_failed, 'system', p.system)"
			"    ORDER BY p.run DESC, p.n DESC))[1:50]) AS runs"
			" FROM (SELECT o.*, t.undo_state = 'undo_failed' AS undo_failed"
			"  FROM " PENDING_BY_REASON " AS o"
			"  JOIN LATERAL (SELECT z.undo_state FROM dataflows.steps AS z"
			"   WHERE z.run = o.run AND z.n = o.n OFFSET 0) AS t ON true"
			"  ORDER BY o.run DESC LIMIT " MANY ") AS p"
			" GROUP BY p.workflow, p.steps, p.system, p.why"
			" ORDER BY count(*) DESC, max(p.since) DESC LIMIT 100"),
		NULL),

	/* without what counts live runs: that reads them all */
	SHOW("systems",
		LIST(
			"SELECT s.system, s.url, s.in_flight, s.max_concurrency, s.allowed, s.rate_limit,"
			"  s.breaker, s.held_until, s.reason, s.held_owners, s.error_rate, s.requests,"
			"  s.failures, s.latency_ms, s.paused_by, s.paused_at, s.paused_note"
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
	 * What ended, by when it ended, of no more than the newest twenty thousand that did, and
	 * what got stuck and still is, by when.  begins: before it nothing was read.
	 */
	SHOW_WINDOW("throughput", BY_END, WINDOW,
		"SELECT json_build_object('width', " WIDTH ", 'from', " COLUMN_OF(SINCE) ","
		"  'to', " COLUMN_OF("now()") ", 'begins', extract(epoch FROM $2::timestamptz),"
		"  'list', " "(" LIST(
			"SELECT t.at, t.state, sum(t.n) AS n"
			" FROM ("
			"  SELECT " COLUMN_OF("r.finished_at") " AS at, r.state, count(*) AS n"
			"  FROM dataflows.runs AS r"
			"  WHERE r.finished_at >= greatest(" SINCE ", $2::timestamptz)"
			"  GROUP BY 1, 2"
			"  UNION ALL"
			"  SELECT " COLUMN_OF("s.since") ", 'stuck', count(*)"
			"  FROM ("
			"   SELECT q.since FROM dataflows.stuck AS q ORDER BY q.run DESC LIMIT 1000) AS s"
			"  WHERE s.since >= " SINCE
			"  GROUP BY 1) AS t"
			" GROUP BY 1, 2"
			" ORDER BY 1, 2") ")::json)::text",
		"range", NULL),
	/* of a sample of runs, which is spread over the time */
	SHOW_WINDOW("latency", BY_SAMPLE, SAMPLED,
		"SELECT json_build_object('width', " WIDTH ", 'from', " COLUMN_OF(SINCE) ","
		"  'to', " COLUMN_OF("now()") ","
		"  'list', " "(" LIST(
			"SELECT " COLUMN_OF("s.finished_at") " AS at, s.system, count(*) AS n,"
			"  sum(s.failures) AS failures,"
			"  percentile_cont(0.5) WITHIN GROUP (ORDER BY s.ms) AS p50,"
			"  percentile_cont(0.95) WITHIN GROUP (ORDER BY s.ms) AS p95"
			" FROM unnest($2::uuid[]) AS r (run)"
			" CROSS JOIN LATERAL ("
			"  SELECT q.system, q.finished_at,"
			"   greatest(q.attempts - 1, 0) + (q.state = 'failed')::int AS failures,"
			"   extract(epoch FROM q.finished_at - q.sent_at)::float8 * 1000 AS ms"
			"  FROM dataflows.steps AS q"
			"  WHERE q.run = r.run"
			"  ORDER BY q.n LIMIT 100) AS s"
			" WHERE s.system IS NOT NULL AND s.finished_at >= " SINCE " AND s.ms >= 0"
			" GROUP BY 1, 2"
			" ORDER BY 1, 2") ")::json)::text",
		"range", NULL),

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
	ASK("restart",
		"dataflows.restart($1::uuid)",
		"run", NULL),
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
	ASK("pause_system",
		"dataflows.pause_system($1, $2)",
		"system", "note", NULL),
	ASK("resume_system",
		"dataflows.resume_system($1)",
		"system", NULL),

	/* of many runs: those that were chosen, or those that are stuck for one reason */
	ASK_BY("retry_runs",
		DONE_OF("dataflows.retry(w.run, $2)", CHOSEN),
		"runs", "note", NULL),
	ASK_BY("cancel_runs",
		DONE_OF("dataflows.cancel(w.run, $2)", CHOSEN),
		"runs", "note", NULL),
	ASK_BY("retry_reason",
		DONE_OF("dataflows.retry(w.run, $5)", OF_REASON),
		"workflow", "sqlstate", "reason", "newest", "note", NULL),
	ASK_BY("cancel_reason",
		DONE_OF("dataflows.cancel(w.run, $5)", OF_REASON),
		"workflow", "sqlstate", "reason", "newest", "note", NULL),
	ASK_BY("abandon_reason",
		DONE_OF("dataflows.abandon(w.run, $5)", OF_REASON),
		"workflow", "sqlstate", "reason", "newest", "note", NULL),
	ASK_BY("resolve_reason",
		DONE_OF("dataflows.resolve(w.run, '#' || w.n, $5, $6, NULL)",
			"SELECT p.run, p.n FROM " PENDING_BY_REASON " AS p"
			" WHERE p.workflow = $1 AND p.steps = $2 AND p.why = $3"
			" AND ($4 IS NULL OR p.since <= $4::timestamptz)"
			" ORDER BY p.run LIMIT " MANY),
		"workflow", "step", "reason", "newest", "outcome", "note", NULL),
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

/* the caller may ask for less */
static int
window_of(const Call *call, char **values)
{
	char *given = value_of(&call->call, values, "window");
	int window = given == NULL ? 0 : pg_strtoint32(given);

	return window > 0 ? Min(window, call->window) : call->window;
}

/*
 * What a question may read, of all owners: where so many of the newest runs begin, or a sample.
 * NULL = there are not more.  A list that asks for each run whether the role may see it would
 * read a whole table of others' runs otherwise.  Only milliseconds are given of where it begins,
 * and the ids of a sample are looked up by the role.
 */
static char *
window_floor(const Call *call, char **values)
{
	/* clang-format off */
	static DfPlan by_start = {
		"SELECT left(r.run::text, 13) || '-0000-0000-000000000000'"
		" FROM dataflows.run AS r"
		" WHERE r.run < coalesce($1::uuid, " NO_ID ")"
		" ORDER BY r.run DESC OFFSET $2 - 1 LIMIT 1",
		SPI_OK_SELECT,
		DF_PARAMS(TEXTOID, INT8OID)};
	static DfPlan by_end = {
		"SELECT date_trunc('milliseconds', r.finished_at)::text"
		" FROM dataflows.run AS r"
		" WHERE r.finished_at IS NOT NULL AND ($1 IS NULL OR $1 IS NOT NULL)"
		" ORDER BY r.finished_at DESC, r.run DESC OFFSET $2 - 1 LIMIT 1",
		SPI_OK_SELECT,
		DF_PARAMS(TEXTOID, INT8OID)};
	static DfPlan by_sample = {
		"SELECT array_agg(c.run)::text"
		" FROM generate_series(0, 60) AS g (i)"
		" CROSS JOIN LATERAL (SELECT " SINCE " + make_interval(secs => g.i * " WIDTH ") AS at,"
		"   " SINCE " + make_interval(secs => (g.i + 1) * " WIDTH ") AS until) AS t"
		" CROSS JOIN LATERAL ("
		"  SELECT r.run FROM dataflows.run AS r"
		"  WHERE r.run >= " ID_AT("t.at") " AND r.run < " ID_AT("t.until")
		"  ORDER BY r.run LIMIT $2) AS c",
		SPI_OK_SELECT,
		DF_PARAMS(TEXTOID, INT8OID)};
	/* clang-format on */
	DfPlan *plan = call->bound == BY_START ? &by_start
		: call->bound == BY_END            ? &by_end
										   : &by_sample;
	char *given = value_of(&call->call, values, call->bound == BY_START ? "before" : "range");
	Datum datums[2];
	char nulls[] = "  ";
	MemoryContext cxt = CurrentMemoryContext;
	DfStore store;
	char *result = NULL;

	nulls[0] = given == NULL ? 'n' : ' ';
	datums[0] = given == NULL ? (Datum) 0 : CStringGetTextDatum(given);
	datums[1] = Int64GetDatum(window_of(call, values));
	df_store_enter(&store);
	if (df_plan_run_latest(plan, datums, nulls, 1) == 1)
		result = df_copy_text(cxt, 0, 0);
	df_store_leave(&store);
	return result;
}

/*
 * The engine's processes plan once, by indexes, for statements that are run all the time and
 * always alike.  What a person asks is run once, with a range, a key or an id that decides
 * which index is good.
 */
static void
plan_for_these_values(void)
{
	static const char *const settings[][2] = {{"plan_cache_mode", "force_custom_plan"},
											  {"enable_seqscan", "on"},
											  {"enable_bitmapscan", "on"},
											  {"enable_hashjoin", "on"},
											  {"enable_mergejoin", "on"}};

	for (int i = 0; i < lengthof(settings); i++)
		(void) set_config_option(settings[i][0], settings[i][1], PGC_USERSET, PGC_S_SESSION,
								 GUC_ACTION_SAVE, true, 0, false);
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

	if (found->bound != BY_INDEX)
		values[found->plan.nargs - 1] = window_floor(found, values);
	for (int i = 0; i < found->plan.nargs; i++)
	{
		nulls[i] = values[i] == NULL ? 'n' : ' ';
		datums[i] = values[i] == NULL ? (Datum) 0 : CStringGetTextDatum(values[i]);
	}
	df_store_enter_as(&store, role);
	plan_for_these_values();
	n = call->writes ? df_plan_run(&found->plan, datums, nulls, 1)
					 : df_plan_run_latest(&found->plan, datums, nulls, 1);
	if (n == 1)
		result = df_copy_text(cxt, 0, 0);
	df_store_leave(&store);
	return result;
}
