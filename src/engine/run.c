/*
 * engine/run.c
 *	  What a run does next: forwards, waiting, rolling back.
 *
 * Runs in a worker, in its recording transaction, on structs in memory: enters
 * the body, settles waits, plans undo, parks.  The states change in
 * transition.c, the decisions are those of flow/.  Nothing here sends or
 * writes; steps that are to leave are marked to_send, and what differs from the
 * tables is marked dirty.
 */
#include "postgres.h"

#include "engine/child_run.h"
#include "shared/json.h"
#include "engine/live.h"
#include "engine/outcome.h"
#include "guc.h"
#include "shared/clock.h"
#include "shared/limits.h"
#include "shared/metrics.h"
#include "store/claim.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#define HANDLER_PREFIX "on_failure/"
#define ROLLBACKS_IN_A_ROW 10

/*
 * A run with so many steps is kept for a while when it waits for children or for
 * its next tries: to read and enter it for each one that ends would cost the
 * square of their number.
 */
#define LINGER_STEPS 16
#define LINGER_MS 1000

/* ---- small facts ---------------------------------------------------------- */

bool
df_is_handler_step(const DfStep *step)
{
	return strncmp(step->name, HANDLER_PREFIX, strlen(HANDLER_PREFIX)) == 0;
}

bool
df_step_ended(const DfStep *step)
{
	return step->state == DF_STEP_DONE || step->state == DF_STEP_FAILED ||
		(step->state == DF_STEP_DOUBT && step->finished_at != DF_NEVER);
}

static bool
undo_in_progress(const DfStep *step)
{
	return step->undo_state == DF_UNDO_DUE || step->undo_state == DF_UNDO_SENT;
}

/* a child run is under way, or is being undone: it will say when it has ended */
static bool
waits_for_child(const DfStep *step)
{
	if (step->kind != DF_STEP_CALL)
		return false;
	return step->state == DF_STEP_WAITING || step->undo_state == DF_UNDO_SENT;
}

static bool
goes_forward(const DfRun *run)
{
	return run->state == DF_RUN_QUEUED || run->state == DF_RUN_RUNNING ||
		run->state == DF_RUN_WAITING;
}

/*
 * when the run fails if it has not ended by then; DF_NEVER = it has no deadline, or none any more
 */
static TimestampTz
deadline_of(const DfRun *run)
{
	return goes_forward(run) ? run->fails_at : DF_NEVER;
}

static TimestampTz
deadline_from(const DfRun *run, TimestampTz since)
{
	if (run->workflow == NULL || !run->workflow->has_deadline)
		return DF_NEVER;
	return DatumGetTimestampTz(DirectFunctionCall2(timestamptz_pl_interval,
												   TimestampTzGetDatum(since),
												   IntervalPGetDatum(&run->workflow->deadline)));
}

/* a person has sent the run on its way again: its whole time begins anew */
void
df_run_renew_deadline(DfRun *run)
{
	run->deadline = run->fails_at = deadline_from(run, df_now());
	run->dirty = true;
}

/* the earliest time at which a step or an undo is due, DF_NEVER = no time */
static TimestampTz
next_step_due(const DfRun *run)
{
	TimestampTz next = DF_NEVER;

	for (int i = 0; i < run->nsteps; i++)
	{
		const DfStep *step = run->steps[i];
		TimestampTz due = step->to_send ? step->not_before : step->wake_at;

		if (due == DF_NEVER || step->in_flight)
			continue;
		if (!step->to_send && df_step_ended(step) && !undo_in_progress(step))
			continue;
		if (next == DF_NEVER || due < next)
			next = due;
	}
	return next;
}

/* the earliest time at which something of this run is due, DF_NEVER = no time */
TimestampTz
df_run_next_due(const DfRun *run)
{
	TimestampTz next;
	TimestampTz deadline;

	/* a person is waited for, or nothing */
	if (run->state == DF_RUN_STUCK || df_run_is_terminal(run->state))
		return DF_NEVER;
	next = next_step_due(run);
	deadline = deadline_of(run);
	if (deadline != DF_NEVER && (next == DF_NEVER || deadline < next))
		next = deadline;
	if (run->linger_until != DF_NEVER && (next == DF_NEVER || run->linger_until < next))
		return run->linger_until;
	return next;
}

static bool
something_to_send(const DfRun *run)
{
	for (int i = 0; i < run->nsteps; i++)
		if (run->steps[i]->to_send)
			return true;
	return false;
}

DfStep *
df_run_step_to_run(const DfRun *run)
{
	for (int i = 0; i < run->nsteps; i++)
		if (run->steps[i]->to_run)
			return run->steps[i];
	return NULL;
}

