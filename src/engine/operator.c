/*
 * engine/operator.c
 *	  What people ask of a run: cancel, retry, resolve, undo, abandon, rename_step, accept_drift.
 *
 * Runs in a worker, in its recording transaction.  Sessions only insert inbox
 * rows; here they take effect.  A request that comes too late does nothing and
 * is marked done like any other.
 */
#include "postgres.h"

#include "engine/blocked.h"
#include "engine/child_run.h"
#include "engine/step_evidence.h"
#include "engine/operator.h"
#include "engine/read_spec.h"
#include "engine/replay.h"
#include "engine/rollback_of.h"
#include "engine/run_due.h"
#include "engine/step_kind.h"
#include "engine/transition.h"
#include "engine/undo_outcome.h"
#include "shared/clock.h"
#include "shared/json.h"
#include "types/base.h"
#include "types/run.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

static Jsonb *
who_and_why(DfRun *run, const DfMessage *message, const char *what)
{
	DfJson json;

	df_json_begin(&json);
	df_json_text(&json, "message", psprintf("%s by %s", what, message->sent_by));
	df_json_text(&json, "by", message->sent_by);
	df_json_text(&json, "on_behalf_of", message->on_behalf_of);
	df_json_text(&json, "at", timestamptz_to_str(message->sent_at));
	df_json_text(&json, "reason", message->note);
	return df_json_end(&json, run->cxt);
}

static void
cancel(DfRun *run, const DfMessage *message)
{
	switch (run->row.state)
	{
		case DF_RUN_QUEUED:
		case DF_RUN_RUNNING:
		case DF_RUN_WAITING:
		case DF_RUN_STUCK:
			if (run->row.error == NULL || run->row.cause == DF_CAUSE_NONE)
				run->row.error = who_and_why(run, message, "cancelled");
			run->row.cause = DF_CAUSE_CANCELLED;
			run->row.body_retries = run->row.entries = 0;
			df_run_transition(run, DF_RUN_CANCEL);
			break;
		default:
			break; /* rolling back already, or ended */
	}
}

/* nothing of it was carried out: it begins again, with its whole budget */
static void
begin_anew(DfRun *run, DfStep *step, bool new_key)
{
	df_step_transition(run, step, DF_STEP_RENEW);
	if (new_key)
		df_step_render_anew(step);
	if (df_step_ops(step)->renewed != NULL)
		df_step_ops(step)->renewed(step);
	step->row.attempts = 0;
	if (!step->row.evidence.ask_probe)
		step->row.sent_at = DF_NEVER;
	step->row.started_at = df_now();
	step->row.finished_at = DF_NEVER;
	step->row.wake_at = DF_NEVER;
	df_step_forget_holds(step);
	step->row.error = NULL;
}

/* the step whose failure the run is stuck at: to be sent again with a fresh budget */
static void
renew_step(DfRun *run, DfStep *step)
{
	DfDoubtCase about = df_step_case(run, step, NULL);
	DfRenewal renewal = df_decide_renewal(&about);

	df_step_know(step, &renewal.evidence);
	df_step_is_not_elsewhere(step);
	if (!renewal.stays_in_doubt)
	{
		begin_anew(run, step, renewal.new_key);
		return;
	}
	step->row.finished_at = DF_NEVER;
	step->row.wake_at = DF_NEVER;
}

/*
 * whether the error that the run is stuck with names the step, or has it among the failures of a
 * wait_all()
 */
static bool
is_failed_at(const Jsonb *detail, const DfStep *step)
{
	char *name = df_json_get_text(detail, "step");
	Jsonb *failures = df_json_get(detail, "failures");
	DfJsonWalk walk;

	if (name != NULL && strcmp(name, step->name) == 0)
		return true;
	if (failures == NULL || !JB_ROOT_IS_ARRAY(failures))
		return false;
	df_json_walk(&walk, failures);
	while (df_json_next(&walk))
	{
		name = df_json_get_text(df_json_of(&walk.value), "step");
		if (name != NULL && strcmp(name, step->name) == 0)
			return true;
	}
	return false;
}

static bool
may_be_renewed(const DfStep *step)
{
	return df_step_ops(step)->renewable &&
		(step->row.state == DF_STEP_FAILED || step->row.state == DF_STEP_DOUBT);
}

static bool
asks_person(DfRun *run, DfStep *step)
{
	(void) df_step_spec(run, step);
	return df_asks_person(step);
}

