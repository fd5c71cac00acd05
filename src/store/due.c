/*
 * store/due.c
 *	  The SQL of the coordinator: who has something due, whose lease is void,
 *	  what NOTIFY brought.
 *
 * Runs in a coordinator, in its transaction, as the extension's owner.  It
 * must never evaluate anything of a user's, nor wait for rows that somebody has
 * locked, and no statement here may take longer because runs have finished or
 * wait: all go by partial indexes.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "flow/flow.h"
#include "guc.h"
#include "shared/clock.h"
#include "shared/metrics.h"
#include "shared/wake.h"
#include "store/alert.h"
#include "store/alias_table.h"
#include "store/due.h"
#include "store/identity.h"
#include "store/inbox_table.h"

#define EQ " OPERATOR(pg_catalog.=) "
#define NE " OPERATOR(pg_catalog.<>) "
#define LT " OPERATOR(pg_catalog.<) "
#define LE " OPERATOR(pg_catalog.<=) "
#define GT " OPERATOR(pg_catalog.>) "
#define GE " OPERATOR(pg_catalog.>=) "
#define PLUS " OPERATOR(pg_catalog.+) "

/* of run.sql: with it the index run_due still bounds wake_at */
#define EITHER "ANY ('{f,t}')"

/* rows that one statement changes at most */
#define BATCH 500
#define BATCH_SQL "500"

/* ---- what is due ---------------------------------------------------------- */

static DfDueOwner *
copy_due_owner(MemoryContext cxt, uint64 row)
{
	DfDueOwner *due = MemoryContextAlloc(cxt, sizeof(DfDueOwner));

	due->owner = DatumGetObjectId(df_value(row, 0));
	due->name = df_copy_text(cxt, row, 1);
	due->wake_at = df_time(row, 2);
	due->inbox = df_bool(row, 3, false);
	return due;
}

/*
 * A row per owner.  The versions of a workflow normally have one owner, so the
 * first due run that is looked at is also the one that is wanted.
 */
List *
df_due_owners(bool sql, MemoryContext cxt)
{
	static DfPlan plan = {
		"SELECT g.owner, g.owner_name, pg_catalog.min(d.wake_at), pg_catalog.bool_or(n.found)"
		" FROM (SELECT w.name, w.owner, w.owner_name, pg_catalog.array_agg(w.version) AS versions"
		"   FROM dataflows.workflow AS w WHERE NOT w.paused"
		"   GROUP BY w.name, w.owner, w.owner_name) AS g"
		" LEFT JOIN LATERAL (SELECT r.wake_at FROM dataflows.run AS r"
		"   WHERE r.workflow" EQ "g.name AND r.sql" EQ "$2 AND r.version" EQ "ANY (g.versions)"
		"   AND r.wake_at IS NOT NULL AND r.lease IS NULL AND r.identity" EQ "$1"
		"   ORDER BY r.wake_at LIMIT 1) AS d ON true"
		" LEFT JOIN LATERAL (SELECT true AS found FROM dataflows.inbox AS i"
		"   LEFT JOIN dataflows.run AS r ON r.run" EQ "i.run"
		"   WHERE NOT $2 AND i.workflow" EQ "g.name AND i.state" EQ "'new'"
		"   AND (i.run IS NULL OR (r.version" EQ "ANY (g.versions) AND r.identity" EQ "$1))"
		"   LIMIT 1) AS n ON true"
		" WHERE d.wake_at IS NOT NULL OR n.found"
		" GROUP BY g.owner, g.owner_name ORDER BY pg_catalog.min(d.wake_at) NULLS LAST",
		SPI_OK_SELECT,
		2,
		{INT8OID, BOOLOID}};
	Datum values[2];
	uint64 n;
	List *result = NIL;

	values[0] = Int64GetDatum(df_identity_hash());
	values[1] = BoolGetDatum(sql);
	n = df_plan_run(&plan, values, NULL, 0);
	for (uint64 row = 0; row < n; row++)
	{
		DfDueOwner *due = copy_due_owner(cxt, row);
		MemoryContext old = MemoryContextSwitchTo(cxt);

		due->sql = sql;
		result = lappend(result, due);
		MemoryContextSwitchTo(old);
	}
	return result;
}

