/*
 * engine/waits.c
 *	  What ends a wait: a signal, its timeout, or the time slept for.
 *
 * Runs in a worker, in its recording transaction and the owner's role, on structs
 * in memory.  Reads no inbox: it asks for that by wants_inbox, and must never decide
 * a timeout before the inbox has been read.
 */
#include "postgres.h"

#include "engine/child_run.h"
#include "engine/transition.h"
#include "engine/waits.h"
#include "shared/clock.h"
#include "shared/json.h"
#include "shared/metrics.h"
#include "store/inbox_read.h"
#include "types/base.h"
#include "types/run.h"
#include "utils/acl.h"
#include "utils/timestamp.h"

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
List *
df_wait_events(const DfStep *step)
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
	events = df_wait_events(step);
	by = df_json_get_text(step->options, "by");
	foreach (lc, run->messages)
	{
		DfMessage *message = lfirst(lc);

		if (!message->done && message->kind == DF_MESSAGE_SIGNAL &&
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
		foreach (lc, df_wait_events(step))
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
void
df_run_settle_waits(DfRun *run)
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
			if (!run->engine.inbox_loaded)
			{
				run->engine.wants_inbox = true;
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
