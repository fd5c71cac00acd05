/*
 * store/alert.c
 *	  Telling the administrator that runs got stuck: dataflows.on_stuck names a
 *	  workflow, of which a run is started, or a channel, which is notified.
 *
 * Runs in workers, sql workers and coordinators, in the transaction that writes
 * that a run is stuck and as the extension's owner: both are committed, or
 * neither is.  It runs in a subtransaction: an error of the alert costs a line in
 * the log, never the record.  The administrator has named the workflow, so no
 * role's right to start it is checked.  Runs of that workflow, and those that they
 * call, start no further ones, or one fault would run for ever.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "commands/async.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "guc.h"
#include "shared/clock.h"
#include "shared/json.h"
#include "shared/metrics.h"
#include "shared/uuid.h"
#include "shared/wake.h"
#include "store/alert.h"
#include "store/identity.h"
#include "store/run_start.h"
#include "store/store.h"
#include "store/subxact.h"
#include "store/workflow_table.h"
#include "types/run.h"

#define CHANNEL "channel:"
#define OUR_CHANNEL "dataflows"
/* a NOTIFY must be shorter */
#define MAX_NOTIFY 8000
/* more than this and a NOTIFY might fail at the commit, and the record with it */
#define FULL_QUEUE 0.9
#define EPOCH_US ((int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY)

typedef struct Alert
{
	const pg_uuid_t *runs;
	int n;
	MemoryContext cxt;
	int sent;
	const char *problem; /* why no alert was sent; NULL = nothing is wrong */
} Alert;

/* ---- what an alert says --------------------------------------------------- */

/*
 * Of a run what a person needs to know, without what went in or out of it; texts
 * are cut at $3 characters, the list of undos at $4 entries.  No row for a run
 * of the workflow $5 or of one that it called.
 */
static bool
describe(const pg_uuid_t *run, int chars, int undos, const char *except, Jsonb **description,
		 MemoryContext cxt)
{
	static DfPlan plan = {
		"WITH RECURSIVE up (run, parent, workflow) AS ("
		"  SELECT r.run, r.parent, r.workflow"
		"  FROM dataflows.run AS r"
		"  WHERE r.run = $1"
		"  UNION"
		"  SELECT r.run, r.parent, r.workflow"
		"  FROM up"
		"  JOIN dataflows.run AS r ON r.run = up.parent)"
		" SELECT jsonb_build_object("
		"  'run', r.run, 'workflow', r.workflow, 'key', left(r.key, $3),"
		"  'reason', left(r.stuck ->> 'reason', $3), 'sqlstate', r.stuck ->> 'sqlstate',"
		"  'remedy', left(r.stuck ->> 'remedy', $3), 'at', to_jsonb($2),"
		"  'undo_failed', coalesce("
		"   (SELECT jsonb_agg(u.one ORDER BY u.n)"
		"    FROM ("
		"     SELECT s.n, jsonb_build_object("
		"      'step', s.step, 'system', s.system, 'undo', left(s.undo, $3),"
		"      'why', left(s.undo_error ->> 'message', $3)) AS one"
		"     FROM dataflows.step AS s"
		"     WHERE s.run = r.run AND s.undo_state = 'undo_failed'"
		"     ORDER BY s.n LIMIT $4) AS u),"
		"   '[]'))"
		" FROM dataflows.run AS r"
		" WHERE r.run = $1 AND r.state = 'stuck'"
		" AND NOT EXISTS (SELECT FROM up WHERE up.workflow = $5)",
		SPI_OK_SELECT,
		DF_PARAMS(UUIDOID, TIMESTAMPTZOID, INT4OID, INT4OID, TEXTOID)};
	Datum values[5] = {UUIDPGetDatum(run), TimestampTzGetDatum(df_now()), Int32GetDatum(chars),
					   Int32GetDatum(undos), CStringGetTextDatum(except)};

	if (df_plan_run(&plan, values, NULL, 1) == 0)
		return false;
	*description = df_copy_jsonb(cxt, 0, 0);
	return true;
}

/* ---- the two ways --------------------------------------------------------- */

static void
start_run(Alert *alert, const DfWorkflowRow *workflow, const pg_uuid_t *stuck)
{
	DfNewRun run;
	Jsonb *input;

	if (!describe(stuck, 2000, 100, workflow->name, &input, alert->cxt))
		return;
	MemoryContextSwitchTo(alert->cxt);
	memset(&run, 0, sizeof(run));
	run.id = df_new_uuid();
	run.identity = df_identity_hash();
	run.now = df_now();
	run.workflow = workflow->name;
	run.version = workflow->version;
	run.started_by = workflow->owner_name;
	run.input = input;
	/* nobody can guess the time, and take the key in a transaction for which we would wait */
	run.key = psprintf("%s/" INT64_FORMAT,
					   df_uuid_text(stuck),
					   (int64) run.now + EPOCH_US);
	if (df_run_insert(&run))
	{
		df_wake_owner(workflow->owner);
		alert->sent++;
	}
}

