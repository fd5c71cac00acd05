/*
 * store/page.c
 *	  Statements of the page: its tokens, what it shows, what it asks for.
 *
 * Runs in sessions that make tokens, in coordinators (the purge) and in the
 * ingress process, in the caller's transaction.  What is shown and asked for
 * runs as the role of the token, not as the extension's owner: the text is
 * ours, reads our views and calls our functions, so that their rights hold.
 * Whatever came from outside is a parameter.  Lists are bounded by a limit and
 * go by an index, or look at so many of the newest runs: the process that waits
 * for them hears webhooks, too.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_database.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "store/page.h"
#include "store/store.h"

#define EQ " OPERATOR(pg_catalog.=) "
#define LT " OPERATOR(pg_catalog.<) "
#define LE " OPERATOR(pg_catalog.<=) "
#define GT " OPERATOR(pg_catalog.>) "
#define CAT " OPERATOR(pg_catalog.||) "

/* run ids begin with their milliseconds, 48 bits: a time is the least id of that time */
#define ID_AT(t) "CASE WHEN " t " IS NOT NULL THEN (pg_catalog.lpad(pg_catalog.to_hex(LEAST(GREATEST(EXTRACT(epoch FROM " t ") * 1000, 0), 281474976710655)::bigint), 12, '0')" \
	CAT "'00000000000000000000')::uuid END"
#define ANY_ID "'00000000-0000-0000-0000-000000000000'::uuid"
#define NO_ID "'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid"
#define LIST(columns_and_rest) "SELECT COALESCE(pg_catalog.json_agg(x), '[]')::text FROM (SELECT " columns_and_rest ") AS x"

/* ---- tokens ---------------------------------------------------------------------------- */

static bytea *
hash_text(const char *token)
{
	bytea	   *text = (bytea *) cstring_to_text(token);
	bytea	   *hash = DatumGetByteaPP(DirectFunctionCall1(sha256_bytea, PointerGetDatum(text)));

	explicit_bzero(VARDATA(text), VARSIZE(text) - VARHDRSZ);
	return hash;
}

/*
 * What the server keeps of a role's password, with the token, hashed: of no use
 * without the token.  NULL = the role has none.
 */
static bytea *
hash_password(Oid role, const char *token)
{
	HeapTuple	tuple = SearchSysCache1(AUTHOID, ObjectIdGetDatum(role));
	bytea	   *hash = NULL;
	Datum		password;
	bool		none;

	if (!HeapTupleIsValid(tuple))
		return NULL;
	password = SysCacheGetAttr(AUTHOID, tuple, Anum_pg_authid_rolpassword, &none);
	if (!none)
	{
		char	   *kept = TextDatumGetCString(password);
		char	   *both = psprintf("%s%s", token, kept);

		hash = hash_text(both);
		explicit_bzero(both, strlen(both));
		explicit_bzero(kept, strlen(kept));
	}
	ReleaseSysCache(tuple);
	return hash;
}

void
df_page_token_insert(const char *token, Oid owner, const char *owner_name, TimestampTz now, TimestampTz expires)
{
	static DfPlan plan = {
		"INSERT INTO dataflows.page_token (hash, owner, owner_name, created_at, expires_at, password) VALUES ($1, $2, $3, $4, $5, $6)",
		SPI_OK_INSERT, 6, {BYTEAOID, OIDOID, TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID, BYTEAOID}
	};
	bytea	   *password = hash_password(owner, token);
	Datum		values[6];

	values[0] = PointerGetDatum(hash_text(token));
	values[1] = ObjectIdGetDatum(owner);
	values[2] = CStringGetTextDatum(owner_name);
	values[3] = TimestampTzGetDatum(now);
	values[4] = TimestampTzGetDatum(expires);
	values[5] = PointerGetDatum(password);
	(void) df_plan_run(&plan, values, password == NULL ? "     n" : NULL, 0);
}

uint64
df_page_token_delete(Oid owner)
{
	static DfPlan plan = {
		"DELETE FROM dataflows.page_token AS t WHERE t.owner" EQ "$1",
		SPI_OK_DELETE, 1, {OIDOID}
	};
	Datum		values[1];

	values[0] = ObjectIdGetDatum(owner);
	return df_plan_run(&plan, values, NULL, 0);
}

