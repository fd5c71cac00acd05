/*
 * session/state_machine.c
 *	  The state machines as rows, for the view dataflows.state_machine.
 *
 * Runs in any user's backend, in that user's transaction and role.  It shows
 * the arrays of flow/ and nothing else: it reads no table, tells nothing of any
 * run, and must never learn a transition that the arrays do not have.
 */
#include "postgres.h"

#include "flow/flow.h"
#include "fmgr.h"
#include "funcapi.h"
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

/* the i-th transition of all machines together, as a row; 0 if there are not so many */
static Datum
transition_row(TupleDesc desc, uint64 i)
{
	int machine;

	for (machine = 0; machine < lengthof(machines); machine++)
	{
		const Machine *m = &machines[machine];
		const DfTransition *t;
		Datum values[N_COLUMNS];
		bool nulls[N_COLUMNS] = {false};

		if (i >= (uint64) *m->n)
		{
			i -= *m->n;
			continue;
		}
		t = &m->transitions[i];
		values[0] = CStringGetTextDatum(m->name);
		values[1] = CStringGetTextDatum(m->state_name(t->from));
		values[2] = CStringGetTextDatum(m->event_name(t->event));
		values[3] = CStringGetTextDatum(m->state_name(t->to));
		values[4] = CStringGetTextDatum(t->comment);
		return HeapTupleGetDatum(heap_form_tuple(desc, values, nulls));
	}
	return (Datum) 0;
}

Datum
dataflows_state_machine(PG_FUNCTION_ARGS)
{
	FuncCallContext *call;
	Datum row;

	if (SRF_IS_FIRSTCALL())
	{
		MemoryContext old;
		TupleDesc desc;

		call = SRF_FIRSTCALL_INIT();
		old = MemoryContextSwitchTo(call->multi_call_memory_ctx);
		if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("function \"%s\" must return rows", "_state_machine"),
					 errhint("Select from the view dataflows.state_machine instead.")));
		call->tuple_desc = BlessTupleDesc(desc);
		MemoryContextSwitchTo(old);
	}

	call = SRF_PERCALL_SETUP();
	row = transition_row(call->tuple_desc, call->call_cntr);
	if (row == (Datum) 0)
		SRF_RETURN_DONE(call);
	SRF_RETURN_NEXT(call, row);
}