static void
start_runs(Alert *alert)
{
	DfWorkflowRow workflow;

	if (!df_workflow_latest(df_on_stuck, &workflow, alert->cxt) || workflow.dropped)
	{
		alert->problem = "there is no such workflow in this database";
		return;
	}
	for (int i = 0; i < alert->n; i++)
		start_run(alert, &workflow, &alert->runs[i]);
}

/* as much as fits */
static char *
payload_of(const pg_uuid_t *run, MemoryContext cxt)
{
	static const int chars[] = {2000, 500, 100, 20};
	static const int undos[] = {20, 5, 1, 0};

	for (int i = 0; i < lengthof(chars); i++)
	{
		Jsonb *description;
		char *text;

		if (!describe(run, chars[i], undos[i], "", &description, cxt))
			return NULL;
		MemoryContextSwitchTo(cxt);
		text = df_json_to_text(description);
		if (strlen(text) < MAX_NOTIFY)
			return text;
	}
	return NULL;
}

static void
notify(Alert *alert)
{
	const char *channel = df_on_stuck + strlen(CHANNEL);

	if (channel[0] == '\0' || strlen(channel) >= NAMEDATALEN || strcmp(channel, OUR_CHANNEL) == 0)
		alert->problem = "this is no channel that can be notified";
	else if (DatumGetFloat8(DirectFunctionCall1(pg_notification_queue_usage, (Datum) 0)) >
			 FULL_QUEUE)
		alert->problem =
			"the queue of NOTIFY is nearly full: some session listens and does not read";
	for (int i = 0; i < alert->n && alert->problem == NULL; i++)
	{
		char *payload = payload_of(&alert->runs[i], alert->cxt);

		if (payload == NULL)
			continue;
		Async_Notify(channel, payload);
		alert->sent++;
	}
}

static void
tell(void *arg)
{
	if (strncmp(df_on_stuck, CHANNEL, strlen(CHANNEL)) == 0)
		notify(arg);
	else
		start_runs(arg);
}

/* ---- the ways in ---------------------------------------------------------- */

static void
alert_stuck(const pg_uuid_t *runs, int n)
{
	MemoryContext old = CurrentMemoryContext;
	Alert alert = {runs, n};
	ErrorData *error = NULL;
	bool notified = strncmp(df_on_stuck, CHANNEL, strlen(CHANNEL)) == 0;

	if (df_on_stuck[0] == '\0' || n == 0 || df_clock_is_simulated())
		return;
	alert.cxt = AllocSetContextCreate(old, "dataflows alert", ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(alert.cxt);
	if (!df_subxact(tell, &alert, true, &error))
	{
		alert.problem = error->message;
		alert.sent = 0;
	}
	if (alert.problem != NULL)
		ereport(LOG,
				(errcode(ERRCODE_CONFIG_FILE_ERROR),
				 errmsg("dataflows.on_stuck \"%s\" was told nothing of %d runs that got stuck: %s",
						df_on_stuck, n, alert.problem),
				 errhint("Set it to a workflow of this database or to channel:<name>. The runs are "
						 "in dataflows.stuck."),
				 errhidestmt(true), errhidecontext(true)));
	if (alert.sent > 0)
		df_metric_add(DF_METRIC_ALERTS, notified ? "notified" : "started", NULL, NULL, alert.sent);
	if (alert.problem != NULL)
		df_metric_add(DF_METRIC_ALERTS, "failed", NULL, NULL, n);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(alert.cxt);
}

static bool
has_just_got_stuck(const DfRun *run)
{
	return run->row.state == DF_RUN_STUCK && run->row.stuck != run->saved.stuck;
}

void
df_alert_runs(List *runs)
{
	pg_uuid_t *ids;
	int n = 0;
	ListCell *lc;

	foreach (lc, runs)
		n += has_just_got_stuck(lfirst(lc));
	if (n == 0)
		return;
	ids = palloc(sizeof(pg_uuid_t) * n);
	n = 0;
	foreach (lc, runs)
		if (has_just_got_stuck(lfirst(lc)))
			ids[n++] = ((DfRun *) lfirst(lc))->id;
	alert_stuck(ids, n);
}
