/*
 * test/unit/flow_test.c
 *	  Tests of src/flow, without a server.
 *
 * An ordinary program that links the room and prints TAP; test/unit/run builds
 * it plain, with sanitizers and under valgrind.  That it links at all shows
 * that the room needs nothing of a backend: no palloc, no ereport, no clock.
 *
 * The machines and the rules for answers are written down a second time here,
 * as tables by hand, and compared over the whole range of their arguments.
 * Whoever changes a rule changes it in two places on purpose.
 *
 * sources: src/flow/answer.c src/flow/classify.c src/flow/message_kind.c src/flow/probe.c src/flow/retry.c
 * sources: src/flow/run_state.c src/flow/step_state.c src/flow/undo.c
 */
#include "postgres.h"

#include <limits.h>

#include "flow/flow.h"

static int n_tests = 0;
static int n_failed = 0;
static char detail[256];

/* the first thing that was wrong in a test, for its line of TAP */
#define EXPECT(condition, ...) \
	do \
	{ \
		if (!(condition) && detail[0] == '\0') \
			snprintf(detail, sizeof(detail), __VA_ARGS__); \
	} while (0)

static void
end_test(const char *name)
{
	n_tests++;
	if (detail[0] != '\0')
	{
		n_failed++;
		printf("not ok %d - %s\n# %s\n", n_tests, name, detail);
	}
	else
		printf("ok %d - %s\n", n_tests, name);
	detail[0] = '\0';
}

/* the same numbers on every machine and in every run (xorshift64*) */
static uint64 random_state = UINT64CONST(0x9E3779B97F4A7C15);

static uint32
next_random(uint32 below)
{
	random_state ^= random_state >> 12;
	random_state ^= random_state << 25;
	random_state ^= random_state >> 27;
	return (uint32) ((random_state * UINT64CONST(0x2545F4914F6CDD1D)) >> 33) % below;
}

static double
next_jitter(void)
{
	return (double) next_random(1000000) / 1000000.0;
}

/* ---- the machines --------------------------------------------------------- */

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
	"SW.DF..", /* Pending */
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

/* ---- answers -------------------------------------------------------------- */

static const int accepted[] = {404, 409, 410};

/* the rule by status alone: no doubt, nothing accepted; ? = depends on harmless */
static char
rule_of_status(int status)
{
	if (status >= 200 && status <= 299)
		return 'D';
	switch (status)
	{
		case 408:
		case 425:
		case 429:
		case 503:
			return 'R';
		case 401:
		case 403:
			return 'C';
	}
	return status >= 300 && status <= 499 ? 'F' : '?';
}

static DfVerdict
expected_verdict(const DfAnswer *answer)
{
	bool harmless = answer->method != DF_METHOD_EFFECT || answer->key_trusted;
	DfVerdict maybe = harmless ? DF_VERDICT_RETRY_SAME : DF_VERDICT_DOUBT;
	bool listed = answer->naccept > 0 &&
		(answer->status == 404 || answer->status == 409 || answer->status == 410);
	char rule = rule_of_status(answer->status);

	if (rule == 'D')
		return answer->body_unusable ? DF_VERDICT_UNUSABLE : DF_VERDICT_DONE;
	if (answer->status == 409 && (answer->was_doubt || answer->was_lost))
	{
		if (answer->method == DF_METHOD_EFFECT)
			return DF_VERDICT_DOUBT;
		if (answer->method == DF_METHOD_IDEMPOTENT && !listed)
			return DF_VERDICT_DOUBT;
	}
	if (listed)
		return DF_VERDICT_DONE_NO_UNDO;
	if (rule == 'C')
		return DF_VERDICT_CREDENTIALS;
	if (rule == 'F')
		return DF_VERDICT_FAILED;
	if (rule == 'R' && !answer->was_doubt)
		return DF_VERDICT_RETRY;
	return maybe;
}

/* one of all combinations of what is known beside fate and status */
#define N_CONTEXTS (3 * 2 * 2 * 2 * 2 * 2)

static DfAnswer
context(int i)
{
	DfAnswer answer = {0};

	answer.method = i % 3;
	answer.key_trusted = i / 3 % 2;
	answer.body_unusable = i / 6 % 2;
	answer.was_doubt = i / 12 % 2;
	answer.accept = accepted;
	answer.naccept = i / 24 % 2 ? lengthof(accepted) : 0;
	answer.was_lost = i / 48 % 2;
	return answer;
}