/* the undos that failed, and what failed in on_failure: it was entered after them */
static void
retry_rollback(DfRun *run)
{
	df_run_transition(run, DF_RUN_RETRY_ROLLBACK);
	for (int i = 0; i < run->nsteps; i++)
	{
		DfStep *step = run->steps[i];

		if (step->row.undo_state == DF_UNDO_FAILED)
		{
			df_undo_transition(run, step, DF_UNDO_DUE);
			df_step_is_not_elsewhere(step);
			step->row.undo_since = df_now();
			df_step_forget_holds(step);
			step->row.wake_at = DF_NEVER;
		}
		else if (df_is_handler_step(step) && may_be_renewed(step))
			renew_step(run, step);
	}
	df_run_loaded(run);
}

static void
retry(DfRun *run)
{
	Jsonb *detail;

	if (run->row.state != DF_RUN_STUCK)
		return;
	run->row.body_retries = run->row.entries = 0;
	if (run->row.cause != DF_CAUSE_NONE)
	{
		retry_rollback(run);
		return;
	}
	df_run_transition(run, DF_RUN_RETRY);
	df_run_renew_deadline(run);
	if (run->workflow != NULL)
		run->workflow->fail_count = 0;
	detail = df_json_get(run->row.error, "detail");
	if (detail != NULL && !JB_ROOT_IS_OBJECT(detail))
		detail = NULL;
	run->row.error = NULL;
	for (int i = run->engine.nearlier; i < run->nsteps; i++)
	{
		DfStep *step = run->steps[i];

		if (may_be_renewed(step) &&
			((detail != NULL && is_failed_at(detail, step)) || asks_person(run, step)))
			renew_step(run, step);
	}
	df_run_loaded(run);
	/* before anything is sent: the function may have been corrected, with a probe say */
	run->engine.nblocked = 0;
}

void
df_run_abandon(DfRun *run, const DfMessage *message)
{
	if (run->row.error == NULL)
		run->row.error = who_and_why(run, message, "abandoned");
	df_run_transition(run, DF_RUN_ABANDON);
}

static void
undo(DfRun *run, const DfMessage *message)
{
	if (run->row.state != DF_RUN_COMPLETED)
		return;
	run->row.error = who_and_why(run, message, "undone");
	run->row.cause = DF_CAUSE_UNDO;
	df_run_transition(run, DF_RUN_UNDO);
}

/* with the output that a person found, it can be undone after all */
static void
take_output(DfRun *run, DfStep *step, const Jsonb *payload, const DfDecision *made)
{
	Jsonb *output = df_json_get(payload, "output");
	DfWord word = made->evidence.resolved;
	DfStep *which;
	char *why;

	/* of a step that was done before, what a probe has found is known */
	if (output != NULL || made->event != DF_NO_EVENT)
		step->row.output = output != NULL ? df_json_copy(output, run->cxt) : NULL;
	if (word == DF_WORD_DONE && df_step_render_undo(run, step, &why) &&
		df_word_revives_undo(step, word))
	{
		df_undo_transition(run, step, DF_UNDO_DUE);
		step->row.undo_since = df_now();
	}
	if (word == DF_WORD_DONE)
		(void) df_rollback_render_of(run, step, &which, &why);
}

/* whether the request is about this step, which it names as the view dataflows.steps does */
static bool
is_meant(const DfMessage *message, const DfStep *step)
{
	if (message->event[0] == '#')
		return step->n == strtol(message->event + 1, NULL, 10);
	return strcmp(step->name, message->event) == 0;
}

/* a person settles a doubt or a pending undo */
static void
resolve(DfRun *run, const DfMessage *message)
{
	char *outcome = df_json_get_text(message->payload, "outcome");
	int word = df_word_of(outcome);
	DfStep *step = NULL;
	DfDoubtCase about;
	DfDecision made;

	for (int i = 0; i < run->nsteps; i++)
		if (message->event != NULL && is_meant(message, run->steps[i]))
			step = run->steps[i];
	if (step == NULL || word < 0)
		return;
	about = df_step_case(run, step, NULL);
	made = df_decide_word(&about, (DfWord) word);
	if (made.verdict == DF_VERDICT_NONE ||
		(word == DF_WORD_RESEND && run->row.cause != DF_CAUSE_NONE))
		return;
	if (word == DF_WORD_RESEND)
	{
		df_step_know(step, &made.evidence);
		begin_anew(run, step, true);
	}
	else
		df_step_apply(run, step, &made);
	if (made.verdict == DF_VERDICT_DONE)
		take_output(run, step, message->payload, &made);
	step->row.error = who_and_why(run, message, psprintf("resolved as %s", outcome));
	step->row.undo_error = NULL;
	step->row.wake_at = DF_NEVER;
	step->engine.to_send = false;
	if (run->row.state == DF_RUN_STUCK)
	{
		df_run_transition(run,
						  run->row.cause == DF_CAUSE_NONE ? DF_RUN_RETRY : DF_RUN_RETRY_ROLLBACK);
		if (run->row.cause == DF_CAUSE_NONE)
			df_run_renew_deadline(run);
	}
	if (run->row.state == DF_RUN_RUNNING)
		run->row.error = NULL;
	df_run_loaded(run);
}

