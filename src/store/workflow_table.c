/*
 * store/workflow_table.c
 *	  Statements on dataflows.workflow.
 *
 * Runs in sessions (define, drop, start) and workers, in the caller's
 * transaction, as the extension's owner.  A version is inserted once and never
 * changes, except for its marks `paused` and `dropped`.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "flow/flow.h"
#include "store/columns.h"
#include "store/identity.h"
#include "store/store.h"
#include "store/workflow_table.h"

#define IN_START DF_IN_READ /* what a session needs, also before the schema is updated */
#define IN_ALL DF_IN_OTHER

#define COLUMN(column, field, form) \
	DF_COLUMN(DfWorkflowRow, column, field, form, IN_START | IN_ALL)
#define COLUMN_OF_RUNS(column, field, form) DF_COLUMN(DfWorkflowRow, column, field, form, IN_ALL)

/* clang-format off */
static const DfColumn workflow_columns[] = {
	COLUMN("name",           name,           TEXT),
	COLUMN("version",        version,        INT),
	COLUMN("function",       function,       TEXT),
	COLUMN("function_owner", function_owner, OID),
	COLUMN("owner",          owner,          OID),
	COLUMN("owner_name",     owner_name,     TEXT),
	COLUMN("on_failure",     on_failure,     TEXT),
	COLUMN("retry",          retry,          JSONB),
	COLUMN("deadline",       deadline,       INTERVAL),
	COLUMN("accept_notify",  accept_notify,  TEXT),
	COLUMN_OF_RUNS("undo_on", undo_on,       TEXT),
	COLUMN_OF_RUNS("notify", notify,         TEXT),
	COLUMN_OF_RUNS("on_error", on_error,     TEXT),
	COLUMN_OF_RUNS("fingerprint", fingerprint, NONCE),
	COLUMN("paused",         paused,         BOOL),
	COLUMN("dropped",        dropped,        BOOL),
};
/* clang-format on */

static const DfTable workflow_table = {workflow_columns, lengthof(workflow_columns)};

bool
df_workflow_latest(const char *name, DfWorkflowRow *row, MemoryContext cxt)
{
	static DfPlan plan = {
		"SELECT {w.*} FROM dataflows.workflow AS w"
		" WHERE w.name = $1"
		" ORDER BY w.version DESC LIMIT 1",
		SPI_OK_SELECT,
		DF_PARAMS(TEXTOID),
		DF_COLUMNS(workflow_table, IN_START)};
	Datum values[1] = {CStringGetTextDatum(name)};

	if (df_plan_run(&plan, values, NULL, 1) == 0)
		return false;
	df_row_read(&plan, 0, row, cxt);
	return true;
}

bool
df_workflow_version(const char *name, int version, DfWorkflowRow *row, MemoryContext cxt)
{
	static DfPlan plan = {
		"SELECT {w.*} FROM dataflows.workflow AS w"
		" WHERE w.name = $1 AND w.version = $2",
		SPI_OK_SELECT,
		DF_PARAMS(TEXTOID, INT4OID),
		DF_COLUMNS(workflow_table, IN_ALL)};
	Datum values[2] = {CStringGetTextDatum(name), Int32GetDatum(version)};

	if (df_plan_run(&plan, values, NULL, 1) == 0)
		return false;
	df_row_read(&plan, 0, row, cxt);
	return true;
}

/* waits for a session that is inserting the same version */
bool
df_workflow_insert(const DfWorkflowRow *row)
{
	static DfPlan plan = {
		"INSERT INTO dataflows.workflow ({*})"
		" VALUES ({$})"
		" ON CONFLICT (name, version) DO NOTHING",
		SPI_OK_INSERT,
		DF_NO_PARAMS,
		DF_COLUMNS(workflow_table, IN_ALL)};

	return df_row_run(&plan, NULL, row, NULL) == 1;
}