static void
test_answers(void)
{
	int i;
	int status;

	for (i = 0; i < N_CONTEXTS; i++)
	{
		DfAnswer answer = context(i);

		answer.fate = DF_FATE_ANSWER;
		for (status = 100; status <= 599; status++)
		{
			answer.status = status;
			EXPECT(df_answer_verdict(&answer) == expected_verdict(&answer),
				   "status %d in context %d: %d", status, i, df_answer_verdict(&answer));
		}
	}
	end_test("every status by method, key, body, doubt and accept");

	for (i = 0; i < N_CONTEXTS; i++)
	{
		static const int nonsense[] = {-1, 0, 1, 99, 600, 999, INT_MAX};
		DfAnswer answer = context(i);

		answer.fate = DF_FATE_ANSWER;
		for (status = 0; status < (int) lengthof(nonsense); status++)
		{
			DfVerdict verdict;

			answer.status = nonsense[status];
			verdict = df_answer_verdict(&answer);
			EXPECT(verdict == DF_VERDICT_RETRY_SAME || verdict == DF_VERDICT_DOUBT,
				   "status %d is taken for an answer", answer.status);
		}
	}
	end_test("what is no status is no answer");
}

static void
test_fates(void)
{
	int i;
	int status;

	for (i = 0; i < N_CONTEXTS; i++)
	{
		DfAnswer answer = context(i);
		bool harmless = answer.method != DF_METHOD_EFFECT || answer.key_trusted;
		DfVerdict maybe = harmless ? DF_VERDICT_RETRY_SAME : DF_VERDICT_DOUBT;

		answer.fate = DF_FATE_NOT_SENT;
		EXPECT(df_answer_verdict(&answer) == (answer.was_doubt ? maybe : DF_VERDICT_RETRY),
			   "not sent, context %d", i);
		answer.fate = DF_FATE_LOST;
		EXPECT(df_answer_verdict(&answer) == maybe, "lost, context %d", i);
		answer.fate = DF_FATE_REFUSED;
		EXPECT(df_answer_verdict(&answer) == DF_VERDICT_FAILED, "refused, context %d", i);
		answer.fate = DF_FATE_TOO_LARGE;
		for (status = 100; status <= 599; status++)
		{
			answer.status = status;
			EXPECT(df_answer_verdict(&answer) ==
					   (status / 100 == 2 ? DF_VERDICT_UNUSABLE : expected_verdict(&answer)),
				   "too large, status %d, context %d", status, i);
		}
		answer.status = 0;
		EXPECT(df_answer_verdict(&answer) == maybe, "too large without a status, context %d", i);
	}
	end_test("not sent, lost, refused, too large");

	for (i = 0; i < N_CONTEXTS; i++)
	{
		DfAnswer answer = context(i);

		if (!answer.was_doubt)
			continue;
		for (status = 100; status <= 599; status++)
		{
			for (answer.fate = DF_FATE_ANSWER; answer.fate <= DF_FATE_STARVED; answer.fate++)
			{
				answer.status = status;
				EXPECT(df_answer_verdict(&answer) != DF_VERDICT_RETRY,
					   "doubt is forgotten at status %d", status);
			}
		}
	}
	end_test("doubt is never forgotten by a later attempt");
}

static DfVerdict
expected_undo_verdict(const DfAnswer *answer, int status)
{
	DfVerdict lost = answer->method == DF_METHOD_EFFECT && !answer->key_trusted ? DF_VERDICT_DOUBT
																				: DF_VERDICT_RETRY;

	if (status >= 200 && status <= 299)
		return DF_VERDICT_DONE;
	if (status == 404 || status == 410)
		return DF_VERDICT_DONE_NO_UNDO;
	switch (status)
	{
		case 401:
		case 403:
		case 408:
		case 409:
		case 423:
		case 425:
		case 429:
		case 503:
			return DF_VERDICT_RETRY;
	}
	return status >= 300 && status <= 499 ? DF_VERDICT_FAILED : lost;
}

