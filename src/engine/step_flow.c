/*
 * engine/step_flow.c
 *	  wait_any(), alias(), continue_with(): waiting for one of several events, a
 *	  further key, and the next round.
 *
 * Runs inside a body, in its read-only subtransaction, as the workflow's owner.
 * An alias is only noted here: the worker takes it in its own transaction, and
 * enters the body again once that is committed.  Nothing here writes a row.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "shared/json.h"
#include "engine/step_api.h"
#include "guc.h"
#include "mb/pg_wchar.h"
#include "shared/clock.h"
#include "shared/limits.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(dataflows_wait_any);
PG_FUNCTION_INFO_V1(dataflows_alias);
PG_FUNCTION_INFO_V1(dataflows_continue_with);

#define MAX_EVENTS 100

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
			until = DatumGetTimestampTz(DirectFunctionCall2(
				timestamptz_pl_interval, TimestampTzGetDatum(df_now()), PG_GETARG_DATUM(1)));
		df_json_begin(&json);
		df_json_value(&json, "events", events);
		step = df_step_new(run, name, DF_STEP_WAIT);
		step->options = df_json_end(&json, run->cxt);
		df_step_transition(run, step, DF_STEP_HOLD);
		step->wake_at = until;
		run->inbox_loaded = false;
	}
	else
		check_events(step, events);
	if (!df_step_ended(step))
		df_suspend(step);
	return df_step_result(fcinfo, step);
}

/* ---- alias ---------------------------------------------------------------- */

static char *
key_argument(FunctionCallInfo fcinfo, int arg)
{
	char *key = df_arg_text(fcinfo, arg);

	if (key == NULL || key[0] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("an alias must not be empty"),
				 errhint("Give the key by which others will know the run.")));
	if (strlen(key) > DF_MAX_KEY)
		ereport(ERROR,
				(errcode(DF_ERR_LIMIT),
				 errmsg("the alias \"%s...\" is longer than %d bytes",
						pnstrdup(key, pg_mbcliplen(key, strlen(key), 40)), DF_MAX_KEY),
				 errhint("Use a shorter key, such as a hash of this one.")));
	return key;
}

Datum
dataflows_alias(PG_FUNCTION_ARGS)
{
	DfRun *run = df_entry_run("alias");
	char *key = key_argument(fcinfo, 0);
	char *name;
	DfStep *step = df_step_recorded(run, "alias", DF_STEP_ALIAS, &name);

	if (step == NULL)
	{
		step = df_step_new(run, name, DF_STEP_ALIAS);
		step->request = MemoryContextStrdup(run->cxt, key);
	}
	else if (step->request == NULL || strcmp(step->request, key) != 0)
		df_step_mismatch(step, "key", step->request, key);
	if (!df_step_ended(step))
		df_suspend(step);
	(void) df_step_result(fcinfo, step);
	PG_RETURN_VOID();
}

/* ---- continue_with -------------------------------------------------------- */

/* the body is left here and now; what it began ends first, then the next round begins */
Datum
dataflows_continue_with(PG_FUNCTION_ARGS)
{
	DfRun *run = df_entry_run("continue_with");
	Jsonb *input = df_arg_jsonb(fcinfo, 0);

	if (run->state == DF_RUN_ROLLING_BACK)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("continue_with cannot be called in on_failure"),
				 errhint("Start another run instead, with dataflows.start() in a step "
						 "dataflows.query().")));
	if (input == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("the input of the next round must not be NULL"),
				 errhint("Give '{}' for a round without input.")));
	df_check_payload(input, "the input of the next round");
	df_entry->next_input = df_json_copy(input, run->cxt);
	df_suspend_on(NULL, 0, false);
	PG_RETURN_NULL();
}
