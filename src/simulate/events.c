/*
 * simulate/events.c
 *	  The people of a simulation: signals for the events that runs wait for.
 *
 * Runs in a user's backend, in the subtransaction of simulate().  A signal is a row of the
 * inbox, as signal() writes it, sent when a wait for it has begun and its time has come.
 * Nothing is sent that no wait has asked for.
 */
#include "postgres.h"

#include "engine/step_wait.h"
#include "flow/flow.h"
#include "miscadmin.h"
#include "shared/clock.h"
#include "shared/json.h"
#include "simulate/events.h"
#include "simulate/replies.h"
#include "store/inbox_table.h"
#include "store/store.h"
#include "types/base.h"
#include "utils/fmgrprotos.h"
#include "utils/timestamp.h"

/* to be sent; of the simulation's memory */
typedef struct DfSimSignal
{
	DfSimRun *of;
	const char *event;
	const char *sent_by;
	const DfReply *reply;
	TimestampTz at;
} DfSimSignal;

static DfSimEvent *
event_of(DfSim *sim, DfSimRun *of, const char *name)
{
	MemoryContext old;
	DfSimEvent *event;
	ListCell *lc;

	foreach (lc, of->events)
		if (strcmp(((DfSimEvent *) lfirst(lc))->name, name) == 0)
			return lfirst(lc);
	old = MemoryContextSwitchTo(sim->cxt);
	event = palloc0(sizeof(DfSimEvent));
	event->name = pstrdup(name);
	of->events = lappend(of->events, event);
	MemoryContextSwitchTo(old);
	return event;
}

static DfReplyList *
replies_of(DfSim *sim, const DfSimRun *of, const char *event)
{
	const char *own = psprintf("%sevent:%s", of->path, event);
	const char *key = psprintf("event:%s", event);
	List *const sources[2] = {sim->overrides, sim->replies};
	DfReplyList *list = NULL;

	for (int i = 0; i < lengthof(sources) && list == NULL; i++)
	{
		list = df_replies_of(sources[i], own);
		if (list == NULL)
			list = df_replies_of(sources[i], key);
	}
	return list;
}

/* one that was arranged for an earlier wait, and is not consumed, is for this one, too */
static void
arrange(DfSim *sim, DfSimRun *of, const char *name, const char *by)
{
	DfSimEvent *event = event_of(sim, of, name);
	DfReplyList *list = replies_of(sim, of, name);
	const DfReply *reply;
	DfSimSignal *signal;
	MemoryContext old;

	if (event->open > 0 || list == NULL)
		return;
	reply = df_reply_of(list, event->asked++);
	if (reply->kind != DF_REPLY_ANSWER)
		return;
	event->open++;
	old = MemoryContextSwitchTo(sim->cxt);
	signal = palloc0(sizeof(DfSimSignal));
	signal->of = of;
	signal->event = event->name;
	/* whoever it has to be */
	signal->sent_by = by != NULL ? pstrdup(by) : GetUserNameFromId(sim->caller, false);
	signal->reply = reply;
	signal->at = DatumGetTimestampTz(DirectFunctionCall2(
		timestamptz_pl_interval, TimestampTzGetDatum(df_now()), IntervalPGetDatum(&reply->after)));
	sim->signals = lappend(sim->signals, signal);
	MemoryContextSwitchTo(old);
}

static void
wait_has_begun(DfSim *sim, DfSimRun *of, const DfStep *step)
{
	const char *by = df_json_get_text(step->row.options, "by");
	List *events = df_wait_events(step);
	ListCell *lc;

	foreach (lc, events)
		arrange(sim, of, lfirst(lc), by);
}

/* by a signal; of several events its output says which */
static void
wait_has_ended(DfSim *sim, DfSimRun *of, const DfStep *step)
{
	List *events = df_wait_events(step);
	const char *name = list_length(events) == 1 ? linitial(events)
												: df_json_get_text(step->row.output, "event");

	if (name != NULL)
		event_of(sim, of, name)->open--;
}

void
df_sim_arrange_signals(DfSim *sim, DfSimRun *of)
{
	/* what has come is no more to come */
	for (int i = 0; i < of->run->nsteps; i++)
	{
		DfStep *step = of->run->steps[i];
		DfSimStep *known = df_sim_step(sim, of, step);

		if (step->kind == DF_STEP_WAIT && step->row.state == DF_STEP_DONE && known->arranged &&
			step->row.answer != NULL)
			wait_has_ended(sim, of, step);
		if (step->row.state == DF_STEP_DONE)
			known->arranged = false;
	}
	for (int i = 0; i < of->run->nsteps; i++)
	{
		DfStep *step = of->run->steps[i];
		DfSimStep *known = df_sim_step(sim, of, step);

		if (step->kind != DF_STEP_WAIT || step->row.state != DF_STEP_WAITING || known->arranged)
			continue;
		known->arranged = true;
		wait_has_begun(sim, of, step);
	}
}

static void
send_signal(const DfSimSignal *signal)
{
	DfNewMessage message;

	memset(&message, 0, sizeof(message));
	message.run = &signal->of->id;
	message.workflow = signal->of->workflow;
	message.key = signal->of->key;
	message.kind = DF_MESSAGE_SIGNAL;
	message.event = signal->event;
	message.payload = signal->reply->payload;
	message.sent_by = signal->sent_by;
	message.now = df_now();
	df_inbox_insert(&message);
}

void
df_sim_send_signals(DfSim *sim)
{
	TimestampTz now = df_now();
	ListCell *lc;
	DfStore store;

	foreach (lc, sim->signals)
	{
		DfSimSignal *signal = lfirst(lc);

		if (signal->at > now)
			continue;
		df_store_enter(&store);
		send_signal(signal);
		df_store_leave(&store);
		sim->read_inbox = true;
		sim->signals = foreach_delete_current(sim->signals, lc);
	}
}

/* undo() of what has completed, cancel() of what has not */
bool
df_sim_ask_to_undo(DfSim *sim)
{
	DfSimRun *of = linitial(sim->runs);
	DfNewMessage message;
	DfStore store;

	if (of->was == DF_RUN_ROLLING_BACK ||
		(of->was != DF_RUN_COMPLETED && df_run_is_terminal(of->was)))
		return false;
	if (of->was == DF_RUN_STUCK && of->run != NULL && of->run->row.cause != DF_CAUSE_NONE)
		return false;
	memset(&message, 0, sizeof(message));
	message.run = &of->id;
	message.workflow = of->workflow;
	message.key = of->key;
	message.kind = of->was == DF_RUN_COMPLETED ? DF_MESSAGE_UNDO : DF_MESSAGE_CANCEL;
	message.sent_by = GetUserNameFromId(sim->caller, false);
	message.now = df_now();
	df_store_enter(&store);
	df_inbox_insert(&message);
	df_store_leave(&store);
	sim->read_inbox = true;
	return true;
}

TimestampTz
df_sim_next_signal(const DfSim *sim)
{
	TimestampTz next = DF_NEVER;
	ListCell *lc;

	foreach (lc, sim->signals)
	{
		TimestampTz at = ((DfSimSignal *) lfirst(lc))->at;

		if (next == DF_NEVER || at < next)
			next = at;
	}
	return next;
}