void
df_run_add_step(DfRun *run, DfStep *step)
{
	if (run->nsteps == run->maxsteps)
	{
		run->maxsteps = Max(8, run->maxsteps * 2);
		if (run->steps == NULL)
			run->steps = MemoryContextAlloc(run->cxt, run->maxsteps * sizeof(DfStep *));
		else
			run->steps = repalloc(run->steps, run->maxsteps * sizeof(DfStep *));
	}
	Assert(run->nsteps == 0 || step->n > run->steps[run->nsteps - 1]->n);
	step->index = run->nsteps;
	run->steps[run->nsteps++] = step;
	/* names begin anew in each round */
	if (step->n > run->round_n)
		df_replay_index(run, step);
	else
		run->nformer = run->nsteps;
}

/* numbers go on: idempotency keys are made of them */
int
df_run_next_n(const DfRun *run)
{
	return run->nsteps > run->nformer ? run->steps[run->nsteps - 1]->n + 1 : run->round_n + 1;
}

/* a step that retry() renewed: it is not sent before the body has rendered it anew */
static bool
to_be_rendered(const DfStep *step)
{
	return (step->kind == DF_STEP_HTTP || step->kind == DF_STEP_QUERY ||
			step->kind == DF_STEP_CALL || step->kind == DF_STEP_MAIL) &&
		step->request == NULL && !df_step_ended(step);
}

/*
 * A run that was claimed: what its body waits for is not known before it is
 * entered, so any step that ends will do.  It need not wait for that if there is
 * a step that only the body can render.
 */
void
df_run_loaded(DfRun *run)
{
	int n = 0;
	bool render = false;

	run->fails_at = run->deadline != DF_NEVER ? run->deadline : deadline_from(run, run->started_at);
	run->blocked = MemoryContextAlloc(run->cxt, sizeof(int) * Max(1, run->nsteps));
	for (int i = 0; i < run->nsteps; i++)
	{
		if (!df_step_ended(run->steps[i]))
			run->blocked[n++] = i;
		render = render || to_be_rendered(run->steps[i]);
		df_child_loaded(run->steps[i]);
	}
	run->nblocked = render ? 0 : n;
	run->blocked_any = true;
	run->advance = true;
}

/* ---- ends ----------------------------------------------------------------- */

void
df_run_get_stuck(DfRun *run, int sqlstate, const char *reason, const char *remedy)
{
	DfJson json;

	if (run->state == DF_RUN_STUCK)
		return;
	df_run_transition(run, DF_RUN_GET_STUCK);
	df_json_begin(&json);
	df_json_text(&json, "sqlstate", unpack_sql_state(sqlstate));
	df_json_text(&json, "reason", reason);
	df_json_text(&json, "remedy",
				 remedy != NULL ? remedy : "Mend the cause, then call dataflows.retry(run).");
	run->stuck = df_json_end(&json, run->cxt);
	run->wake_at = DF_NEVER;
	for (int i = 0; i < run->nsteps; i++)
		run->steps[i]->to_send = run->steps[i]->to_run = run->steps[i]->to_start = false;
	ereport(LOG,
			(errmsg("dataflows run \"%s\" is stuck: %s", run->id_text, reason),
			 errhidestmt(true), errhidecontext(true)));
}

/* ten failures of one workflow at one step with one status are no customers' fault */
static bool
too_many_failures(DfWorkflow *workflow, const char *step, int status)
{
	if (step == NULL)
		return false;
	if (strcmp(workflow->fail_step, step) == 0 && workflow->fail_status == status)
		workflow->fail_count++;
	else
	{
		strlcpy(workflow->fail_step, step, sizeof(workflow->fail_step));
		workflow->fail_status = status;
		workflow->fail_count = 1;
	}
	return workflow->fail_count > ROLLBACKS_IN_A_ROW;
}

static const char *
failure_text(const Jsonb *error)
{
	char *message = df_json_get_text(error, "message");

	return message != NULL ? message : "no reason was given";
}

void
df_run_fail(DfRun *run, Jsonb *error, const char *step, int status)
{
	bool pivot = run->pivot_n > 0;

	run->error = error;
	run->dirty = true;
	for (int i = run->nformer; i < run->nsteps; i++)
		pivot |= run->steps[i]->kind == DF_STEP_PIVOT;
	if (pivot)
	{
		df_run_get_stuck(run, DF_ERR_STEP_FAILED,
						 psprintf("the run failed after the point of no return%s%s: %s",
								  step ? " at step " : "", step ? step : "", failure_text(error)),
						 "Mend the cause and call dataflows.retry(run).");
		return;
	}
	if (run->workflow->stuck_on_error)
	{
		df_run_get_stuck(
			run, DF_ERR_STEP_FAILED,
			psprintf("the run failed, and its workflow says on_error => 'stuck': %s",
					 failure_text(error)),
			"Mend the cause and call dataflows.retry(run), or dataflows.cancel(run) to undo it.");
		return;
	}
	if (too_many_failures(run->workflow, step, status))
	{
		df_run_get_stuck(
			run, DF_ERR_STEP_FAILED,
			psprintf("ten runs of \"%s\" in a row were rolled back at step \"%s\" with status %d",
					 run->workflow->name, step, status),
			"Mend the cause and call dataflows.retry(run), or dataflows.cancel(run) to undo it.");
		return;
	}
	run->cause = DF_CAUSE_FAILED;
	df_run_transition(run, DF_RUN_FAIL);
}