static void
test_undo_answers(void)
{
	int i;
	int status;

	for (i = 0; i < N_CONTEXTS; i++)
	{
		DfAnswer answer = context(i);

		for (status = 100; status <= 599; status++)
		{
			answer.status = status;
			answer.fate = DF_FATE_ANSWER;
			EXPECT(df_answer_undo_verdict(&answer) == expected_undo_verdict(&answer, status),
				   "undo: status %d, context %d", status, i);
			answer.fate = DF_FATE_TOO_LARGE;
			EXPECT(df_answer_undo_verdict(&answer) == expected_undo_verdict(&answer, status),
				   "undo: too large, status %d, context %d", status, i);
		}
		answer.status = 0;
		answer.fate = DF_FATE_NOT_SENT;
		EXPECT(df_answer_undo_verdict(&answer) == DF_VERDICT_RETRY, "undo: not sent");
		answer.fate = DF_FATE_LOST;
		EXPECT(df_answer_undo_verdict(&answer) ==
				   (answer.method == DF_METHOD_EFFECT && !answer.key_trusted ? DF_VERDICT_DOUBT
																			 : DF_VERDICT_RETRY),
			   "undo: lost");
		answer.fate = DF_FATE_REFUSED;
		EXPECT(df_answer_undo_verdict(&answer) == DF_VERDICT_FAILED, "undo: refused");
	}
	end_test("every status as the answer to an undo");

	EXPECT(df_method_class("GET") == DF_METHOD_SAFE && df_method_class("HEAD") == DF_METHOD_SAFE,
		   "GET, HEAD");
	EXPECT(df_method_class("PUT") == DF_METHOD_IDEMPOTENT &&
			   df_method_class("DELETE") == DF_METHOD_IDEMPOTENT,
		   "PUT, DELETE");
	EXPECT(df_method_class("POST") == DF_METHOD_EFFECT &&
			   df_method_class("PATCH") == DF_METHOD_EFFECT &&
			   df_method_class("get") == DF_METHOD_EFFECT &&
			   df_method_class("GETX") == DF_METHOD_EFFECT &&
			   df_method_class("PURGE") == DF_METHOD_EFFECT &&
			   df_method_class("") == DF_METHOD_EFFECT,
		   "all others may do anything");
	end_test("classes of methods");
}

/* ---- retry ---------------------------------------------------------------- */

#define NOW ((TimestampTz) INT64CONST(800000000000000))
#define MS(ms) ((TimestampTz) (ms) *1000)

static const DfRetry default_policy = {0, 1000, 300000, 86400000};

static TimestampTz
ask(DfRetry policy, int attempts, double jitter, int64 retry_after_ms)
{
	DfRetryQuestion question = {policy, attempts, NOW, NOW, retry_after_ms, jitter};

	return df_retry_at(&question);
}

/* ---- mail ----------------------------------------------------------------- */

static DfVerdict
expected_mail_verdict(int code, bool was_doubt)
{
	static const int credentials[] = {530, 534, 535, 538};

	for (int i = 0; i < lengthof(credentials); i++)
		if (code == credentials[i])
			return DF_VERDICT_CREDENTIALS;
	if (code / 100 == 2)
		return DF_VERDICT_DONE;
	if (code / 100 == 4)
		return was_doubt ? DF_VERDICT_DOUBT : DF_VERDICT_RETRY;
	return code / 100 == 5 ? DF_VERDICT_FAILED : DF_VERDICT_DOUBT;
}

static void
test_mail_answers(void)
{
	for (int was_doubt = 0; was_doubt < 2; was_doubt++)
	{
		DfAnswer answer = {.method = DF_METHOD_EFFECT, .was_doubt = was_doubt, .key_trusted = true};

		answer.fate = DF_FATE_ANSWER;
		for (answer.status = 0; answer.status < 1000; answer.status++)
			EXPECT(df_answer_mail_verdict(&answer) ==
					   expected_mail_verdict(answer.status, was_doubt),
				   "mail: code %d, was_doubt %d", answer.status, was_doubt);
		answer.status = 0;
		answer.fate = DF_FATE_NOT_SENT;
		EXPECT(df_answer_mail_verdict(&answer) == (was_doubt ? DF_VERDICT_DOUBT : DF_VERDICT_RETRY),
			   "mail: not sent");
		answer.fate = DF_FATE_LOST;
		EXPECT(df_answer_mail_verdict(&answer) == DF_VERDICT_DOUBT, "mail: lost");
		answer.fate = DF_FATE_REFUSED;
		EXPECT(df_answer_mail_verdict(&answer) == DF_VERDICT_FAILED, "mail: refused");
	}
	end_test("what a reply to a mail means");
}

static void
test_backoff(void)
{
	static const int64 caps[] = {1000, 2000, 4000, 8000, 16000, 32000,
								 64000, 128000, 256000, 300000, 300000};
	DfRetry policy = default_policy;
	int attempts;

	for (attempts = 1; attempts <= (int) lengthof(caps); attempts++)
	{
		EXPECT(ask(policy, attempts, 0.5, -1) == NOW + MS(caps[attempts - 1] / 2), "attempt %d",
			   attempts);
		EXPECT(ask(policy, attempts, 0.0, -1) == NOW, "no jitter, attempt %d", attempts);
		EXPECT(ask(policy, attempts, 0.999999, -1) < NOW + MS(caps[attempts - 1]),
			   "most jitter, attempt %d", attempts);
	}
	EXPECT(ask(policy, 0, 0.5, -1) == NOW + MS(500), "no attempt yet counts as one");
	end_test("the default back-off: 1 s doubled to 5 min, full jitter");

	for (attempts = 1; attempts < 3000; attempts++)
	{
		double jitter = next_jitter();

		policy.initial_ms = next_random(100000);
		policy.max_ms = next_random(10000000);
		policy.for_ms = 0;
		EXPECT(ask(policy, attempts % 60, jitter, -1) <= ask(policy, attempts % 60 + 1, jitter, -1),
			   "the back-off shrinks after attempt %d", attempts % 60);
		EXPECT(ask(policy, attempts, jitter, -1) >= NOW, "a time that is past");
		EXPECT(ask(policy, attempts, jitter, -1) <= NOW + MS(policy.max_ms), "later than max");
	}
	end_test("the back-off never shrinks, is never past, never beyond max");
}

