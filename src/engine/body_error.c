/*
 * engine/body_error.c
 *	  What an error of the body means for its run.
 *
 * Runs in a worker, in its recording transaction, on structs in memory, after the
 * body's subtransaction has been rolled back.  flow/classify.c decides.  Never fail
 * a run for a transient error: its body is entered again, for ever.
 */
#include "postgres.h"

#include "engine/blocked.h"
#include "engine/body.h"
#include "engine/body_error.h"
#include "engine/run_due.h"
#include "engine/run_failure.h"
#include "engine/run_life.h"
#include "engine/run_steps.h"
#include "flow/flow.h"
#include "shared/clock.h"
#include "shared/json.h"
#include "shared/limits.h"
#include "types/base.h"
#include "types/run.h"
#include "utils/memutils.h"

static Jsonb *
error_json(DfRun *run, ErrorData *error, int sqlstate, char **step, int *status)
{
	DfJson json;
	Jsonb *detail = NULL;

	*step = NULL;
	*status = 0;
	if (sqlstate == DF_ERR_STEP_FAILED && error->detail != NULL)
	{
		detail = df_json_parse(error->detail, strlen(error->detail), run->cxt);
		/* the body can raise this SQLSTATE, too, with any detail */
		if (detail != NULL && !df_payload_fits(detail))
			detail = NULL;
		if (detail == NULL)
			df_text_cut(error->detail);
		*step = df_json_get_text(detail, "step");
		*status = df_json_get_int(detail, "status", 0);
	}
	df_json_begin(&json);
	df_json_text(&json, "sqlstate", unpack_sql_state(sqlstate));
	df_json_text(&json, "message", error->message);
	if (detail != NULL)
		df_json_value(&json, "detail", detail);
	else
		df_json_text(&json, "detail", error->detail);
	df_json_text(&json, "hint", error->hint);
	df_json_text(&json, "context", error->context);
	return df_json_end(&json, run->cxt);
}

/* enters the body again later, at growing intervals, for ever */
void
df_body_retry_later(DfRun *run, const char *message)
{
	DfRetryQuestion question;

	run->row.body_retries++;
	memset(&question, 0, sizeof(question));
	question.policy.initial_ms = 200;
	question.policy.max_ms = 60000;
	question.attempts = run->row.body_retries;
	question.now = question.first_at = df_now();
	question.retry_after_ms = -1;
	question.jitter = 0.5 + df_random() / 2;
	if (run->worker.in_flight > 0 || df_run_has_to_send(run))
	{
		/* try again when the next step ends */
		(void) df_run_block_on_unended(run);
		run->engine.blocked_any = true;
		return;
	}
	run->row.wake_at = df_retry_at(&question);
	if (df_run_deadline(run) != DF_NEVER)
		run->row.wake_at = Min(run->row.wake_at, df_run_deadline(run));
	run->row.waiting_for = MemoryContextStrdup(run->cxt, psprintf("transient error: %s", message));
	df_run_release(run);
}

/* what a person must do about an error of the body; NULL = the usual text */
static const char *
remedy_for(int sqlstate)
{
	if (sqlstate == ERRCODE_READ_ONLY_SQL_TRANSACTION)
		return "A body is read-only, since it is entered more than once: take the write out of it "
			   "and put it into the step dataflows.query(), then call dataflows.retry(run).";
	if (sqlstate == ERRCODE_INVALID_TRANSACTION_TERMINATION)
		return "A body must not end transactions: remove COMMIT and ROLLBACK from it, then call "
			   "dataflows.retry(run).";
	return NULL;
}

/* a query step failed because its SQL is wrong: a typo, a dropped column; not for its data */
static bool
is_broken_sql(const Jsonb *error, int *sqlstate)
{
	Jsonb *detail = df_json_get(error, "detail");
	char *inner;

	if (*sqlstate != DF_ERR_STEP_FAILED || detail == NULL || !JB_ROOT_IS_OBJECT(detail))
		return false;
	inner = df_json_get_text(detail, "sqlstate");
	if (inner == NULL || strlen(inner) != 5)
		return false;
	*sqlstate = MAKE_SQLSTATE(inner[0], inner[1], inner[2], inner[3], inner[4]);
	return df_classify_body_error(*sqlstate, NULL) == DF_BODY_STUCK;
}

void
df_body_raised(DfRun *run, DfBodyExit *exit, bool handler)
{
	char *step;
	int status;
	int cause = exit->sqlstate;
	Jsonb *error = error_json(run, exit->error, exit->sqlstate, &step, &status);

	if (is_broken_sql(error, &cause))
	{
		run->row.error = error;
		df_run_get_stuck(run, cause, exit->error->message,
						 "Repair the SQL or what it names, then call dataflows.retry(run), or "
						 "dataflows.cancel(run) to undo the run.");
		return;
	}
	switch (df_classify_body_error(exit->sqlstate, exit->error->message))
	{
		case DF_BODY_TRANSIENT:
			df_body_retry_later(run, exit->error->message);
			return;
		case DF_BODY_FAILED:
			if (!handler)
			{
				df_run_fail(run, error, step, status);
				return;
			}
			/* FALLTHROUGH */
		case DF_BODY_STUCK:
			df_run_get_stuck(run, exit->sqlstate,
							 psprintf("%s: %s", handler ? "on_failure raised" : "the body raised",
									  exit->error->message),
							 remedy_for(exit->sqlstate));
			return;
	}
}
