/*
 * engine/body_error.c
 *	  What an error of the body means for its run.
 *
 * Runs in a worker, in its recording transaction, on structs in memory, after the
 * body's subtransaction has been rolled back.  flow/classify.c decides.  Never fail
 * a run for a transient error: its body is entered again, for ever.  What makes it stuck
 * is kept with all that PostgreSQL knows of it.
 */
#include "postgres.h"

#include "engine/blocked.h"
#include "engine/body.h"
#include "engine/body_error.h"
#include "engine/error_fields.h"
#include "engine/replay.h"
#include "engine/run_due.h"
#include "engine/run_failure.h"
#include "engine/run_life.h"
#include "engine/run_steps.h"
#include "engine/step_end.h"
#include "flow/flow.h"
#include "shared/clock.h"
#include "shared/json.h"
#include "shared/limits.h"
#include "types/base.h"
#include "types/run.h"
#include "utils/memutils.h"

/* the detail of DF001 and DF008 is jsonb; a body can raise these itself, with any detail */
static Jsonb *
json_detail(DfRun *run, ErrorData *error, int sqlstate)
{
	Jsonb *detail;

	if ((sqlstate != DF_ERR_STEP_FAILED && sqlstate != DF_ERR_FAIL) || error->detail == NULL)
		return NULL;
	detail = df_json_parse(error->detail, strlen(error->detail), run->cxt);
	if (detail != NULL && df_payload_fits(detail))
		return detail;
	df_text_cut(error->detail);
	return NULL;
}

