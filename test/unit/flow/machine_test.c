/*
 * test/unit/flow/machine_test.c
 *	  Tests of the state machines in src/flow, and of their names.
 *
 * The machines are written down a second time here, as tables by hand, and compared over
 * the whole range of their arguments.  Whoever changes a rule changes it in two places on
 * purpose.
 *
 * An ordinary program that prints TAP; test/unit/run builds it plain, with sanitizers and
 * under valgrind.
 *
 * sources: test/unit/tap.c src/flow
 */
#include "postgres.h"

#include "flow/flow.h"
#include "tap.h"

/*
 * Rows: from; columns: event; a letter is the state that follows, a dot that
 * there is none.  Columns: enter wait complete fail cancel get_stuck retry
 * retry_rollback undo rollback_done cancel_done abandon.
 */
static const char run_letters[] = "QRWBSCDXA";
static const char *const run_machine[DF_RUN_NSTATES] = {
	"R..BXS.....A", /* Queued */
	"RWCBBS.....A", /* Running */
	"R..BBS.....A", /* Waiting */
	".....S...DXA", /* rolling Back */
	"....B.RB...A", /* Stuck */
	"........B...", /* Completed */
	"............", /* rolled back: Done */
	"............", /* cancelled: X */
	"............", /* Abandoned */
};

/* columns: send hold again succeed fail lose renew */
static const char step_letters[] = "PSWIDF";
static const char *const step_machine[DF_STEP_NSTATES] = {
	"SW.DFI.", /* Pending */
	"..PDFI.", /* Sent */
	"...DF..", /* Waiting */
	"S..DF.P", /* In doubt */
	".......", /* Done */
	"......P", /* Failed */
};

/* columns: none due sent undone gone undo_failed; y = may go there */
static const char *const undo_machine[DF_UNDO_NSTATES] = {
	".y....", /* none */
	"..yyyy", /* due */
	".y.yyy", /* sent */
	"......", /* undone */
	"......", /* gone */
	".y.y..", /* undo_failed */
};

static int
state_of_letter(const char *letters, char letter)
{
	const char *at = letter == '.' ? NULL : strchr(letters, letter);

	return at == NULL ? -1 : (int) (at - letters);
}

static void
test_machines(void)
{
	int from;
	int event;

	for (from = 0; from < DF_RUN_NSTATES; from++)
	{
		EXPECT(strlen(run_machine[from]) == DF_RUN_NEVENTS, "row %d of run_machine", from);
		for (event = 0; event < DF_RUN_NEVENTS; event++)
			EXPECT(df_run_next(from, event) ==
					   state_of_letter(run_letters, run_machine[from][event]),
				   "run: %s --%s--> %d", df_run_state_name(from), df_run_event_name(event),
				   df_run_next(from, event));
	}
	end_test("every state and event of a run");

	for (from = 0; from < DF_STEP_NSTATES; from++)
	{
		EXPECT(strlen(step_machine[from]) == DF_STEP_NEVENTS, "row %d of step_machine", from);
		for (event = 0; event < DF_STEP_NEVENTS; event++)
			EXPECT(df_step_next(from, event) ==
					   state_of_letter(step_letters, step_machine[from][event]),
				   "step: %s --%s--> %d", df_step_state_name(from), df_step_event_name(event),
				   df_step_next(from, event));
	}
	end_test("every state and event of a step");

	for (from = 0; from < DF_UNDO_NSTATES; from++)
	{
		EXPECT(strlen(undo_machine[from]) == DF_UNDO_NSTATES, "row %d of undo_machine", from);
		for (event = 0; event < DF_UNDO_NSTATES; event++)
			EXPECT(df_undo_allowed(from, event) == (undo_machine[from][event] == 'y'),
				   "undo: %s --> %s", df_undo_state_name(from), df_undo_state_name(event));
	}
	end_test("every pair of states of an undo");
}

static void
check_array(const DfTransition *transitions, int n, const char *what)
{
	int i;
	int j;

	for (i = 0; i < n; i++)
	{
		EXPECT(transitions[i].comment != NULL && transitions[i].comment[0] != '\0',
			   "%s transition %d has no comment", what, i);
		EXPECT(i == 0 || transitions[i].from >= transitions[i - 1].from,
			   "%s transition %d is out of order", what, i);
		for (j = 0; j < i; j++)
			EXPECT(transitions[i].from != transitions[j].from ||
					   transitions[i].event != transitions[j].event,
				   "%s transitions %d and %d are for the same event", what, j, i);
	}
}

/* states that can be reached from `start`, as a bit mask */
static unsigned
reachable(const DfTransition *transitions, int n, int start)
{
	unsigned seen = 1u << start;
	unsigned before;
	int i;

	do
	{
		before = seen;
		for (i = 0; i < n; i++)
		{
			if (seen & (1u << transitions[i].from))
				seen |= 1u << transitions[i].to;
		}
	} while (seen != before);
	return seen;
}