/* ---- leases --------------------------------------------------------------- */

/* the leases of runs that were due by then; a leased run keeps its wake_at */
static uint64
read_leases(TimestampTz up_to)
{
	static DfPlan plan = {"SELECT DISTINCT l.lease"
						  " FROM (SELECT DISTINCT w.name FROM dataflows.workflow AS w) AS g,"
						  " LATERAL (SELECT r.lease FROM dataflows.run AS r"
						  "   WHERE r.workflow" EQ "g.name AND r.sql" EQ EITHER
						  " AND r.wake_at IS NOT NULL AND r.wake_at" LE "$1"
						  "   AND r.lease IS NOT NULL) AS l",
						  SPI_OK_SELECT,
						  1,
						  {TIMESTAMPTZOID}};
	Datum values[1];

	values[0] = TimestampTzGetDatum(up_to);
	return df_plan_run(&plan, values, NULL, 0);
}

/* but for those that somebody has locked */
static void
void_leases(Datum *leases, int n, TimestampTz up_to)
{
	static DfPlan plan = {"UPDATE dataflows.run AS u SET lease = NULL, wake_at = $3 WHERE u.run" EQ
						  "ANY (ARRAY("
						  "  SELECT r.run FROM (SELECT DISTINCT w.name FROM dataflows.workflow AS "
						  "w) AS g, dataflows.run AS r"
						  "  WHERE r.workflow" EQ "g.name AND r.sql" EQ EITHER
						  " AND r.wake_at IS NOT NULL AND r.wake_at" LE "$2"
						  "  AND r.lease" EQ "ANY ($1) FOR NO KEY UPDATE OF r SKIP LOCKED))",
						  SPI_OK_UPDATE,
						  3,
						  {INT8ARRAYOID, TIMESTAMPTZOID, TIMESTAMPTZOID}};
	Datum values[3];

	values[0] = df_array(INT8OID, leases, NULL, n);
	values[1] = TimestampTzGetDatum(up_to);
	values[2] = TimestampTzGetDatum(df_now());
	(void) df_plan_run(&plan, values, NULL, 0);
}

static int
find_dead(TimestampTz up_to, bool (*is_alive)(int64 lease), Datum **dead)
{
	uint64 n = read_leases(up_to);
	int n_dead = 0;

	*dead = palloc(sizeof(Datum) * (n + 1));
	for (uint64 row = 0; row < n; row++)
	{
		int64 lease = df_int64(row, 0, 0);

		if (!is_alive(lease))
			(*dead)[n_dead++] = Int64GetDatum(lease);
	}
	return n_dead;
}

bool
df_return_leases(TimestampTz up_to, bool (*is_alive)(int64 lease))
{
	Datum *dead;
	int n = find_dead(up_to, is_alive, &dead);

	if (n == 0)
		return true;
	void_leases(dead, n, up_to);
	return find_dead(up_to, is_alive, &dead) == 0;
}

bool
df_give_back_lease(int64 lease)
{
	Datum value = Int64GetDatum(lease);
	TimestampTz now = df_now();
	uint64 n;

	void_leases(&value, 1, now);
	n = read_leases(now);
	for (uint64 row = 0; row < n; row++)
		if (df_int64(row, 0, 0) == lease)
			return false;
	return true;
}

/* ---- stuck ---------------------------------------------------------------- */

/* states from which the machine lets a run get stuck, as a text[] */
static Datum
states_that_may_get_stuck(void)
{
	Datum names[DF_RUN_NSTATES];
	int n = 0;

	for (int state = 0; state < DF_RUN_NSTATES; state++)
		if (df_run_next(state, DF_RUN_GET_STUCK) == DF_RUN_STUCK)
			names[n++] = CStringGetTextDatum(df_run_state_name(state));
	return df_array(TEXTOID, names, NULL, n);
}

