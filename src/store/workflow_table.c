/*
 * store/workflow_table.c
 *	  Statements on dataflows.workflow.
 *
 * Runs in sessions (define, drop, start) and workers, in the caller's
 * transaction, as the extension's owner.  A version is inserted once and never
 * changes but for its marks `paused` and `dropped`.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "store/identity.h"
#include "store/store.h"
#include "store/workflow_table.h"

#define WORKFLOW_COLUMNS \
	"name, version, function, function_owner, owner, owner_name, on_failure, retry, deadline, " \
	"accept_notify, on_error, paused, dropped"

static void
copy_row(DfWorkflowRow *row, MemoryContext cxt)
{
	row->name = df_copy_text(cxt, 0, 0);
	row->version = df_int32(0, 1, 0);
	row->function = df_copy_text(cxt, 0, 2);
	row->function_owner = DatumGetObjectId(df_value(0, 3));
	row->owner = DatumGetObjectId(df_value(0, 4));
	row->owner_name = df_copy_text(cxt, 0, 5);
	row->on_failure = df_copy_text(cxt, 0, 6);
	row->retry = df_copy_jsonb(cxt, 0, 7);
	row->deadline = NULL;
	if (!df_is_null(0, 8))
	{
		row->deadline = MemoryContextAlloc(cxt, sizeof(Interval));
		*row->deadline = *DatumGetIntervalP(df_value(0, 8));
	}
	row->accept_notify = df_copy_text(cxt, 0, 9);
	row->on_error = df_copy_text(cxt, 0, 10);
	row->paused = df_bool(0, 11, false);
	row->dropped = df_bool(0, 12, false);
}

bool
df_workflow_latest(const char *name, DfWorkflowRow *row, MemoryContext cxt)
{
	/* clang-format off */
	static DfPlan plan = {
		"SELECT " WORKFLOW_COLUMNS
		" FROM dataflows.workflow"
		" WHERE name = $1"
		" ORDER BY version DESC"
		" LIMIT 1",
		SPI_OK_SELECT,
		DF_PARAMS(TEXTOID)};
	/* clang-format on */
	Datum values[1];

	values[0] = CStringGetTextDatum(name);
	if (df_plan_run(&plan, values, NULL, 1) == 0)
		return false;
	copy_row(row, cxt);
	return true;
}

bool
df_workflow_version(const char *name, int version, DfWorkflowRow *row, MemoryContext cxt)
{
	/* clang-format off */
	static DfPlan plan = {
		"SELECT " WORKFLOW_COLUMNS
		" FROM dataflows.workflow"
		" WHERE name = $1 AND version = $2",
		SPI_OK_SELECT,
		DF_PARAMS(TEXTOID, INT4OID)};
	/* clang-format on */
	Datum values[2];

	values[0] = CStringGetTextDatum(name);
	values[1] = Int32GetDatum(version);
	if (df_plan_run(&plan, values, NULL, 1) == 0)
		return false;
	copy_row(row, cxt);
	return true;
}

/* a version that somebody else is just inserting is waited for */
bool
df_workflow_insert(const DfWorkflowRow *row)
{
	/* clang-format off */
	static DfPlan plan = {
		"INSERT INTO dataflows.workflow (" WORKFLOW_COLUMNS ")"
		" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, false)"
		" ON CONFLICT (name, version) DO NOTHING",
		SPI_OK_INSERT,
		DF_PARAMS(TEXTOID, INT4OID, TEXTOID, OIDOID, OIDOID, TEXTOID, TEXTOID, JSONBOID, INTERVALOID, TEXTOID, TEXTOID, BOOLOID)};
	/* clang-format on */
	Datum values[12] = {0};
	char nulls[] = "            ";

	values[0] = CStringGetTextDatum(row->name);
	values[1] = Int32GetDatum(row->version);
	values[2] = CStringGetTextDatum(row->function);
	values[3] = ObjectIdGetDatum(row->function_owner);
	values[4] = ObjectIdGetDatum(row->owner);
	values[5] = CStringGetTextDatum(row->owner_name);
	if (row->on_failure != NULL)
		values[6] = CStringGetTextDatum(row->on_failure);
	else
		nulls[6] = 'n';
	if (row->retry != NULL)
		values[7] = JsonbPGetDatum(row->retry);
	else
		nulls[7] = 'n';
	if (row->deadline != NULL)
		values[8] = IntervalPGetDatum(row->deadline);
	else
		nulls[8] = 'n';
	values[9] = CStringGetTextDatum(row->accept_notify);
	values[10] = CStringGetTextDatum(row->on_error);
	values[11] = BoolGetDatum(row->paused);
	return df_plan_run(&plan, values, nulls, 0) == 1;
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

static DfPlan names_plan = {
	"SELECT w.name,"
	"  bool_or(w.paused) OR EXISTS (SELECT FROM dataflows.installation AS i WHERE i.paused)"
	" FROM dataflows.workflow AS w"
	" WHERE w.owner = $1"
	" GROUP BY w.name"
	" ORDER BY w.name",
	SPI_OK_SELECT,
	DF_PARAMS(OIDOID)};

List *
df_load_workflow_names(Oid owner, MemoryContext cxt)
{
	Datum values[1] = {ObjectIdGetDatum(owner)};
	DfInstallation installation;
	uint64 n;
	List *names = NIL;

	df_installation_read(CurrentMemoryContext, &installation);
	if (!installation.ours)
		return NIL; /* held: the token was changed while we ran */
	n = df_plan_run(&names_plan, values, NULL, 0);
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

static DfPlan workflow_plan = {
	"SELECT w.function, w.function_owner, w.owner, w.owner_name, w.on_failure, w.retry,"
	"  w.on_error, w.deadline"
	" FROM dataflows.workflow AS w"
	" WHERE w.name = $1 AND w.version = $2",
	SPI_OK_SELECT,
	DF_PARAMS(TEXTOID, INT4OID)};

DfWorkflow *
df_load_workflow(const char *name, int version, MemoryContext cxt)
{
	Datum values[2] = {CStringGetTextDatum(name), Int32GetDatum(version)};
	DfWorkflow *workflow;
	char *on_error;

	if (df_plan_run(&workflow_plan, values, NULL, 1) == 0)
		return NULL;
	workflow = MemoryContextAllocZero(cxt, sizeof(DfWorkflow));
	workflow->name = MemoryContextStrdup(cxt, name);
	workflow->version = version;
	workflow->function = df_copy_text(cxt, 0, 0);
	workflow->function_owner = DatumGetObjectId(df_value(0, 1));
	workflow->owner = DatumGetObjectId(df_value(0, 2));
	workflow->owner_name = df_copy_text(cxt, 0, 3);
	workflow->on_failure = df_copy_text(cxt, 0, 4);
	workflow->retry = df_copy_jsonb(cxt, 0, 5);
	on_error = df_copy_text(CurrentMemoryContext, 0, 6);
	workflow->stuck_on_error = strcmp(on_error, "stuck") == 0;
	workflow->has_deadline = !df_is_null(0, 7);
	if (workflow->has_deadline)
		workflow->deadline = *DatumGetIntervalP(df_value(0, 7));
	return workflow;
}