static void
test_shape(void)
{
	int state;

	check_array(df_run_transitions, df_n_run_transitions, "run");
	check_array(df_step_transitions, df_n_step_transitions, "step");
	check_array(df_undo_transitions, df_n_undo_transitions, "undo");
	end_test("no transition twice, in order, each with a comment");

	EXPECT(reachable(df_run_transitions, df_n_run_transitions, DF_RUN_QUEUED) ==
			   (1u << DF_RUN_NSTATES) - 1,
		   "a run state cannot be reached");
	EXPECT(reachable(df_step_transitions, df_n_step_transitions, DF_STEP_PENDING) ==
			   (1u << DF_STEP_NSTATES) - 1,
		   "a step state cannot be reached");
	EXPECT(reachable(df_undo_transitions, df_n_undo_transitions, DF_UNDO_NONE) ==
			   (1u << DF_UNDO_NSTATES) - 1,
		   "an undo state cannot be reached");
	end_test("every state can be reached");

	for (state = 0; state < DF_RUN_NSTATES; state++)
	{
		unsigned ends = reachable(df_run_transitions, df_n_run_transitions, state);

		EXPECT(ends & ~((1u << DF_RUN_COMPLETED) - 1), "a run that is %s can never end",
			   df_run_state_name(state));
		EXPECT(df_run_is_terminal(state) == (state >= DF_RUN_COMPLETED), "terminal: %s",
			   df_run_state_name(state));
		EXPECT(df_run_holds_key(state) == (state <= DF_RUN_COMPLETED), "holds key: %s",
			   df_run_state_name(state));
	}
	for (state = 0; state < DF_STEP_NSTATES; state++)
		EXPECT(df_step_is_ended(state) == (strchr("IDF", step_letters[state]) != NULL),
			   "ended: %s", df_step_state_name(state));
	end_test("every run can end; terminal, key, ended");
}

typedef const char *(*NameOf)(int);
typedef int (*ValueOf)(const char *);

static const char *
run_state_name(int value)
{
	return df_run_state_name(value);
}

static const char *
step_state_name(int value)
{
	return df_step_state_name(value);
}

static const char *
undo_state_name(int value)
{
	return df_undo_state_name(value);
}

static const char *
step_kind_name(int value)
{
	return df_step_kind_name(value);
}

static const char *
cause_name(int value)
{
	return df_cause_name(value);
}

static void
check_names(const char *const *expected, int n, NameOf name_of, ValueOf value_of)
{
	int i;

	for (i = 0; i < n; i++)
	{
		const char *name = name_of(i);

		if (expected[i] == NULL)
		{
			EXPECT(name == NULL, "value %d has the name \"%s\"", i, name);
			continue;
		}
		EXPECT(name != NULL && strcmp(name, expected[i]) == 0, "value %d is not \"%s\"", i,
			   expected[i]);
		EXPECT(value_of(expected[i]) == i, "\"%s\" is not %d", expected[i], i);
	}
	EXPECT(strcmp(name_of(n), "unknown") == 0, "name of %d", n);
	EXPECT(strcmp(name_of(-1), "unknown") == 0, "name of -1");
	EXPECT(value_of("") == -1 && value_of("nonsense") == -1 && value_of("unknown") == -1 &&
			   value_of(NULL) == -1,
		   "a name that is none has a value");
}

static void
test_names(void)
{
	static const char *const runs[] = {"queued", "running", "waiting", "rolling_back", "stuck",
									   "completed", "rolled_back", "cancelled", "abandoned"};
	static const char *const steps[] = {"pending", "sent", "waiting", "in_doubt", "done", "failed"};
	static const char *const undos[] = {"none", "due", "sent", "undone", "gone", "undo_failed"};
	static const char *const kinds[] = {"http", "wait", "sleep", "undo", "query", "once",
										"call", "mail", "pivot", "alias", "continue"};
	static const char *const causes[] = {NULL, "failed", "cancelled", "undo"};
	int event;

	check_names(runs, DF_RUN_NSTATES, run_state_name, df_run_state_of);
	check_names(steps, DF_STEP_NSTATES, step_state_name, df_step_state_of);
	check_names(undos, DF_UNDO_NSTATES, undo_state_name, df_undo_state_of);
	check_names(kinds, DF_STEP_NKINDS, step_kind_name, df_step_kind_of);
	check_names(causes, lengthof(causes), cause_name, df_cause_of);
	for (int kind = DF_MESSAGE_NONE + 1; kind < DF_MESSAGE_NKINDS; kind++)
		EXPECT(df_message_kind_of(df_message_kind_name(kind)) == kind,
			   "message kind %d does not come back from its name \"%s\"", kind,
			   df_message_kind_name(kind));
	EXPECT(strcmp(df_message_kind_name(DF_MESSAGE_ABANDON), "abandon") == 0, "name of abandon");
	EXPECT(df_message_kind_of("nonsense") == DF_MESSAGE_NONE &&
			   df_message_kind_of("unknown") == DF_MESSAGE_NONE &&
			   df_message_kind_of(NULL) == DF_MESSAGE_NONE,
		   "a name that is none is a kind of message");
	for (event = 0; event < DF_RUN_NEVENTS; event++)
		EXPECT(strcmp(df_run_event_name(event), "unknown") != 0, "run event %d", event);
	for (event = 0; event < DF_STEP_NEVENTS; event++)
		EXPECT(strcmp(df_step_event_name(event), "unknown") != 0, "step event %d", event);
	EXPECT(strcmp(df_run_event_name(DF_RUN_NEVENTS), "unknown") == 0, "run event out of range");
	EXPECT(strcmp(df_step_event_name(DF_STEP_NEVENTS), "unknown") == 0, "step event out of range");
	end_test("names, both ways");
}

int
main(void)
{
	test_machines();
	test_shape();
	test_names();
	return done_testing();
}
