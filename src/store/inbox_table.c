/*
 * store/inbox_table.c
 *	  Statements by which sessions ask something of runs.
 *
 * Runs in user sessions, in the caller's transaction, as the extension's owner.
 * It inserts into inbox and sets the two marks `paused`; it must never update a
 * run or a step, so that no open transaction of a user's can block the engine.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "flow/flow.h"
#include "shared/clock.h"
#include "shared/limits.h"
#include "store/alias_table.h"
#include "store/columns.h"
#include "store/inbox_table.h"
#include "store/store.h"

#define TARGET_COLUMNS "r.run, r.state, r.workflow, r.version, r.key, r.lease IS NOT NULL"

static bool
copy_target(uint64 n, DfInboxTarget *target, MemoryContext cxt)
{
	char *state;

	if (n == 0)
		return false;
	state = df_copy_text(cxt, 0, 1);
	target->run = df_copy_uuid(0, 0);
	target->state = (DfRunState) df_run_state_of(state);
	target->workflow = df_copy_text(cxt, 0, 2);
	target->version = df_int32(0, 3, 0);
	target->key = df_copy_text(cxt, 0, 4);
	target->held = df_bool(0, 5, false);
	pfree(state);
	return true;
}

bool
df_inbox_find_run(const pg_uuid_t *run, DfInboxTarget *target, MemoryContext cxt)
{
	/* clang-format off */
	static DfPlan plan = {
		"SELECT " TARGET_COLUMNS
		" FROM dataflows.run AS r"
		" WHERE r.run = $1",
		SPI_OK_SELECT,
		DF_PARAMS(UUIDOID)};
	/* clang-format on */
	Datum values[1];

	values[0] = UUIDPGetDatum(run);
	return copy_target(df_plan_run(&plan, values, NULL, 1), target, cxt);
}

bool
df_inbox_find_key(const char *workflow, const char *key, DfInboxTarget *target, MemoryContext cxt)
{
	/* clang-format off */
	static DfPlan plan = {
		"SELECT " TARGET_COLUMNS
		" FROM " DF_HOLDER_SQL("$1", "$2") " AS r",
		SPI_OK_SELECT,
		DF_PARAMS(TEXTOID, TEXTOID)};
	/* clang-format on */
	Datum values[2];

	values[0] = CStringGetTextDatum(workflow);
	values[1] = CStringGetTextDatum(key);
	return copy_target(df_plan_run(&plan, values, NULL, 1), target, cxt);
}

/* no name begins with '#': it is the step's number; 0 = it is a name, or NULL */
static Datum
number_of(const char *step)
{
	return Int32GetDatum(step != NULL && step[0] == '#' ? (int32) strtol(step + 1, NULL, 10) : 0);
}

bool
df_inbox_find_step(const pg_uuid_t *run, const char *step, DfStepStates *states)
{
	static DfPlan plan = {
		"SELECT s.state, coalesce(s.undo_state, 'none'),"
		"  s.state = 'in_doubt' AND s.finished_at IS NOT NULL AND r.cause IS NULL"
		"   AND coalesce(s.options->>'doubt', 'stuck') <> 'fail',"
		"  coalesce(s.maybe_not_ours, false), s.n"
		" FROM dataflows.step AS s"
		" JOIN dataflows.run AS r ON r.run = s.run"
		" WHERE s.run = $1 AND (s.step = $2 OR s.n = $3)"
		" ORDER BY s.n DESC",
		SPI_OK_SELECT,
		DF_PARAMS(UUIDOID, TEXTOID, INT4OID)};
	Datum values[3];

	values[0] = UUIDPGetDatum(run);
	values[1] = CStringGetTextDatum(step);
	values[2] = number_of(step);
	if (df_plan_run(&plan, values, NULL, 1) == 0)
		return false;
	states->state = (DfStepState) df_step_state_of(TextDatumGetCString(df_value(0, 0)));
	states->undo_state = (DfUndoState) df_undo_state_of(TextDatumGetCString(df_value(0, 1)));
	states->may_be_resent = DatumGetBool(df_value(0, 2));
	states->maybe_not_ours =
		states->undo_state == DF_UNDO_FAILED && DatumGetBool(df_value(0, 3));
	states->n = df_int32(0, 4, 0);
	return true;
}

