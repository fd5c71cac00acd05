/*
 * worker/housekeeping.c
 *	  A coordinator's housekeeping: deletes what has expired, a little at a time.
 *
 * Runs in a coordinator, in transactions of its own, as the extension's owner,
 * after workers were started.  Each kind of row is a job of its own, in a
 * subtransaction: if one fails or meets a lock, the others go on and it is tried
 * again in the next sweep.  Never wait for a row lock here; after each piece of
 * work rest for as long as it took.
 */
#include "postgres.h"

#include "access/xact.h"
#include "utils/timestamp.h"

#include "guc.h"
#include "shared/clock.h"
#include "shared/trouble.h"
#include "store/identity.h"
#include "store/purge.h"
#include "store/store.h"
#include "store/subxact.h"
#include "store/xact.h"
#include "types/base.h"
#include "worker/guarded.h"
#include "worker/housekeeping.h"

typedef struct Job
{
	bool (*run)(TimestampTz time);
	bool by_retention; /* keeps its rows for dataflows.retention */
	DfTrouble trouble;
	TimestampTz due; /* DF_NEVER = in the next sweep */
} Job;

static Job jobs[] = {
	{df_purge_orphans, false, {"delete operator requests for runs that do not exist"}},
	{df_purge_signals, false, {"delete expired signals"}},
	{df_update_owner_names, false, {"bring the names of renamed roles up to date"}},
	{df_purge_page_tokens, false, {"delete expired tokens of the page"}},
	{df_purge_refresh_tokens, false, {"delete refresh tokens that are no longer used"}},
	{df_purge_notes, true, {"delete old notes of pause() and resume()"}},
	{df_purge_deliveries, true, {"delete old deliveries of webhooks"}},
	{df_purge_runs, true, {"delete ended runs"}},
};

static DfTrouble commit_trouble = {"commit what housekeeping deleted"};

static void
run_job(void *arg)
{
	Job *job = arg;
	TimestampTz now = df_now();
	int64 began = df_monotonic_us();
	TimestampTz time = job->by_retention ? now - df_retention * USECS_PER_SEC : now;

	job->due = DF_NEVER;
	if (job->by_retention && df_retention < 0)
		return;
	/* there is more: go on after a rest as long as the work was */
	if (job->run(time))
		job->due = now + 2 * (df_monotonic_us() - began);
}

static bool
is_due(const Job *job, TimestampTz now)
{
	return job->due != DF_NEVER && job->due <= now && !df_trouble_waits(&job->trouble, now);
}

/*
 * Run the due jobs in one transaction.  End it after a job that failed: that one may
 * have waited, and rows that the others have locked must not stay locked for long.
 */
static void
run_due_jobs(void)
{
	TimestampTz now = df_now();
	bool good = true;
	DfStore store;

	df_xact_begin();
	if (df_extension_usable())
	{
		df_store_enter(&store);
		for (int i = 0; i < lengthof(jobs) && good; i++)
		{
			Job *job = &jobs[i];
			ErrorData *error;

			if (!is_due(job, now))
				continue;
			good = df_subxact(run_job, job, true, &error);
			job->due = good ? job->due : DF_NEVER;
			if (good)
				df_trouble_over(&job->trouble);
			else if (!df_error_is_lock(error->sqlerrcode))
				df_trouble_note(&job->trouble, error);
		}
		df_store_leave(&store);
	}
	df_xact_commit();
}

void
df_housekeeping_sweep(void)
{
	TimestampTz now = df_now();

	df_purge_begin(now);
	for (int i = 0; i < lengthof(jobs); i++)
		jobs[i].due = now;
}

TimestampTz
df_housekeeping_due(void)
{
	TimestampTz due = DF_NEVER;

	for (int i = 0; i < lengthof(jobs); i++)
		if (jobs[i].due != DF_NEVER && (due == DF_NEVER || jobs[i].due < due))
			due = jobs[i].due;
	return due;
}

void
df_housekeeping(void)
{
	TimestampTz now = df_now();
	bool any = false;

	for (int i = 0; i < lengthof(jobs); i++)
	{
		/* it failed lately: in a later sweep */
		if (df_trouble_waits(&jobs[i].trouble, now))
			jobs[i].due = DF_NEVER;
		any |= is_due(&jobs[i], now);
	}
	if (!any || df_guarded(run_due_jobs, &commit_trouble))
		return;
	for (int i = 0; i < lengthof(jobs); i++)
		jobs[i].due = DF_NEVER;
}
