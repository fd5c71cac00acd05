/*
 * store/workflow_owner.c
 *	  Who owns workflows: giving them to another role, and whose runs would be left alone.
 *
 * Runs in sessions, in the caller's transaction, as the extension's owner; the last
 * function in workers.  It must never decide who may give what to whom: session/set_owner.c
 * does.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

#include "store/store.h"
#include "store/workflow_owner.h"

static Oid
workflow_table(void)
{
	return get_relname_relid("workflow", get_namespace_oid("dataflows", true));
}

/* who owns the function of that signature; if it is gone, the new owner is to create it */
#define FUNCTION_OWNER_SQL(signature) \
	"coalesce((SELECT p.proowner FROM pg_proc AS p" \
	"  WHERE p.oid = to_regprocedure(" signature ")), $2)"

void
df_workflow_give(const char *workflow, Oid old_owner, Oid owner, const char *owner_name)
{
	/* clang-format off */
	static DfPlan versions = {
		"UPDATE dataflows.workflow AS w"
		" SET owner = $2, owner_name = $3,"
		"  function_owner = " FUNCTION_OWNER_SQL("w.function")
		" WHERE w.name = $1",
		SPI_OK_UPDATE,
		DF_PARAMS(TEXTOID, OIDOID, TEXTOID)};
	static DfPlan webhooks = {
		"UPDATE dataflows.webhook AS h"
		" SET owner = $2, owner_name = $3,"
		"  handler_owner = CASE WHEN h.handler IS NOT NULL"
		"   THEN " FUNCTION_OWNER_SQL("h.handler") " END"
		" WHERE (h.starts = $1 OR h.signals = $1) AND h.owner = $4",
		SPI_OK_UPDATE,
		DF_PARAMS(TEXTOID, OIDOID, TEXTOID, OIDOID)};
	static DfPlan schedules = {
		"UPDATE dataflows.schedule AS s"
		" SET owner = $2, owner_name = $3"
		" WHERE s.workflow = $1 AND s.owner = $4",
		SPI_OK_UPDATE,
		DF_PARAMS(TEXTOID, OIDOID, TEXTOID, OIDOID)};
	/* clang-format on */
	Datum values[4] = {CStringGetTextDatum(workflow), ObjectIdGetDatum(owner),
					   CStringGetTextDatum(owner_name), ObjectIdGetDatum(old_owner)};

	(void) df_plan_run(&versions, values, NULL, 0);
	(void) df_plan_run(&webhooks, values, NULL, 0);
	(void) df_plan_run(&schedules, values, NULL, 0);
	CacheInvalidateRelcacheByRelid(workflow_table());
}

/* 28000: the owner could have no worker; 42501 without an error: the function was another's */
void
df_workflow_send_on(const char *workflow, const char *sent_by, TimestampTz now)
{
	static DfPlan plan = {
		"INSERT INTO dataflows.inbox (run, workflow, key, kind, note, sent_by, sent_at)"
		" SELECT r.run, r.workflow, r.key, 'retry', 'set_owner()', $2, $3"
		" FROM dataflows.run AS r"
		" WHERE r.workflow = $1 AND r.stuck IS NOT NULL AND r.state = 'stuck'"
		" AND (r.stuck ->> 'sqlstate' = '28000'"
		"  OR (r.stuck ->> 'sqlstate' = '42501' AND r.error IS NULL))",
		SPI_OK_INSERT,
		DF_PARAMS(TEXTOID, TEXTOID, TIMESTAMPTZOID)};
	Datum values[3] = {CStringGetTextDatum(workflow), CStringGetTextDatum(sent_by),
					   TimestampTzGetDatum(now)};

	(void) df_plan_run(&plan, values, NULL, 0);
}

List *
df_live_workflows_of(Oid owner, MemoryContext cxt)
{
	static DfPlan plan = {
		/* the two are those of the indexes run_due and run_parked: what has ended costs nothing */
		"SELECT w.name, l.runs"
		" FROM (SELECT DISTINCT v.name FROM dataflows.workflow AS v WHERE v.owner = $1) AS w,"
		"  LATERAL (SELECT"
		"   (SELECT count(*) FROM dataflows.run AS r"
		"    WHERE r.workflow = w.name AND r.wake_at IS NOT NULL AND r.finished_at IS NULL)"
		"   + (SELECT count(*) FROM dataflows.run AS r"
		"    WHERE r.workflow = w.name AND r.wake_at IS NULL AND r.finished_at IS NULL))"
		"   AS l (runs)"
		" WHERE l.runs > 0"
		" ORDER BY w.name",
		SPI_OK_SELECT,
		DF_PARAMS(OIDOID)};
	Datum values[1] = {ObjectIdGetDatum(owner)};
	uint64 n = df_plan_run_latest(&plan, values, NULL, 0);
	List *found = NIL;

	for (uint64 row = 0; row < n; row++)
	{
		DfLiveWorkflow *workflow = MemoryContextAlloc(cxt, sizeof(DfLiveWorkflow));

		workflow->name = df_copy_text(cxt, row, 0);
		workflow->runs = df_int64(row, 1, 0);
		found = df_append(cxt, found, workflow);
	}
	return found;
}

/* ---- in workers ------------------------------------------------------------ */

static uint64 owners_number = 1;
static Oid watched_table = InvalidOid;

static void
table_changed(Datum arg, Oid relation)
{
	if (relation == InvalidOid || relation == watched_table)
		owners_number++;
}

uint64
df_workflow_owners_number(void)
{
	static bool listening = false;

	if (!listening)
		CacheRegisterRelcacheCallback(table_changed, (Datum) 0);
	listening = true;
	watched_table = workflow_table();
	return owners_number;
}
