/*
 * engine/run_advance.c
 *	  What a run does next: the one way in.
 *
 * Runs in a worker, in its recording transaction, on structs in memory: settles
 * waits, enters the body, undoes, parks.  States change in transition.c, and flow/
 * decides.  Never send or write here: steps are marked to_send, and the store writes
 * what differs from the tables.
 */
#include "postgres.h"

#include "engine/run_advance.h"
#include "engine/blocked.h"
#include "engine/run_due.h"
#include "engine/entry.h"
#include "engine/hold.h"
#include "engine/run_failure.h"
#include "engine/park.h"
#include "engine/rollback.h"
#include "engine/run_life.h"
#include "guc.h"
#include "shared/clock.h"
#include "shared/json.h"
#include "types/base.h"
#include "types/run.h"
#include "utils/timestamp.h"

static void
deadline_passed(DfRun *run, TimestampTz deadline)
{
	DfJson json;

	df_json_begin(&json);
	df_json_text(&json, "sqlstate", unpack_sql_state(DF_ERR_LIMIT));
	df_json_text(&json, "message",
				 psprintf("the run has not ended by its deadline, %s",
						  timestamptz_to_str(deadline)));
	df_run_fail(run, df_json_end(&json, run->cxt), NULL, 0);
}

static void
advance_forward(DfRun *run)
{
	TimestampTz deadline;

	df_run_check_holds(run);
	deadline = df_run_deadline(run);
	if (deadline != DF_NEVER && deadline <= df_now())
	{
		deadline_passed(run, deadline);
		return;
	}
	for (;;)
	{
		df_run_settle_waits(run);
		if (run->row.state == DF_RUN_STUCK || !df_run_unblocked(run) || run->engine.awaits_commit)
			break;
		if (run->nsteps - run->engine.nearlier > df_max_steps)
		{
			df_run_get_stuck(run, DF_ERR_LIMIT,
							 psprintf("the run has more than dataflows.max_steps (%d) steps",
									  df_max_steps),
							 "Raise dataflows.max_steps, then call dataflows.retry(run).");
			break;
		}
		df_run_enter(run, false);
		if (run->life != DF_LIFE_ACTIVE || run->row.state != DF_RUN_RUNNING)
			break;
	}
	if (run->life == DF_LIFE_ACTIVE &&
		(run->row.state == DF_RUN_RUNNING || run->row.state == DF_RUN_WAITING))
		df_run_send_due_steps(run);
}

/*
 * Does all that can be done for the run now.  Afterwards it is released or retained,
 * or has steps to send or in flight, or wants its inbox read or its alias claimed.
 */
void
df_run_advance(DfRun *run, bool may_retain)
{
	DfRunState before;

	run->engine.advance = false;
	if (run->life == DF_LIFE_RETAINED)
		df_run_set_life(run, DF_LIFE_ACTIVE);
	do
	{
		before = run->row.state;
		if (df_run_goes_forward(run))
			advance_forward(run);
		else if (run->row.state == DF_RUN_ROLLING_BACK)
			df_run_roll_back(run);
	} while (run->row.state == DF_RUN_ROLLING_BACK && before != DF_RUN_ROLLING_BACK &&
			 run->life == DF_LIFE_ACTIVE);
	if (run->life == DF_LIFE_ACTIVE)
		df_run_park(run, may_retain);
}
