/*
 * store/step_table.c
 *	  Statements on dataflows.step.
 *
 * Runs in workers and sql workers, in their transaction, as the extension's
 * owner, for runs that the caller holds.  It must never decide anything: a step
 * is written as the engine left it.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "flow/flow.h"
#include "store/columns.h"
#include "store/run_table.h"
#include "store/step_table.h"

/* ---- columns -------------------------------------------------------------- */

#define IN_KEY DF_IN_KEY
/* the intent, written again only if retry() renders it again, or a person renames it */
#define IN_RENDERED (DF_IN_OTHER << 0)
#define IN_INTENT (DF_IN_OTHER << 1) /* what a step has that is on its way for the first time */
#define IN_OUTCOME (DF_IN_OTHER << 2) /* what a later turn may change */
#define IN_RARE (DF_IN_OTHER << 3) /* likewise, but an ordinary step has none of it */
#define IN_OLD (DF_IN_OTHER << 4) /* read, and never written: what steps had that began under 0.1 */
#define IN_ALL (IN_KEY | IN_RENDERED | IN_INTENT | IN_OUTCOME | IN_RARE | IN_OLD)

#define COLUMN(column, field, form, in) DF_COLUMN(DfStep, column, field, form, in)

/* clang-format off */
static const DfColumn step_columns[] = {
	DF_COLUMN_OF_OWNER(DfRun, "run", id, UUID, IN_KEY),
	COLUMN("n",            n,                        INT,        IN_KEY),
	COLUMN("base_hash",    row.base_hash,            HASH,       IN_INTENT | IN_RENDERED),
	COLUMN("started_at",   row.started_at,           TIME,       IN_INTENT | IN_RENDERED),
	COLUMN("kind",         kind,                     STEP_KIND,  IN_INTENT),
	COLUMN("step",         name,                     TEXT,       IN_INTENT | IN_RENDERED),
	COLUMN("system",       system,                   TEXT,       IN_INTENT),
	COLUMN("request",      row.request,              TEXT,       IN_INTENT | IN_RENDERED),
	COLUMN("headers",      row.headers,              JSONB,      IN_INTENT | IN_RENDERED),
	COLUMN("body",         row.body,                 TEXT,       IN_INTENT | IN_RENDERED),
	COLUMN("options",      row.options,              JSONB,      IN_INTENT | IN_RENDERED),
	COLUMN("state",        row.state,                STEP_STATE, IN_INTENT | IN_OUTCOME),
	COLUMN("attempts",     row.attempts,             INT,        IN_INTENT | IN_OUTCOME),
	COLUMN("renewals",     row.renewals,             INT,        IN_RARE),
	COLUMN("sent_at",      row.sent_at,              TIME,       IN_OUTCOME),
	COLUMN("wake_at",      row.wake_at,              TIME,       IN_OUTCOME),
	COLUMN("finished_at",  row.finished_at,          TIME,       IN_OUTCOME),
	COLUMN("status",       row.status,               COUNT,      IN_OUTCOME),
	COLUMN("output",       row.output,               JSONB,      IN_OUTCOME),
	COLUMN("answer",       row.answer,               JSONB,      IN_OUTCOME),
	COLUMN("error",        row.error,                JSONB,      IN_RARE),
	COLUMN("undo",         row.undo,                 TEXT,       IN_OUTCOME),
	COLUMN("undo_body",    row.undo_body,            TEXT,       IN_OUTCOME),
	COLUMN("undo_headers", row.undo_headers,         JSONB,      IN_RARE),
	COLUMN("undo_state",   row.undo_state,           UNDO_STATE, IN_OUTCOME),
	COLUMN("undo_attempts",row.undo_attempts,        COUNT,      IN_RARE),
	COLUMN("undo_since",   row.undo_since,           TIME,       IN_RARE),
	COLUMN("undo_error",   row.undo_error,           JSONB,      IN_RARE),
	COLUMN("held_since",   row.held_since,           TIME,       IN_RARE),
	COLUMN("held_us",      row.held_us,              NONCE,      IN_RARE),
	COLUMN("lost",         row.evidence.lost,        COUNT,      IN_RARE),
	COLUMN("lost_at",      row.evidence.lost_at,     TIME,       IN_RARE),
	COLUMN("may_resend",   row.evidence.may_resend,  MARK,       IN_RARE),
	COLUMN("ask_probe",    row.evidence.ask_probe,   MARK,       IN_RARE),
	COLUMN("key_spent",    row.evidence.key_spent,   MARK,       IN_RARE),
	COLUMN("probed_at",    row.evidence.probed_at,   TIME,       IN_RARE),
	COLUMN("probe_found",  row.evidence.probe_found, COUNT,      IN_RARE),
	COLUMN("probe_said",   row.evidence.probe_said,  TEXT,       IN_RARE),
	COLUMN("existed",      row.evidence.existed,     MARK,       IN_RARE),
	COLUMN("kept",         row.evidence.kept,        MARK,       IN_RARE),
	COLUMN("accepted",     row.evidence.accepted,    MARK,       IN_RARE),
	COLUMN("carried_out",  row.evidence.carried_out, MARK,       IN_RARE),
	COLUMN("maybe_twice",  row.evidence.maybe_twice, MARK,       IN_RARE),
	COLUMN("maybe_not_ours", row.evidence.maybe_not_ours, MARK,  IN_RARE),
	COLUMN("resolved",     row.evidence.resolved,    WORD,       IN_RARE),
	COLUMN("meaning",      row.evidence.said,        MEANING,    IN_RARE),
	COLUMN("key_form",     key_form,                 TEXT,       IN_OLD),
	COLUMN("body_hash",    row.body_hash,            NONCE,      IN_RENDERED),
	COLUMN("accepted_hash", row.accepted_hash,       NONCE,      IN_RENDERED),
	COLUMN("account_hash", row.account_hash,         HASH,       IN_INTENT | IN_RENDERED),
	COLUMN("elsewhere",    row.evidence.elsewhere,   MARK,       IN_RARE),
};
/* clang-format on */

