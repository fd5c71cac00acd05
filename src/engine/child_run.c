/*
 * engine/child_run.c
 *	  Parents and children: a run and the runs that it called.
 *
 * Runs in a worker or a sql worker, in its recording transaction.  A child is an
 * ordinary run.  Parent and child tell each other what happened by inbox rows,
 * each written in the transaction of the change that it reports: none is lost or
 * reported twice, whichever worker holds the other run.  Must never write a run or
 * a step of another run.
 *
 * step->row.answer says which run the call waits for: NULL = the child has not been
 * inserted yet; {"run"} = a child of its own; {"run", "attached": true} = a run
 * that held the key already.  The call waits for an attached run, but never
 * cancels or undoes it.
 */
#include "postgres.h"

#include "engine/child_run.h"
#include "engine/run_failure.h"
#include "engine/step_error.h"
#include "engine/transition.h"
#include "flow/flow.h"
#include "miscadmin.h"
#include "shared/as_role.h"
#include "shared/clock.h"
#include "shared/json.h"
#include "shared/uuid.h"
#include "shared/wake.h"
#include "store/children.h"
#include "store/identity.h"
#include "store/rights.h"
#include "store/run_start.h"
#include "store/store.h"
#include "types/base.h"
#include "types/run.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

/* how often an attached run is checked, or a key that is taken is tried again */
#define POLL_FIRST_MS 200
#define POLL_MAX_MS 5000

/*
 * At which polls the call checks for a circle: whether the run that it waits for
 * waits for this one.  One call of a circle has to fail.  At first only the
 * youngest run does; but that one may have waited for long and check no more, so
 * from CIRCLE_ALL on any of them does.
 */
#define CIRCLE_FIRST 1
#define CIRCLE_ALL 3
#define CIRCLE_LAST 6

/* how long a parent stays in memory after a child has ended: the next one may follow */
#define RETAIN_MS 1000

static pg_uuid_t
uuid_of(const char *text)
{
	if (text == NULL)
		elog(ERROR, "the row of a call names no run");
	return df_uuid_read(text);
}

char *
df_child_id(const DfStep *step)
{
	char *id = df_json_get_text(step->row.answer, "run");

	return id != NULL ? id : df_json_get_text(step->row.options, "run");
}

bool
df_step_waits_for_child(const DfStep *step)
{
	if (step->kind != DF_STEP_CALL)
		return false;
	return step->row.state == DF_STEP_WAITING || step->row.undo_state == DF_UNDO_SENT;
}

/* ---- a child has ended ---------------------------------------------------- */

static void
fail_step(DfRun *run, DfStep *step, int sqlstate, const char *message)
{
	DfJson json;

	df_json_begin(&json);
	df_json_text(&json, "message", message);
	df_json_text(&json, "run", df_child_id(step));
	if (sqlstate != 0)
		df_json_text(&json, "sqlstate", unpack_sql_state(sqlstate));
	df_json_bool(&json, "in_doubt", false);
	df_json_text(&json, "why", df_why_name(DF_WHY_ERROR));
	step->row.error = df_json_end(&json, run->cxt);
	df_step_transition(run, step, DF_STEP_FAIL);
}

/* the error of a call whose child did not complete: DF001 in the body */
static Jsonb *
ended_badly(DfRun *run, const DfStep *step, DfRunState state, const Jsonb *error)
{
	DfJson json;
	char *why = df_json_get_text(error, "message");
	char *ended = psprintf("run %s (%s) ended %s", df_child_id(step),
						   df_json_get_text(step->row.options, "workflow"),
						   df_run_state_name(state));

	df_json_begin(&json);
	df_json_text(&json, "message", why == NULL ? ended : psprintf("%s: %s", ended, why));
	df_json_text(&json, "run", df_child_id(step));
	df_json_text(&json, "state", df_run_state_name(state));
	df_json_value(&json, "error", error);
	df_json_bool(&json, "in_doubt", false);
	df_json_text(&json, "why", df_why_name(DF_WHY_CHILD));
	return df_json_end(&json, run->cxt);
}

static void
undo_failed(DfRun *run, DfStep *step, const char *why)
{
	step->row.undo_error = df_error_text(run, why, true);
	df_undo_transition(run, step, DF_UNDO_FAILED);
	step->row.wake_at = DF_NEVER;
}