List *
df_inbox_open_undos(const pg_uuid_t *run, int n, MemoryContext cxt)
{
	static DfPlan plan = {
		"SELECT u.step, u.options"
		" FROM dataflows.step AS s"
		" JOIN dataflows.run AS r ON r.run = s.run"
		" JOIN dataflows.step AS u ON u.run = s.run"
		"  AND (u.kind = 'http' AND u.n = s.n"
		"   OR u.kind = 'undo' AND u.options->>'undo_of' = s.step"
		"   AND u.n > coalesce(r.round_n, 0))"
		" WHERE s.run = $1 AND s.n = $2 AND u.undo IS NULL AND u.kept IS NOT TRUE"
		"  AND u.options->>'undo' <> 'none'"
		" ORDER BY u.n",
		SPI_OK_SELECT,
		DF_PARAMS(UUIDOID, INT4OID)};
	Datum values[2] = {UUIDPGetDatum(run), Int32GetDatum(n)};
	uint64 count = df_plan_run(&plan, values, NULL, 0);
	List *undos = NIL;

	for (uint64 row = 0; row < count; row++)
	{
		DfOpenUndo *undo = MemoryContextAlloc(cxt, sizeof(DfOpenUndo));

		undo->step = df_copy_text(cxt, row, 0);
		undo->options = df_copy_jsonb(cxt, row, 1);
		undos = df_append(cxt, undos, undo);
	}
	return undos;
}

/* `step` as resolve() names it, NULL = any */
bool
df_inbox_stuck_by_kind(const pg_uuid_t *run, const char *step)
{
	static DfPlan plan = {
		"SELECT"
		" FROM dataflows.run AS r"
		" JOIN dataflows.step AS s"
		"  ON s.run = r.run AND s.n = CAST(r.stuck->>'other_kind' AS integer)"
		" WHERE r.run = $1 AND r.state = 'stuck'"
		" AND ($2 IS NULL OR s.step = $2 OR s.n = $3)",
		SPI_OK_SELECT,
		DF_PARAMS(UUIDOID, TEXTOID, INT4OID)};
	Datum values[3];
	const char nulls[3] = {' ', step == NULL ? 'n' : ' ', ' '};

	values[0] = UUIDPGetDatum(run);
	values[1] = step == NULL ? (Datum) 0 : CStringGetTextDatum(step);
	values[2] = number_of(step);
	return df_plan_run(&plan, values, nulls, 1) > 0;
}

/* also as resolve() names a step, by '#' and its number */
bool
df_inbox_may_rename(const pg_uuid_t *run, const char *recorded, const char *now)
{
	static DfPlan plan = {
		"SELECT"
		" FROM dataflows.run AS r"
		" WHERE r.run = $1"
		" AND EXISTS ("
		"  SELECT FROM dataflows.step AS s"
		"  WHERE s.run = r.run AND s.n > coalesce(r.round_n, 0) AND (s.step = $2 OR s.n = $4)"
		"  AND s.kind <> 'continue')"
		" AND NOT EXISTS ("
		"  SELECT FROM dataflows.step AS s"
		"  WHERE s.run = r.run AND s.n > coalesce(r.round_n, 0) AND s.step = $3"
		"  AND NOT (s.kind IN ('wait', 'sleep') AND s.state = 'waiting'))",
		SPI_OK_SELECT,
		DF_PARAMS(UUIDOID, TEXTOID, TEXTOID, INT4OID)};
	Datum values[4];

	values[0] = UUIDPGetDatum(run);
	values[1] = CStringGetTextDatum(recorded);
	values[2] = CStringGetTextDatum(now);
	values[3] = number_of(recorded);
	return df_plan_run(&plan, values, NULL, 1) > 0;
}

/* more steps than these are not read: a signal must stay cheap */
#define LAST_STEPS 200

