/*
 * engine/step_wait.c
 *	  wait_for(), wait_any(): steps that wait for an event.
 *
 * The SQL functions run inside a body, in its read-only subtransaction, as the
 * workflow's owner.  A time limit is decided once, when the wait begins, and
 * recorded with it.  What ends a wait runs in a worker, in its recording
 * transaction and the owner's role, on structs in memory.  It reads no inbox: it
 * asks for that by wants_inbox, and must never decide a timeout before the inbox
 * has been read.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "engine/body.h"
#include "engine/replay.h"
#include "engine/step_api.h"
#include "engine/step_error.h"
#include "engine/step_kind.h"
#include "engine/step_wait.h"
#include "engine/transition.h"
#include "shared/json.h"
#include "shared/metrics.h"
#include "store/inbox_read.h"
#include "types/base.h"
#include "types/run.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(dataflows_wait_for);
PG_FUNCTION_INFO_V1(dataflows_wait_any);

/* the most events that one wait_any() may name */
#define MAX_EVENTS 100

/* the arguments by and required, which both functions have in this order */
static void
add_conditions(DfJson *json, FunctionCallInfo fcinfo, int by_arg)
{
	if (!PG_ARGISNULL(by_arg))
	{
		const char *by = NameStr(*PG_GETARG_NAME(by_arg));

		/* no signal would ever count */
		if (!OidIsValid(get_role_oid(by, true)))
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("role \"%s\" does not exist", by),
					 errhint("Name the role in \"by\" whose members may send the signal.")));
		df_json_text(json, "by", by);
	}
	if (!PG_ARGISNULL(by_arg + 1) && PG_GETARG_BOOL(by_arg + 1))
		df_json_bool(json, "required", true);
}

/* whose signals count, and what a timeout means; how long it waits was decided when it began */
static void
check_conditions(FunctionCallInfo fcinfo, int by_arg, const DfStep *step)
{
	bool required = !PG_ARGISNULL(by_arg + 1) && PG_GETARG_BOOL(by_arg + 1);

	df_step_compare(step, "role in \"by\"", df_json_get_text(step->row.options, "by"),
					PG_ARGISNULL(by_arg) ? NULL : NameStr(*PG_GETARG_NAME(by_arg)));
	df_step_compare(step, "value of \"required\"",
					df_json_get_bool(step->row.options, "required") ? "true" : "false",
					required ? "true" : "false");
}

Datum
dataflows_wait_for(PG_FUNCTION_ARGS)
{
	DfRun *run = df_entry_run("wait_for");
	char *event = df_checked_name(fcinfo, 0, "event");
	TimestampTz until = DF_NEVER;
	char *name;
	DfStep *step = df_step_recorded(run, event, DF_STEP_WAIT, &name);

	if (step == NULL)
	{
		DfJson json;

		if (!PG_ARGISNULL(1))
			until = df_time_from_now(fcinfo, 1, "timeout", name);
		if (!PG_ARGISNULL(2) && (until == DF_NEVER || PG_GETARG_TIMESTAMPTZ(2) < until))
			until = df_time_given(PG_GETARG_TIMESTAMPTZ(2));
		df_json_begin(&json);
		df_json_text(&json, "event", event);
		add_conditions(&json, fcinfo, 3);
		step = df_step_begin_wait(run, name, DF_STEP_WAIT, until, df_json_end(&json, run->cxt));
	}
	else
		check_conditions(fcinfo, 3, step);
	return df_step_await(fcinfo, step);
}

/* ---- wait_any ------------------------------------------------------------- */

/* the names as a JSON array, in the order given */
static Jsonb *
events_argument(FunctionCallInfo fcinfo, int arg)
{
	Datum *names;
	bool *nulls;
	int n = 0;
	DfJson json;

	if (!PG_ARGISNULL(arg))
		deconstruct_array(PG_GETARG_ARRAYTYPE_P(arg), TEXTOID, -1, false, TYPALIGN_INT, &names,
						  &nulls, &n);
	if (n == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("wait_any waits for no event"),
				 errhint("Give the names of the events, such as ARRAY['paid', 'refused'].")));
	if (n > MAX_EVENTS)
		ereport(ERROR,
				(errcode(DF_ERR_LIMIT),
				 errmsg("wait_any waits for %d events; %d are allowed", n, MAX_EVENTS),
				 errhint("Wait for one event, and tell cases apart by its payload.")));
	df_json_begin(&json);
	df_json_open_array(&json, "events");
	for (int i = 0; i < n; i++)
	{
		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("the name of an event must not be NULL"),
					 errhint("Leave it out, for example with array_remove(events, NULL).")));
		df_json_text(&json, NULL, df_check_name(TextDatumGetCString(names[i]), "event"));
	}
	df_json_close_array(&json);
	return df_json_get(df_json_end(&json, CurrentMemoryContext), "events");
}

