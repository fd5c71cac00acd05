/*
 * test/unit/flow/meaning_test.c
 *	  Tests of what a response means: to a request, a probe, an undo, a mail.
 *
 * The rules are written down a second time here and compared over the whole range of their
 * arguments: every status, method and header, and lists of rules drawn at random.  Whoever
 * changes a rule changes it in two places on purpose.
 *
 * An ordinary program that prints TAP; test/unit/run builds it plain, with sanitizers and
 * under valgrind.
 *
 * sources: test/unit/tap.c src/flow
 */
#include "postgres.h"

#include <limits.h>

#include "flow/meaning.h"
#include "random.h"
#include "tap.h"

static const char letters[] = "DKR?FSCU"; /* by DfMeaning */
static const char *const methods[] = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"};

/* ---- what a status says by itself ------------------------------------------ */

/* statuses in a text, such as "404 410" or "3xx" */
static bool
lists(const char *text, int status)
{
	char number[8];
	char class[8];

	snprintf(number, sizeof(number), "%d", status);
	snprintf(class, sizeof(class), "%dxx", status / 100);
	return strstr(text, number) != NULL || (status >= 100 && strstr(text, class) != NULL);
}

/* the table of the reference page; the first row that fits decides */
static const struct
{
	const char *statuses;
	const char *methods; /* "*" = any */
	char header; /* Retry-After (r), ...-Remaining: 0 (0), both or none (*) */
	char done; /* the step has once been done (y), has not (n), either (*) */
	char meaning;
} table[] = {
	{"2xx", "*", '*', '*', 'D'},
	{"404 410", "DELETE", '*', '*', 'K'},
	{"401", "*", '*', '*', 'C'},
	{"408 425 429", "*", '*', '*', 'R'},
	{"4xx 503", "*", 'r', '*', 'R'},
	{"403", "*", '0', '*', 'R'},
	{"3xx 403 405 406 407 411 414 415 431 501", "*", '*', '*', 'S'},
	{"404", "POST PUT PATCH", '*', '*', 'S'},
	{"400", "*", '*', 'n', 'S'},
	{"4xx", "*", '*', '*', 'F'},
};

static char
rule_of_status(const DfCame *came)
{
	for (int i = 0; i < lengthof(table); i++)
	{
		if (!lists(table[i].statuses, came->status))
			continue;
		if (table[i].methods[0] != '*' && strstr(table[i].methods, came->method) == NULL)
			continue;
		if (table[i].header == 'r' && came->retry_after_ms < 0)
			continue;
		if (table[i].header == '0' && !came->limit_used_up)
			continue;
		if (table[i].done == 'n' && came->once_done)
			continue;
		return table[i].meaning;
	}
	return '?';
}

static char
rule_of_mail(int code)
{
	if (lists("530 534 535 538", code))
		return 'C';
	switch (code / 100)
	{
		case 2:
			return 'D';
		case 4:
			return 'R';
		case 5:
			return 'F';
	}
	return '?';
}

static char
rule_of_undo(const DfCame *came)
{
	if (came->denied && came->status >= 200 && came->status <= 299)
		return 'R';
	if (came->status == 410)
		return 'K';
	return lists("403 409 423", came->status) ? 'R' : rule_of_status(came);
}

static void
check(DfMeaning got, char expected, const char *what, const DfCame *came)
{
	EXPECT(letters[got] == expected, "%s: status %d to %s is %c, not %c", what, came->status,
		   came->method, letters[got], expected);
}

static void
check_status(const DfCame *came)
{
	static const DfStepSpec http = {.is_mail = false};
	static const DfStepSpec mail = {.is_mail = true};
	char rule = rule_of_status(came);
	char step = rule;

	if (rule == 'D' && came->body_unusable && came->body_needed)
		step = 'U';
	else if (rule == 'D' && came->denied)
		step = 'F';
	check(df_response_meaning(&http, came), step, "request", came);
	check(df_probe_meaning(came), rule, "probe", came);
	check(df_undo_meaning(came), rule_of_undo(came), "undo", came);
	if (!came->body_unusable && !came->denied)
		check(df_response_meaning(&mail, came), rule_of_mail(came->status), "mail", came);
}

