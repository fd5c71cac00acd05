/*
 * flow/step_state.c
 *	  The state machines of a step and of its undo, and their names.
 *
 * Called by workers when they change a step (engine/transition.c) and by
 * sessions when they show one.  Pure: it needs no transaction, no role and no
 * memory, and it must never read anything but its arguments.
 *
 * "pending" promises that the step was certainly not carried out.  A step of which
 * that is not certain any more, because one of its attempts was lost, goes to
 * in_doubt by "lose" and is sent again from there; only a response, a probe or a
 * person leads out of doubt.  So a step with a lost attempt stays in the undo
 * order.
 */
#include "postgres.h"

#include "flow/flow.h"
#include "flow/names.h"

const DfTransition df_step_transitions[] = {
	{DF_STEP_PENDING, DF_STEP_SEND, DF_STEP_SENT,
	 "the attempt is committed, the bytes follow"},
	{DF_STEP_PENDING, DF_STEP_HOLD, DF_STEP_WAITING,
	 "it waits for an event, a time or a child run"},
	{DF_STEP_PENDING, DF_STEP_SUCCEED, DF_STEP_DONE,
	 "it needs no network, or was there already"},
	{DF_STEP_PENDING, DF_STEP_FAIL, DF_STEP_FAILED,
	 "its budget is used up, or it cannot be sent at all"},
	{DF_STEP_PENDING, DF_STEP_LOSE, DF_STEP_DOUBT,
	 "after retry() the probe finds what an attempt that was lost before may have made"},

	{DF_STEP_SENT, DF_STEP_AGAIN, DF_STEP_PENDING,
	 "certainly not carried out by this or an earlier attempt: to be tried again"},
	{DF_STEP_SENT, DF_STEP_SUCCEED, DF_STEP_DONE,
	 "the system carried it out"},
	{DF_STEP_SENT, DF_STEP_FAIL, DF_STEP_FAILED,
	 "the system refused it for good"},
	{DF_STEP_SENT, DF_STEP_LOSE, DF_STEP_DOUBT,
	 "bytes may have left and no full answer came, or the engine was killed"},

	{DF_STEP_WAITING, DF_STEP_SUCCEED, DF_STEP_DONE,
	 "the event or the time is there, or the child run has completed"},
	{DF_STEP_WAITING, DF_STEP_FAIL, DF_STEP_FAILED,
	 "a required event timed out, the child run failed, or the run fails"},

	{DF_STEP_DOUBT, DF_STEP_SEND, DF_STEP_SENT,
	 "harmless to repeat: same key and bytes, or a probe saw that it is not there"},
	{DF_STEP_DOUBT, DF_STEP_SUCCEED, DF_STEP_DONE,
	 "a probe found it, doubt is accepted, or a person says that it was done"},
	{DF_STEP_DOUBT, DF_STEP_FAIL, DF_STEP_FAILED,
	 "a probe or a person settled that it was not carried out, for good"},
	{DF_STEP_DOUBT, DF_STEP_RENEW, DF_STEP_PENDING,
	 "a person says that it was not carried out: rendered anew with a new key"},

	{DF_STEP_FAILED, DF_STEP_RENEW, DF_STEP_PENDING,
	 "retry(): rendered anew with a new key"},
};
const int df_n_step_transitions = lengthof(df_step_transitions);

/* the event of an undo is the state that it leads to */
const DfTransition df_undo_transitions[] = {
	{DF_UNDO_NONE, DF_UNDO_DUE, DF_UNDO_DUE,
	 "the step may have had an effect that is to be taken back"},
	{DF_UNDO_DUE, DF_UNDO_SENT, DF_UNDO_SENT,
	 "the attempt is committed, the bytes follow"},
	{DF_UNDO_DUE, DF_UNDO_UNDONE, DF_UNDO_UNDONE,
	 "undone without the network, or a person did it by hand"},
	{DF_UNDO_DUE, DF_UNDO_GONE, DF_UNDO_GONE,
	 "a probe saw that there is nothing to undo"},
	{DF_UNDO_DUE, DF_UNDO_FAILED, DF_UNDO_FAILED,
	 "it needs a field that was never received, or its budget is used up"},
	{DF_UNDO_SENT, DF_UNDO_DUE, DF_UNDO_DUE,
	 "not answered, or asked to come later: to be tried again"},
	{DF_UNDO_SENT, DF_UNDO_UNDONE, DF_UNDO_UNDONE,
	 "the system undid it"},
	{DF_UNDO_SENT, DF_UNDO_GONE, DF_UNDO_GONE,
	 "404 or 410: it is not there"},
	{DF_UNDO_SENT, DF_UNDO_FAILED, DF_UNDO_FAILED,
	 "the system refused it for good, or its budget is used up"},
	{DF_UNDO_FAILED, DF_UNDO_DUE, DF_UNDO_DUE,
	 "retry(): a fresh budget"},
	{DF_UNDO_FAILED, DF_UNDO_UNDONE, DF_UNDO_UNDONE,
	 "resolve(): a person did it by hand"},
};
const int df_n_undo_transitions = lengthof(df_undo_transitions);