static const DfTable step_table = {step_columns, lengthof(step_columns)};

/* ---- reading -------------------------------------------------------------- */

static DfStep *
step_from_row(const DfPlan *plan, uint64 row, MemoryContext cxt)
{
	DfStep *step = MemoryContextAllocZero(cxt, sizeof(DfStep));

	df_row_read(plan, row, step, cxt);
	df_step_saved(step);
	/* the span of a step that has ended was exported when it ended */
	step->worker.traced = step->row.finished_at != DF_NEVER;
	return step;
}

static void
load_first_rounds(List *runs)
{
	static DfPlan plan = {
		"SELECT {s.*}"
		" FROM dataflows.step AS s"
		" WHERE s.run = ANY ($1)"
		" ORDER BY s.run, s.n",
		SPI_OK_SELECT,
		DF_PARAMS(UUIDARRAYOID),
		DF_COLUMNS(step_table, IN_ALL)};
	Datum values[1] = {df_run_ids(runs)};
	uint64 n = df_plan_run(&plan, values, NULL, 0);
	DfRun *run = NULL;

	for (uint64 i = 0; i < n; i++)
	{
		pg_uuid_t id = df_copy_uuid(i, 0);
		MemoryContext old;

		if (run == NULL || memcmp(&run->id, &id, sizeof(id)) != 0)
			run = df_run_find(runs, &id);
		if (run == NULL)
			continue;
		old = MemoryContextSwitchTo(run->cxt);
		run->engine.loaded_steps =
			lappend(run->engine.loaded_steps, step_from_row(&plan, i, run->cxt));
		MemoryContextSwitchTo(old);
	}
}

/* ---- runs that continue_with() has begun again ----------------------------- */

/*
 * What earlier rounds did and may have to be undone, the newest; with or without
 * undos that have failed.
 */
#define EARLIER_STEPS 100

static bool
has_failed_undo_of_earlier(const DfRun *run)
{
	static DfPlan plan = {
		"SELECT FROM dataflows.step AS s"
		" WHERE s.run = $1 AND s.n <= $2 AND s.undo_state = 'undo_failed'",
		SPI_OK_SELECT,
		DF_PARAMS(UUIDOID, INT4OID)};
	Datum values[2] = {UUIDPGetDatum(&run->id), Int32GetDatum(run->row.round_n)};

	return df_plan_run(&plan, values, NULL, 1) > 0;
}