static void
test_statuses(void)
{
	static const int nonsense[] = {-1, 0, 1, 99, 600, 999, INT_MAX};

	for (int i = 0; i < 6 * 128; i++)
	{
		DfCame came = {.method = methods[i % 6],
					   .fate = i / 6 % 2 ? DF_FATE_RESPONSE : DF_FATE_TOO_LARGE,
					   .retry_after_ms = i / 12 % 2 ? 0 : -1,
					   .limit_used_up = i / 24 % 2,
					   .once_done = i / 48 % 2,
					   .body_unusable = i / 96 % 2,
					   .body_needed = i / 192 % 2,
					   .denied = i / 384 % 2,
					   .until_met = DF_TRUE};

		for (came.status = 100; came.status <= 599; came.status++)
			check_status(&came);
		for (int n = 0; n < lengthof(nonsense); n++)
		{
			came.status = nonsense[n];
			check(df_default_meaning(&came), '?', "nonsense", &came);
		}
	}
	end_test("every status of a request, a mail, a probe and an undo, by method and headers");
}

static void
test_fates(void)
{
	static const struct
	{
		DfFate fate;
		char rule;
	} fates[] = {{DF_FATE_NOT_SENT, 'R'},
				 {DF_FATE_STARVED, 'R'},
				 {DF_FATE_LOST, '?'},
				 {DF_FATE_REFUSED, 'F'}};

	for (int i = 0; i < lengthof(fates); i++)
	{
		for (int status = 0; status <= 599; status++)
		{
			DfStepSpec spec = {.is_mail = status % 2};
			DfCame came = {.fate = fates[i].fate, .status = status, .method = "POST"};

			check(df_response_meaning(&spec, &came), fates[i].rule, "request", &came);
			check(df_probe_meaning(&came), fates[i].rule, "probe", &came);
			check(df_undo_meaning(&came), fates[i].rule, "undo", &came);
		}
	}
	end_test("without a response its status does not matter");
}

/* ---- what the rules say ---------------------------------------------------- */

#define MOST_RULES 4

/* three conditions, whose truth a test chooses */
static const char *const conditions[] = {"a", "b", "c"};

static DfTruth
holds(void *arg, const char *condition)
{
	return ((const DfTruth *) arg)[condition[0] - 'a'];
}

typedef struct Rules
{
	DfAnswers answers;
	DfAnswer rules[MOST_RULES];
	DfStatusRange ranges[MOST_RULES][2];
	const char *of[MOST_RULES][3];
} Rules;

static void
draw_rules(Rules *drawn)
{
	memset(drawn, 0, sizeof(*drawn));
	drawn->answers.rules = drawn->rules;
	drawn->answers.n = next_random(MOST_RULES + 1);
	for (int i = 0; i < drawn->answers.n; i++)
	{
		DfAnswer *rule = &drawn->rules[i];

		rule->is = (DfMeaning) next_random(DF_MEANS_UNUSABLE);
		rule->statuses = drawn->ranges[i];
		rule->nstatuses = next_random(3);
		for (int n = 0; n < 2; n++)
		{
			drawn->ranges[i][n].first = 100 * (1 + next_random(5));
			drawn->ranges[i][n].last = drawn->ranges[i][n].first + 49 * next_random(3);
		}
		for (int n = next_random(3); n > 0; n--)
			drawn->of[i][n - 1] = methods[next_random(6)];
		if (drawn->of[i][0] != NULL)
			rule->methods = drawn->of[i];
		if (next_random(2))
			rule->condition = conditions[next_random(3)];
	}
}