static const char *const state_names[] = {
	[DF_STEP_PENDING] = "pending",
	[DF_STEP_SENT] = "sent",
	[DF_STEP_WAITING] = "waiting",
	[DF_STEP_DOUBT] = "in_doubt",
	[DF_STEP_DONE] = "done",
	[DF_STEP_FAILED] = "failed",
};

static const char *const event_names[] = {
	[DF_STEP_SEND] = "send",
	[DF_STEP_HOLD] = "hold",
	[DF_STEP_AGAIN] = "again",
	[DF_STEP_SUCCEED] = "succeed",
	[DF_STEP_FAIL] = "fail",
	[DF_STEP_LOSE] = "lose",
	[DF_STEP_RENEW] = "renew",
};

static const char *const undo_names[] = {
	[DF_UNDO_NONE] = "none",
	[DF_UNDO_DUE] = "due",
	[DF_UNDO_SENT] = "sent",
	[DF_UNDO_UNDONE] = "undone",
	[DF_UNDO_GONE] = "gone",
	[DF_UNDO_FAILED] = "undo_failed",
};

static const char *const kind_names[] = {
	[DF_STEP_HTTP] = "http",
	[DF_STEP_WAIT] = "wait",
	[DF_STEP_SLEEP] = "sleep",
	[DF_STEP_UNDO] = "undo",
	[DF_STEP_QUERY] = "query",
	[DF_STEP_ONCE] = "once",
	[DF_STEP_CALL] = "call",
	[DF_STEP_MAIL] = "mail",
	[DF_STEP_PIVOT] = "pivot",
	[DF_STEP_ALIAS] = "alias",
	[DF_STEP_CONTINUE] = "continue",
};

StaticAssertDecl(lengthof(state_names) == DF_STEP_NSTATES, "every step state has a name");
StaticAssertDecl(lengthof(event_names) == DF_STEP_NEVENTS, "every step event has a name");
StaticAssertDecl(lengthof(undo_names) == DF_UNDO_NSTATES, "every undo state has a name");
StaticAssertDecl(lengthof(kind_names) == DF_STEP_NKINDS, "every step kind has a name");

int
df_step_next(DfStepState from, DfStepEvent event)
{
	const DfTransition *found =
		df_transition_of(df_step_transitions, df_n_step_transitions, from, event);

	return found == NULL ? -1 : found->to;
}

bool
df_undo_allowed(DfUndoState from, DfUndoState to)
{
	return df_transition_of(df_undo_transitions, df_n_undo_transitions, from, to) != NULL;
}

const char *
df_step_state_name(DfStepState state)
{
	return df_name_of(state_names, lengthof(state_names), state);
}

const char *
df_step_event_name(DfStepEvent event)
{
	return df_name_of(event_names, lengthof(event_names), event);
}

const char *
df_undo_state_name(DfUndoState state)
{
	return df_name_of(undo_names, lengthof(undo_names), state);
}

const char *
df_step_kind_name(DfStepKind kind)
{
	return df_name_of(kind_names, lengthof(kind_names), kind);
}

int
df_step_state_of(const char *name)
{
	return df_value_of(state_names, lengthof(state_names), name);
}

int
df_undo_state_of(const char *name)
{
	return df_value_of(undo_names, lengthof(undo_names), name);
}

int
df_step_kind_of(const char *name)
{
	return df_value_of(kind_names, lengthof(kind_names), name);
}

/* nothing more comes of it by itself */
bool
df_step_is_ended(DfStepState state)
{
	return state == DF_STEP_DONE || state == DF_STEP_FAILED || state == DF_STEP_DOUBT;
}