static void
complete(DfRun *run, Jsonb *result)
{
	run->result = result;
	run->workflow->fail_count = 0;
	df_run_transition(run, DF_RUN_COMPLETE);
}

/* ---- waits ---------------------------------------------------------------- */

static bool
sent_by_member(const DfMessage *message, const char *by)
{
	Oid role = get_role_oid(by, true);
	Oid sender;

	if (by == NULL)
		return true;
	/* these are no roles, even if there is one of that name */
	if (strcmp(message->sent_by, "NOTIFY") == 0 || strcmp(message->sent_by, "link") == 0)
		return false;
	sender = get_role_oid(message->sent_by, true);
	return OidIsValid(role) && OidIsValid(sender) && is_member_of_role(sender, role);
}

/* the events of a wait: of wait_for() the one, of wait_any() all */
static List *
events_of(const DfStep *step)
{
	char *event = df_json_get_text(step->options, "event");
	Jsonb *events = df_json_get(step->options, "events");
	List *names = event != NULL ? list_make1(event) : NIL;

	if (events == NULL || !JB_ROOT_IS_ARRAY(events))
		return names;
	for (uint32 i = 0; i < JB_ROOT_COUNT(events); i++)
	{
		JsonbValue *value = getIthJsonbValueFromContainer(&events->root, i);

		if (value != NULL && value->type == jbvString)
			names = lappend(names, pnstrdup(value->val.string.val, value->val.string.len));
	}
	return names;
}

static bool
is_one_of(List *names, const char *name)
{
	ListCell *lc;

	foreach (lc, names)
		if (name != NULL && strcmp(lfirst(lc), name) == 0)
			return true;
	return false;
}

/* the oldest signal that this wait may have; NULL if there is none */
static DfMessage *
find_signal(DfRun *run, const DfStep *step)
{
	List *events;
	char *by;
	ListCell *lc;

	if (run->messages == NIL)
		return NULL;
	events = events_of(step);
	by = df_json_get_text(step->options, "by");
	foreach (lc, run->messages)
	{
		DfMessage *message = lfirst(lc);

		if (!message->done && strcmp(message->kind, "signal") == 0 &&
			is_one_of(events, message->event) && (by == NULL || sent_by_member(message, by)))
			return message;
	}
	return NULL;
}

/* the events that the run waits for, in the present memory context */
List *
df_run_wanted_signals(DfRun *run)
{
	List *wanted = NIL;
	ListCell *lc;

	for (int i = 0; i < run->nsteps; i++)
	{
		DfStep *step = run->steps[i];

		if (step->state != DF_STEP_WAITING || step->kind != DF_STEP_WAIT)
			continue;
		foreach (lc, events_of(step))
		{
			DfWantedSignal *want = palloc(sizeof(DfWantedSignal));

			want->run = run;
			want->event = lfirst(lc);
			want->by = df_json_get_text(step->options, "by") != NULL;
			wanted = lappend(wanted, want);
		}
	}
	return wanted;
}

/* wait_any() says which event it was */
static Jsonb *
with_event(DfRun *run, const DfMessage *message)
{
	DfJson json;

	df_json_begin(&json);
	df_json_text(&json, "event", message->event);
	df_json_value(&json, "payload", message->payload);
	return df_json_end(&json, run->cxt);
}

static void
consume(DfRun *run, DfStep *step, DfMessage *message)
{
	DfJson json;

	message->done = true;
	message->consumed_by = step->n;
	step->output = df_json_get(step->options, "events") != NULL ? with_event(run, message)
																: message->payload;
	df_json_begin(&json);
	df_json_text(&json, "sent_by", message->sent_by);
	df_json_text(&json, "sent_at", timestamptz_to_str(message->sent_at));
	step->answer = df_json_end(&json, run->cxt);
	df_step_transition(run, step, DF_STEP_SUCCEED);
	df_metric_add(DF_METRIC_WAITS, run->workflow_name, "signalled", NULL, 1);
}

static void
wait_timed_out(DfRun *run, DfStep *step)
{
	DfJson json;

	if (!df_json_get_bool(step->options, "required"))
	{
		/* done without output: the timeout is recorded, it stays decided */
		df_step_transition(run, step, DF_STEP_SUCCEED);
		return;
	}
	df_json_begin(&json);
	df_json_text(&json, "message",
				 psprintf("event \"%s\" did not come in time",
						  df_json_get_text(step->options, "event")));
	df_json_bool(&json, "in_doubt", false);
	step->error = df_json_end(&json, run->cxt);
	df_step_transition(run, step, DF_STEP_FAIL);
}

/*
 * Signals beat timeouts that nobody has recorded yet.  While the inbox has not
 * been read since the wait began, no timeout is decided.
 */