/* the child is undone, at the request of its parent or of a person; or it is abandoned */
static void
settle_undo(DfRun *run, DfStep *step, DfRunState state)
{
	bool abandoned = state == DF_RUN_ABANDONED;

	if (step->row.undo_state == DF_UNDO_NONE && !abandoned)
		df_undo_transition(run, step, DF_UNDO_DUE);
	if (step->row.undo_state != DF_UNDO_DUE && step->row.undo_state != DF_UNDO_SENT &&
		(step->row.undo_state != DF_UNDO_FAILED || abandoned))
		return;
	if (abandoned)
	{
		undo_failed(run, step,
					psprintf("run %s was abandoned before everything was undone",
							 df_child_id(step)));
		return;
	}
	step->row.undo_error = NULL;
	step->row.wake_at = DF_NEVER;
	df_undo_transition(run, step, DF_UNDO_UNDONE);
}

static void
child_ended(DfRun *run, DfStep *step, DfRunState state, const Jsonb *output, const Jsonb *error)
{
	if (step->row.state == DF_STEP_WAITING && state == DF_RUN_COMPLETED)
	{
		step->row.output = output != NULL ? df_json_copy(output, run->cxt) : NULL;
		df_step_transition(run, step, DF_STEP_SUCCEED);
		/* it completed before it read the request to cancel it: it is undone instead */
		if (step->row.undo_state == DF_UNDO_SENT)
			df_undo_transition(run, step, DF_UNDO_DUE);
	}
	else if (step->row.state == DF_STEP_WAITING)
	{
		step->row.error = ended_badly(run, step, state, error);
		df_step_transition(run, step, DF_STEP_FAIL);
		if (step->row.undo_state == DF_UNDO_SENT)
			settle_undo(run, step, state);
	}
	else if (step->engine.has_own_child && state != DF_RUN_COMPLETED)
		settle_undo(run, step, state);
}

static DfStep *
step_of_number(DfRun *run, int n)
{
	int low = 0;
	int high = run->nsteps;

	while (low < high)
	{
		int middle = (low + high) / 2;

		if (run->steps[middle]->n < n)
			low = middle + 1;
		else
			high = middle;
	}
	return low < run->nsteps && run->steps[low]->n == n ? run->steps[low] : NULL;
}

/* the message may come from before a retry() that called another child, with another id */
void
df_child_message(DfRun *run, DfMessage *message)
{
	DfStep *step = step_of_number(run, (int) df_json_get_int(message->payload, "n", 0));
	char *id = df_json_get_text(message->payload, "run");
	char *state = df_json_get_text(message->payload, "state");
	char *expected;
	int ended = state != NULL ? df_run_state_of(state) : -1;

	if (step == NULL || step->kind != DF_STEP_CALL || id == NULL ||
		ended < 0 || !df_run_is_terminal((DfRunState) ended))
		return;
	expected = df_json_get_text(step->row.answer, "run");
	if (expected == NULL || strcmp(expected, id) != 0)
		return;
	message->consumed_by = step->n;
	child_ended(run, step, (DfRunState) ended, df_json_get(message->payload, "output"),
				df_json_get(message->payload, "error"));
	if (run->engine.retained_until != DF_NEVER)
		run->engine.retained_until = TimestampTzPlusMilliseconds(df_now(), RETAIN_MS);
}

/* ---- attached runs -------------------------------------------------------- */

static void
look_again_later(DfStep *step)
{
	int64 ms = (int64) POLL_FIRST_MS << Min(step->row.attempts, 10);

	step->row.attempts++;
	step->row.wake_at = TimestampTzPlusMilliseconds(df_now(), Min(ms, POLL_MAX_MS));
}

/* the right to start a workflow does not include learning of the runs of others */
static bool
may_see(const DfSeenRun *seen)
{
	return df_sight(df_engine_role(), seen) == DF_SEES_ALL;
}

static void
fail_unseen(DfRun *run, DfStep *step)
{
	fail_step(run, step, ERRCODE_INSUFFICIENT_PRIVILEGE,
			  psprintf("key \"%s\" of workflow \"%s\" is taken by a run that the role \"%s\" may "
					   "not see",
					   df_json_get_text(step->row.options, "key"),
					   df_json_get_text(step->row.options, "workflow"),
					   GetUserNameFromId(df_engine_role(), false)));
}

static void
fail_in_circle(DfRun *run, DfStep *step)
{
	fail_step(
		run, step, 0,
		psprintf("run %s holds key \"%s\" of workflow \"%s\", and it waits for this call itself",
				 df_child_id(step), df_json_get_text(step->row.options, "key"),
				 df_json_get_text(step->row.options, "workflow")));
}

static bool
gives_way(const DfRun *run, const DfStep *step, const pg_uuid_t *holder)
{
	pg_uuid_t youngest;
	DfStore store;
	bool circle;

	if (step->row.attempts < CIRCLE_FIRST || step->row.attempts > CIRCLE_LAST)
		return false;
	df_store_enter(&store);
	circle = df_run_in_circle(&run->id, holder, &youngest);
	df_store_leave(&store);
	return circle &&
		(step->row.attempts >= CIRCLE_ALL || memcmp(&youngest, &run->id, sizeof(youngest)) == 0);
}