/* whether a rule is about that response, its condition left out */
static bool
is_about(const DfAnswer *rule, const char *method, int status)
{
	bool by_method = rule->methods == NULL;
	bool by_status = rule->nstatuses == 0;

	for (int i = 0; rule->methods != NULL && rule->methods[i] != NULL; i++)
		by_method |= strcmp(rule->methods[i], method) == 0;
	for (int i = 0; i < rule->nstatuses; i++)
		by_status |= status >= rule->statuses[i].first && status <= rule->statuses[i].last;
	return by_method && by_status;
}

/*
 * What must be so, whatever the lists are: no rule before the one that counts is about the
 * response and holds, or may hold; the one that counts does; the step's list comes first.
 */
static void
check_lists(const Rules *step, const Rules *system, const char *method, int status,
			DfTruth *truths)
{
	const DfAnswers *both[] = {&step->answers, &system->answers};
	DfSaid said = df_answers_say(both, 2, method, status, holds, truths);
	bool over = false;

	for (int i = 0; i < 2; i++)
	{
		for (int n = 0; n < both[i]->n && !over; n++)
		{
			const DfAnswer *rule = &both[i]->rules[n];
			DfTruth truth = rule->condition == NULL ? DF_TRUE : holds(truths, rule->condition);
			bool counts = is_about(rule, method, status) && truth != DF_FALSE;

			over = said.rule == rule;
			EXPECT(over == counts, "rule %d of list %d to %s %d: counts %d", n, i, method, status,
				   counts);
			if (over)
				EXPECT(said.unknown == (truth == DF_UNKNOWN), "rule %d of list %d is unknown", n,
					   i);
		}
	}
	EXPECT(over || said.rule == NULL, "a rule that is in no list");
}

static void
test_rules(void)
{
	for (int i = 0; i < 20000; i++)
	{
		Rules step;
		Rules system;
		DfTruth truths[3] = {(DfTruth) next_random(3), (DfTruth) next_random(3),
							 (DfTruth) next_random(3)};

		draw_rules(&step);
		draw_rules(&system);
		check_lists(&step, &system, methods[next_random(6)], 100 + next_random(500), truths);
	}
	end_test("the first rule that fits counts, the step's before the system's");
}

/* a rule says the meaning, whatever the status would say by itself */
static void
test_said(void)
{
	for (int i = 0; i < 500 * DF_MEANS_UNUSABLE * 2 * 4; i++)
	{
		DfAnswer rule = {.is = (DfMeaning) (i / 500 % DF_MEANS_UNUSABLE)};
		bool unknown = i / 500 / DF_MEANS_UNUSABLE % 2;
		bool unusable = i / 1000 / DF_MEANS_UNUSABLE % 2;
		DfStepSpec spec = {.is_mail = false};
		DfCame came = {.fate = DF_FATE_RESPONSE,
					   .status = 100 + i % 500,
					   .method = i / 2000 / DF_MEANS_UNUSABLE % 2 ? "POST" : "DELETE",
					   .retry_after_ms = -1,
					   .body_unusable = unusable,
					   .body_needed = true,
					   .denied = true,
					   .until_met = DF_TRUE,
					   .said = {&rule, unknown}};
		char expected = unknown ? 'S' : letters[rule.is];
		bool not_good = expected == 'F' && came.status / 100 == 2;

		check(df_response_meaning(&spec, &came), expected == 'D' && unusable ? 'U' : expected,
			  "request", &came);
		/* a 2xx that is not good: to a probe and an undo it is no answer, so they are sent again */
		check(df_probe_meaning(&came), not_good ? 'R' : expected, "probe", &came);
		check(df_undo_meaning(&came), not_good ? 'R' : expected, "undo", &came);
	}
	end_test("what a rule says, and that an unknown one is for a person");
}

static void
test_methods(void)
{
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

int
main(void)
{
	test_statuses();
	test_fates();
	test_rules();
	test_said();
	test_methods();
	return done_testing();
}