static void
test_budget(void)
{
	DfRetry policy = default_policy;
	DfRetryQuestion question;
	int attempts;

	policy.max_attempts = 3;
	for (attempts = 1; attempts <= 5; attempts++)
		EXPECT((ask(policy, attempts, 0.5, -1) == DF_NEVER) == (attempts >= 3), "attempt %d of 3",
			   attempts);
	EXPECT(ask(policy, 3, 0.5, 1000) == DF_NEVER, "Retry-After is no new budget");
	policy.max_attempts = 1;
	EXPECT(ask(policy, 1, 0.5, -1) == DF_NEVER, "one attempt only");
	policy.max_attempts = 0;
	EXPECT(ask(policy, INT_MAX, 0.5, -1) != DF_NEVER, "0 is no limit");
	end_test("max_attempts");

	question = (DfRetryQuestion){default_policy, 20, NOW, NOW, -1, 0.5};
	question.now = NOW + MS(86400000 - 150000);
	EXPECT(df_retry_at(&question) == NOW + MS(86400000), "the last moment of the budget");
	question.now += 1;
	EXPECT(df_retry_at(&question) == DF_NEVER, "a microsecond beyond the budget");
	question.policy.for_ms = 0;
	EXPECT(df_retry_at(&question) == question.now + MS(150000), "0 is no limit");
	question.policy.for_ms = 1000;
	question.first_at = DF_NEVER;
	question.attempts = 1;
	EXPECT(df_retry_at(&question) == question.now + MS(500),
		   "not begun yet: the budget begins now");
	question.first_at = question.now + MS(5000);
	EXPECT(df_retry_at(&question) != DF_NEVER, "a clock that was set back costs no budget");
	question.retry_after_ms = 10000;
	question.first_at = question.now;
	EXPECT(df_retry_at(&question) == DF_NEVER, "asked to come after the budget");
	end_test("the time since the first attempt");
}

static void
test_retry_after(void)
{
	DfRetry policy = default_policy;
	int i;

	EXPECT(ask(policy, 1, 0.0, 0) == NOW, "Retry-After: 0");
	EXPECT(ask(policy, 9, 0.0, 7000) == NOW + MS(7000), "wins over the back-off");
	EXPECT(ask(policy, 9, 0.5, 7000) == NOW + MS(7500), "jitter of one first back-off");
	EXPECT(ask(policy, 1, 0.0, 7200000) == NOW + MS(3600000), "capped at an hour");
	EXPECT(ask(policy, 1, 0.0, PG_INT64_MAX) == NOW + MS(3600000),
		   "capped at an hour, whatever it is");
	for (i = 0; i < 3000; i++)
	{
		int64 after = next_random(3600000);
		TimestampTz at = ask(policy, 1 + (int) next_random(50), next_jitter(), after);

		EXPECT(at >= NOW + MS(after), "earlier than asked for");
		EXPECT(at <= NOW + MS(after + policy.initial_ms), "much later than asked for");
	}
	end_test("Retry-After wins, is kept, is capped");
}

/* a policy as a user might write it by mistake, or to see what happens */
static DfRetry
wild_policy(void)
{
	static const int64 wild[] = {PG_INT64_MIN,
								 -1,
								 0,
								 1,
								 999,
								 1000,
								 INT64CONST(1) << 40,
								 INT64CONST(1) << 53,
								 PG_INT64_MAX / 1000,
								 PG_INT64_MAX / 1000 + 1,
								 PG_INT64_MAX - 1,
								 PG_INT64_MAX};
	DfRetry policy;

	policy.max_attempts = next_random(4) == 0 ? -1 : 0;
	policy.initial_ms = wild[next_random(lengthof(wild))];
	policy.max_ms = wild[next_random(lengthof(wild))];
	policy.for_ms = wild[next_random(lengthof(wild))];
	return policy;
}