/* a copy of the files has them, too, and who made them made them for the original */
uint64
df_page_tokens_drop(void)
{
	static DfPlan plan = {
		"DELETE FROM dataflows.page_token",
		SPI_OK_DELETE, 0
	};

	return df_plan_run(&plan, NULL, NULL, 0);
}

uint64
df_page_tokens_purge(TimestampTz now)
{
	static DfPlan plan = {
		"DELETE FROM dataflows.page_token AS t WHERE t.expires_at" LE "$1",
		SPI_OK_DELETE, 1, {TIMESTAMPTZOID}
	};
	Datum		values[1];

	values[0] = TimestampTzGetDatum(now);
	return df_plan_run(&plan, values, NULL, 0);
}

/*
 * A superuser would see and stop everybody's runs from a browser; a role that
 * cannot log in to the server (any more) does not do so by the page.
 */
const char *
df_page_role_refused(Oid role, const char *name, TimestampTz now)
{
	HeapTuple	tuple = SearchSysCache1(AUTHOID, ObjectIdGetDatum(role));
	const char *why = NULL;
	Form_pg_authid form;
	Datum		until;
	bool		forever;

	if (!HeapTupleIsValid(tuple))
		return "does not exist";
	form = (Form_pg_authid) GETSTRUCT(tuple);
	until = SysCacheGetAttr(AUTHOID, tuple, Anum_pg_authid_rolvaliduntil, &forever);
	if (strcmp(NameStr(form->rolname), name) != 0)
		why = "was renamed";
	else if (form->rolsuper)
		why = "is a superuser";
	else if (!form->rolcanlogin)
		why = "may not log in";
	else if (!forever && DatumGetTimestampTz(until) <= now)
		why = "may not log in any more (VALID UNTIL)";
	else if (object_aclcheck(DatabaseRelationId, MyDatabaseId, role, ACL_CONNECT) != ACLCHECK_OK)
		why = "may not connect to this database";
	ReleaseSysCache(tuple);
	return why;
}

static bool
same_bytes(const bytea *one, const bytea *other)
{
	if (one == NULL || other == NULL)
		return one == other;
	return VARSIZE_ANY_EXHDR(one) == VARSIZE_ANY_EXHDR(other) &&
		memcmp(VARDATA_ANY(one), VARDATA_ANY(other), VARSIZE_ANY_EXHDR(one)) == 0;
}

/* asked for each request: what has ended the role's right to log in has ended the token */
Oid
df_page_token_role(const char *token, TimestampTz now)
{
	static DfPlan plan = {
		"SELECT t.owner, t.owner_name, t.password FROM dataflows.page_token AS t WHERE t.hash" EQ "$1 AND t.expires_at" GT "$2",
		SPI_OK_SELECT, 2, {BYTEAOID, TIMESTAMPTZOID}
	};
	Datum		values[2];
	DfStore		store;
	Oid			role = InvalidOid;

	values[0] = PointerGetDatum(hash_text(token));
	values[1] = TimestampTzGetDatum(now);
	df_store_enter(&store);
	if (df_plan_look(&plan, values, NULL, 1) == 1)
	{
		bytea	   *password = df_is_null(0, 2) ? NULL : DatumGetByteaPP(df_value(0, 2));

		role = DatumGetObjectId(df_value(0, 0));
		if (df_page_role_refused(role, df_copy_text(CurrentMemoryContext, 0, 1), now) != NULL ||
			!same_bytes(password, hash_password(role, token)))
			role = InvalidOid;
	}
	df_store_leave(&store);
	return role;
}

/* ---- what it shows and asks for ------------------------------------------------------------ */

typedef struct Call
{
	DfPageCall	call;
	int			look_at;		/* so many of the newest runs; 0 = what it asks for is bounded by an index */
	DfPlan		plan;
} Call;

#define WINDOW 20000
#define AN_HOUR_AGO "(pg_catalog.now() OPERATOR(pg_catalog.-) '1 hour'::interval)"

#define TEXTS {TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID}
#define SHOW(name, n, sql, ...) {{name, false, {__VA_ARGS__}}, 0, {sql, SPI_OK_SELECT, n, TEXTS, NULL}}
#define SHOW_WINDOW(name, n, sql, ...) {{name, false, {__VA_ARGS__}}, WINDOW, {sql, SPI_OK_SELECT, n, TEXTS, NULL}}
#define ASK(name, n, sql, ...) {{name, true, {__VA_ARGS__}}, 0, {"SELECT pg_catalog.json_build_object('done', " sql ")::text", SPI_OK_SELECT, n, TEXTS, NULL}}