static void
load_earlier(DfRun *run)
{
	static DfPlan plan = {
		"SELECT {s.*}"
		" FROM dataflows.step AS s"
		" WHERE s.run = $1 AND s.n <= $2 AND s.n > $3"
		" AND coalesce(s.undo_state, 'none') <> ALL (CASE WHEN $4 THEN '{undone,gone}'"
		"  ELSE '{undone,gone,undo_failed}' END::text[])"
		" AND CASE WHEN s.kind = 'call'"
		"  THEN s.answer IS NOT NULL AND s.answer->'attached' IS DISTINCT FROM 'true'"
		"   AND (s.state IN ('done', 'in_doubt') OR s.undo_state IS NOT NULL)"
		"  ELSE (s.state IN ('done', 'in_doubt') OR s.carried_out)"
		"   AND s.kept IS NOT TRUE AND coalesce(s.undo, s.options->>'undo', 'none') <> 'none' END"
		" ORDER BY s.n DESC"
		" LIMIT $5",
		SPI_OK_SELECT,
		DF_PARAMS(UUIDOID, INT4OID, INT4OID, BOOLOID, INT8OID),
		DF_COLUMNS(step_table, IN_ALL)};
	bool stuck = run->row.state == DF_RUN_STUCK;
	Datum values[5] = {UUIDPGetDatum(&run->id), Int32GetDatum(run->row.round_n),
					   Int32GetDatum(run->row.pivot_n), BoolGetDatum(stuck),
					   Int64GetDatum(EARLIER_STEPS)};
	uint64 n = df_plan_run(&plan, values, NULL, 0);
	MemoryContext old = MemoryContextSwitchTo(run->cxt);

	for (uint64 i = 0; i < n; i++)
		run->engine.loaded_steps =
			lcons(step_from_row(&plan, i, run->cxt), run->engine.loaded_steps);
	MemoryContextSwitchTo(old);
	run->engine.earlier = n == EARLIER_STEPS ? DF_EARLIER_NEWEST : DF_EARLIER_ALL;
	run->engine.earlier_failed = !stuck && has_failed_undo_of_earlier(run);
}

/* while it goes forward, the present round is all that it knows: its memory stays the same */
static void
load_round(DfRun *run)
{
	static DfPlan plan = {
		"SELECT {s.*}"
		" FROM dataflows.step AS s"
		" WHERE s.run = $1 AND s.n > $2"
		" ORDER BY s.n",
		SPI_OK_SELECT,
		DF_PARAMS(UUIDOID, INT4OID),
		DF_COLUMNS(step_table, IN_ALL)};
	Datum values[2] = {UUIDPGetDatum(&run->id), Int32GetDatum(run->row.round_n)};
	MemoryContext old;
	uint64 n;

	if (run->row.state != DF_RUN_RUNNING && run->row.state != DF_RUN_WAITING)
		load_earlier(run);
	n = df_plan_run(&plan, values, NULL, 0);
	old = MemoryContextSwitchTo(run->cxt);
	for (uint64 i = 0; i < n; i++)
		run->engine.loaded_steps =
			lappend(run->engine.loaded_steps, step_from_row(&plan, i, run->cxt));
	MemoryContextSwitchTo(old);
}

void
df_load_steps(List *runs)
{
	List *first = NIL;
	ListCell *lc;

	foreach (lc, runs)
	{
		DfRun *run = lfirst(lc);

		if (run->row.round_n > 0)
			load_round(run);
		else
			first = lappend(first, run);
	}
	if (first != NIL)
		load_first_rounds(first);
}

/* ---- writing -------------------------------------------------------------- */

/*
 * Most steps are new and on their way: no outcome yet.  Half the columns make
 * half the work of a batch.
 */
static DfPlan insert_intents = {
	"INSERT INTO dataflows.step ({*}) SELECT * FROM unnest({$[]})",
	SPI_OK_INSERT,
	DF_NO_PARAMS,
	DF_COLUMNS(step_table, IN_KEY | IN_INTENT)};

static DfPlan insert_steps = {
	"INSERT INTO dataflows.step ({*}) SELECT * FROM unnest({$[]})",
	SPI_OK_INSERT,
	DF_NO_PARAMS,
	DF_COLUMNS(step_table, IN_ALL)};