/* the runs of an owner that nobody holds */
#define RUNS_OF_OWNER \
	" FROM dataflows.workflow AS w, dataflows.run AS r, dataflows.inbox AS i" \
	" WHERE w.owner" EQ "$1 AND w.owner_name" EQ "$2 AND r.workflow" EQ "w.name AND r.version" EQ \
	"w.version" \
	" AND r.lease IS NULL AND r.identity" EQ "$4 AND i.workflow" EQ "w.name AND i.run" EQ \
	"r.run AND i.state" EQ "'new'"

#define STICK_SQL \
	" LIMIT " BATCH_SQL " FOR UPDATE OF r SKIP LOCKED)" \
	" UPDATE dataflows.run AS r SET state = $6, wake_at = NULL, waiting_for = NULL," \
	" stuck = pg_catalog.jsonb_build_object('sqlstate', '28000', 'reason', $7, 'remedy', $8)" \
	" FROM due WHERE r.run" EQ "due.run RETURNING r.run, r.workflow"

#define STICK_TYPES \
	{ \
		OIDOID, TEXTOID, TIMESTAMPTZOID, INT8OID, TEXTARRAYOID, TEXTOID, TEXTOID, TEXTOID \
	}

/* those that are due, or those for which something has come */
static uint64
stick_batch(const DfDueOwner *owner, bool inbox, const char *reason, const char *remedy)
{
	static DfPlan due_plan = {
		"WITH due AS MATERIALIZED (SELECT r.run FROM dataflows.workflow AS w, dataflows.run AS r"
		"   WHERE w.owner" EQ "$1 AND w.owner_name" EQ "$2"
		"   AND r.workflow" EQ "w.name AND r.version" EQ "w.version"
		"   AND r.sql" EQ EITHER " AND r.wake_at IS NOT NULL AND r.wake_at" LE
		"$3 AND r.lease IS NULL"
		"   AND r.identity" EQ "$4 AND r.state" EQ "ANY ($5)" STICK_SQL,
		SPI_OK_UPDATE_RETURNING, 8, STICK_TYPES};
	static DfPlan inbox_plan = {"WITH due AS MATERIALIZED (SELECT r.run" RUNS_OF_OWNER
								" AND i.sent_at" LE "$3 AND r.state" EQ "ANY ($5)" STICK_SQL,
								SPI_OK_UPDATE_RETURNING, 8, STICK_TYPES};
	Datum values[8];
	pg_uuid_t stuck[BATCH];
	uint64 n;

	values[0] = ObjectIdGetDatum(owner->owner);
	values[1] = CStringGetTextDatum(owner->name);
	values[2] = TimestampTzGetDatum(df_now());
	values[3] = Int64GetDatum(df_identity_hash());
	values[4] = states_that_may_get_stuck();
	values[5] = CStringGetTextDatum(df_run_state_name(DF_RUN_STUCK));
	values[6] = CStringGetTextDatum(reason);
	values[7] = CStringGetTextDatum(remedy);
	n = df_plan_run(inbox ? &inbox_plan : &due_plan, values, NULL, 0);
	for (uint64 row = 0; row < n; row++)
	{
		stuck[row] = df_copy_uuid(row, 0);
		df_metric_add(DF_METRIC_RUNS_STUCK, df_copy_text(CurrentMemoryContext, row, 1), NULL, NULL,
					  1);
	}
	df_alert_stuck(stuck, (int) n);
	return n;
}

uint64
df_stick_owner(const DfDueOwner *owner, const char *problem, const char *remedy)
{
	char *reason = psprintf("role \"%s\" owns the workflow, but %s", owner->name, problem);

	return stick_batch(owner, false, reason, remedy) + stick_batch(owner, true, reason, remedy);
}

