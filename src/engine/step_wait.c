/*
 * engine/step_wait.c
 *	  wait_for(), wait_any(): steps that wait for an event.
 *
 * Runs inside a body, in its read-only subtransaction, as the workflow's owner.
 * A time limit is decided once, when the wait begins, and recorded with it.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "engine/body.h"
#include "engine/step_api.h"
#include "shared/json.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(dataflows_wait_for);
PG_FUNCTION_INFO_V1(dataflows_wait_any);

/* the most events that one wait_any() may name */
#define MAX_EVENTS 100

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
			until = df_time_from_now(fcinfo, 1);
		if (!PG_ARGISNULL(2) && (until == DF_NEVER || PG_GETARG_TIMESTAMPTZ(2) < until))
			until = df_time_given(PG_GETARG_TIMESTAMPTZ(2));
		df_json_begin(&json);
		df_json_text(&json, "event", event);
		if (!PG_ARGISNULL(3))
			df_json_text(&json, "by", NameStr(*PG_GETARG_NAME(3)));
		if (!PG_ARGISNULL(4) && PG_GETARG_BOOL(4))
			df_json_bool(&json, "required", true);
		step = df_step_begin_wait(run, name, DF_STEP_WAIT, until, df_json_end(&json, run->cxt));
	}
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
	StringInfoData list;

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
	initStringInfo(&list);
	for (int i = 0; i < n; i++)
	{
		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("the name of an event must not be NULL"),
					 errhint("Leave it out, for example with array_remove(events, NULL).")));
		appendStringInfoChar(&list, i == 0 ? '[' : ',');
		escape_json(&list, df_check_name(TextDatumGetCString(names[i]), "event"));
	}
	appendStringInfoChar(&list, ']');
	return df_json_parse(list.data, list.len, CurrentMemoryContext);
}

/* each of the one is in the other, and the other way round: their order is all the same */
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
	Jsonb *recorded = df_json_get(step->options, "events");

	if (recorded != NULL && same_events(recorded, events))
		return;
	df_step_mismatch(step, "events",
					 recorded != NULL ? JsonbToCString(NULL, &recorded->root, VARSIZE(recorded))
									  : df_json_get_text(step->options, "event"),
					 JsonbToCString(NULL, &events->root, VARSIZE(events)));
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
			until = df_time_from_now(fcinfo, 1);
		df_json_begin(&json);
		df_json_value(&json, "events", events);
		step = df_step_begin_wait(run, name, DF_STEP_WAIT, until, df_json_end(&json, run->cxt));
	}
	else
		check_events(step, events);
	return df_step_await(fcinfo, step);
}