void
df_workflow_lock(const char *name)
{
	static DfPlan plan = {
		"SELECT version"
		" FROM dataflows.workflow"
		" WHERE name = $1"
		" ORDER BY version"
		" FOR NO KEY UPDATE",
		SPI_OK_SELECT,
		DF_PARAMS(TEXTOID)};
	Datum values[1];

	values[0] = CStringGetTextDatum(name);
	(void) df_plan_run(&plan, values, NULL, 0);
}

void
df_workflow_mark_dropped(const char *name)
{
	static DfPlan plan = {
		"UPDATE dataflows.workflow"
		" SET dropped = true, paused = false"
		" WHERE name = $1 AND NOT dropped",
		SPI_OK_UPDATE,
		DF_PARAMS(TEXTOID)};
	Datum values[1];

	values[0] = CStringGetTextDatum(name);
	(void) df_plan_run(&plan, values, NULL, 0);
}

/* the terminal states have a time of their end, and no other state has */
int64
df_workflow_live_runs(const char *name)
{
	static DfPlan plan = {
		"SELECT count(*)"
		" FROM dataflows.run"
		" WHERE workflow = $1 AND finished_at IS NULL",
		SPI_OK_SELECT,
		DF_PARAMS(TEXTOID)};
	Datum values[1];

	values[0] = CStringGetTextDatum(name);
	(void) df_plan_run(&plan, values, NULL, 0);
	return df_int64(0, 0, 0);
}

/* ---- for the worker ------------------------------------------------------- */

List *
df_load_workflow_names(Oid owner, MemoryContext cxt)
{
	static DfPlan plan = {
		"SELECT w.name,"
		"  bool_or(w.paused) OR EXISTS (SELECT FROM dataflows.installation AS i WHERE i.paused)"
		" FROM dataflows.workflow AS w"
		" WHERE w.owner = $1"
		" GROUP BY w.name"
		" ORDER BY w.name",
		SPI_OK_SELECT,
		DF_PARAMS(OIDOID)};
	Datum values[1] = {ObjectIdGetDatum(owner)};
	DfInstallation installation;
	uint64 n;
	List *names = NIL;

	df_installation_read(CurrentMemoryContext, &installation);
	if (!installation.ours)
		return NIL; /* held: the token was changed while we ran */
	n = df_plan_run(&plan, values, NULL, 0);
	for (uint64 i = 0; i < n; i++)
	{
		MemoryContext old;

		if (df_bool(i, 1, false))
			continue; /* paused */
		old = MemoryContextSwitchTo(cxt);
		names = lappend(names, df_copy_text(cxt, i, 0));
		MemoryContextSwitchTo(old);
	}
	return names;
}

DfWorkflow *
df_load_workflow(const char *name, int version, MemoryContext cxt)
{
	DfWorkflow *workflow;
	DfWorkflowRow row;
	int undo_on;

	if (!df_workflow_version(name, version, &row, cxt))
		return NULL;
	workflow = MemoryContextAllocZero(cxt, sizeof(DfWorkflow));
	workflow->name = row.name;
	workflow->version = row.version;
	workflow->function = row.function;
	workflow->function_owner = row.function_owner;
	workflow->owner = row.owner;
	workflow->owner_name = row.owner_name;
	workflow->on_failure = row.on_failure;
	workflow->retry = row.retry;
	workflow->notify = row.notify;
	undo_on = df_undo_on_of(row.undo_on);
	workflow->undo_on = undo_on >= 0 ? (DfUndoOn) undo_on : DF_UNDO_ON_FAILURE;
	/* a dump of 0.1 was restored */
	if (row.on_error != NULL && strcmp(row.on_error, "stuck") == 0)
		workflow->undo_on = DF_UNDO_ON_NEVER;
	workflow->has_deadline = row.deadline != NULL;
	if (workflow->has_deadline)
		workflow->deadline = *row.deadline;
	return workflow;
}