static void
test_overflow(void)
{
	static const int attempts[] = {INT_MIN, -1, 0, 1, 2, 31, 32, 33, 62, 63, 64, 65, 1000, INT_MAX};
	static const double jitters[] = {-1.0, 0.0, 0.5, 0.999999999, 1.0, 2.0, 1e300, -1e300};
	static const TimestampTz times[] = {PG_INT64_MIN, -1, 0, 1, NOW,
										PG_INT64_MAX - 1, PG_INT64_MAX};
	int i;

	for (i = 0; i < 200000; i++)
	{
		DfRetryQuestion question;
		TimestampTz at;

		question.policy = wild_policy();
		question.attempts = attempts[next_random(lengthof(attempts))];
		question.first_at = times[next_random(lengthof(times))];
		question.now = times[next_random(lengthof(times))];
		question.retry_after_ms = next_random(2) ? -1 : PG_INT64_MAX - next_random(5);
		question.jitter = jitters[next_random(lengthof(jitters))];
		at = df_retry_at(&question);
		EXPECT(at == DF_NEVER || at >= question.now, "a time before now");
	}
	end_test("no policy, attempt or time overflows");
}

/* ---- the undo plan -------------------------------------------------------- */

#define MAX_STEPS 8

static DfUndoItem
random_item(int n)
{
	DfUndoItem item;

	item.n = n;
	item.state = next_random(DF_STEP_NSTATES);
	item.undo_state = DF_UNDO_NONE;
	item.has_undo = next_random(4) != 0;
	item.before_pivot = false;
	if (item.state == DF_STEP_DONE && item.has_undo && next_random(2))
		item.undo_state = DF_UNDO_DUE; /* stored with the outcome */
	return item;
}

/* a run at the moment at which it begins to roll back */
static int
random_run(DfUndoItem *items)
{
	int nitems = (int) next_random(MAX_STEPS + 1);
	int pivot = next_random(4) == 0 ? (int) next_random(MAX_STEPS) : 0;
	int i;

	for (i = 0; i < nitems; i++)
	{
		items[i] = random_item(i + 1);
		items[i].before_pivot = i < pivot;
	}
	return nitems;
}

static bool
may_have_effect(const DfUndoItem *item)
{
	return item->has_undo && !item->before_pivot &&
		(item->state == DF_STEP_DONE || item->state == DF_STEP_DOUBT);
}

/* something in flight comes to an end, or a killed engine finds it in doubt */
static void
end_flight(DfUndoItem *items, int nitems)
{
	int i;

	for (i = 0; i < nitems; i++)
	{
		if (items[i].state == DF_STEP_SENT)
			items[i].state = DF_STEP_DONE + next_random(2);
		else if (items[i].state == DF_STEP_WAITING && items[i].has_undo)
			items[i].state = next_random(2) ? DF_STEP_DONE : DF_STEP_FAILED;
		if (items[i].undo_state == DF_UNDO_SENT)
		{
			static const DfUndoState ends[] = {DF_UNDO_DUE, DF_UNDO_UNDONE, DF_UNDO_GONE,
											   DF_UNDO_FAILED};

			items[i].undo_state = ends[next_random(lengthof(ends))];
		}
	}
}

static void
move_undo(DfUndoItem *item, DfUndoState to)
{
	EXPECT(df_undo_allowed(item->undo_state, to), "the plan needs %s --> %s",
		   df_undo_state_name(item->undo_state), df_undo_state_name(to));
	item->undo_state = to;
}

/* the plan named items[index]: nothing newer may be open, nothing be in flight */
static void
check_choice(const DfUndoItem *items, int nitems, int index)
{
	int i;

	EXPECT(index >= 0 && index < nitems, "no such item: %d", index);
	EXPECT(may_have_effect(&items[index]), "step %d has nothing to undo", items[index].n);
	EXPECT(items[index].undo_state == DF_UNDO_NONE || items[index].undo_state == DF_UNDO_DUE,
		   "step %d is undone twice", items[index].n);
	for (i = 0; i < nitems; i++)
	{
		EXPECT(items[i].state != DF_STEP_SENT && items[i].undo_state != DF_UNDO_SENT,
			   "step %d is in flight", items[i].n);
		if (i > index && may_have_effect(&items[i]))
			EXPECT(items[i].undo_state >= DF_UNDO_UNDONE,
				   "step %d is newer than %d and not settled", items[i].n, items[index].n);
	}
}

static void
check_end(const DfUndoItem *items, int nitems, DfUndoNext next)
{
	bool failed = false;
	int i;

	for (i = 0; i < nitems; i++)
	{
		if (!may_have_effect(&items[i]))
		{
			EXPECT(items[i].undo_state == DF_UNDO_NONE || items[i].before_pivot,
				   "step %d was undone without need", items[i].n);
			continue;
		}
		EXPECT(items[i].undo_state >= DF_UNDO_UNDONE, "step %d was passed over", items[i].n);
		failed |= items[i].undo_state == DF_UNDO_FAILED;
	}
	EXPECT(next == (failed ? DF_PLAN_STUCK : DF_PLAN_DONE), "a rollback ends wrongly");
}