List *
df_inbox_open_waits(const pg_uuid_t *run, const char *event, MemoryContext cxt)
{
	static DfPlan plan = {
		"SELECT s.step, s.options ->> 'by',"
		"  coalesce(s.options ->> 'event' = $2 OR s.options -> 'events' ? $2, false)"
		" FROM ("
		"  SELECT * FROM dataflows.step AS l"
		"  WHERE l.run = $1"
		"  ORDER BY l.n DESC LIMIT $3) AS s"
		" WHERE s.kind = 'wait' AND s.state = 'waiting'"
		" ORDER BY s.n",
		SPI_OK_SELECT,
		DF_PARAMS(UUIDOID, TEXTOID, INT8OID)};
	Datum values[3] = {UUIDPGetDatum(run), CStringGetTextDatum(event), Int64GetDatum(LAST_STEPS)};
	uint64 n = df_plan_run(&plan, values, NULL, 0);
	List *waits = NIL;

	for (uint64 row = 0; row < n; row++)
	{
		DfOpenWait *wait = MemoryContextAlloc(cxt, sizeof(DfOpenWait));

		wait->step = df_copy_text(cxt, row, 0);
		wait->by = df_copy_text(cxt, row, 1);
		wait->of_event = df_bool(row, 2, false);
		waits = df_append(cxt, waits, wait);
	}
	return waits;
}

/* ---- new rows ------------------------------------------------------------- */

#define COLUMN(column, field, form, in) DF_COLUMN(DfNewMessage, column, field, form, in)

/* clang-format off */
static const DfColumn new_message_columns[] = {
	COLUMN("run",          run,          UUID_REF,     DF_IN_MESSAGE),
	COLUMN("workflow",     workflow,     TEXT,         DF_IN_MESSAGE | DF_IN_SIGNALS),
	COLUMN("key",          key,          TEXT,         DF_IN_MESSAGE),
	COLUMN("kind",         kind,         MESSAGE_KIND, DF_IN_MESSAGE | DF_IN_SIGNALS),
	COLUMN("event",        event,        TEXT,         DF_IN_MESSAGE),
	COLUMN("payload",      payload,      JSONB,        DF_IN_MESSAGE),
	COLUMN("note",         note,         TEXT,         DF_IN_MESSAGE),
	COLUMN("sent_by",      sent_by,      TEXT,         DF_IN_MESSAGE | DF_IN_SIGNALS),
	COLUMN("sent_pid",     sent_pid,     COUNT,        DF_IN_MESSAGE),
	COLUMN("sent_at",      now,          TIME,         DF_IN_MESSAGE | DF_IN_SIGNALS),
	COLUMN("expires_at",   expires_at,   TIME,         DF_IN_MESSAGE | DF_IN_SIGNALS),
	COLUMN("on_behalf_of", on_behalf_of, TEXT,         DF_IN_BEHALF),
};
/* clang-format on */

const DfTable df_new_message_table = {new_message_columns, lengthof(new_message_columns)};

void
df_inbox_insert(const DfNewMessage *message)
{
	static DfPlan plan = {
		"INSERT INTO dataflows.inbox ({*})"
		" VALUES ({$})",
		SPI_OK_INSERT,
		DF_NO_PARAMS,
		DF_COLUMNS(df_new_message_table, DF_IN_MESSAGE)};
	static DfPlan with_behalf = {
		"INSERT INTO dataflows.inbox ({*})"
		" VALUES ({$})",
		SPI_OK_INSERT,
		DF_NO_PARAMS,
		DF_COLUMNS(df_new_message_table, DF_IN_MESSAGE | DF_IN_BEHALF)};

	(void) df_row_run(message->on_behalf_of == NULL ? &plan : &with_behalf, NULL, message, NULL);
}

/* for the record alone: it has happened already */
void
df_inbox_note_paused(const char *workflow, const DfPauseNote *note)
{
	static DfPlan plan = {
		"INSERT INTO dataflows.inbox ({*}, state, consumed_at)"
		" VALUES ({$}, 'done', $1)",
		SPI_OK_INSERT,
		DF_PARAMS(TIMESTAMPTZOID),
		DF_COLUMNS(df_new_message_table, DF_IN_MESSAGE | DF_IN_BEHALF)};
	DfNewMessage message = {
		.workflow = workflow == NULL ? "" : workflow,
		.kind = note->kind,
		.sent_by = note->sent_by,
		.note = note->note,
		.on_behalf_of = note->on_behalf_of,
		.now = df_now(),
	};
	Datum now[1] = {TimestampTzGetDatum(message.now)};

	(void) df_row_run(&plan, now, &message, NULL);
}