#define RUN_COLUMNS "r.run, r.workflow, r.version, r.key, r.owner, r.state, r.step, r.waiting_for, r.wake_at," \
	" r.started_by, r.started_at, r.finished_at, r.cause, r.error ->> 'message' AS error, r.stuck ->> 'reason' AS stuck"
#define WHOLE_RUN "q.run, q.workflow, q.version, q.key, q.owner, q.state, q.step, q.waiting_for, q.wake_at, q.started_by, q.started_at, q.finished_at, " \
	SHOWN("q.input") "input, " SHOWN("q.result") "result, " SHOWN("q.error") "error, q.stuck, q.cause, q.drifted, q.parent, q.restarted_from," \
	" q.deadline, q.round, q.traceparent"
#define OF_RUN(view, columns, which, order) "(SELECT COALESCE(pg_catalog.json_agg(y), '[]') FROM (SELECT " columns " FROM dataflows." view " AS z" \
	" WHERE z.run = $1::uuid" which " ORDER BY " order " LIMIT 1000) AS y)"
/* what may be large is cut: a browser is to show it, and this process to go on with others' requests */
#define SHOWN(column) "dataflows._shown(" column ") AS "
#define SHOWN_TEXT(column) "CASE WHEN pg_catalog.octet_length(" column ") <= 262144 THEN " column " ELSE 'too large to be shown here' END AS "
#define STEP_COLUMNS "z.run, z.n, z.step, z.kind, z.system, z.state, z.attempts, z.request, z.status, " SHOWN("z.output") "output, " \
	SHOWN("z.error") "error, z.undo, z.undo_state, z.idempotency_key, z.started_at, z.finished_at, " SHOWN_TEXT("z.body") "body, " \
	SHOWN_TEXT("z.undo_body") "undo_body, z.sent_at, z.wake_at, z.undo_attempts, z.undo_since, " SHOWN("z.undo_error") "undo_error, " \
	"z.workflow, z.key, z.child, z.round"
#define SIGNAL_COLUMNS "z.sent_by, z.sent_at, z.event, z.consumed_by, z.run, z.workflow, z.key, " SHOWN("z.payload") "payload, " \
	"z.state, z.consumed_at, z.expires_at, z.sent_pid, z.id"
/* the n of a run's steps and of their attempts are shown two hundred at a time; $2 = after which */
#define THESE " AND z.n > COALESCE($2::int, 0) AND z.n <= COALESCE($2::int, 0) + 200"

