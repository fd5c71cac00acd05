/*
 * flow/run_state.c
 *	  The state machine of a run, and the names of its states.
 *
 * Called by workers when they change a run (engine/transition.c), and by sessions
 * when they show one.  Pure: it needs no transaction, no role and no memory, and it
 * must never read anything but its arguments.
 *
 * The array is the machine: what is not listed cannot happen.  The view
 * state_machine prints it, a regression test pins it, docs/reference/states.md
 * draws it.  A run that parks while it is rolling back stays in that state:
 * whether a run is parked is seen in wake_at, not in its state.
 */
#include "postgres.h"

#include "flow/flow.h"
#include "flow/names.h"

const DfTransition df_run_transitions[] = {
	{DF_RUN_QUEUED, DF_RUN_ENTER, DF_RUN_RUNNING,
	 "a worker enters the body for the first time"},
	{DF_RUN_QUEUED, DF_RUN_FAIL, DF_RUN_ROLLING_BACK,
	 "its deadline passed before a worker came"},
	{DF_RUN_QUEUED, DF_RUN_CANCEL, DF_RUN_CANCELLED,
	 "cancelled before it did anything: there is nothing to undo"},
	{DF_RUN_QUEUED, DF_RUN_GET_STUCK, DF_RUN_STUCK,
	 "it cannot be entered: the function, its owner or a right is gone"},
	{DF_RUN_QUEUED, DF_RUN_ABANDON, DF_RUN_ABANDONED,
	 "abandon() while its workflow or the database is paused or held: a person takes it over"},

	{DF_RUN_RUNNING, DF_RUN_ENTER, DF_RUN_RUNNING,
	 "the body is entered again, since a step has ended"},
	{DF_RUN_RUNNING, DF_RUN_WAIT, DF_RUN_WAITING,
	 "nothing to do before an event, a time or a child run"},
	{DF_RUN_RUNNING, DF_RUN_COMPLETE, DF_RUN_COMPLETED,
	 "the body returned and all steps have ended"},
	{DF_RUN_RUNNING, DF_RUN_FAIL, DF_RUN_ROLLING_BACK,
	 "the body raised an error or the deadline passed: what was done is undone"},
	{DF_RUN_RUNNING, DF_RUN_CANCEL, DF_RUN_ROLLING_BACK,
	 "cancelled: what was done is undone"},
	{DF_RUN_RUNNING, DF_RUN_GET_STUCK, DF_RUN_STUCK,
	 "a person is needed: nothing is undone"},
	{DF_RUN_RUNNING, DF_RUN_ABANDON, DF_RUN_ABANDONED,
	 "abandon() while its workflow or the database is paused or held: a person takes it over"},

	{DF_RUN_WAITING, DF_RUN_ENTER, DF_RUN_RUNNING,
	 "what it waited for is there"},
	{DF_RUN_WAITING, DF_RUN_FAIL, DF_RUN_ROLLING_BACK,
	 "its deadline passed while it waited"},
	{DF_RUN_WAITING, DF_RUN_CANCEL, DF_RUN_ROLLING_BACK,
	 "cancelled while it waited: what was done is undone"},
	{DF_RUN_WAITING, DF_RUN_GET_STUCK, DF_RUN_STUCK,
	 "it cannot be entered again: the function, its owner or a right is gone"},
	{DF_RUN_WAITING, DF_RUN_ABANDON, DF_RUN_ABANDONED,
	 "abandon() while its workflow or the database is paused or held: a person takes it over"},

	{DF_RUN_ROLLING_BACK, DF_RUN_GET_STUCK, DF_RUN_STUCK,
	 "an undo failed for good or on_failure failed: a person is needed"},
	{DF_RUN_ROLLING_BACK, DF_RUN_ROLLBACK_DONE, DF_RUN_ROLLED_BACK,
	 "everything is undone and on_failure has run"},
	{DF_RUN_ROLLING_BACK, DF_RUN_CANCEL_DONE, DF_RUN_CANCELLED,
	 "everything is undone after a cancel"},
	{DF_RUN_ROLLING_BACK, DF_RUN_ABANDON, DF_RUN_ABANDONED,
	 "abandon() while its workflow or the database is paused or held: a person takes it over"},

	{DF_RUN_STUCK, DF_RUN_RETRY, DF_RUN_RUNNING,
	 "retry() of a run that was going forward"},
	{DF_RUN_STUCK, DF_RUN_RETRY_ROLLBACK, DF_RUN_ROLLING_BACK,
	 "retry() or resolve() of a run that was rolling back"},
	{DF_RUN_STUCK, DF_RUN_CANCEL, DF_RUN_ROLLING_BACK,
	 "cancel(): what was done is undone"},
	{DF_RUN_STUCK, DF_RUN_ABANDON, DF_RUN_ABANDONED,
	 "abandon(): a person has taken over what is left"},

	{DF_RUN_COMPLETED, DF_RUN_UNDO, DF_RUN_ROLLING_BACK,
	 "undo(), or the run that called this one rolls back"},
};
const int df_n_run_transitions = lengthof(df_run_transitions);