static void
poll_attached(DfRun *run, DfStep *step)
{
	pg_uuid_t id = uuid_of(df_child_id(step));
	DfChildRun look;
	DfStore store;

	df_store_enter(&store);
	df_child_read(&id, &look, store.result_context);
	df_store_leave(&store);
	if (!look.found || look.forgotten)
		fail_step(run, step, 0,
				  psprintf("run %s, which held the key, was %s", df_child_id(step),
						   look.found ? "forgotten" : "purged"));
	else if (!may_see(&look.seen))
		fail_unseen(run, step);
	else if (!df_run_is_terminal(look.state) && gives_way(run, step, &id))
		fail_in_circle(run, step);
	else if (!df_run_is_terminal(look.state))
		look_again_later(step);
	else
		child_ended(run, step, look.state, look.result, look.error);
}

/* its row was changed by hand, or storage lost a part of it: no child can be made of it */
static bool
is_damaged(DfRun *run, DfStep *step)
{
	if (step->row.body != NULL && df_json_get_text(step->row.options, "run") != NULL &&
		df_json_get_text(step->row.options, "workflow") != NULL)
		return false;
	df_run_get_stuck(run, DF_ERR_RECORD_MISMATCH,
					 psprintf("the row of step \"%s\" has no input, run or workflow to call",
							  step->name),
					 "Restore the row of the step in dataflows.step from a backup, then call "
					 "dataflows.retry(run); or call dataflows.cancel(run).");
	return true;
}

/* a child that is not started yet, or an attached run, is due to be checked */
void
df_child_settle(DfRun *run, DfStep *step, TimestampTz now)
{
	if (step->engine.has_own_child || step->engine.to_insert_child || step->row.wake_at > now)
		return;
	if (step->row.answer != NULL)
	{
		poll_attached(run, step);
		return;
	}
	if (is_damaged(run, step))
		return;
	step->engine.to_insert_child = run->engine.has_child_work = true;
	step->row.wake_at = DF_NEVER;
	if (df_json_get_text(step->row.options, "key") != NULL)
		run->engine.has_keyed_start = true;
}

/* ---- rolling back --------------------------------------------------------- */

static void
send_request(DfRun *run, DfStep *step, DfMessageKind what)
{
	df_undo_transition(run, step, DF_UNDO_SENT);
	step->engine.child_request = what;
	run->engine.has_child_work = true;
}

void
df_child_cancel(DfRun *run, DfStep *step)
{
	if (step->row.undo_state == DF_UNDO_NONE)
		df_undo_transition(run, step, DF_UNDO_DUE);
	if (step->row.undo_state == DF_UNDO_DUE)
		send_request(run, step, DF_MESSAGE_CANCEL);
}

/* the undo is due: of a child that completed */
void
df_child_undo(DfRun *run, DfStep *step)
{
	char *id = df_child_id(step);
	pg_uuid_t uuid = uuid_of(id);
	DfChildRun look;
	DfStore store;

	if (step->row.undo == NULL)
		step->row.undo = MemoryContextStrdup(run->cxt, psprintf("undo of run %s", id));
	df_store_enter(&store);
	df_child_read(&uuid, &look, store.result_context);
	df_store_leave(&store);
	if (!look.found)
		undo_failed(run, step, psprintf("run %s was purged", id));
	else if (look.forgotten)
		undo_failed(run, step, psprintf("run %s was forgotten, with all that its undo needs", id));
	else if (look.state == DF_RUN_COMPLETED)
		send_request(run, step, DF_MESSAGE_UNDO);
	else if (df_run_is_terminal(look.state))
		settle_undo(run, step, look.state);
	else
		df_undo_transition(run, step, DF_UNDO_SENT); /* it is being undone already */
}

/* ---- recording ------------------------------------------------------------ */

static DfNewChild *
new_child(DfRun *run, DfStep *step)
{
	DfNewChild *child = palloc0(sizeof(DfNewChild));

	child->run = run;
	child->step = step;
	child->id = uuid_of(df_json_get_text(step->row.options, "run"));
	child->workflow = df_json_get_text(step->row.options, "workflow");
	child->version = (int) df_json_get_int(step->row.options, "version", 0);
	child->key = df_json_get_text(step->row.options, "key");
	if (step->row.body == NULL)
		elog(ERROR, "the row of call \"%s\" has no input", step->name);
	child->input = df_json_parse(step->row.body, strlen(step->row.body), CurrentMemoryContext);
	return child;
}