static Call calls[] = {
	SHOW("me", 0, "SELECT pg_catalog.json_build_object('role', CURRENT_USER, 'database', pg_catalog.current_database())::text", NULL),
	/* next: before which run to look further; NULL = all were looked at */
	SHOW_WINDOW("runs", 7, "SELECT pg_catalog.json_build_object('runs', COALESCE(pg_catalog.json_agg(x), '[]'),"
		" 'next', CASE WHEN pg_catalog.count(*)" EQ "50 THEN pg_catalog.min(x.run::text) ELSE $7 END)::text"
		" FROM (SELECT " RUN_COLUMNS " FROM dataflows.runs AS r"
		" WHERE ($1 IS NULL OR r.workflow" EQ "$1) AND ($2 IS NULL OR r.state" EQ "$2)"
		" AND ($3 IS NULL OR pg_catalog.starts_with(r.key, $3))"
		" AND r.run >= COALESCE(" ID_AT("$4::timestamptz") ", " ANY_ID ")"
		" AND r.run < LEAST(" ID_AT("$5::timestamptz") ", $6::uuid, " NO_ID ")"
		" AND r.run >= COALESCE($7::uuid, " ANY_ID ")"
		" ORDER BY r.run DESC LIMIT 50) AS x",
		"workflow", "state", "prefix", "since", "until", "before", NULL),
	/* by the index on workflow and key, one workflow after the other */
	SHOW("runs_by_key", 3, "SELECT pg_catalog.json_build_object('runs', COALESCE(pg_catalog.json_agg(x), '[]'))::text"
		" FROM (SELECT " RUN_COLUMNS " FROM dataflows.runs AS r"
		" WHERE r.workflow = ANY (ARRAY(SELECT w.name FROM dataflows.workflows AS w WHERE $1 IS NULL OR w.name" EQ "$1))"
		" AND r.key" EQ "$2 AND ($3 IS NULL OR r.state" EQ "$3) ORDER BY r.run DESC LIMIT 50) AS x", "workflow", "key", "state", NULL),
	SHOW("run", 2, "SELECT pg_catalog.json_build_object('run', pg_catalog.to_json(r),"
		" 'last', (SELECT z.n FROM dataflows.steps AS z WHERE z.run = $1::uuid ORDER BY z.n DESC LIMIT 1),"
		" 'steps', " OF_RUN("steps", STEP_COLUMNS, THESE, "z.n") ", 'attempts', " OF_RUN("attempts", "z.*", THESE, "z.at DESC") ","
		" 'signals', " OF_RUN("signals", SIGNAL_COLUMNS, "", "z.id DESC") ", 'requests', " OF_RUN("requests", "z.*", "", "z.id DESC") ")::text"
		" FROM (SELECT " WHOLE_RUN " FROM dataflows.runs AS q WHERE q.run = $1::uuid) AS r", "run", "after", NULL),
	SHOW("stuck", 0, LIST("s.* FROM dataflows.stuck AS s ORDER BY s.run DESC LIMIT 200"), NULL),
	SHOW("pending_undo", 0, LIST("p.* FROM dataflows.pending_undo AS p ORDER BY p.run DESC LIMIT 200"), NULL),
	/* without what counts live runs: that reads them all */
	SHOW("systems", 0, LIST("s.system, s.url, s.in_flight, s.max_concurrency, s.allowed, s.rate_limit, s.breaker,"
		" s.held_until, s.reason, s.held_owners, s.error_rate, s.requests, s.failures, s.latency_ms"
		" FROM dataflows.systems AS s ORDER BY s.system LIMIT 500"), NULL),
	SHOW("workflows", 0, LIST("w.name, w.version, w.function, w.owner, w.paused, w.on_failure, w.retry, w.deadline, w.on_error, w.defined_at"
		" FROM dataflows.workflows AS w ORDER BY w.name, w.version DESC LIMIT 500"), NULL),
	SHOW("webhooks", 0, LIST("w.path, w.starts, w.signals, w.event, w.key, w.verify, w.filter, w.handler, w.owner, w.created_at"
		" FROM dataflows.webhooks AS w ORDER BY w.path LIMIT 500"), NULL),
	SHOW("schedules", 0, LIST("s.name, s.cron, s.workflow, s.owner, s.active, s.last_at, s.last_run, s.last_status, s.last_message, "
		SHOWN("s.input") "input, s.scheduled_at FROM dataflows.schedules AS s ORDER BY s.name LIMIT 500"), NULL),
	/*
	 * Of the last hour, but no more than the newest twenty thousand runs: what
	 * ended, by when it ended, and what got stuck and still is, by when.
	 */
	SHOW_WINDOW("throughput", 1, LIST("t.minute, t.state, pg_catalog.sum(t.n) AS n FROM ("
		" SELECT pg_catalog.date_trunc('minute', r.finished_at) AS minute, r.state, pg_catalog.count(*) AS n"
		"  FROM dataflows.runs AS r WHERE r.run >= GREATEST(" ID_AT(AN_HOUR_AGO) ", $1::uuid) AND r.finished_at >= " AN_HOUR_AGO " GROUP BY 1, 2"
		" UNION ALL SELECT pg_catalog.date_trunc('minute', s.since), 'stuck', pg_catalog.count(*)"
		"  FROM (SELECT q.since FROM dataflows.stuck AS q ORDER BY q.run DESC LIMIT 1000) AS s WHERE s.since >= " AN_HOUR_AGO " GROUP BY 1"
		") AS t GROUP BY 1, 2 ORDER BY 1, 2"), NULL),
	SHOW_WINDOW("latency", 1, LIST("pg_catalog.date_trunc('minute', s.finished_at) AS minute, s.system, pg_catalog.count(*) AS n,"
		" pg_catalog.percentile_cont(0.5) WITHIN GROUP (ORDER BY s.ms) AS p50,"
		" pg_catalog.percentile_cont(0.95) WITHIN GROUP (ORDER BY s.ms) AS p95"
		" FROM (SELECT q.system, q.finished_at, EXTRACT(epoch FROM q.finished_at - q.sent_at)::float8 * 1000 AS ms"
		"   FROM dataflows.steps AS q WHERE q.run >= GREATEST(" ID_AT(AN_HOUR_AGO) ", $1::uuid)"
		"   ORDER BY q.run DESC LIMIT 20000) AS s"
		" WHERE s.system IS NOT NULL AND s.finished_at >= " AN_HOUR_AGO " AND s.ms >= 0 GROUP BY 1, 2 ORDER BY 1, 2"), NULL),

	ASK("retry", 2, "dataflows.retry($1::uuid, $2)", "run", "note", NULL),
	ASK("cancel", 2, "dataflows.cancel($1::uuid, $2)", "run", "note", NULL),
	ASK("abandon", 2, "dataflows.abandon($1::uuid, $2)", "run", "note", NULL),
	ASK("undo", 2, "dataflows.undo($1::uuid, $2)", "run", "note", NULL),
	ASK("resolve", 5, "dataflows.resolve($1::uuid, $2, $3, $4, $5::jsonb)", "run", "step", "outcome", "note", "output", NULL),
	ASK("signal", 3, "dataflows.signal($1::uuid, $2, COALESCE($3, '{}')::jsonb)", "run", "event", "payload", NULL),
	ASK("pause", 2, "dataflows.pause($1, $2)", "workflow", "note", NULL),
	ASK("resume", 2, "dataflows.resume($1, $2)", "workflow", "note", NULL),
};

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
 * The least id of so many of the newest runs, whosever they are; NULL = there are
 * not more.  A list that asks for each run whether the role may see it would
 * read a whole table of others' runs otherwise.  Only its milliseconds are given.
 */