/* states from which the machine lets a run be abandoned, as a text[] */
static Datum
states_that_may_be_abandoned(void)
{
	Datum names[DF_RUN_NSTATES];
	int n = 0;

	for (int state = 0; state < DF_RUN_NSTATES; state++)
		if (df_run_next(state, DF_RUN_ABANDON) == DF_RUN_ABANDONED)
			names[n++] = CStringGetTextDatum(df_run_state_name(state));
	return df_array(TEXTOID, names, NULL, n);
}

/*
 * Runs that somebody has abandoned and no worker hears of: those that were at
 * rest (their request has a payload), of a database that is held as well, and
 * those of an owner who can have no worker, who will never have one if the role
 * was dropped.  The runs that they called go with them, but those that somebody
 * holds at this moment.  A parent hears of it as from any other child; its
 * owner is to be woken.
 */
static DfPlan abandon_plan = {
	"WITH RECURSIVE asked AS MATERIALIZED (SELECT r.run, i.sent_by, i.sent_at, i.note"
	"   FROM dataflows.inbox AS i, dataflows.run AS r, dataflows.workflow AS w"
	"   WHERE i.kind" EQ "'abandon' AND i.state" EQ "'new' AND r.run" EQ
	"i.run AND r.lease IS NULL AND r.state" EQ "ANY ($1)"
	"   AND w.name" EQ "r.workflow AND w.version" EQ
	"r.version AND (i.payload IS NOT NULL OR w.owner" EQ "$2)"
	"   ORDER BY i.id LIMIT " BATCH_SQL " FOR UPDATE OF r SKIP LOCKED),"
	" family AS (SELECT a.run, a.sent_by, a.sent_at, a.note FROM asked AS a"
	"   UNION SELECT c.run, f.sent_by, f.sent_at, f.note FROM family AS f, dataflows.run AS c"
	"   WHERE c.parent" EQ "f.run AND c.lease IS NULL AND c.state" EQ "ANY ($1)),"
	" u AS (UPDATE dataflows.run AS r SET state = $3, finished_at = $4, wake_at = NULL, "
	"waiting_for = NULL, stuck = NULL, sql = false,"
	"   key_held = $5, error = COALESCE(r.error, pg_catalog.jsonb_build_object('message', "
	"'abandoned by ' OPERATOR(pg_catalog.||) a.sent_by,"
	"     'by', a.sent_by, 'at', a.sent_at, 'reason', a.note))"
	"   FROM (SELECT DISTINCT ON (f.run) f.run, f.sent_by, f.sent_at, f.note FROM family AS f) AS a"
	"   WHERE r.run" EQ "a.run AND r.lease IS NULL AND r.state" EQ "ANY ($1)"
	"   RETURNING r.run, r.parent, r.parent_n, r.error, r.workflow, a.sent_by),"
	" d AS (UPDATE dataflows.inbox AS i SET state = 'done', consumed_at = $4 FROM u WHERE i.run" EQ
	"u.run AND i.state" NE "'done'),"
	" p AS (INSERT INTO dataflows.inbox (run, workflow, key, kind, payload, sent_by, sent_at)"
	"   SELECT r.run, r.workflow, r.key, 'child', pg_catalog.jsonb_build_object('run', u.run, 'n', "
	"u.parent_n, 'state', $3, 'error', u.error), u.sent_by, $4"
	"   FROM u, dataflows.run AS r WHERE r.run" EQ "u.parent AND r.finished_at IS NULL"
	"   AND NOT EXISTS (SELECT FROM u AS o WHERE o.run" EQ "r.run))"
	" SELECT u.workflow, w.owner FROM u LEFT JOIN dataflows.run AS r ON r.run" EQ "u.parent"
	"  LEFT JOIN dataflows.workflow AS w ON w.name" EQ "r.workflow AND w.version" EQ "r.version",
	SPI_OK_SELECT,
	5,
	{TEXTARRAYOID, OIDOID, TEXTOID, TIMESTAMPTZOID, BOOLOID}};