static void
give_name(DfRun *run, DfStep *step, const char *name)
{
	df_replay_rename(run, step, name);
	if (df_step_ops(step)->renamed != NULL)
		df_step_ops(step)->renamed(run, step);
}

/*
 * The body may have begun to wait for an event under its new name, though it came under the old
 * one: then these two waits change their names.
 */
static bool
rename_step(DfRun *run, const DfMessage *message)
{
	char *name = df_json_get_text(message->payload, "outcome");
	DfStep *step = NULL;
	DfStep *there = name == NULL ? NULL : df_replay_named(run, name);

	if (name == NULL || message->event == NULL)
		return false;
	for (int i = run->engine.nearlier; i < run->nsteps; i++)
		if (is_meant(message, run->steps[i]))
			step = run->steps[i];
	if (step == NULL || step == there || step->worker.in_flight)
		return false;
	if (there != NULL)
	{
		if (there->row.state != DF_STEP_WAITING || df_step_ops(there)->effect != NULL)
			return false;
		give_name(run, there, step->name);
	}
	give_name(run, step, name);
	return true;
}

static bool
accept_drift(DfRun *run, const DfMessage *message)
{
	char *body = df_json_get_text(message->payload, "body");
	char *handler = df_json_get_text(message->payload, "on_failure");
	bool some = false;

	for (int i = run->engine.nearlier; i < run->nsteps; i++)
	{
		DfStep *step = run->steps[i];
		char *fingerprint = df_is_handler_step(step) ? handler : body;

		if (fingerprint == NULL || (message->event != NULL && !is_meant(message, step)))
			continue;
		step->row.accepted_hash = strtoll(fingerprint, NULL, 10);
		some = true;
	}
	return some;
}

/* its body is entered again, unless a person has to act for another reason first */
static void
go_on_after_drift(DfRun *run, bool changed)
{
	char *sqlstate = df_json_get_text(run->row.stuck, "sqlstate");

	if (changed && run->row.state == DF_RUN_STUCK && sqlstate != NULL &&
		strcmp(sqlstate, unpack_sql_state(DF_ERR_RECORD_MISMATCH)) == 0)
		retry(run);
	else if (changed)
	{
		df_run_loaded(run);
		/* whatever it waited for */
		run->engine.nblocked = 0;
	}
}

/*
 * adds a message in the order of arrival, not of reading; false: it was read before
 */
static bool
keep(DfRun *run, DfMessage *message)
{
	MemoryContext old;
	DfMessage *before = NULL;
	int at = list_length(run->messages);

	while (at > 0 && (before = list_nth(run->messages, at - 1))->id > message->id)
		at--;
	if (at > 0 && before->id == message->id)
	{
		before->is_new |= message->is_new;
		return false;
	}
	old = MemoryContextSwitchTo(run->cxt);
	run->messages = list_insert_nth(run->messages, at, message);
	MemoryContextSwitchTo(old);
	return true;
}

/*
 * Something new in the inbox of a run that is in memory.  Signals are kept until
 * a wait consumes them; everything else takes effect here and now.
 */
void
df_run_message(DfRun *run, DfMessage *message)
{
	if (!keep(run, message))
		return;
	run->engine.advance = true;
	switch (message->kind)
	{
		case DF_MESSAGE_SIGNAL:
			return;
		case DF_MESSAGE_CHILD:
			df_child_message(run, message);
			break;
		case DF_MESSAGE_CANCEL:
			cancel(run, message);
			break;
		case DF_MESSAGE_RETRY:
			retry(run);
			break;
		case DF_MESSAGE_UNDO:
			undo(run, message);
			break;
		case DF_MESSAGE_ABANDON:
			if (run->row.state == DF_RUN_STUCK)
				df_run_abandon(run, message);
			break;
		case DF_MESSAGE_RESOLVE:
			resolve(run, message);
			break;
		case DF_MESSAGE_RENAME:
			go_on_after_drift(run, rename_step(run, message));
			break;
		case DF_MESSAGE_ACCEPT:
			go_on_after_drift(run, accept_drift(run, message));
			break;
		case DF_MESSAGE_PAUSE:
		case DF_MESSAGE_RESUME:
		case DF_MESSAGE_NONE:
			break;
	}
	message->done = true;
}