static char *
window_floor(const Call *call, char **values)
{
	static DfPlan plan = {
		"SELECT pg_catalog.left(r.run::text, 13)" CAT "'-0000-0000-000000000000' FROM dataflows.run AS r"
		" WHERE r.run" LT "LEAST(" ID_AT("$1::timestamptz") ", $2::uuid, " NO_ID ")"
		" ORDER BY r.run DESC OFFSET $3 LIMIT 1",
		SPI_OK_SELECT, 3, {TEXTOID, TEXTOID, INT8OID}
	};
	char	   *bounds[] = {value_of(&call->call, values, "until"), value_of(&call->call, values, "before")};
	Datum		datums[3];
	char		nulls[] = "   ";
	MemoryContext cxt = CurrentMemoryContext;
	DfStore		store;
	char	   *result = NULL;

	for (int i = 0; i < lengthof(bounds); i++)
	{
		nulls[i] = bounds[i] == NULL ? 'n' : ' ';
		datums[i] = bounds[i] == NULL ? (Datum) 0 : CStringGetTextDatum(bounds[i]);
	}
	datums[2] = Int64GetDatum(call->look_at - 1);
	df_store_enter(&store);
	if (df_plan_look(&plan, datums, nulls, 1) == 1)
		result = df_copy_text(cxt, 0, 0);
	df_store_leave(&store);
	return result;
}

char *
df_page_call_run(const DfPageCall *call, Oid role, char **values)
{
	Call	   *found = (Call *) call;	/* its first member */
	Datum		datums[DF_PAGE_MAX_ARGS];
	char		nulls[DF_PAGE_MAX_ARGS + 1];
	MemoryContext cxt = CurrentMemoryContext;
	DfStore		store;
	char	   *result = NULL;
	uint64		n;

	if (found->look_at > 0)
		values[found->plan.nargs - 1] = window_floor(found, values);
	for (int i = 0; i < found->plan.nargs; i++)
	{
		nulls[i] = values[i] == NULL ? 'n' : ' ';
		datums[i] = values[i] == NULL ? (Datum) 0 : CStringGetTextDatum(values[i]);
	}
	df_store_enter_as(&store, role);
	n = call->writes ? df_plan_run(&found->plan, datums, nulls, 1) : df_plan_look(&found->plan, datums, nulls, 1);
	if (n == 1)
		result = df_copy_text(cxt, 0, 0);
	df_store_leave(&store);
	return result;
}