/* ---- how many signals may wait -------------------------------------------- */

/*
 * Counts of the last second, of this session only: a session that sends thousands
 * of signals does not count the waiting ones each time.
 */
typedef struct Counted
{
	uint32 hash;
	int waiting;
	TimestampTz at;
} Counted;

#define COUNTED_PLACES 64
#define COUNTED_MS 1000

static Counted *
counted_place(const pg_uuid_t *run, const char *workflow, const char *key)
{
	static Counted places[COUNTED_PLACES];
	TimestampTz now = df_now();
	uint32 hash = run != NULL
		? hash_bytes((const unsigned char *) run, sizeof(*run))
		: hash_combine(hash_bytes((const unsigned char *) workflow, strlen(workflow)),
					   hash_bytes((const unsigned char *) key, strlen(key)));
	Counted *place = &places[hash % COUNTED_PLACES];

	if (place->hash != hash || place->at > now ||
		TimestampDifferenceExceeds(place->at, now, COUNTED_MS))
	{
		place->hash = hash;
		place->at = DF_NEVER;
	}
	return place;
}

/* by both names: what came by key is the run's own once the engine has seen it */
static int
count_waiting(const pg_uuid_t *run, const char *workflow, const char *key)
{
	static DfPlan plan = {
		"SELECT count(*)::int4"
		" FROM ("
		"  (SELECT FROM dataflows.inbox AS i"
		"   WHERE i.run = $1 AND i.run IS NOT NULL AND i.state <> 'done'"
		"   LIMIT $4)"
		"  UNION ALL"
		"  (SELECT FROM dataflows.inbox AS i"
		"   WHERE i.workflow = $2 AND i.key = $3 AND i.run IS NULL AND i.state <> 'done'"
		"   LIMIT $4)) AS x",
		SPI_OK_SELECT,
		DF_PARAMS(UUIDOID, TEXTOID, TEXTOID, INT4OID)};
	Datum values[4] = {0};
	char nulls[] = "    ";

	nulls[0] = run == NULL ? 'n' : ' ';
	nulls[2] = key == NULL ? 'n' : ' ';
	values[0] = UUIDPGetDatum(run);
	values[1] = CStringGetTextDatum(workflow);
	if (key != NULL)
		values[2] = CStringGetTextDatum(key);
	values[3] = Int32GetDatum(DF_MAX_WAITING_SIGNALS);
	(void) df_plan_run(&plan, values, nulls, 0);
	return df_int32(0, 0, 0);
}

bool
df_inbox_has_room(const pg_uuid_t *run, const char *workflow, const char *key)
{
	Counted *place = counted_place(run, workflow, key);

	if (place->at == DF_NEVER)
	{
		place->waiting = count_waiting(run, workflow, key);
		place->at = df_now();
	}
	return place->waiting++ < DF_MAX_WAITING_SIGNALS;
}

/* ---- pause and resume ------------------------------------------------------ */

/* all versions: a run of an older one is held as well */
bool
df_workflow_set_paused(const char *name, bool paused)
{
	static DfPlan plan = {
		"UPDATE dataflows.workflow AS w"
		" SET paused = $2"
		" WHERE w.name = $1 AND w.paused <> $2 AND NOT w.dropped",
		SPI_OK_UPDATE,
		DF_PARAMS(TEXTOID, BOOLOID)};
	Datum values[2];

	values[0] = CStringGetTextDatum(name);
	values[1] = BoolGetDatum(paused);
	return df_plan_run(&plan, values, NULL, 0) > 0;
}

bool
df_installation_set_paused(bool paused)
{
	static DfPlan plan = {
		"UPDATE dataflows.installation AS i"
		" SET paused = $1"
		" WHERE i.paused <> $1",
		SPI_OK_UPDATE,
		DF_PARAMS(BOOLOID)};
	Datum values[1];

	values[0] = BoolGetDatum(paused);
	return df_plan_run(&plan, values, NULL, 0) > 0;
}

List *
df_inbox_owners(MemoryContext cxt)
{
	static DfPlan plan = {
		"SELECT DISTINCT w.owner FROM dataflows.workflow AS w"
		" WHERE NOT w.dropped",
		SPI_OK_SELECT, 0};

	return df_plan_oids(&plan, cxt);
}