/*
 * Rolls a run back.  Every decision is taken on a copy of the "rows" alone, so
 * a crash between any two writes is the same as no crash; crash_at cuts off
 * the answer that belongs to one of them, which is then sent again.  Returns
 * the number of moves.
 */
static int
roll_back(DfUndoItem *items, int nitems, int crash_at)
{
	int moves;

	for (moves = 0; moves < 1000; moves++)
	{
		DfUndoItem rows[MAX_STEPS];
		int index;
		DfUndoNext next;

		memcpy(rows, items, sizeof(DfUndoItem) * nitems);
		next = df_undo_plan(rows, nitems, &index);
		if (next == DF_PLAN_WAIT)
		{
			EXPECT(index == -1, "an index without an undo");
			end_flight(items, nitems);
			continue;
		}
		if (next != DF_PLAN_UNDO)
		{
			check_end(items, nitems, next);
			return moves;
		}
		check_choice(items, nitems, index);
		if (items[index].undo_state == DF_UNDO_NONE)
			move_undo(&items[index], DF_UNDO_DUE);
		else
			move_undo(&items[index], DF_UNDO_SENT);
		if (moves == crash_at && items[index].undo_state == DF_UNDO_SENT)
			move_undo(&items[index], DF_UNDO_DUE);
	}
	EXPECT(false, "a rollback does not end");
	return moves;
}

static void
test_undo_plan(void)
{
	int round;

	for (round = 0; round < 20000; round++)
	{
		DfUndoItem start[MAX_STEPS];
		DfUndoItem items[MAX_STEPS];
		int nitems = random_run(start);
		int moves;
		int crash_at;

		memcpy(items, start, sizeof(start));
		moves = roll_back(items, nitems, -1);
		for (crash_at = 0; crash_at < moves; crash_at++)
		{
			memcpy(items, start, sizeof(start));
			roll_back(items, nitems, crash_at);
		}
	}
	end_test("random rollbacks, cut off at every point: newest first, each once, none passed over");
}

/* all items that there can be */
static void
test_undo_candidates(void)
{
	int i;

	for (i = 0; i < DF_STEP_NSTATES * DF_UNDO_NSTATES * 4; i++)
	{
		DfUndoItem item = {1, i / 4 % DF_STEP_NSTATES, i / 4 / DF_STEP_NSTATES, i % 2, i / 2 % 2};
		bool child = item.state == DF_STEP_WAITING && item.has_undo && !item.before_pivot;
		int index;
		DfUndoNext next = df_undo_plan(&item, 1, &index);
		DfUndoNext expected = DF_PLAN_DONE;

		EXPECT(df_undo_candidate(&item) == may_have_effect(&item), "candidate: %s",
			   df_step_state_name(item.state));
		if (item.state == DF_STEP_SENT || item.undo_state == DF_UNDO_SENT || child)
			expected = DF_PLAN_WAIT;
		else if (may_have_effect(&item) && item.undo_state <= DF_UNDO_DUE)
			expected = DF_PLAN_UNDO;
		else if (may_have_effect(&item) && item.undo_state == DF_UNDO_FAILED)
			expected = DF_PLAN_STUCK;
		EXPECT(next == expected, "plan for %s, undo %s: %d", df_step_state_name(item.state),
			   df_undo_state_name(item.undo_state), next);
		EXPECT((index == 0) == (next == DF_PLAN_UNDO), "index %d with plan %d", index, next);
	}
	i = 7;
	EXPECT(df_undo_plan(NULL, 0, &i) == DF_PLAN_DONE && i == -1, "a run without steps");
	end_test("every single step in the plan");
}

static void
test_undo_order(void)
{
	DfUndoItem items[] = {
		{1, DF_STEP_DONE, DF_UNDO_DUE, true, false},
		{2, DF_STEP_DOUBT, DF_UNDO_NONE, true, false},
		{3, DF_STEP_DONE, DF_UNDO_DUE, true, false},
		{4, DF_STEP_PENDING, DF_UNDO_NONE, true, false},
		{5, DF_STEP_WAITING, DF_UNDO_NONE, false, false},
	};
	int index;

	EXPECT(df_undo_plan(items, 5, &index) == DF_PLAN_UNDO && index == 2,
		   "the newest done step first");
	items[2].undo_state = DF_UNDO_SENT;
	EXPECT(df_undo_plan(items, 5, &index) == DF_PLAN_WAIT, "one at a time");
	items[2].undo_state = DF_UNDO_FAILED;
	EXPECT(df_undo_plan(items, 5, &index) == DF_PLAN_UNDO && index == 1,
		   "the others are still undone, doubt too");
	items[1].undo_state = DF_UNDO_GONE;
	EXPECT(df_undo_plan(items, 5, &index) == DF_PLAN_UNDO && index == 0, "the oldest last");
	items[0].undo_state = DF_UNDO_UNDONE;
	EXPECT(df_undo_plan(items, 5, &index) == DF_PLAN_STUCK, "one could not be undone");
	items[2].undo_state = DF_UNDO_DUE;
	EXPECT(df_undo_plan(items, 5, &index) == DF_PLAN_UNDO && index == 2,
		   "retry() tries that one only");
	items[2].undo_state = DF_UNDO_UNDONE;
	EXPECT(df_undo_plan(items, 5, &index) == DF_PLAN_DONE, "all is undone");
	end_test("one rollback by hand");
}