static DfPlan update_steps = {
	"UPDATE dataflows.step AS s"
	" SET {* = u.*}"
	" FROM unnest({$[]}) AS u ({*})"
	" WHERE s.run = u.run AND s.n = u.n",
	SPI_OK_UPDATE,
	DF_NO_PARAMS,
	DF_COLUMNS(step_table, IN_KEY | IN_OUTCOME)};

static DfPlan update_rare_steps = {
	"UPDATE dataflows.step AS s"
	" SET {* = u.*}"
	" FROM unnest({$[]}) AS u ({*})"
	" WHERE s.run = u.run AND s.n = u.n",
	SPI_OK_UPDATE,
	DF_NO_PARAMS,
	DF_COLUMNS(step_table, IN_KEY | IN_OUTCOME | IN_RARE)};

static bool
is_intent(const DfStep *step)
{
	return step->row.state == DF_STEP_SENT && step->row.attempts == 1 &&
		step->row.wake_at == DF_NEVER && step->row.sent_at == DF_NEVER &&
		step->row.body_hash == 0 && !df_step_rare_differs(step);
}

/* a step that retry() had rendered again, or that was renamed: rare, one by one */
static void
update_rendered(const DfRun *run, const DfStep *step)
{
	static DfPlan plan = {
		"UPDATE dataflows.step AS s"
		" SET {* = $}"
		" WHERE s.run = $1 AND s.n = $2",
		SPI_OK_UPDATE,
		DF_PARAMS(UUIDOID, INT4OID),
		DF_COLUMNS(step_table, IN_RENDERED)};
	Datum key[2] = {UUIDPGetDatum(&run->id), Int32GetDatum(step->n)};

	(void) df_row_run(&plan, key, step, run);
}

/* a step whose row is to be written */
typedef struct Change
{
	const DfRun *run;
	const DfStep *step;
} Change;

typedef struct Changes
{
	List *all; /* of Change */
	int made; /* of them, new steps */
	int rare; /* of the others, those with something in which ordinary steps do not differ */
} Changes;

/* the one look at all steps of the runs: a run may have thousands */
static void
find_changes(List *runs, Changes *changes)
{
	ListCell *lc;

	memset(changes, 0, sizeof(*changes));
	foreach (lc, runs)
	{
		const DfRun *run = lfirst(lc);

		for (int i = 0; i < run->nsteps; i++)
		{
			const DfStep *step = run->steps[i];
			Change *change;

			if (!df_step_differs(step))
				continue;
			change = palloc(sizeof(Change));
			change->run = run;
			change->step = step;
			changes->all = lappend(changes->all, change);
			changes->made += df_step_is_new(step);
			changes->rare += !df_step_is_new(step) && df_step_rare_differs(step);
		}
	}
}

void
df_steps_record(List *runs)
{
	Changes changes;
	DfBatch intents;
	DfBatch inserts;
	DfBatch updates;
	DfBatch rare;
	int changed;
	ListCell *lc;

	find_changes(runs, &changes);
	if (changes.all == NIL)
		return;
	changed = list_length(changes.all) - changes.made;
	df_batch_begin(&intents, &insert_intents, changes.made);
	df_batch_begin(&inserts, &insert_steps, changes.made);
	df_batch_begin(&updates, &update_steps, changed - changes.rare);
	df_batch_begin(&rare, &update_rare_steps, changes.rare);
	foreach (lc, changes.all)
	{
		const DfRun *run = ((Change *) lfirst(lc))->run;
		const DfStep *step = ((Change *) lfirst(lc))->step;

		if (df_step_is_new(step))
		{
			df_batch_add(is_intent(step) ? &intents : &inserts, step, run);
			continue;
		}
		if (df_step_intent_differs(step))
			update_rendered(run, step);
		df_batch_add(df_step_rare_differs(step) ? &rare : &updates, step, run);
	}
	(void) df_batch_run(&intents, NULL);
	(void) df_batch_run(&inserts, NULL);
	if (df_batch_run(&updates, NULL) + df_batch_run(&rare, NULL) != changed)
		elog(ERROR, "a recorded step is not there");
}
