/*
 * session/state_machine.c
 *	  The state machines as rows, for the view dataflows.state_machine.
 *
 * Runs in any user's backend, in the caller's transaction and role.  Shows the arrays of
 * flow/ and nothing else; reads no table.  Must never contain a transition that the arrays
 * do not have.
 */
#include "postgres.h"

#include "flow/flow.h"
#include "fmgr.h"
#include "session/rows.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(dataflows_state_machine);

#define N_COLUMNS 5

static const char *
run_state_name(int state)
{
	return df_run_state_name((DfRunState) state);
}

static const char *
run_event_name(int event)
{
	return df_run_event_name((DfRunEvent) event);
}

static const char *
step_state_name(int state)
{
	return df_step_state_name((DfStepState) state);
}

static const char *
step_event_name(int event)
{
	return df_step_event_name((DfStepEvent) event);
}

static const char *
undo_state_name(int state)
{
	return df_undo_state_name((DfUndoState) state);
}

typedef struct Machine
{
	const char *name;
	const DfTransition *transitions;
	const int *n;
	const char *(*state_name)(int state);
	const char *(*event_name)(int event);
} Machine;

static const Machine machines[] = {
	{"run", df_run_transitions, &df_n_run_transitions, run_state_name, run_event_name},
	{"step", df_step_transitions, &df_n_step_transitions, step_state_name, step_event_name},
	{"undo", df_undo_transitions, &df_n_undo_transitions, undo_state_name, undo_state_name},
};

static List *
transitions(FunctionCallInfo fcinfo, TupleDesc desc)
{
	List *rows = NIL;

	for (int machine = 0; machine < lengthof(machines); machine++)
	{
		const Machine *m = &machines[machine];

		for (int i = 0; i < *m->n; i++)
		{
			const DfTransition *t = &m->transitions[i];
			Datum values[N_COLUMNS];
			bool nulls[N_COLUMNS] = {false};

			values[0] = CStringGetTextDatum(m->name);
			values[1] = CStringGetTextDatum(m->state_name(t->from));
			values[2] = CStringGetTextDatum(m->event_name(t->event));
			values[3] = CStringGetTextDatum(m->state_name(t->to));
			values[4] = CStringGetTextDatum(t->comment);
			rows = lappend(rows, heap_form_tuple(desc, values, nulls));
		}
	}
	return rows;
}

Datum
dataflows_state_machine(PG_FUNCTION_ARGS)
{
	return df_return_rows(fcinfo, transitions,
						  "Select from the view dataflows.state_machine instead.");
}
