/*
 * worker/housekeeping.c
 *	  A coordinator's tidying: what is to be thrown away, a little at a time.
 *
 * Runs in a coordinator, in transactions of its own, as the extension's owner,
 * after the workers were started.  Each kind of rubbish is a job by itself, in a
 * subtransaction: one that fails or that somebody's lock keeps out costs the others
 * nothing, and is tried again in the next sweep.  It must never wait for a row, and
 * leaves the machine and the coordinator's other duties as much time as it
 * takes.
 */
#include "postgres.h"

#include "access/xact.h"
#include "utils/timestamp.h"

#include "guc.h"
#include "shared/clock.h"
#include "shared/trouble.h"
#include "store/identity.h"
#include "store/store.h"
#include "store/subxact.h"
#include "store/purge.h"
#include "store/xact.h"
#include "worker/guarded.h"
#include "worker/housekeeping.h"

typedef struct Job
{
	bool (*run)(TimestampTz time);
	bool retained; /* its rows are kept for dataflows.retention */
	DfTrouble trouble;
	TimestampTz due; /* DF_NEVER = in the next sweep */
} Job;

static Job jobs[] = {
	{df_tidy_orphans, false, {"delete requests for runs that are gone"}},
	{df_tidy_signals, false, {"delete expired signals"}},
	{df_tidy_owner_names, false, {"bring the names of renamed roles up to date"}},
	{df_tidy_page_tokens, false, {"delete expired tokens of the page"}},
	{df_tidy_notes, true, {"delete old notes of pause() and resume()"}},
	{df_tidy_deliveries, true, {"delete old deliveries of webhooks"}},
	{df_tidy_runs, true, {"delete ended runs"}},
};

static DfTrouble commit_trouble = {"commit what was tidied up"};

static void
run_job(void *arg)
{
	Job *job = arg;
	TimestampTz now = df_now();
	int64 began = df_monotonic_us();
	TimestampTz time = job->retained ? now - df_retention * USECS_PER_SEC : now;

	job->due = DF_NEVER;
	if (job->retained && df_retention < 0)
		return;
	/* as long a rest as it was work */
	if (job->run(time))
		job->due = now + 2 * (df_monotonic_us() - began);
}

static bool
is_due(const Job *job, TimestampTz now)
{
	return job->due != DF_NEVER && job->due <= now && !df_trouble_waits(&job->trouble, now);
}

/*
 * The due jobs in one transaction.  It ends with a job that failed, for that one
 * may have waited: what the others have locked is not to stay locked meanwhile.
 */
static void
some_jobs(void)
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
df_tidy_sweep(void)
{
	TimestampTz now = df_now();

	df_tidy_begin(now);
	for (int i = 0; i < lengthof(jobs); i++)
		jobs[i].due = now;
}

TimestampTz
df_tidy_due(void)
{
	TimestampTz due = DF_NEVER;

	for (int i = 0; i < lengthof(jobs); i++)
		if (jobs[i].due != DF_NEVER && (due == DF_NEVER || jobs[i].due < due))
			due = jobs[i].due;
	return due;
}

void
df_tidy(void)
{
	TimestampTz now = df_now();
	bool any = false;

	for (int i = 0; i < lengthof(jobs); i++)
	{
		/* not before its trouble may be over: in a later sweep */
		if (df_trouble_waits(&jobs[i].trouble, now))
			jobs[i].due = DF_NEVER;
		any |= is_due(&jobs[i], now);
	}
	if (!any || df_guarded(some_jobs, &commit_trouble))
		return;
	for (int i = 0; i < lengthof(jobs); i++)
		jobs[i].due = DF_NEVER;
}