uint64
df_abandon_asked(Oid owner)
{
	const char *state = df_run_state_name(DF_RUN_ABANDONED);
	Datum values[5];
	uint64 n;

	values[0] = states_that_may_be_abandoned();
	values[1] = ObjectIdGetDatum(owner);
	values[2] = CStringGetTextDatum(state);
	values[3] = TimestampTzGetDatum(df_now());
	values[4] = BoolGetDatum(df_run_holds_key(DF_RUN_ABANDONED));
	n = df_plan_run(&abandon_plan, values, NULL, 0);
	for (uint64 row = 0; row < n; row++)
	{
		df_metric_add(DF_METRIC_RUNS_ENDED, df_copy_text(CurrentMemoryContext, row, 0), state, NULL,
					  1);
		if (!df_is_null(row, 1))
			df_wake_owner(DatumGetObjectId(df_value(row, 1)));
	}
	if (n > 0)
		df_wake_awaiters();
	return n;
}

void
df_count_crash(const pg_uuid_t *run)
{
	static DfPlan plan = {"UPDATE dataflows.run AS r SET entries = COALESCE(r.entries, 0)" PLUS "1"
						  " FROM (SELECT q.run FROM dataflows.run AS q WHERE q.run" EQ
						  "$1 AND q.state" EQ "ANY ($2) FOR UPDATE NOWAIT) AS x"
						  " WHERE r.run" EQ "x.run",
						  SPI_OK_UPDATE,
						  2,
						  {UUIDOID, TEXTARRAYOID}};
	Datum values[2];

	values[0] = UUIDPGetDatum(run);
	values[1] = states_that_may_get_stuck();
	(void) df_plan_run(&plan, values, NULL, 0);
}

/* ---- NOTIFY --------------------------------------------------------------- */

/* what a NOTIFY is about: the run if there is one, and what its workflow allows */
typedef struct Target
{
	bool has_run;
	pg_uuid_t run;
	char *workflow;
	char *key; /* may be NULL */
	char *state; /* of the run */
	char *accept;
	Oid owner;
} Target;

static bool
copy_target(Target *target, uint64 n)
{
	if (n == 0)
		return false;
	target->has_run = !df_is_null(0, 0);
	target->run = df_copy_uuid(0, 0);
	target->workflow = df_copy_text(CurrentMemoryContext, 0, 1);
	target->key = df_copy_text(CurrentMemoryContext, 0, 2);
	target->state = df_copy_text(CurrentMemoryContext, 0, 3);
	target->accept = df_copy_text(CurrentMemoryContext, 0, 4);
	target->owner = DatumGetObjectId(df_value(0, 5));
	return true;
}

static bool
find_by_run(pg_uuid_t run, Target *target)
{
	static DfPlan plan = {
		"SELECT r.run, r.workflow, r.key, r.state, w.accept_notify, w.owner"
		" FROM dataflows.run AS r, dataflows.workflow AS w"
		" WHERE r.run" EQ "$1 AND w.name" EQ "r.workflow AND w.version" EQ "r.version",
		SPI_OK_SELECT,
		1,
		{UUIDOID}};
	Datum values[1];

	values[0] = UUIDPGetDatum(&run);
	return copy_target(target, df_plan_run(&plan, values, NULL, 1));
}

/* the run that holds the key, under its own version; else the newest version */
static bool
find_by_key(const char *workflow, const char *key, Target *target)
{
	static DfPlan plan = {
		"SELECT r.run, w.name, $2, r.state, w.accept_notify, w.owner"
		" FROM dataflows.workflow AS w LEFT JOIN LATERAL " DF_HOLDER_SQL(
			"w.name", "$2") " AS r ON true"
							" WHERE w.name" EQ
							"$1 AND (r.run IS NULL AND NOT w.dropped OR r.version" EQ "w.version)"
							" ORDER BY w.version DESC LIMIT 1",
		SPI_OK_SELECT,
		2,
		{TEXTOID, TEXTOID}};
	Datum values[2];

	values[0] = CStringGetTextDatum(workflow);
	values[1] = CStringGetTextDatum(key);
	return copy_target(target, df_plan_run(&plan, values, NULL, 1));
}

