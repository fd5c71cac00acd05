/*
 * session/systems.c
 *	  What shared memory knows of the systems, for the view "systems".
 *
 * Runs in a user's backend, in his transaction and role; it copies entries one
 * by one and waits for nobody.  It tells numbers and times alone, for servers
 * that the view shows.
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "session/rows.h"
#include "shared/clock.h"
#include "shared/systems.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(dataflows_systems);

#define N_COLUMNS 10

static TimestampTz
held_until(const DfSystemState *state)
{
	TimestampTz until = state->hold_until;

	for (int i = 0; i < DF_SYSTEM_REFUSED; i++)
		if (OidIsValid(state->refused[i].owner) && state->refused[i].until > until)
			until = state->refused[i].until;
	return until;
}

static bool
is_refused(const DfSystemState *state)
{
	for (int i = 0; i < DF_SYSTEM_REFUSED; i++)
		if (OidIsValid(state->refused[i].owner))
			return true;
	return false;
}

static const char *
reason_of(const DfSystemState *state, TimestampTz now)
{
	if (is_refused(state))
		return "credentials refused";
	if (state->breaker == DF_BREAKER_OPEN)
		return state->reason == DF_HOLD_ASKED ? "asked to wait" : "failing";
	return state->hold_until > now ? "asked to wait" : NULL;
}

static const char *
breaker_of(const DfSystemState *state, TimestampTz now)
{
	if (held_until(state) > now)
		return "open";
	if (state->breaker == DF_BREAKER_OPEN || is_refused(state) || state->allowed > 0)
		return "half_open";
	return "closed";
}

static HeapTuple
row_of(TupleDesc desc, const DfSystemState *state, TimestampTz now)
{
	Datum		values[N_COLUMNS] = {0};
	bool		nulls[N_COLUMNS] = {0};
	const char *reason = reason_of(state, now);
	bool		recent = state->window != DF_NEVER && now - state->window < USECS_PER_MINUTE;
	int			requests = state->window_requests[0] + state->window_requests[1];
	int			failed = state->window_failed[0] + state->window_failed[1];

	values[0] = ObjectIdGetDatum(state->system);
	values[1] = Int32GetDatum(state->in_flight);
	values[2] = CStringGetTextDatum(breaker_of(state, now));
	values[3] = TimestampTzGetDatum(held_until(state));
	nulls[3] = held_until(state) <= now;
	nulls[4] = reason == NULL;
	if (reason != NULL)
		values[4] = CStringGetTextDatum(reason);
	nulls[5] = !recent || requests == 0;
	values[5] = Float8GetDatum(nulls[5] ? 0.0 : (double) failed / requests);
	values[6] = Int64GetDatum((int64) state->requests);
	values[7] = Int64GetDatum((int64) state->failed);
	values[8] = Float8GetDatum(state->took_us / 1000.0);
	nulls[8] = state->requests == 0;
	values[9] = Int32GetDatum(state->allowed);
	nulls[9] = state->allowed == 0;
	return heap_form_tuple(desc, values, nulls);
}

/* tuples of all entries of this database, as a list */
static List *
read_all(FunctionCallInfo fcinfo, TupleDesc desc)
{
	TimestampTz now = df_now();
	DfSystemState copy;
	List	   *rows = NIL;

	for (int i = 0; i < df_systems_count(); i++)
		if (df_system_copy(i, MyDatabaseId, &copy))
			rows = lappend(rows, row_of(desc, &copy, now));
	return rows;
}

Datum
dataflows_systems(PG_FUNCTION_ARGS)
{
	return df_return_rows(fcinfo, read_all, "Read the view dataflows.systems.");
}
