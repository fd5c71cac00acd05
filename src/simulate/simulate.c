/*
 * simulate/simulate.c
 *	  simulate(): a run, from its start to its end, without network and without waiting.
 *
 * Runs in a user's backend, in the caller's transaction and role; what it does is rolled back.
 * Only reads arguments and returns rows here: simulation.c does the rest.
 */
#include "postgres.h"

#include "fmgr.h"
#include "session/rows.h"
#include "shared/limits.h"
#include "simulate/replies.h"
#include "simulate/story.h"
#include "simulate/simulate.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(dataflows_simulate);

void
df_simulate_arguments(FunctionCallInfo fcinfo, DfSimulation *what)
{
	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("the name of the workflow must not be null"),
				 errhint("Give the name of a workflow that define_workflow() made.")));
	if (PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("the input of a run must not be null"),
				 errhint("Give '{}' for a run without input.")));
	memset(what, 0, sizeof(*what));
	what->most_rounds = DF_SIM_ROUNDS;
	what->workflow = text_to_cstring(PG_GETARG_TEXT_PP(0));
	what->input = PG_GETARG_JSONB_P(1);
	df_check_payload(what->input, "the input of a run");
	if (!PG_ARGISNULL(2))
		what->replies = df_replies_read(PG_GETARG_JSONB_P(2));
}

static int
crash_argument(FunctionCallInfo fcinfo, int arg)
{
	int n = PG_ARGISNULL(arg) ? 0 : PG_GETARG_INT32(arg);

	if (!PG_ARGISNULL(arg) && n < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"crash_after\" is %d", n),
				 errhint("Give 1 for a crash after the first effect was sent, 2 for one after the "
						 "second, and so on.")));
	return n;
}

/* "step", "call > step", and with "#2" if it is another call of it */
static bool
names_step(const char *key, const char *step)
{
	const char *behind = strrchr(step, '>');

	for (const char *name = step; name != NULL; name = name == step && behind ? behind + 2 : NULL)
		if (strncmp(name, key, strlen(key)) == 0 &&
			(name[strlen(key)] == '\0' || name[strlen(key)] == '#'))
			return true;
	return false;
}

static bool
is_of_query(const DfSim *sim, const char *key)
{
	char *name = pstrdup(key);
	char *suffix = strrchr(name, '/');
	ListCell *lc;

	if (suffix != NULL && strcmp(suffix, "/undo") == 0)
		*suffix = '\0';
	foreach (lc, sim->rows)
	{
		const DfSimRow *row = lfirst(lc);

		if (row->step != NULL && strcmp(row->kind, "query") == 0 && names_step(name, row->step))
			return true;
	}
	return false;
}

/* a test that gives one believes that its outcome is decided by it */
static void
tell_replies_of_queries(const DfSim *sim)
{
	ListCell *lc;

	foreach (lc, sim->replies)
	{
		DfReplyList *list = lfirst(lc);

		if (list->used || !is_of_query(sim, list->key))
			continue;
		list->used = true;
		ereport(WARNING,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the reply of \"%s\" is not used: the SQL of a query step is really run",
						list->key),
				 errhint("Leave it out, and write what the SQL is to find before, in the same "
						 "transaction.")));
	}
}

static void
tell_unused(const DfSim *sim)
{
	char *unused = df_replies_unused(sim->replies);
	bool completed = ((DfSimRun *) linitial(sim->runs))->was == DF_RUN_COMPLETED;

	if (unused != NULL)
		ereport(completed ? WARNING : NOTICE,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("nothing has asked for the reply of %s", unused),
				 errhint("Keys are the names of steps as the body calls them, \"step/undo\", "
						 "\"step/probe\" and \"event:name\".")));
}

void
df_simulate_tell_unused(const DfSim *sim)
{
	tell_replies_of_queries(sim);
	tell_unused(sim);
}

static HeapTuple
row_of(const DfSim *sim, int n, const DfSimRow *row, TupleDesc desc)
{
	Datum values[6];
	bool nulls[6] = {false};

	values[0] = Int32GetDatum(n);
	nulls[1] = row->step == NULL;
	values[1] = nulls[1] ? (Datum) 0 : CStringGetTextDatum(row->step);
	values[2] = CStringGetTextDatum(row->kind);
	values[3] = CStringGetTextDatum(row->outcome);
	values[4] = DirectFunctionCall2(timestamp_mi, TimestampTzGetDatum(row->at),
									TimestampTzGetDatum(sim->began));
	nulls[5] = row->output == NULL;
	values[5] = nulls[5] ? (Datum) 0 : JsonbPGetDatum(row->output);
	return heap_form_tuple(desc, values, nulls);
}

static List *
simulate_rows(FunctionCallInfo fcinfo, TupleDesc desc)
{
	DfSimulation what;
	List *tuples = NIL;
	DfSim *sim;
	ListCell *lc;

	df_simulate_arguments(fcinfo, &what);
	what.crash_after = crash_argument(fcinfo, 3);
	sim = df_simulate(&what);
	df_simulate_tell_unused(sim);
	foreach (lc, sim->rows)
		tuples = lappend(tuples, row_of(sim, list_length(tuples) + 1, lfirst(lc), desc));
	return tuples;
}

Datum
dataflows_simulate(PG_FUNCTION_ARGS)
{
	return df_return_rows(fcinfo, simulate_rows,
						  "Call it as SELECT * FROM dataflows.simulate(...).");
}