/* the same events, in any order */
static bool
same_events(Jsonb *a, Jsonb *b)
{
	return DatumGetBool(
			   DirectFunctionCall2(jsonb_contains, JsonbPGetDatum(a), JsonbPGetDatum(b))) &&
		DatumGetBool(DirectFunctionCall2(jsonb_contains, JsonbPGetDatum(b), JsonbPGetDatum(a)));
}

static void
check_events(const DfStep *step, Jsonb *events)
{
	Jsonb *recorded = df_json_get(step->row.options, "events");

	if (recorded != NULL && same_events(recorded, events))
		return;
	df_step_mismatch(step, "events",
					 recorded != NULL ? df_json_to_text(recorded)
									  : df_json_get_text(step->row.options, "event"),
					 df_json_to_text(events));
}

Datum
dataflows_wait_any(PG_FUNCTION_ARGS)
{
	DfRun *run = df_entry_run("wait_any");
	Jsonb *events = events_argument(fcinfo, 0);
	char *name;
	DfStep *step = df_step_recorded(run, "wait_any", DF_STEP_WAIT, &name);
	DfJson json;

	if (step == NULL)
	{
		TimestampTz until = DF_NEVER;

		if (!PG_ARGISNULL(1))
			until = df_time_from_now(fcinfo, 1, "timeout", name);
		df_json_begin(&json);
		df_json_value(&json, "events", events);
		add_conditions(&json, fcinfo, 2);
		step = df_step_begin_wait(run, name, DF_STEP_WAIT, until, df_json_end(&json, run->cxt));
	}
	else
	{
		check_events(step, events);
		check_conditions(fcinfo, 2, step);
	}
	return df_step_await(fcinfo, step);
}

/* ---- what ends a wait ----------------------------------------------------- */

static bool
sent_by_member(const DfMessage *message, const char *by)
{
	Oid role = get_role_oid(by, true);
	Oid sender;

	if (by == NULL)
		return true;
	/* not roles, even if a role has that name */
	if (strcmp(message->sent_by, "NOTIFY") == 0 || strcmp(message->sent_by, "link") == 0)
		return false;
	sender = get_role_oid(message->sent_by, true);
	return OidIsValid(role) && OidIsValid(sender) && is_member_of_role(sender, role);
}

/* the events that the step waits for: wait_for() has one, wait_any() several */
List *
df_wait_events(const DfStep *step)
{
	char *event = df_json_get_text(step->row.options, "event");
	Jsonb *events = df_json_get(step->row.options, "events");
	List *names = event != NULL ? list_make1(event) : NIL;
	DfJsonWalk walk;

	if (events == NULL || !JB_ROOT_IS_ARRAY(events))
		return names;
	df_json_walk(&walk, events);
	while (df_json_next(&walk))
		if (walk.value.type == jbvString)
			names = lappend(names, df_json_string_of(&walk.value));
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

/* the oldest signal that this wait may consume; NULL = none */
static DfMessage *
find_signal(DfRun *run, const DfStep *step)
{
	List *events;
	char *by;
	ListCell *lc;

	if (run->messages == NIL)
		return NULL;
	events = df_wait_events(step);
	by = df_json_get_text(step->row.options, "by");
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

		if (step->row.state != DF_STEP_WAITING || step->kind != DF_STEP_WAIT)
			continue;
		foreach (lc, df_wait_events(step))
		{
			DfWantedSignal *want = palloc(sizeof(DfWantedSignal));

			want->run = run;
			want->event = lfirst(lc);
			want->by = df_json_get_text(step->row.options, "by") != NULL;
			wanted = lappend(wanted, want);
		}
	}
	return wanted;
}