static const char *const state_names[] = {
	[DF_RUN_QUEUED] = "queued",
	[DF_RUN_RUNNING] = "running",
	[DF_RUN_WAITING] = "waiting",
	[DF_RUN_ROLLING_BACK] = "rolling_back",
	[DF_RUN_STUCK] = "stuck",
	[DF_RUN_COMPLETED] = "completed",
	[DF_RUN_ROLLED_BACK] = "rolled_back",
	[DF_RUN_CANCELLED] = "cancelled",
	[DF_RUN_ABANDONED] = "abandoned",
};

static const char *const event_names[] = {
	[DF_RUN_ENTER] = "enter",
	[DF_RUN_WAIT] = "wait",
	[DF_RUN_COMPLETE] = "complete",
	[DF_RUN_FAIL] = "fail",
	[DF_RUN_CANCEL] = "cancel",
	[DF_RUN_GET_STUCK] = "get_stuck",
	[DF_RUN_RETRY] = "retry",
	[DF_RUN_RETRY_ROLLBACK] = "retry_rollback",
	[DF_RUN_UNDO] = "undo",
	[DF_RUN_ROLLBACK_DONE] = "rollback_done",
	[DF_RUN_CANCEL_DONE] = "cancel_done",
	[DF_RUN_ABANDON] = "abandon",
};

/* DF_CAUSE_NONE has no name: it is NULL in the table */
static const char *const cause_names[] = {
	[DF_CAUSE_FAILED] = "failed",
	[DF_CAUSE_CANCELLED] = "cancelled",
	[DF_CAUSE_UNDO] = "undo",
};

StaticAssertDecl(lengthof(state_names) == DF_RUN_NSTATES, "every run state has a name");
StaticAssertDecl(lengthof(event_names) == DF_RUN_NEVENTS, "every run event has a name");

int
df_run_next(DfRunState from, DfRunEvent event)
{
	const DfTransition *found =
		df_transition_of(df_run_transitions, df_n_run_transitions, from, event);

	return found == NULL ? -1 : found->to;
}

const char *
df_run_state_name(DfRunState state)
{
	return df_name_of(state_names, lengthof(state_names), state);
}

const char *
df_run_event_name(DfRunEvent event)
{
	return df_name_of(event_names, lengthof(event_names), event);
}

const char *
df_cause_name(DfCause cause)
{
	return cause == DF_CAUSE_NONE ? NULL : df_name_of(cause_names, lengthof(cause_names), cause);
}

int
df_run_state_of(const char *name)
{
	return df_value_of(state_names, lengthof(state_names), name);
}

int
df_cause_of(const char *name)
{
	return df_value_of(cause_names, lengthof(cause_names), name);
}

bool
df_run_is_terminal(DfRunState state)
{
	return state >= DF_RUN_COMPLETED;
}

/*
 * A stuck run holds its key, since it may still go on; so does a completed
 * one, since its customer exists.
 */
bool
df_run_holds_key(DfRunState state)
{
	return state != DF_RUN_ROLLED_BACK && state != DF_RUN_CANCELLED && state != DF_RUN_ABANDONED;
}