/* ---- errors of bodies ----------------------------------------------------- */

static int
sqlstate_of(const char *text)
{
	return MAKE_SQLSTATE(text[0], text[1], text[2], text[3], text[4]);
}

static void
check_classified(const char *const *states, DfBodyError expected)
{
	int i;

	for (i = 0; states[i] != NULL; i++)
		EXPECT(df_classify_body_error(sqlstate_of(states[i]), "NameError: not looked at") ==
				   expected,
			   "SQLSTATE %s", states[i]);
}

static void
test_classify(void)
{
	static const char *const stuck[] = {"0A000", "25000", "25006", "25P02", "2D000", "2F000",
										"2F002", "2F003", "39000", "39P01", "42601", "42P01",
										"42703", "42883", "42501", "54000", "54001", "58P01",
										"F0000", "F0001", "XX000", "XX001", "XX002", "DF003",
										"DF004", "DF005", "DF006", "DF007", NULL};
	static const char *const transient[] = {"08000", "08006", "08P01", "40001", "40P01", "53000",
											"53100", "53200", "53300", "55P03", "57014", "57P01",
											"57P02", "57P03", "57P04", "58000", "58030", NULL};
	static const char *const failed[] = {"00000", "P0001", "P0000", "P0002", "P0003", "P0004",
										 "22012", "22023", "22P02", "23505", "23514", "21000",
										 "24000", "26000", "2200N", "28000", "55000", "55006",
										 "57000", "57ABC", "58ABC", "DF001", "DF002", "DF999",
										 "HV000", "ZZZZZ", "99999", NULL};
	int i;
	char text[6] = "00ABC";
	static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";

	check_classified(stuck, DF_BODY_STUCK);
	check_classified(transient, DF_BODY_TRANSIENT);
	check_classified(failed, DF_BODY_FAILED);
	EXPECT(df_classify_body_error(0, NULL) == DF_BODY_FAILED, "no SQLSTATE");
	end_test("SQLSTATEs that have a rule, and neighbours");

	for (i = 0; i < 36 * 36; i++)
	{
		const char *const stuck_classes = "0A 25 2D 2F 39 42 54 F0 XX";
		const char *const transient_classes = "08 40 53";
		char class_[3];
		DfBodyError expected = DF_BODY_FAILED;

		text[0] = class_[0] = digits[i / 36];
		text[1] = class_[1] = digits[i % 36];
		class_[2] = '\0';
		if (strstr(stuck_classes, class_) != NULL)
			expected = DF_BODY_STUCK;
		else if (strstr(transient_classes, class_) != NULL)
			expected = DF_BODY_TRANSIENT;
		EXPECT(df_classify_body_error(sqlstate_of(text), NULL) == expected, "class %s", class_);
	}
	end_test("every class there can be");
}

static void
test_classify_wrapped(void)
{
	static const char *const stuck[] = {"NameError: name 'custmer' is not defined",
										"SyntaxError: invalid syntax",
										"ImportError: no",
										"ModuleNotFoundError: No module named 'requests'",
										"AttributeError: x",
										"IndentationError: unexpected indent",
										"TabError: x",
										"UnboundLocalError: x",
										"could not compile PL/Python function \"f\""};
	static const char *const failed[] = {"",
										 "Name",
										 "NameError",
										 " NameError: x",
										 "nameerror: x",
										 "ValueError: x",
										 "KeyError: 'email'",
										 "plpy.Error: NameError: x",
										 "RuntimeError: SyntaxError: x",
										 "NameErrors: x"};
	int i;

	for (i = 0; i < (int) lengthof(stuck); i++)
	{
		EXPECT(df_classify_body_error(sqlstate_of("38000"), stuck[i]) == DF_BODY_STUCK, "%s",
			   stuck[i]);
		EXPECT(df_classify_body_error(sqlstate_of("38001"), stuck[i]) == DF_BODY_STUCK, "38001 %s",
			   stuck[i]);
		EXPECT(df_classify_body_error(sqlstate_of("P0001"), stuck[i]) == DF_BODY_FAILED,
			   "RAISE with Python's words: %s", stuck[i]);
	}
	for (i = 0; i < (int) lengthof(failed); i++)
		EXPECT(df_classify_body_error(sqlstate_of("38000"), failed[i]) == DF_BODY_FAILED, "\"%s\"",
			   failed[i]);
	EXPECT(df_classify_body_error(sqlstate_of("38000"), NULL) == DF_BODY_FAILED, "no message");
	end_test("errors that PL/Python wrapped");
}