/* the output of wait_any(), which says which event came */
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
	step->row.output = df_json_get(step->row.options, "events") != NULL ? with_event(run, message)
																		: message->payload;
	df_json_begin(&json);
	df_json_text(&json, "sent_by", message->sent_by);
	df_json_text(&json, "on_behalf_of", message->on_behalf_of);
	df_json_text(&json, "sent_at", timestamptz_to_str(message->sent_at));
	step->row.answer = df_json_end(&json, run->cxt);
	df_step_transition(run, step, DF_STEP_SUCCEED);
	df_metric_add(DF_METRIC_WAITS, run->workflow_name, "signalled", NULL, 1);
}

/* "paid", "paid or refused" */
static char *
events_in_words(const DfStep *step)
{
	List *names = df_wait_events(step);
	StringInfoData words;
	ListCell *lc;

	initStringInfo(&words);
	foreach (lc, names)
		appendStringInfo(&words, "%s%s", words.len == 0 ? "" : lnext(names, lc) == NULL ? " or "
																						: ", ",
						 (char *) lfirst(lc));
	return words.data;
}

static void
timed_out(DfRun *run, DfStep *step)
{
	if (!df_json_get_bool(step->row.options, "required"))
	{
		/* done without output: that records the timeout, so that a later signal changes nothing */
		df_step_transition(run, step, DF_STEP_SUCCEED);
		return;
	}
	step->row.error = df_error_text(
		run, psprintf("event \"%s\" did not come in time", events_in_words(step)), false);
	step->row.error = df_error_why(run, step->row.error, DF_WHY_TIMEOUT);
	df_step_transition(run, step, DF_STEP_FAIL);
}

/*
 * A signal wins over a timeout that is not recorded yet.  Therefore no timeout is
 * decided before the inbox has been read, after the wait began.
 */
static void
settle(DfRun *run, DfStep *step, TimestampTz now)
{
	DfMessage *message;

	if (!run->engine.inbox_loaded)
	{
		run->engine.wants_inbox = true;
		return;
	}
	message = find_signal(run, step);
	if (message != NULL)
		consume(run, step, message);
	else if (step->row.wake_at != DF_NEVER && step->row.wake_at <= now)
	{
		timed_out(run, step);
		df_metric_add(DF_METRIC_WAITS, run->workflow_name, "timed_out", NULL, 1);
	}
}

/* ---- what it says of itself ----------------------------------------------- */

/* the events, and whose signals count: who looks at a run that does not move must see it */
static char *
waits_for(const DfStep *step)
{
	char *by = df_json_get_text(step->row.options, "by");

	if (step->row.state != DF_STEP_WAITING)
		return NULL;
	return by == NULL ? events_in_words(step) : psprintf("%s by %s", events_in_words(step), by);
}

/* {"event", "payload", "sent_by", "on_behalf_of", "sent_at"}; wait_for() leaves out the event */
static Jsonb *
response(const DfStep *step)
{
	bool any = df_json_get(step->row.options, "events") != NULL;
	DfJson json;

	df_json_begin(&json);
	df_json_text(&json, "event", any ? df_json_get_text(step->row.output, "event") : NULL);
	df_json_value(&json, "payload",
				  any ? df_json_get(step->row.output, "payload") : step->row.output);
	df_json_text(&json, "sent_by", df_json_get_text(step->row.answer, "sent_by"));
	df_json_text(&json, "on_behalf_of", df_json_get_text(step->row.answer, "on_behalf_of"));
	df_json_text(&json, "sent_at", df_json_get_text(step->row.answer, "sent_at"));
	return df_json_end(&json, CurrentMemoryContext);
}

/* a wait that goes on does so for the event of its new name */
static void
renamed(DfRun *run, DfStep *step)
{
	char *base = pstrdup(df_step_called_name(step));
	char *mark = strchr(base, '#');
	DfJson json;

	if (step->row.state != DF_STEP_WAITING || df_json_get(step->row.options, "events") != NULL)
		return;
	if (mark != NULL)
		*mark = '\0';
	df_json_begin(&json);
	df_json_text(&json, "event", base);
	step->row.options = df_error_with(run, step->row.options,
									  df_json_end(&json, CurrentMemoryContext));
	run->engine.inbox_loaded = false;
}

const DfStepOps df_wait_ops = {
	.kind = DF_STEP_WAIT,
	.settle = settle,
	.waits_for = waits_for,
	.response = response,
	.renamed = renamed,
};