static Jsonb *
error_json(DfRun *run, const ErrorData *error, int sqlstate, const Jsonb *detail)
{
	DfJson json;

	df_json_begin(&json);
	df_json_text(&json, "sqlstate", unpack_sql_state(sqlstate));
	df_json_text(&json, "message", error->message);
	if (detail != NULL)
		df_json_value(&json, "detail", detail);
	else
		df_json_text(&json, "detail", error->detail);
	df_error_fields(&json, error);
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

/* ---- an uncaught DF001 ---------------------------------------------------- */

static void
read_failure(const Jsonb *detail, DfFailure *failure)
{
	/* of SQL: a call that may not see its child has one, too */
	char *sqlstate = df_json_get_text(detail, "run") == NULL
		? df_json_get_text(detail, "sqlstate")
		: NULL;
	char *doubt = df_json_get_text(detail, "doubt");
	char *state = df_json_get_text(detail, "state");
	int why = df_why_of(df_json_get_text(detail, "why"));

	failure->why = why > 0 ? (DfWhy) why : DF_WHY_NONE;
	failure->doubt_fails = doubt != NULL && strcmp(doubt, "fail") == 0;
	failure->child_state = state != NULL ? df_run_state_of(state) : -1;
	failure->sqlstate = sqlstate != NULL && strlen(sqlstate) == 5
		? MAKE_SQLSTATE(sqlstate[0], sqlstate[1], sqlstate[2], sqlstate[3], sqlstate[4])
		: 0;
}

/* of several steps that failed, the first that makes the run stuck; else the first */
static DfBodyError
judge_failure(const Jsonb *detail, DfUndoOn undo_on, Jsonb **step)
{
	Jsonb *failures;
	DfBodyError first = DF_BODY_STUCK;
	DfFailure failure;
	DfJsonWalk walk;
	int n = 0;

	/* a body that raises DF001 itself may give it anything */
	*step = detail != NULL && JB_ROOT_IS_OBJECT(detail) ? (Jsonb *) detail : NULL;
	failures = df_json_get(*step, "failures");
	if (failures == NULL || !JB_ROOT_IS_ARRAY(failures))
	{
		read_failure(*step, &failure);
		return df_classify_failure(&failure, undo_on);
	}
	df_json_walk(&walk, failures);
	while (df_json_next(&walk))
	{
		Jsonb *one = walk.value.type == jbvBinary ? df_json_of(&walk.value) : NULL;
		DfBodyError means;

		read_failure(one, &failure);
		means = df_classify_failure(&failure, undo_on);
		if (n++ > 0 && means != DF_BODY_STUCK)
			continue;
		*step = one;
		first = means;
		if (means == DF_BODY_STUCK)
			break;
	}
	return first;
}

/* ---- what a person must do ------------------------------------------------ */

#define OR_CANCEL "call dataflows.retry(run); to undo the run instead, dataflows.cancel(run)."

static const char *
remedy_for_failure(DfRun *run, const Jsonb *step)
{
	char *system = df_json_get_text(step, "system");
	char *name = df_json_get_text(step, "step");
	DfStep *doubtful = name != NULL ? df_replay_named(run, name) : NULL;
	DfFailure failure;

	read_failure(step, &failure);
	switch (failure.why)
	{
		case DF_WHY_IN_DOUBT:
			if (doubtful != NULL)
				return df_step_remedy(run, doubtful);
			break;
		case DF_WHY_LIMIT:
			return psprintf("Once %s works again, " OR_CANCEL " A retry limit that the step sets "
							"itself fails the run.",
							system != NULL ? psprintf("system \"%s\"", system) : "it");
		case DF_WHY_CHILD:
			return "To have the workflow called again, " OR_CANCEL;
		case DF_WHY_ERROR:
			if (failure.sqlstate != 0)
				return "Repair the SQL or what it names, then " OR_CANCEL;
			break;
		default:
			break;
	}
	return "Repair the cause, then " OR_CANCEL;
}

/* everything else is undone by then, and cancel() would change nothing */
#define HANDLER_REMEDY \
	"Repair the function on_failure or what it uses, then call dataflows.retry(run), which calls " \
	"it again; or end the run as it is: dataflows.abandon(run, note)."

static const char *
remedy_for(int sqlstate)
{
	if (sqlstate == ERRCODE_READ_ONLY_SQL_TRANSACTION)
		return "A body is read-only, since it is entered more than once: take the write out of it "
			   "and put it into the step dataflows.query(), then call dataflows.retry(run).";
	if (sqlstate == ERRCODE_INVALID_TRANSACTION_TERMINATION)
		return "A body must not end transactions: remove COMMIT and ROLLBACK from it, then call "
			   "dataflows.retry(run).";
	return "Repair the function or what it uses, then " OR_CANCEL " A body that means to fail its "
		   "run calls dataflows.fail(reason).";
}

#define PYTHON_FAILS \
	"in PL/Python plpy.execute(plpy.prepare('SELECT dataflows.fail($1)', ['text']), [reason])"
#define PERL_FAILS \
	"in PL/Perl spi_exec_prepared(spi_prepare('SELECT dataflows.fail($1)', 'text'), $reason)"

/* other languages have no RAISE: say how they fail on purpose; plpy.error, elog are XX000 */
static void
add_hint(ErrorData *error, int sqlstate)
{
	if (error->hint == NULL &&
		(ERRCODE_TO_CATEGORY(sqlstate) == ERRCODE_EXTERNAL_ROUTINE_EXCEPTION ||
		 sqlstate == ERRCODE_INTERNAL_ERROR))
		error->hint =
			"If the body meant to fail its run, it must say so by "
			"dataflows.fail(reason): " PYTHON_FAILS ", " PERL_FAILS ".";
}

/* of a step that used up what it may try: how often it did so, and where */
static const char *
with_attempts(DfRun *run, const Jsonb *step, const char *message)
{
	char *name = df_json_get_text(step, "step");
	DfStep *failed = name != NULL ? df_replay_named(run, name) : NULL;
	DfFailure failure;

	read_failure(step, &failure);
	if (failure.why != DF_WHY_LIMIT || failed == NULL || failed->system == NULL ||
		failed->row.attempts < 2)
		return message;
	return psprintf("%s (attempt %d, system \"%s\")", message, failed->row.attempts,
					failed->system);
}

/* ---- the way in ----------------------------------------------------------- */

static void
get_stuck(DfRun *run, DfBodyExit *exit, const Jsonb *step, bool handler)
{
	const char *who = handler ? "on_failure raised" : "the body raised";
	int sqlstate = exit->sqlstate;
	ErrorData known = *exit->error;
	const char *remedy;
	const char *reason;

	/* it has the body of a response, which is in the run's error, for those who may see it */
	if (exit->sqlstate == DF_ERR_STEP_FAILED)
		known.detail = NULL;
	/* the SQL of a query step is judged by its own */
	if (step != NULL)
	{
		DfFailure failure;

		read_failure(step, &failure);
		if (failure.sqlstate != 0)
			sqlstate = failure.sqlstate;
	}
	if (!handler)
		add_hint(&known, exit->sqlstate);
	reason = exit->error->message;
	if (step != NULL && !handler)
		reason = with_attempts(run, step, reason);
	if (handler)
		remedy = HANDLER_REMEDY;
	else
		remedy = step != NULL ? remedy_for_failure(run, step) : remedy_for(exit->sqlstate);
	df_run_get_stuck_by(run, sqlstate,
						step != NULL && !handler ? reason : psprintf("%s: %s", who, reason),
						remedy, &known);
}

void
df_body_raised(DfRun *run, DfBodyExit *exit, bool handler)
{
	DfUndoOn undo_on = run->workflow->undo_on;
	Jsonb *detail = json_detail(run, exit->error, exit->sqlstate);
	Jsonb *error = error_json(run, exit->error, exit->sqlstate, detail);
	Jsonb *step = NULL;
	DfBodyError means;

	if (exit->sqlstate == DF_ERR_STEP_FAILED)
		means = judge_failure(detail, undo_on, &step);
	else
		means = df_classify_body_error(exit->sqlstate, exit->error->message, undo_on);
	if (means == DF_BODY_TRANSIENT)
	{
		df_body_retry_later(run, exit->error->message);
		return;
	}
	if (means == DF_BODY_FAILED && !handler)
	{
		df_run_fail(run, error, df_json_get_text(step, "step"),
					(int) df_json_get_int(step, "status", 0));
		return;
	}
	/* retry() has the step that it names tried again */
	if (step != NULL && !handler)
		run->row.error = error;
	get_stuck(run, exit, step, handler);
}