static void
settle_waits(DfRun *run)
{
	TimestampTz now = df_now();
	bool poll = false;

	for (int i = 0; i < run->nsteps; i++)
	{
		DfStep *step = run->steps[i];
		DfMessage *message;

		if (step->state != DF_STEP_WAITING)
			continue;
		if (step->kind == DF_STEP_CALL)
		{
			poll = poll || (!step->own_child && !step->to_start && step->wake_at <= now);
			continue;
		}
		if (step->kind == DF_STEP_WAIT)
		{
			if (!run->inbox_loaded)
			{
				run->want_inbox = true;
				continue;
			}
			message = find_signal(run, step);
			if (message != NULL)
				consume(run, step, message);
			else if (step->wake_at != DF_NEVER && step->wake_at <= now)
			{
				wait_timed_out(run, step);
				df_metric_add(DF_METRIC_WAITS, run->workflow_name, "timed_out", NULL, 1);
			}
		}
		else if (step->wake_at != DF_NEVER && step->wake_at <= now)
			df_step_transition(run, step, DF_STEP_SUCCEED);
	}
	if (poll)
		df_children_poll(run);
}

/* ---- aliases -------------------------------------------------------------- */

/* a step that asks for a further key of the run, NULL = none */
DfStep *
df_run_alias_wanted(const DfRun *run)
{
	for (int i = 0; i < run->nsteps; i++)
		if (run->steps[i]->kind == DF_STEP_ALIAS && run->steps[i]->state == DF_STEP_PENDING)
			return run->steps[i];
	return NULL;
}

/*
 * The key is the run's, or `holder` has it.  The body goes on when the alias is
 * committed: whoever sends by that key after the inbox was read then finds us.
 */
void
df_run_alias_answer(DfRun *run, DfStep *step, const char *holder)
{
	DfJson json;

	run->want_alias = false;
	if (holder == NULL)
	{
		df_step_transition(run, step, DF_STEP_SUCCEED);
		run->inbox_loaded = false;
		run->next_turn = true;
		return;
	}
	df_json_begin(&json);
	df_json_text(&json, "message",
				 psprintf("the key \"%s\" is held by run \"%s\"", step->request, holder));
	df_json_bool(&json, "in_doubt", false);
	step->error = df_json_end(&json, run->cxt);
	df_step_transition(run, step, DF_STEP_FAIL);
	run->advance = true;
}

/* steps whose next attempt is due are to be sent */
static void
send_due_steps(DfRun *run)
{
	TimestampTz now = df_now();

	for (int i = 0; i < run->nsteps; i++)
	{
		DfStep *step = run->steps[i];

		if (step->in_flight || step->to_send || df_step_ended(step))
			continue;
		if (step->kind != DF_STEP_HTTP && step->kind != DF_STEP_QUERY && step->kind != DF_STEP_MAIL)
			continue;
		if (step->state != DF_STEP_PENDING && step->state != DF_STEP_DOUBT)
			continue;
		if (step->wake_at > now || step->request == NULL)
			continue;
		if (step->kind == DF_STEP_QUERY)
		{
			step->phase = DF_PHASE_DO;
			step->to_run = true;
			continue;
		}
		/* with a key that is still trusted it is sent again: the dispatcher knows */
		if (step->state == DF_STEP_DOUBT && df_step_has_probe(step) &&
			(df_json_get_bool(step->error, "ask_probe") || df_step_unwanted(run, step)))
			step->phase = DF_PHASE_PROBE;
		else if (df_probe_wanted_first(run, step))
			step->phase = DF_PHASE_PROBE;
		else
			step->phase = DF_PHASE_DO;
		step->cleared = step->urgent = false;
		step->not_before = DF_NEVER;
		step->to_send = true;
	}
}

/* ---- forwards ------------------------------------------------------------- */

static bool
unblocked(const DfRun *run)
{
	int ended = 0;

	for (int i = 0; i < run->nblocked; i++)
		if (df_step_ended(run->steps[run->blocked[i]]))
			ended++;
	return run->blocked_any ? ended > 0 || run->nblocked == 0 : ended == run->nblocked;
}

/* the body is done, but what it began without waiting is not */
static bool
block_on_unended(DfRun *run)
{
	int n = 0;

	run->blocked = MemoryContextAlloc(run->cxt, sizeof(int) * Max(1, run->nsteps));
	for (int i = 0; i < run->nsteps; i++)
		if (!df_step_ended(run->steps[i]))
			run->blocked[n++] = i;
	run->nblocked = n;
	run->blocked_any = false;
	return n > 0;
}

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
		/* the body may have raised it itself */
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

/* transient: the body is entered again a little later, for ever */
static void
retry_body(DfRun *run, const char *message)
{
	DfRetryQuestion question;

	run->body_retries++;
	memset(&question, 0, sizeof(question));
	question.policy.initial_ms = 200;
	question.policy.max_ms = 60000;
	question.attempts = run->body_retries;
	question.now = question.first_at = df_now();
	question.retry_after_ms = -1;
	question.jitter = 0.5 + df_random() / 2;
	run->dirty = true;
	if (run->in_flight > 0 || something_to_send(run))
	{
		/* the next step that ends is reason enough to try again */
		(void) block_on_unended(run);
		run->blocked_any = true;
		return;
	}
	run->wake_at = df_retry_at(&question);
	if (deadline_of(run) != DF_NEVER)
		run->wake_at = Min(run->wake_at, deadline_of(run));
	run->waiting_for = MemoryContextStrdup(run->cxt, psprintf("transient error: %s", message));
	run->lease = 0;
	run->released = true;
}

