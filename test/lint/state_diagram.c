/*
 * test/lint/state_diagram.c
 *	  Prints the state machines of src/flow as Mermaid diagrams.
 *
 * An ordinary program, built into a temporary directory by state_diagram.sh.
 * It links the arrays themselves, so the picture cannot show what the engine
 * would not do; it must never add a state, nor an arrow but those from and to
 * the dot.  An arrow to the dot is where a person alone may move it further.
 */
#include "postgres.h"

#include "flow/flow.h"

static const char *
run_state(int state)
{
	return df_run_state_name((DfRunState) state);
}

static const char *
run_event(int event)
{
	return df_run_event_name((DfRunEvent) event);
}

static const char *
step_state(int state)
{
	return df_step_state_name((DfStepState) state);
}

static const char *
step_event(int event)
{
	return df_step_event_name((DfStepEvent) event);
}

static const char *
undo_state(int state)
{
	return df_undo_state_name((DfUndoState) state);
}

typedef struct Machine
{
	const char *title;
	const DfTransition *transitions;
	int n;
	int nstates;
	const char *(*state)(int state);
	const char *(*event)(int event); /* NULL = named like the state it leads to */
	bool (*ends)(int state); /* nothing follows by itself */
} Machine;

static bool
run_ends(int state)
{
	return df_run_is_terminal((DfRunState) state);
}

static bool
step_ends(int state)
{
	return df_step_is_ended((DfStepState) state);
}

static bool
undo_ends(int state)
{
	return state >= DF_UNDO_UNDONE;
}

/* all events from one state to another on one arrow */
static void
print_arrow(const Machine *m, int from, int to)
{
	const char *separator = ": ";
	bool begun = false;
	int i;

	for (i = 0; i < m->n; i++)
	{
		if (m->transitions[i].from != from || m->transitions[i].to != to)
			continue;
		if (!begun)
			printf("    %s --> %s", m->state(from), m->state(to));
		begun = true;
		if (m->event != NULL)
			printf("%s%s", separator, m->event(m->transitions[i].event));
		separator = ", ";
	}
	if (begun)
		printf("\n");
}

static void
print_machine(const Machine *m)
{
	int from;
	int to;

	printf("%s\n\n```mermaid\nstateDiagram-v2\n    [*] --> %s\n", m->title, m->state(0));
	for (from = 0; from < m->nstates; from++)
	{
		for (to = 0; to < m->nstates; to++)
			print_arrow(m, from, to);
	}
	for (from = 0; from < m->nstates; from++)
	{
		if (m->ends(from))
			printf("    %s --> [*]\n", m->state(from));
	}
	printf("```\n");
}

int
main(void)
{
	const Machine machines[] = {
		{"A run:", df_run_transitions, df_n_run_transitions, DF_RUN_NSTATES, run_state, run_event,
		 run_ends},
		{"A step:", df_step_transitions, df_n_step_transitions, DF_STEP_NSTATES, step_state,
		 step_event, step_ends},
		{"The undo of a step:", df_undo_transitions, df_n_undo_transitions, DF_UNDO_NSTATES,
		 undo_state, NULL, undo_ends},
	};
	int i;

	for (i = 0; i < lengthof(machines); i++)
	{
		if (i > 0)
			printf("\n");
		print_machine(&machines[i]);
	}
	return 0;
}
