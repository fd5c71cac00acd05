/*
 * session/systems.c
 *	  The shared memory of the systems, for the view "systems".
 *
 * Runs in a user's backend, in the caller's transaction and role; copies the entries one by
 * one and waits for nobody.  Shows numbers and times of the servers that the view shows, and
 * only those owners with held steps that the caller may see.
 */
#include "postgres.h"

#include "catalog/pg_authid.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "session/rows.h"
#include "shared/clock.h"
#include "shared/system_state.h"
#include "types/base.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(dataflows_systems);

#define N_COLUMNS 11

/* an owner that is held or recovers, and its breaker's text in the view */
typedef struct Trouble
{
	const DfSystemOwner *own;
	const char *breaker;
	TimestampTz until;
} Trouble;

static const char *
reason_of(const DfSystemOwner *own, TimestampTz now)
{
	if (own->breaker == DF_BREAKER_OPEN && own->reason == DF_HOLD_CREDENTIALS)
		return "credentials refused";
	if (own->breaker == DF_BREAKER_OPEN)
		return own->reason == DF_HOLD_ASKED ? "asked to wait" : "failing";
	if (own->hold_until > now)
		return "asked to wait";
	switch (df_system_token_reason(own, now))
	{
		case DF_HOLD_CREDENTIALS:
			return "credentials refused";
		case DF_HOLD_TOKEN:
			return "no token";
		default:
			return NULL;
	}
}

static TimestampTz
held_until(const DfSystemOwner *own, TimestampTz now)
{
	return df_system_token_reason(own, now) == DF_HOLD_NONE
		? own->hold_until
		: Max(own->hold_until, own->token_until);
}

/* a system that asked for time is held by it, not by the breaker */
static const char *
breaker_of(const DfSystemOwner *own, TimestampTz now)
{
	if (own->breaker == DF_BREAKER_OPEN)
		return own->hold_until > now ? "open" : "half_open";
	return own->recovers ? "half_open" : "closed";
}

static bool
is_in_trouble(const DfSystemOwner *own, TimestampTz now)
{
	return own->hold_until > now || own->breaker == DF_BREAKER_OPEN || own->recovers ||
		df_system_token_reason(own, now) != DF_HOLD_NONE;
}

/* sorts the longest pause first */
static int
compare_troubles(const void *a, const void *b)
{
	TimestampTz one = ((const Trouble *) a)->until;
	TimestampTz other = ((const Trouble *) b)->until;

	return one > other ? -1 : one < other;
}

/* owners that the caller may see: roles that it is a member of, or all */
static int
troubles_of(const DfSystemState *state, TimestampTz now, Trouble *troubles)
{
	bool all = superuser() || has_privs_of_role(GetUserId(), ROLE_PG_MONITOR);
	int n = 0;

	for (int i = 0; i < DF_SYSTEM_OWNERS; i++)
	{
		const DfSystemOwner *own = &state->owners[i];
		const char *breaker = breaker_of(own, now);

		if (!OidIsValid(own->owner) || !is_in_trouble(own, now) ||
			!(all || has_privs_of_role(GetUserId(), own->owner)))
			continue;
		troubles[n].own = own;
		troubles[n].until = held_until(own, now);
		troubles[n++].breaker = breaker;
	}
	qsort(troubles, n, sizeof(Trouble), compare_troubles);
	return n;
}

static Datum
names_of(const Trouble *troubles, int n)
{
	Datum names[DF_SYSTEM_OWNERS];

	for (int i = 0; i < n; i++)
	{
		char *name = GetUserNameFromId(troubles[i].own->owner, true);

		names[i] =
			CStringGetTextDatum(name != NULL ? name : psprintf("%u", troubles[i].own->owner));
	}
	return PointerGetDatum(construct_array(names, n, TEXTOID, -1, false, TYPALIGN_INT));
}

static HeapTuple
row_of(TupleDesc desc, const DfSystemState *state, TimestampTz now)
{
	Datum values[N_COLUMNS] = {0};
	bool nulls[N_COLUMNS] = {0};
	bool recent = state->window != DF_NEVER && now - state->window < USECS_PER_MINUTE;
	int requests = state->window_requests[0] + state->window_requests[1];
	int failed = state->window_failed[0] + state->window_failed[1];
	Trouble troubles[DF_SYSTEM_OWNERS];
	int n = troubles_of(state, now, troubles);
	const DfSystemOwner *worst = n > 0 ? troubles[0].own : NULL;
	const char *reason = n > 0 ? reason_of(worst, now) : NULL;

	values[0] = ObjectIdGetDatum(state->system);
	values[1] = Int32GetDatum(state->in_flight);
	values[2] = CStringGetTextDatum(n > 0 ? troubles[0].breaker : "closed");
	nulls[3] = n == 0 || troubles[0].until <= now;
	values[3] = nulls[3] ? (Datum) 0 : TimestampTzGetDatum(troubles[0].until);
	nulls[4] = reason == NULL;
	if (reason != NULL)
		values[4] = CStringGetTextDatum(reason);
	nulls[5] = !recent || requests == 0;
	values[5] = Float8GetDatum(nulls[5] ? 0.0 : (double) failed / requests);
	values[6] = Int64GetDatum((int64) state->requests);
	values[7] = Int64GetDatum((int64) state->failed);
	values[8] = Float8GetDatum(state->took_us / 1000.0);
	nulls[8] = state->requests == 0;
	nulls[9] = n == 0 || worst->allowed == 0;
	values[9] = Int32GetDatum(nulls[9] ? 0 : worst->allowed);
	nulls[10] = n == 0;
	if (n > 0)
		values[10] = names_of(troubles, n);
	return heap_form_tuple(desc, values, nulls);
}

/* the tuples of all entries of this database, as a list */
static List *
read_all(FunctionCallInfo fcinfo, TupleDesc desc)
{
	TimestampTz now = df_now();
	DfSystemState copy;
	List *rows = NIL;

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