static void
note_child(DfRun *run, DfStep *step, const char *id, bool attached)
{
	DfJson json;

	df_json_begin(&json);
	df_json_text(&json, "run", id);
	if (attached)
		df_json_bool(&json, "attached", true);
	step->row.answer = df_json_end(&json, run->cxt);
	step->engine.has_own_child = !attached;
}

/* another run holds the key: it is treated like a child, unless it waits for us itself */
static void
attach(DfNewChild *child)
{
	pg_uuid_t holder;
	DfSeenRun seen;
	bool related = false;
	char *id;

	if (!df_run_of_key(child->workflow, child->key, &holder, &seen, CurrentMemoryContext))
	{
		child->busy = true; /* it has given the key up meanwhile */
		return;
	}
	if (!may_see(&seen))
	{
		fail_unseen(child->run, child->step);
		return;
	}
	(void) df_run_depth(&child->run->id, &holder, &related);
	id = df_uuid_text(&holder);
	note_child(child->run, child->step, id, true);
	child->step->row.attempts = 0;
	child->step->row.wake_at = df_now();
	if (related)
		fail_in_circle(child->run, child->step);
}

/* may be done twice: what is recorded alone after its batch failed is started again */
static void
settle_start(DfNewChild *child)
{
	DfStep *step = child->step;

	if (step->row.state != DF_STEP_WAITING)
		return;
	step->row.answer = NULL;
	step->engine.has_own_child = false;
	if (child->inserted)
	{
		note_child(child->run, step, df_json_get_text(step->row.options, "run"), false);
		step->row.attempts = 0;
	}
	else if (!child->busy)
		attach(child);
	if (child->busy)
		look_again_later(step);
	/* what it has come to decides how the run goes on */
	if (child->key != NULL)
		child->run->engine.advance = true;
}

static void
wake_owners(List *owners)
{
	ListCell *lc;

	foreach (lc, owners)
		df_wake_owner(lfirst_oid(lc));
}

static void
start_children(List *plain, List *keyed)
{
	const char *started_by = GetUserNameFromId(df_engine_role(), false);
	int64 identity = df_identity_hash();
	List *both;
	ListCell *lc;

	if (plain != NIL)
		wake_owners(df_children_insert(plain, identity, started_by));
	if (keyed != NIL)
		wake_owners(df_children_insert_keyed(&keyed, identity, started_by));
	both = list_concat_copy(plain, keyed);
	foreach (lc, both)
		settle_start(lfirst(lc));
}

static DfChildMessage *
child_message(const pg_uuid_t *run, DfMessageKind kind)
{
	DfChildMessage *row = palloc0(sizeof(DfChildMessage));

	row->run = *run;
	row->kind = kind;
	return row;
}

static DfChildMessage *
request_to_child(DfRun *run, DfStep *step)
{
	pg_uuid_t id = uuid_of(df_child_id(step));
	DfChildMessage *row = child_message(&id, step->engine.child_request);

	row->note = psprintf("parent %s rolls back", run->id_text);
	return row;
}

static DfChildMessage *
word_to_parent(DfRun *run)
{
	DfChildMessage *row = child_message(&run->parent, DF_MESSAGE_CHILD);
	DfJson json;

	df_json_begin(&json);
	df_json_text(&json, "run", run->id_text);
	df_json_int(&json, "n", run->parent_n);
	df_json_text(&json, "state", df_run_state_name(run->row.state));
	if (run->row.state == DF_RUN_COMPLETED)
		df_json_value(&json, "output", run->row.result);
	else
		df_json_value(&json, "error", run->row.error);
	row->payload = df_json_end(&json, CurrentMemoryContext);
	return row;
}

void
df_children_record(List *runs)
{
	List *plain = NIL;
	List *keyed = NIL;
	List *rows = NIL;
	ListCell *lc;

	foreach (lc, runs)
	{
		DfRun *run = lfirst(lc);

		for (int i = 0; i < run->nsteps && run->engine.has_child_work; i++)
		{
			DfStep *step = run->steps[i];

			if (step->engine.child_request != DF_MESSAGE_NONE)
				rows = lappend(rows, request_to_child(run, step));
			if (!step->engine.to_insert_child)
				continue;
			if (df_json_get_text(step->row.options, "key") != NULL)
				keyed = lappend(keyed, new_child(run, step));
			else
				plain = lappend(plain, new_child(run, step));
		}
		if (run->parent_n > 0 && df_run_has_just_ended(run))
			rows = lappend(rows, word_to_parent(run));
	}
	if (plain != NIL || keyed != NIL)
		start_children(plain, keyed);
	if (rows != NIL)
		wake_owners(df_child_messages_insert(rows, GetUserNameFromId(df_engine_role(), false)));
}