/* the body asks for the key again when it is entered again */
void
df_run_alias_later(DfRun *run)
{
	retry_body(run, "somebody's open transaction has the key of its alias");
}

/* what a person is to do about a body that cannot run; NULL = the usual */
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

/* a query step failed because of its SQL, not because of its data: a typo, a dropped column */
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

static void
body_raised(DfRun *run, DfBodyExit *exit, bool handler)
{
	char *step;
	int status;
	int cause = exit->sqlstate;
	Jsonb *error = error_json(run, exit->error, exit->sqlstate, &step, &status);

	if (is_broken_sql(error, &cause))
	{
		run->error = error;
		df_run_get_stuck(run, cause, exit->error->message,
						 "Mend the SQL or what it names, then call dataflows.retry(run), or "
						 "dataflows.cancel(run) to undo the run.");
		return;
	}
	switch (df_classify_body_error(exit->sqlstate, exit->error->message))
	{
		case DF_BODY_TRANSIENT:
			retry_body(run, exit->error->message);
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

/*
 * The repair before a retry() took a step out of the function: it had failed, so
 * it stays failed, and nobody waits for a request that will never be rendered.
 */
static void
leave_out_renewed(DfRun *run)
{
	for (int i = 0; i < run->nsteps; i++)
	{
		DfStep *step = run->steps[i];
		DfJson json;

		if (!to_be_rendered(step) || step->called == run->entry_no)
			continue;
		df_json_begin(&json);
		df_json_text(&json, "message", "the function does not call this step any more");
		df_json_bool(&json, "in_doubt", false);
		step->error = df_json_end(&json, run->cxt);
		df_step_transition(run, step, DF_STEP_FAIL);
	}
}

/*
 * A step begun with wait => false ended in doubt, and the body never asked what
 * came of it: what is in nobody's hands must not look completed.
 */
static bool
doubt_is_untold(DfRun *run)
{
	for (int i = run->nformer; i < run->nsteps; i++)
	{
		DfStep *step = run->steps[i];

		if (step->state != DF_STEP_DOUBT || step->told || df_is_handler_step(step))
			continue;
		df_run_get_stuck(
			run, DF_ERR_STEP_FAILED,
			psprintf(
				"step \"%s\" is in doubt, and the body returned without asking what came of it",
				step->name),
			df_step_remedy(run, step));
		return true;
	}
	return false;
}

/* whether the body has come to an end of its own and everything that it began, too */
static bool
all_has_ended(DfRun *run)
{
	const char *which = NULL;

	if (!run->drifted && df_replay_uncalled(run, &which) > 0)
	{
		df_run_get_stuck(
			run, DF_ERR_RECORD_MISMATCH,
			psprintf("the body returned without calling the recorded step \"%s\"", which),
			"The body must take the same way at each entry: let it decide by its input and by the "
			"answers of its steps alone, then call dataflows.retry(run).");
		return false;
	}
	leave_out_renewed(run);
	return !block_on_unended(run) && !doubt_is_untold(run);
}

static void
body_returned(DfRun *run, DfBodyExit *exit)
{
	if (all_has_ended(run))
		complete(run, exit->value);
}

/* lets go of the run, which is to be claimed anew at once: its memory goes with it */
static void
claim_anew(DfRun *run)
{
	run->sql = false;
	run->wake_at = df_now();
	run->waiting_for = NULL;
	run->linger_until = DF_NEVER;
	run->lease = 0;
	run->released = true;
	run->dirty = true;
}

/*
 * The round ends with a step of its own, which keeps the next one's input.  The
 * next one may take a function that was replaced meanwhile.
 */
static void
body_continued(DfRun *run, DfBodyExit *exit)
{
	DfStep *step;
	DfJson json;

	if (!all_has_ended(run))
		return;
	for (int i = run->nformer; i < run->nsteps; i++)
		if (run->steps[i]->kind == DF_STEP_PIVOT)
			run->pivot_n = run->steps[i]->n;
	step = MemoryContextAllocZero(run->cxt, sizeof(DfStep));
	step->n = df_run_next_n(run);
	(void) df_replay_find(run, "continue_with", &step->name);
	step->kind = DF_STEP_CONTINUE;
	step->started_at = df_now();
	step->fresh = true;
	step->output = exit->value;
	df_json_begin(&json);
	df_json_int(&json, "round", run->round);
	step->options = df_json_end(&json, run->cxt);
	df_run_add_step(run, step);
	df_step_transition(run, step, DF_STEP_SUCCEED);
	run->input = exit->value;
	run->round++;
	run->round_n = step->n;
	run->new_round = true;
	run->body_hash = 0;
	run->drifted = false;
	claim_anew(run);
}

static Jsonb *
rollback_context(DfRun *run)
{
	DfJson json;
	DfJson item;
	StringInfoData list;
	bool some = false;

	initStringInfo(&list);
	appendStringInfoChar(&list, '[');
	for (int i = run->nformer; i < run->nsteps; i++)
	{
		DfStep *step = run->steps[i];
		Jsonb *object;

		if (df_is_handler_step(step))
			continue;
		df_json_begin(&item);
		df_json_text(&item, "step", step->name);
		df_json_text(&item, "state", df_step_state_name(step->state));
		df_json_text(&item, "undo_state", df_undo_state_name(step->undo_state));
		df_json_value(&item, "output", step->output);
		object = df_json_end(&item, CurrentMemoryContext);
		if (some)
			appendStringInfoChar(&list, ',');
		some = true;
		(void) JsonbToCString(&list, &object->root, VARSIZE(object));
	}
	appendStringInfoChar(&list, ']');
	df_json_begin(&json);
	df_json_text(&json, "run", run->id_text);
	df_json_text(&json, "key", run->key);
	df_json_text(&json, "workflow", run->workflow->name);
	df_json_value(&json, "input", run->input);
	df_json_bool(&json, "cancelled", run->cause == DF_CAUSE_CANCELLED);
	df_json_value(&json, "error", run->error);
	df_json_value(&json, "steps", df_json_parse(list.data, list.len, CurrentMemoryContext));
	return df_json_end(&json, run->cxt);
}

/* one entry into the body, or into on_failure, and what it makes of the run */
static void
enter(DfRun *run, bool handler)
{
	DfBodyExit exit;

	if (!handler)
		df_run_transition(run, DF_RUN_ENTER);
	df_body_enter(run, handler ? run->workflow->on_failure : run->workflow->function,
				  handler ? rollback_context(run) : run->input, &exit);
	if (exit.result != DF_BODY_RAISED && (run->body_retries > 0 || run->entries > 0))
	{
		run->body_retries = run->entries = 0;
		run->dirty = true;
	}
	switch (exit.result)
	{
		case DF_BODY_SUSPENDED:
			break;
		case DF_BODY_CONTINUED:
			body_continued(run, &exit);
			break;
		case DF_BODY_RETURNED:
			if (!handler)
				body_returned(run, &exit);
			else if (!block_on_unended(run))
				df_run_transition(run,
								  run->cause == DF_CAUSE_CANCELLED ? DF_RUN_CANCEL_DONE
																   : DF_RUN_ROLLBACK_DONE);
			break;
		case DF_BODY_RAISED:
			body_raised(run, &exit, handler);
			break;
		case DF_BODY_REFUSED:
			df_run_get_stuck(run, exit.sqlstate != 0 ? exit.sqlstate : ERRCODE_UNDEFINED_FUNCTION,
							 exit.reason, NULL);
			break;
	}
}

static char *
names_in_words(List *names)
{
	StringInfoData words;
	ListCell *lc;

	initStringInfo(&words);
	foreach (lc, names)
		appendStringInfo(&words, "%s%s", words.len == 0 ? "" : lnext(names, lc) == NULL ? " or "
																						: ", ",
						 (char *) lfirst(lc));
	return words.data;
}

/* what the run waits for, in words */
static char *
waits_for(DfRun *run, bool *event)
{
	char *what = NULL;

	*event = false;
	for (int i = 0; i < run->nsteps; i++)
	{
		DfStep *step = run->steps[i];

		if (df_step_ended(step) && !undo_in_progress(step))
			continue;
		if (waits_for_child(step))
		{
			*event = true;
			return MemoryContextStrdup(run->cxt, df_child_words(step));
		}
		if (step->state == DF_STEP_WAITING)
		{
			*event = true;
			return MemoryContextStrdup(run->cxt,
									   step->kind == DF_STEP_WAIT ? names_in_words(events_of(step))
																  : step->name);
		}
		if (what == NULL)
			what = MemoryContextStrdup(
				run->cxt,
				psprintf("%s of step \"%s\"",
						 undo_in_progress(step) ? "next try of the undo" : "next try", step->name));
	}
	return what;
}

/* a child by key may turn out to be there already, or its key in somebody's hands */
static bool
start_is_open(const DfRun *run)
{
	for (int i = 0; i < run->nsteps && run->keyed_start; i++)
		if (run->steps[i]->to_start)
			return true;
	return false;
}

/*
 * the next child may end at once, the next try is due soon: the run stays in memory, though it
 * waits
 */
static bool
lingers(DfRun *run)
{
	TimestampTz now = df_now();
	TimestampTz soon = TimestampTzPlusMilliseconds(now, LINGER_MS);
	TimestampTz due;
	bool waits = false;

	if (!run->may_linger || run->nsteps < LINGER_STEPS || df_run_step_to_run(run) != NULL)
		return false;
	due = next_step_due(run);
	if (due != DF_NEVER && due <= soon)
	{
		run->linger_until = soon;
		return true;
	}
	for (int i = 0; i < run->nsteps && !waits; i++)
		waits = run->steps[i]->kind == DF_STEP_CALL && waits_for_child(run->steps[i]);
	if (!waits)
		return false;
	if (run->linger_until == DF_NEVER)
		run->linger_until = soon;
	return run->linger_until > now;
}

/* nothing can be done before an event, a time or a child; false: it stays in memory all the same */
static bool
park_live(DfRun *run)
{
	bool event;
	char *what = waits_for(run, &event);

	if (event && run->state == DF_RUN_RUNNING)
	{
		df_run_transition(run, DF_RUN_WAIT);
		run->waiting_for = what;
	}
	if (lingers(run))
		return false;
	run->linger_until = DF_NEVER;
	run->wake_at = df_run_next_due(run);
	run->waiting_for = what;
	run->sql = df_run_step_to_run(run) != NULL;
	if (run->sql)
		run->wake_at = df_now();
	if (!event && !run->sql && next_step_due(run) == DF_NEVER)
		df_run_get_stuck(run, ERRCODE_INTERNAL_ERROR, "it waits for nothing that could come", NULL);
	return true;
}

/*
 * Lets go of a run that has nothing in flight: its row says when, or for what,
 * it is to be looked at again.
 */
static void
park(DfRun *run)
{
	/* nothing leaves for a run that a person has to look at first */
	for (int i = 0; i < run->nsteps && run->state == DF_RUN_STUCK; i++)
		run->steps[i]->to_send = false;
	if (run->state != DF_RUN_STUCK && df_run_alias_wanted(run) != NULL)
		run->want_alias = true;
	if (run->in_flight > 0 || something_to_send(run) || run->want_inbox || run->want_alias ||
		run->next_turn || start_is_open(run))
		return;
	run->sql = false;
	if (!df_run_is_terminal(run->state) && run->state != DF_RUN_STUCK)
	{
		if (!park_live(run))
			return;
	}
	else
		run->wake_at = DF_NEVER;
	run->lease = 0;
	run->released = true;
	run->dirty = true;
}

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
	TimestampTz deadline = deadline_of(run);

	if (deadline != DF_NEVER && deadline <= df_now())
	{
		deadline_passed(run, deadline);
		return;
	}
	for (;;)
	{
		settle_waits(run);
		if (!unblocked(run) || run->next_turn)
			break;
		if (run->nsteps - run->nformer > df_max_steps)
		{
			df_run_get_stuck(run, DF_ERR_LIMIT,
							 psprintf("the run has more than dataflows.max_steps (%d) steps",
									  df_max_steps),
							 "Raise dataflows.max_steps, then call dataflows.retry(run).");
			break;
		}
		enter(run, false);
		if (run->released || (run->state != DF_RUN_RUNNING))
			break;
	}
	if (!run->released && (run->state == DF_RUN_RUNNING || run->state == DF_RUN_WAITING))
		send_due_steps(run);
}

/* ---- backwards ------------------------------------------------------------ */

static int
pivot_of(const DfRun *run)
{
	int pivot = 0;

	for (int i = 0; i < run->nsteps; i++)
		if (run->steps[i]->kind == DF_STEP_PIVOT)
			pivot = i;
	return pivot;
}

/*
 * What was never sent will not be, and nobody waits any more, but for the runs
 * that this one called: they are told to stop, unless they are past undoing.
 */
static void
drop_unsent_steps(DfRun *run)
{
	int pivot = pivot_of(run);

	for (int i = 0; i < run->nsteps; i++)
	{
		DfStep *step = run->steps[i];
		DfJson json;

		if (df_is_handler_step(step) || step->in_flight)
			continue;
		if (step->state != DF_STEP_PENDING && step->state != DF_STEP_WAITING)
			continue;
		if (step->own_child)
		{
			if (i >= pivot)
				df_child_cancel(run, step);
			continue;
		}
		step->to_send = step->to_run = step->to_start = false;
		df_json_begin(&json);
		df_json_text(&json, "message", "given up: the run is rolling back");
		df_json_bool(&json, "in_doubt", false);
		step->error = df_json_end(&json, run->cxt);
		df_step_transition(run, step, DF_STEP_FAIL);
	}
}

/* the answer never came, but the probe may know what the undo needs */
static void
ask_for_undo(DfRun *run, DfStep *step)
{
	if (step->undo_since == DF_NEVER)
		step->undo_since = df_now();
	step->dirty = true;
	if (step->wake_at > df_now() || step->in_flight)
		return;
	step->phase = DF_PHASE_PROBE;
	step->to_send = true;
}

/* has the undo of this step sent, or finds out that it cannot be */
static void
begin_undo(DfRun *run, DfStep *step)
{
	char *missing = NULL;
	DfJson json;

	if (step->undo_state == DF_UNDO_NONE)
		df_undo_transition(run, step, DF_UNDO_DUE);
	if (step->kind == DF_STEP_CALL)
	{
		df_child_undo(run, step);
		return;
	}
	if (!df_step_render_undo(run, step, &missing) || step->undo == NULL)
	{
		if (step->kind == DF_STEP_HTTP && step->output == NULL && df_step_has_probe(step))
		{
			ask_for_undo(run, step);
			return;
		}
		df_json_begin(&json);
		df_json_text(
			&json, "message",
			psprintf("the undo needs the field \"%s\" of an answer that was never received",
					 missing != NULL ? missing : "?"));
		df_json_bool(&json, "in_doubt", true);
		step->undo_error = df_json_end(&json, run->cxt);
		df_undo_transition(run, step, DF_UNDO_FAILED);
		step->wake_at = DF_NEVER;
		return;
	}
	if (step->wake_at > df_now() || step->in_flight)
		return;
	step->phase = DF_PHASE_UNDO;
	if (step->kind == DF_STEP_QUERY)
		step->to_run = true;
	else
		step->to_send = true;
}

static void
rollback_finished(DfRun *run, bool stuck)
{
	if (stuck)
		df_run_get_stuck(run, DF_ERR_STEP_FAILED, "not everything could be undone",
						 psprintf("Do what stands there: SELECT step, why, remedy FROM "
								  "dataflows.pending_undo WHERE run = '%s'; or mend the cause and "
								  "have it tried again: SELECT dataflows.retry('%s');",
								  run->id_text, run->id_text));
	else if (run->workflow->on_failure != NULL && run->cause != DF_CAUSE_UNDO)
	{
		settle_waits(run);
		if (unblocked(run))
			enter(run, true);
		if (run->state == DF_RUN_ROLLING_BACK && !run->released)
			send_due_steps(run);
	}
	else
		df_run_transition(
			run, run->cause == DF_CAUSE_CANCELLED ? DF_RUN_CANCEL_DONE : DF_RUN_ROLLBACK_DONE);
}

/*
 * A child run of one's own is a thing to undo whether it completed or was
 * cancelled, and one under way is as good as in flight.
 */
static void
plan_child(const DfStep *step, DfUndoItem *item)
{
	item->has_undo = step->own_child;
	if (!step->own_child)
		return;
	if (step->state == DF_STEP_WAITING)
		item->state = DF_STEP_SENT;
	else if (step->undo_state != DF_UNDO_NONE)
		item->state = DF_STEP_DONE;
}

static void
plan_items(DfRun *run, DfUndoItem *items, int *nitems)
{
	int pivot = pivot_of(run);

	*nitems = 0;
	for (int i = 0; i < run->nsteps; i++)
	{
		DfStep *step = run->steps[i];
		DfUndoItem *item;
		char *undo;

		if (df_is_handler_step(step))
			break;
		item = &items[(*nitems)++];
		undo = step->undo != NULL ? step->undo : df_json_get_text(step->options, "undo");
		item->n = step->n;
		/* in doubt, but a probe or a re-send may still tell: as good as in flight */
		item->state = df_step_ended(step) ? step->state : DF_STEP_SENT;
		item->undo_state = step->undo_state;
		item->has_undo = undo != NULL && strcmp(undo, "none") != 0;
		item->before_pivot = i < pivot;
		if (step->kind == DF_STEP_CALL)
			plan_child(step, item);
	}
}

/* what earlier rounds did is read when the run is claimed while it rolls back */
static void
undo_former_rounds(DfRun *run, bool stuck)
{
	if (run->former_more)
		claim_anew(run);
	else
		rollback_finished(run, stuck || run->former_failed);
}

static void
advance_rollback(DfRun *run)
{
	DfUndoItem *items;
	int nitems;
	int index;

	drop_unsent_steps(run);
	if (run->round_n > 0 && !run->former_loaded)
	{
		if (run->in_flight == 0)
			claim_anew(run);
		return;
	}
	if (run->cause != DF_CAUSE_NONE)
		send_due_steps(run);
	for (;;)
	{
		items = palloc(sizeof(DfUndoItem) * Max(1, run->nsteps));
		plan_items(run, items, &nitems);
		switch (df_undo_plan(items, nitems, &index))
		{
			case DF_PLAN_WAIT:
				return;
			case DF_PLAN_UNDO:
				begin_undo(run, run->steps[index]);
				if (run->steps[index]->undo_state == DF_UNDO_FAILED ||
					run->steps[index]->undo_state == DF_UNDO_UNDONE)
					continue;
				return;
			case DF_PLAN_DONE:
				undo_former_rounds(run, false);
				return;
			case DF_PLAN_STUCK:
				undo_former_rounds(run, true);
				return;
		}
	}
}

/* ---- the one way in ------------------------------------------------------- */

/*
 * Does all that can be done for the run now.  Afterwards it is released, or has
 * steps to send or in flight, or wants its inbox.
 */
void
df_run_advance(DfRun *run)
{
	DfRunState before;

	run->advance = false;
	do
	{
		before = run->state;
		if (goes_forward(run))
			advance_forward(run);
		else if (run->state == DF_RUN_ROLLING_BACK)
			advance_rollback(run);
	} while (run->state == DF_RUN_ROLLING_BACK && before != DF_RUN_ROLLING_BACK && !run->released);
	if (!run->released)
		park(run);
}
