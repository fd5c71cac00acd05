/*
 * worker/shortage.c
 *	  Too few descriptors, threads or too little memory for requests: our own
 *	  problem, which says nothing about a system.
 *
 * Runs in a worker, in a turn.  Never use up an attempt of a step for it.
 */
#include "postgres.h"

#include "engine/outcome.h"
#include "shared/clock.h"
#include "shared/trouble.h"
#include "worker/worker_state.h"

/* raise the limit at most this often */
#define RAISE_US USECS_PER_SEC

static DfTrouble shortage = {"send requests"};
static TimestampTz limit_changed = DF_NEVER;

static void
set_limit(int limit)
{
	df_worker.request_limit = Max(limit, 1);
	limit_changed = df_now();
	df_http_limit(df_worker.request_limit);
}

/*
 * The request could not be sent.  Its step is tried again later, and until then no
 * more requests are in flight than now.
 */
void
df_shortage_met(DfRun *run, DfStep *step, const char *why)
{
	ErrorData error;

	memset(&error, 0, sizeof(error));
	error.sqlerrcode = ERRCODE_INSUFFICIENT_RESOURCES;
	error.message = pstrdup(why);
	error.hint = "Give the server more open files (ulimit -n, LimitNOFILE) or memory, or lower "
				 "dataflows.max_in_flight.";
	if (!df_trouble_waits(&shortage, df_now()))
		df_trouble_note(&shortage, &error);
	set_limit(Min(df_worker.request_limit, df_worker.in_flight - 1));
	df_step_unsend(run, step);
	df_step_wait_held(run, step, DF_SHORTAGE_WORDS, shortage.retry_at);
}

/* a request was sent: raise the limit step by step */
void
df_shortage_over(void)
{
	TimestampTz now = df_now();

	if (!df_trouble_waits(&shortage, now))
		df_trouble_over(&shortage);
	if (df_worker.request_limit >= df_worker.max_request_limit || now - limit_changed < RAISE_US)
		return;
	set_limit(Min(df_worker.max_request_limit,
				  df_worker.request_limit + 1 + df_worker.request_limit / 8));
}

/* true: nothing can be sent before that time */
bool
df_shortage_waits(TimestampTz *until)
{
	if (df_worker.in_flight > 0 || !df_trouble_waits(&shortage, df_now()))
		return false;
	*until = shortage.retry_at;
	return true;
}
