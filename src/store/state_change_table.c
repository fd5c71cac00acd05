/*
 * store/state_change_table.c
 *	  State changes of runs whose workflow names a channel, until they are sent.
 *
 * Workers write them in their recording transaction, coordinators send and delete them in
 * one of their own, both inside df_store_enter/leave.  A NOTIFY in the recording transaction
 * would make all commits of the server with a NOTIFY wait for each other, and fail the record
 * when the queue is full.  The payload names run and state only: every role may listen.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "commands/async.h"
#include "flow/flow.h"
#include "shared/json.h"
#include "shared/uuid.h"
#include "shared/wake.h"
#include "store/state_change_table.h"
#include "store/store.h"
#include "types/run.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"

/* above this, a commit with notifications might fail */
#define FULL_QUEUE 0.9

static bool
is_told(const DfRun *run)
{
	DfRunState state = run->row.state;

	if (run->workflow == NULL || run->workflow->notify == NULL)
		return false;
	if (state != DF_RUN_WAITING && state != DF_RUN_STUCK && !df_run_is_terminal(state))
		return false;
	/* within one turn it may have gone on from one wait to the next */
	return state != run->saved.state ||
		(state == DF_RUN_WAITING && run->row.waiting_for != run->saved.waiting_for);
}

void
df_state_changes_record(List *runs)
{
	static DfPlan plan = {
		"INSERT INTO dataflows.state_change (channel, run, state)"
		" SELECT u.channel, u.run, u.state"
		" FROM unnest($1, $2, $3) AS u (channel, run, state)",
		SPI_OK_INSERT,
		DF_PARAMS(TEXTARRAYOID, UUIDARRAYOID, TEXTARRAYOID)};
	Datum *channels = palloc(sizeof(Datum) * list_length(runs));
	Datum *ids = palloc(sizeof(Datum) * list_length(runs));
	Datum *states = palloc(sizeof(Datum) * list_length(runs));
	Datum values[3];
	int n = 0;
	ListCell *lc;

	foreach (lc, runs)
	{
		const DfRun *run = lfirst(lc);

		if (!is_told(run))
			continue;
		channels[n] = CStringGetTextDatum(run->workflow->notify);
		ids[n] = UUIDPGetDatum(&run->id);
		states[n++] = CStringGetTextDatum(df_run_state_name(run->row.state));
	}
	if (n == 0)
		return;
	values[0] = df_array(TEXTOID, channels, NULL, n);
	values[1] = df_array(UUIDOID, ids, NULL, n);
	values[2] = df_array(TEXTOID, states, NULL, n);
	(void) df_plan_run(&plan, values, NULL, 0);
	df_wake_coordinator();
}

static void
require_room(void)
{
	if (DatumGetFloat8(DirectFunctionCall1(pg_notification_queue_usage, (Datum) 0)) <= FULL_QUEUE)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 errmsg("the queue of NOTIFY is nearly full: some session listens and does not read"),
			 errhint("Find the session in pg_stat_activity and end its transaction.")));
}

static void
notify(const char *channel, const pg_uuid_t *run, const char *state)
{
	DfJson json;

	df_json_begin(&json);
	df_json_text(&json, "run", df_uuid_text(run));
	df_json_text(&json, "state", state);
	Async_Notify(channel, df_json_end_text(&json));
}

int
df_state_changes_send(int max)
{
	static DfPlan plan = {
		"WITH d AS ("
		"  DELETE FROM dataflows.state_change AS c"
		"  WHERE c.id = ANY (ARRAY("
		"    SELECT s.id FROM dataflows.state_change AS s"
		"    ORDER BY s.id LIMIT $1 FOR UPDATE SKIP LOCKED))"
		"  RETURNING c.id, c.channel, c.run, c.state)"
		" SELECT d.channel, d.run, d.state FROM d ORDER BY d.id",
		SPI_OK_SELECT,
		DF_PARAMS(INT4OID)};
	Datum values[1] = {Int32GetDatum(max)};
	MemoryContext cxt = CurrentMemoryContext;
	uint64 n;

	require_room();
	n = df_plan_run(&plan, values, NULL, 0);
	for (uint64 row = 0; row < n; row++)
	{
		pg_uuid_t run = df_copy_uuid(row, 1);

		notify(df_copy_text(cxt, row, 0), &run, df_copy_text(cxt, row, 2));
	}
	return (int) n;
}