static void
insert_signal(const DfNotifySignal *signal, const Target *target)
{
	static DfPlan plan = {
		"INSERT INTO dataflows.inbox"
		" (run, workflow, key, kind, event, payload, sent_by, sent_pid, sent_at, expires_at)"
		" VALUES ($1, $2, $3, 'signal', $4, $5, 'NOTIFY', $6, $7, $8)",
		SPI_OK_INSERT,
		8,
		{UUIDOID, TEXTOID, TEXTOID, TEXTOID, JSONBOID, INT4OID, TIMESTAMPTZOID, TIMESTAMPTZOID}};
	Datum values[8];
	char nulls[9] = "        ";

	values[0] = UUIDPGetDatum(&target->run);
	nulls[0] = target->has_run ? ' ' : 'n';
	values[1] = CStringGetTextDatum(target->workflow);
	values[2] = target->key == NULL ? (Datum) 0 : CStringGetTextDatum(target->key);
	nulls[2] = target->key == NULL ? 'n' : ' ';
	values[3] = CStringGetTextDatum(signal->event);
	values[4] = JsonbPGetDatum(signal->payload);
	values[5] = Int32GetDatum(signal->pid);
	values[6] = TimestampTzGetDatum(signal->at);
	values[7] = TimestampTzGetDatum(
		TimestampTzPlusMilliseconds(signal->at, df_signal_ttl * INT64CONST(1000)));
	nulls[7] = target->has_run ? 'n' : ' ';
	(void) df_plan_run(&plan, values, nulls, 0);
}

/* by the partial indexes: what is due or will be, and what only an event moves */
bool
df_some_accept_notify(void)
{
	static DfPlan plan = {
		"SELECT FROM (SELECT DISTINCT w.name FROM dataflows.workflow AS w WHERE w.accept_notify" NE
		"'none') AS g"
		" WHERE EXISTS (SELECT FROM dataflows.run AS r"
		"   WHERE r.workflow" EQ "g.name AND r.sql" EQ EITHER " AND r.wake_at IS NOT NULL)"
		" OR EXISTS (SELECT FROM dataflows.run AS r"
		"   WHERE r.workflow" EQ "g.name AND r.wake_at IS NULL AND r.finished_at IS NULL) LIMIT 1",
		SPI_OK_SELECT, 0};

	return df_plan_run(&plan, NULL, NULL, 1) > 0;
}

/*
 * A signal by key for which there is no run yet is written as new, not as kept:
 * a run may be starting in a transaction that we cannot see, and the engine
 * looks for the key once more.
 */
DfNotifyFate
df_insert_notify(const DfNotifySignal *signal, Oid *owner)
{
	Target target;
	bool found;

	found = signal->by_key ? find_by_key(signal->workflow, signal->key, &target)
						   : find_by_run(signal->run, &target);
	if (!found)
		return DF_NOTIFY_UNKNOWN;
	if (strcmp(target.accept, "key") != 0 && (signal->by_key || strcmp(target.accept, "run") != 0))
		return DF_NOTIFY_REFUSED;
	if (target.has_run && df_run_is_terminal(df_run_state_of(target.state)))
		return DF_NOTIFY_TOO_LATE;
	if (!df_inbox_has_room(target.has_run ? &target.run : NULL, target.workflow, target.key))
	{
		df_metric_add(DF_METRIC_SIGNALS_REFUSED, target.workflow, "notify", NULL, 1);
		return DF_NOTIFY_TOO_MANY;
	}
	insert_signal(signal, &target);
	*owner = target.owner;
	return DF_NOTIFY_TAKEN;
}