/* ---- probes --------------------------------------------------------------- */

static DfProbeQuestion
probe_question(int i)
{
	DfProbeQuestion question = {0};

	question.found = i % 4 - 1;
	question.was_sent = i / 4 % 2;
	question.settled = i / 8 % 2;
	question.carried_out = i / 16 % 2;
	question.refused = i / 32 % 2;
	question.unwanted = i / 64 % 2;
	question.undoing = i / 128 % 2;
	question.harmless = i / 256 % 2;
	question.budget_left = i / 512 % 2;
	question.doubt = i / 1024 % 3;
	return question;
}

/* what must never happen, whatever else is known */
static void
test_probe(void)
{
	static const DfProbeQuestion doubt = {.was_sent = true, .settled = true, .budget_left = true};
	DfProbeQuestion one = doubt;

	for (int i = 0; i < 1024 * 3; i++)
	{
		DfProbeQuestion question = probe_question(i);
		DfProbeVerdict verdict = df_probe_verdict(&question);
		bool again = verdict == DF_PROBE_SEND || verdict == DF_PROBE_SEND_SAME;

		EXPECT((verdict == DF_PROBE_ADOPT) == (question.found == 1 && question.was_sent),
			   "adopted, question %d", i);
		EXPECT(verdict != DF_PROBE_EXISTED || !question.was_sent, "existed, question %d", i);
		EXPECT(!again || !question.was_sent || question.budget_left, "no budget, question %d", i);
		EXPECT(!again || !question.was_sent ||
				   !(question.carried_out || question.refused || question.undoing),
			   "sent again, question %d", i);
		EXPECT(verdict != DF_PROBE_SEND || question.found == 0, "sent without knowing, question %d",
			   i);
		if (question.was_sent)
		{
			EXPECT(!(verdict == DF_PROBE_SEND || verdict == DF_PROBE_NOT_DONE) || question.settled,
				   "believed too early, question %d", i);
			EXPECT(verdict != DF_PROBE_NOT_DONE || question.found == 0,
				   "failed without knowing, question %d", i);
			EXPECT(!question.carried_out || verdict != DF_PROBE_NOT_DONE,
				   "carried out, but failed, question %d", i);
			EXPECT(verdict != DF_PROBE_SEND_SAME || question.harmless ||
					   question.doubt == DF_DOUBT_RESEND,
				   "sent blindly, question %d", i);
		}
		else
			EXPECT(verdict != DF_PROBE_DOUBTFUL && verdict != DF_PROBE_STUCK &&
					   verdict != DF_PROBE_LATER,
				   "doubt about what was never sent, question %d", i);
	}
	end_test("what a probe must never lead to");

	EXPECT(df_probe_verdict(&one) == DF_PROBE_SEND, "not there");
	one.settled = false;
	EXPECT(df_probe_verdict(&one) == DF_PROBE_LATER, "not there yet");
	one = doubt;
	one.refused = true;
	EXPECT(df_probe_verdict(&one) == DF_PROBE_NOT_DONE, "refused, and not there");
	one = doubt;
	one.found = 2;
	EXPECT(df_probe_verdict(&one) == DF_PROBE_DOUBTFUL, "two records");
	one.doubt = DF_DOUBT_ACCEPT;
	EXPECT(df_probe_verdict(&one) == DF_PROBE_ACCEPT, "two records, accepted");
	one.doubt = DF_DOUBT_RESEND;
	EXPECT(df_probe_verdict(&one) == DF_PROBE_SEND_SAME, "two records, at least once");
	one.carried_out = true;
	EXPECT(df_probe_verdict(&one) == DF_PROBE_STUCK, "carried out, two records");
	one.found = 0;
	EXPECT(df_probe_verdict(&one) == DF_PROBE_STUCK, "carried out, and not there");
	end_test("what a probe's answer means");
}

int
main(void)
{
	test_machines();
	test_shape();
	test_names();
	test_answers();
	test_fates();
	test_undo_answers();
	test_mail_answers();
	test_probe();
	test_backoff();
	test_budget();
	test_retry_after();
	test_overflow();
	test_undo_candidates();
	test_undo_order();
	test_undo_plan();
	test_classify();
	test_classify_wrapped();
	printf("1..%d\n", n_tests);
	return n_failed == 0 ? 0 : 1;
}
