/*
 * test/unit/flow/doubt_test.c
 *	  Tests of flow/doubt.c: every combination of what was asked, what is known and what came.
 *
 * The rules are written down a second time here, as tables of patterns in which the first row
 * that fits decides, and compared over the whole product of the arguments.  Whoever changes a
 * rule changes it in two places on purpose.
 *
 * An ordinary program that prints TAP; test/unit/run builds it plain, with sanitizers and
 * under valgrind.
 *
 * sources: test/unit/tap.c src/flow
 */
#include "postgres.h"

#include "flow/doubt.h"
#include "flow/flow.h"
#include "tap.h"
#include "types/base.h"

#define NOW ((TimestampTz) INT64CONST(800000000000000))
#define SECONDS(s) ((TimestampTz) (s) *USECS_PER_SEC)

/* one value of each argument: the next number of the product, in mixed radix */
typedef struct Product
{
	unsigned rest;
} Product;

static int
choose(Product *product, int n)
{
	int value = product->rest % n;

	product->rest /= n;
	return value;
}

/* letters of the patterns; '*' fits all, several letters fit any of them */
static bool
fits(const char *pattern, char letter)
{
	return pattern[0] == '*' || strchr(pattern, letter) != NULL;
}

/* what all tests ask about; the pointers lead to each other, so it stays where it is */
typedef struct World
{
	DfStepSpec spec;
	DfStep step;
	DfSystemPolicy policy;
	DfDoubtCase about;
	char method; /* Safe, Idempotent, Effect, Letter */
	char lost; /* Nothing, in Doubt, a probe said that it may be sent again: R */
} World;

static DfDoubtPolicy
policy_of(char doubt)
{
	switch (doubt)
	{
		case 'F':
			return DF_DOUBT_FAIL;
		case 'R':
			return DF_DOUBT_RESEND;
		case 'A':
			return DF_DOUBT_ACCEPT;
		default:
			return DF_DOUBT_STUCK;
	}
}

static char probe[] = "GET /x";
static char undo[] = "DELETE /x";

static void
begin(World *world, char method, char lost)
{
	memset(world, 0, sizeof(*world));
	world->method = method;
	world->lost = lost;
	world->spec.is_mail = method == 'L';
	world->spec.method_class = method == 'S' ? DF_METHOD_SAFE
		: method == 'I'                      ? DF_METHOD_IDEMPOTENT
											 : DF_METHOD_EFFECT;
	world->spec.every_ms = 30000;
	world->step.engine.spec = &world->spec;
	world->step.row.attempts = 1;
	world->step.row.started_at = NOW - SECONDS(100);
	world->step.row.sent_at = NOW - SECONDS(50);
	world->step.row.undo_since = NOW - SECONDS(10);
	world->step.row.evidence.lost = lost == 'N' ? 0 : 2;
	world->step.row.evidence.lost_at = lost == 'N' ? DF_NEVER : NOW - SECONDS(60);
	world->step.row.evidence.may_resend = lost == 'R';
	world->policy.retry.initial_ms = 1000;
	world->policy.retry.max_ms = 60000;
	world->policy.key_ttl_ms = 3600000;
	world->policy.settle_ms = 10000;
	world->about.step = &world->step;
	world->about.policy = &world->policy;
	world->about.retry = world->policy.retry;
	world->about.undo_for_ms = 3600000;
	world->about.first_round = true;
	world->about.now = NOW;
	world->about.jitter = 0.5;
}

/* its budget is used up by the attempts that were made */
static void
use_up(World *world)
{
	world->about.retry.max_attempts = world->step.row.attempts;
}

static void
check_event(const World *world, const DfDecision *made, unsigned n)
{
	EXPECT(made->event == DF_NO_EVENT ||
			   df_step_next(world->step.row.state, (DfStepEvent) made->event) >= 0,
		   "case %u: a step that is %s cannot %s", n, df_step_state_name(world->step.row.state),
		   df_step_event_name((DfStepEvent) made->event));
	EXPECT(made->undo_to == DF_NO_EVENT ||
			   df_undo_allowed(world->step.row.undo_state, (DfUndoState) made->undo_to),
		   "case %u: an undo that is %s becomes %s", n,
		   df_undo_state_name(world->step.row.undo_state),
		   df_undo_state_name((DfUndoState) made->undo_to));
}

/* ---- a response to the step itself ---------------------------------------- */

/*
 * came: Done, Unusable, Kept (of a 2xx: k), come aGain, Refused, refused by a mail server (Y), a
 * person has to look (S), Credentials, Maybe: no response, or one that does not tell (m),
 * conflict with ourselves (X), with an attempt in progress (W); replayed: what does not tell
 * (P), and come again (p).
 * lost: with what came, as in World.  key: Trusted, not.  probe: Probe, none.
 * doubt: Stuck, Fail, Resend, Accept.  budget: Left, used up (-).  until: Met, not yet (-),
 * Timed out, unknown (?).
 */
typedef struct ResponseRule
{
	const char *came;
	const char *method;
	const char *lost;
	const char *key;
	const char *probe;
	const char *doubt;
	const char *budget;
	const char *until;
	DfVerdict verdict;
} ResponseRule;

/* clang-format off */
static const ResponseRule response_rules[] = {
	/* came method lost key probe doubt budget until */
	{"D",  "*",  "*",  "*", "*", "*", "*", "M", DF_VERDICT_DONE},
	{"D",  "*",  "*",  "*", "*", "*", "*", "-", DF_VERDICT_POLL},
	{"D",  "*",  "*",  "*", "*", "*", "*", "T", DF_VERDICT_UNTIL_TIMEOUT},
	{"D",  "*",  "*",  "*", "*", "*", "*", "?", DF_VERDICT_SAID_STUCK},
	{"K",  "*",  "*",  "*", "P", "*", "*", "*", DF_VERDICT_FIND_KEPT},
	{"K",  "*",  "*",  "*", "-", "*", "*", "*", DF_VERDICT_KEPT},
	{"k",  "*",  "*",  "*", "*", "*", "*", "*", DF_VERDICT_KEPT}, /* a 2xx tells which */
	{"S",  "*",  "*",  "*", "*", "*", "*", "*", DF_VERDICT_SAID_STUCK},
	{"A",  "*",  "*",  "*", "*", "*", "*", "*", DF_VERDICT_ASKED},
	{"C",  "*",  "*",  "*", "*", "*", "*", "*", DF_VERDICT_CREDENTIALS},

	/* carried out for certain: never sent again */
	{"U",  "S",  "*",  "*", "*", "*", "*", "*", DF_VERDICT_UNREADABLE},
	{"U",  "*",  "*",  "*", "P", "*", "*", "*", DF_VERDICT_ASK_PROBE},
	{"U",  "*",  "*",  "*", "-", "A", "*", "*", DF_VERDICT_ACCEPTED},
	{"U",  "*",  "*",  "*", "-", "*", "*", "*", DF_VERDICT_STUCK},

	/* not carried out, and no other attempt is in doubt */
	{"RY", "*",  "NR", "*", "*", "*", "*", "*", DF_VERDICT_FAILED},
	{"R",  "IEL","D",  "T", "*", "*", "*", "*", DF_VERDICT_FAILED}, /* the same key: settled */
	{"G",  "*",  "NR", "*", "*", "*", "L", "*", DF_VERDICT_AGAIN},
	{"G",  "*",  "NR", "*", "*", "*", "-", "*", DF_VERDICT_FAILED},
	{"M",  "S",  "*",  "*", "*", "*", "L", "*", DF_VERDICT_AGAIN},
	{"M",  "S",  "*",  "*", "*", "*", "-", "*", DF_VERDICT_FAILED},

	/* it may have been carried out: repeated where that is harmless, or asked for */
	{"GM", "I",  "D",  "*", "*", "*", "L", "*", DF_VERDICT_AGAIN_SAME},
	{"GM", "E",  "D",  "T", "*", "*", "L", "*", DF_VERDICT_AGAIN_SAME},
	{"GM", "EL", "D",  "*", "-", "R", "L", "*", DF_VERDICT_AGAIN_SAME},
	/* 'accept' is about responses that never came (M), not about one that does not tell (m) */
	{"m",  "S",  "*",  "*", "*", "*", "L", "*", DF_VERDICT_AGAIN},
	{"m",  "S",  "*",  "*", "*", "*", "-", "*", DF_VERDICT_FAILED},
	{"m",  "I",  "D",  "*", "*", "*", "L", "*", DF_VERDICT_AGAIN_SAME},
	{"m",  "E",  "D",  "T", "*", "*", "L", "*", DF_VERDICT_AGAIN_SAME},
	{"m",  "EL", "D",  "*", "-", "RA","L", "*", DF_VERDICT_AGAIN_SAME},
	{"X",  "IE", "D",  "*", "-", "R", "L", "*", DF_VERDICT_AGAIN_SAME},
	{"W",  "IE", "D",  "*", "*", "*", "L", "*", DF_VERDICT_AGAIN_SAME},

	/* the key is spent: with another one, where that is harmless, or asked for */
	{"p",  "*",  "NR", "*", "*", "*", "L", "*", DF_VERDICT_AGAIN},
	{"p",  "*",  "NR", "*", "*", "*", "-", "*", DF_VERDICT_FAILED},
	{"Pp", "I",  "D",  "*", "*", "*", "L", "*", DF_VERDICT_AGAIN_SAME},
	{"Pp", "E",  "D",  "*", "-", "R", "L", "*", DF_VERDICT_AGAIN_SAME},

	/* and given up where it is not */
	{"*",  "IEL","D",  "*", "P", "*", "*", "*", DF_VERDICT_ASK_PROBE},
	{"mP", "IEL","D",  "*", "-", "A", "*", "*", DF_VERDICT_ASK_PERSON},
	{"*",  "IEL","D",  "*", "-", "A", "*", "*", DF_VERDICT_ACCEPTED},
	{"*",  "IEL","D",  "*", "-", "F", "*", "*", DF_VERDICT_DOUBTFUL},
	{"*",  "IEL","D",  "*", "-", "*", "*", "*", DF_VERDICT_ASK_PERSON},
};

static const struct
{
	DfFate fate;
	int status;
	char came; /* to a request; of a conflict: without a loss */
	char mail;
} responses[] = {
	{DF_FATE_RESPONSE, 200, 'D', 'D'}, {DF_FATE_RESPONSE, 201, 'D', 'D'},
	{DF_FATE_RESPONSE, 302, 'S', '?'}, {DF_FATE_RESPONSE, 400, 'R', 'G'},
	{DF_FATE_RESPONSE, 401, 'C', 'G'}, {DF_FATE_RESPONSE, 403, 'S', 'G'},
	{DF_FATE_RESPONSE, 404, 'K', 'G'}, {DF_FATE_RESPONSE, 409, 'X', 'G'},
	{DF_FATE_RESPONSE, 422, 'R', 'G'}, {DF_FATE_RESPONSE, 429, 'A', 'G'},
	{DF_FATE_RESPONSE, 500, 'm', 'Y'}, {DF_FATE_RESPONSE, 503, 'G', 'Y'},
	{DF_FATE_RESPONSE, 535, 'm', 'C'}, {DF_FATE_RESPONSE, 0,   'm', 'm'},
	{DF_FATE_TOO_LARGE, 200, 'D', 'D'}, {DF_FATE_TOO_LARGE, 500, 'm', 'Y'},
	{DF_FATE_NOT_SENT, 0, 'G', 'G'},   {DF_FATE_STARVED, 0, 'G', 'G'},
	{DF_FATE_LOST, 0, 'M', 'M'},       {DF_FATE_REFUSED, 0, 'Y', 'Y'},
	{DF_FATE_RESPONSE, 202, 'S', 'D'}, {DF_FATE_RESPONSE, 203, 'R', 'D'},
	{DF_FATE_RESPONSE, 204, 'G', 'D'}, {DF_FATE_RESPONSE, 205, 'm', 'D'},
	{DF_FATE_RESPONSE, 206, 'k', 'D'}, {DF_FATE_RESPONSE, 501, 'S', 'Y'},
	{DF_FATE_RESPONSE, 502, 'S', 'Y'}, {DF_FATE_RESPONSE, 404, 'D', 'G'},
};
/* clang-format on */

/* what `answers` say: the meanings that the letters stand for */
static const DfAnswer means_kept = {.is = DF_MEANS_KEPT};
static const DfAnswer means_fail = {.is = DF_MEANS_FAIL};
static const DfAnswer means_stuck = {.is = DF_MEANS_STUCK};
static const DfAnswer means_retry = {.is = DF_MEANS_RETRY};
static const DfAnswer means_doubt = {.is = DF_MEANS_DOUBT};
static const DfAnswer means_done = {.is = DF_MEANS_DONE};

static const DfAnswer *
rule_for(char came, bool accepts)
{
	switch (came)
	{
		case 'K':
		case 'X':
			return accepts ? &means_kept : &means_fail;
		case 'k':
			return &means_kept;
		case 'R':
			return &means_fail;
		case 'S':
			return &means_stuck;
		case 'G':
			return &means_retry;
		case 'm':
			return &means_doubt;
		case 'D':
			return &means_done;
		default:
			return NULL;
	}
}

typedef struct Response
{
	World world;
	DfCame came;
	char letter;
	char lost; /* with what came */
	char key;
	char probe;
	char doubt;
	char budget;
	char until;
} Response;

#define N_RESPONSES (28 * 4 * 3 * 2 * 3 * 2 * 4 * 2 * 4 * 2 * 2 * 2 * 2)

static char
letter_of(const Response *one, int i, bool accepts)
{
	char letter = one->world.method == 'L' ? responses[i].mail : responses[i].came;

	/* a mail server's 302 is no reply that there is */
	if (letter == '?')
		letter = 'm';
	if (letter == 'k' && one->world.lost != 'N' && one->world.method != 'S')
	{
		/* after a loss it may be there by it, as below */
		if (one->world.method == 'I' && one->world.spec.undo == NULL)
			return 'k';
		return one->key == 'T' ? 'k' : 'X';
	}
	if (letter == 'K' && !accepts)
		letter = 'R';
	if (one->came.replayed && one->world.method != 'S' && strchr("mGA", letter) != NULL &&
		responses[i].fate != DF_FATE_NOT_SENT && responses[i].fate != DF_FATE_STARVED)
		return letter == 'm' ? 'P' : 'p';
	if (letter != 'X' && letter != 'K')
		return letter;
	if (one->world.lost == 'N' || one->world.method == 'S')
		return accepts ? 'K' : 'R';
	/* what was answered to the first attempt is not about it */
	if (one->came.replayed && one->key == 'T')
		return accepts ? 'K' : 'R';
	if (one->world.lost == 'D' && one->key == 'T' && responses[i].status == 409 &&
		!(accepts && one->world.method == 'I' && one->world.spec.undo == NULL))
		return 'W';
	if (!accepts)
		return 'X';
	/* after a loss, what is accepted may be there by it, and is to be undone then */
	if (one->world.method == 'I' && one->world.spec.undo == NULL)
		return 'K';
	return letter == 'K' && one->key == 'T' ? 'K' : 'X';
}

/* what this attempt adds to what was known */
static char
lost_with(const Response *one)
{
	if (one->world.method == 'S')
		return one->world.lost;
	return strchr("MmUXP", one->letter) != NULL ? 'D' : one->world.lost;
}

/* false: nothing that can be */
static bool
next_response(unsigned n, Response *one)
{
	Product product = {n};
	int i = choose(&product, lengthof(responses));
	char method = "SIEL"[choose(&product, 4)];
	char lost = "NDR"[choose(&product, 3)];
	bool accepts;
	bool spoilt;

	if (method == 'S' && lost != 'N')
		return false;
	begin(&one->world, method, lost);
	one->key = "T-R"[choose(&product, 3)];
	one->probe = "P-"[choose(&product, 2)];
	one->doubt = "SFRA"[choose(&product, 4)];
	one->budget = "L-"[choose(&product, 2)];
	one->until = "M-T?"[choose(&product, 4)];
	accepts = choose(&product, 2);
	spoilt = choose(&product, 2);
	one->world.step.row.attempts = 1 + choose(&product, 2);
	one->world.spec.undo = choose(&product, 2) ? undo : NULL;
	memset(&one->came, 0, sizeof(one->came));
	one->came.replayed = choose(&product, 2);
	if (method == 'L' && (one->probe == 'P' || one->came.replayed))
		return false;

	one->world.step.row.state = DF_STEP_SENT;
	one->world.step.row.evidence.ask_probe = lost == 'D' && one->probe == 'P';
	one->world.policy.key_trusted = one->key == 'T';
	/* trusted in the body or the query, which only a POST or PATCH has */
	if (one->key == 'R')
	{
		one->world.spec.key_place.field = probe;
		one->key = method == 'E' ? 'T' : '-';
	}
	one->world.spec.probe = one->probe == 'P' ? probe : NULL;
	one->world.spec.doubt = policy_of(one->doubt);
	if (one->until != 'M')
		one->world.spec.until = probe;
	one->world.spec.until_timeout_ms = one->until == 'T' ? 60000 : 0;
	if (one->budget == '-')
	{
		/* a poll that was answered is no failure: its attempts are not counted */
		if (one->until != 'M')
			one->world.about.retry.for_ms = 1000;
		else
			use_up(&one->world);
	}

	one->came.fate = responses[i].fate;
	one->came.status = responses[i].status;
	one->came.method = "POST";
	if (method != 'L' && one->came.fate == DF_FATE_RESPONSE)
		one->came.said.rule = rule_for(responses[i].came, accepts);
	one->came.body_unusable = spoilt;
	one->came.body_needed = method != 'L';
	one->came.until_met = one->until == 'M' ? DF_TRUE : one->until == '?' ? DF_UNKNOWN
																		  : DF_FALSE;
	one->came.retry_after_ms = -1;
	one->letter = letter_of(one, i, accepts && method != 'L');
	if (one->letter == 'D' && spoilt && method != 'L')
		one->letter = 'U';
	one->lost = lost_with(one);
	return true;
}

static DfVerdict
expected_verdict(const Response *one)
{
	for (int i = 0; i < lengthof(response_rules); i++)
	{
		const ResponseRule *rule = &response_rules[i];

		if (fits(rule->came, one->letter) && fits(rule->method, one->world.method) &&
			fits(rule->lost, one->lost) && fits(rule->key, one->key) &&
			fits(rule->probe, one->probe) && fits(rule->doubt, one->doubt) &&
			fits(rule->budget, one->budget) && fits(rule->until, one->until))
			return rule->verdict;
	}
	return DF_VERDICT_NONE;
}

static bool
did_nothing(const Response *one)
{
	int status = one->came.status;

	return one->world.method == 'S' ||
		(status >= 300 && status <= 499) || status == 501;
}

static DfMeaning
expected_said(const Response *one, DfVerdict verdict)
{
	if (verdict == DF_VERDICT_SAID_STUCK)
		return DF_MEANS_STUCK;
	if (one->came.fate == DF_FATE_RESPONSE && one->came.said.rule != NULL)
		return one->letter == 'U' ? DF_MEANS_UNUSABLE : one->came.said.rule->is;
	switch (one->letter)
	{
		case 'D':
			return DF_MEANS_DONE;
		case 'U':
			return DF_MEANS_UNUSABLE;
		case 'A':
		case 'G':
			return DF_MEANS_RETRY;
		case 'C':
			return DF_MEANS_CREDENTIALS;
		case 'M':
		case 'm':
		case 'P':
			return DF_MEANS_DOUBT;
		case 'p':
			return DF_MEANS_RETRY;
		default:
			return DF_MEANS_FAIL;
	}
}

static int
expected_event(const Response *one, DfVerdict verdict, const DfEvidence *evidence)
{
	bool in_doubt = evidence->lost > 0 && !evidence->may_resend;

	switch (verdict)
	{
		case DF_VERDICT_DONE:
		case DF_VERDICT_KEPT:
		case DF_VERDICT_ACCEPTED:
			return DF_STEP_SUCCEED;
		case DF_VERDICT_FAILED:
		case DF_VERDICT_UNREADABLE:
		case DF_VERDICT_UNTIL_TIMEOUT:
			return DF_STEP_FAIL;
		case DF_VERDICT_SAID_STUCK:
			return did_nothing(one) && !in_doubt ? DF_STEP_FAIL : DF_STEP_LOSE;
		case DF_VERDICT_FIND_KEPT:
			return DF_STEP_AGAIN;
		case DF_VERDICT_AGAIN:
		case DF_VERDICT_POLL:
		case DF_VERDICT_ASKED:
		case DF_VERDICT_CREDENTIALS:
			return in_doubt ? DF_STEP_LOSE : DF_STEP_AGAIN;
		default:
			return DF_STEP_LOSE;
	}
}

static bool
is_spent(const Response *one)
{
	return one->letter == 'P' || one->letter == 'p';
}

static bool
takes_new_key(const Response *one, DfVerdict verdict)
{
	return is_spent(one) &&
		(verdict == DF_VERDICT_AGAIN || verdict == DF_VERDICT_AGAIN_SAME);
}

/* what proves nothing takes nothing away */
static void
expected_evidence(const Response *one, DfVerdict verdict, DfEvidence *evidence)
{
	bool one_request = one->world.method == 'S' || one->world.method == 'I' ||
		(one->world.method == 'E' && one->key == 'T');

	*evidence = one->world.step.row.evidence;
	evidence->ask_probe = verdict == DF_VERDICT_ASK_PROBE;
	if (one->world.method != 'S' && strchr("MmUP", one->letter) != NULL)
	{
		evidence->lost++;
		evidence->lost_at = NOW;
	}
	evidence->may_resend = one->lost == 'R';
	if (one->letter == 'D' && (one_request || one->lost == 'N'))
		memset(evidence, 0, sizeof(*evidence));
	else if (one->letter == 'D')
		evidence->maybe_twice = one->lost == 'D';
	if (one->letter == 'R' && one->key == 'T' && one->world.method != 'L')
		evidence->lost = 0;
	/* retry() must not make a second one of it */
	if (verdict == DF_VERDICT_SAID_STUCK && !did_nothing(one) && !one_request)
	{
		evidence->lost++;
		evidence->lost_at = NOW;
	}
	evidence->kept = verdict == DF_VERDICT_KEPT || verdict == DF_VERDICT_FIND_KEPT;
	evidence->said = expected_said(one, verdict);
	evidence->accepted = verdict == DF_VERDICT_ACCEPTED;
	evidence->key_spent = is_spent(one) && !takes_new_key(one, verdict);
}

static TimestampTz
expected_at(const Response *one, DfVerdict verdict)
{
	TimestampTz next = df_next_try(&one->world.about, -1);

	switch (verdict)
	{
		case DF_VERDICT_AGAIN:
		case DF_VERDICT_AGAIN_SAME:
			return next;
		case DF_VERDICT_ASK_PROBE:
			return one->world.step.row.attempts > 1 && next != DF_NEVER ? next : NOW;
		case DF_VERDICT_FIND_KEPT:
			return NOW;
		case DF_VERDICT_ASKED: /* half of the first delay, whatever the budget is */
			return NOW + SECONDS(1) / 2;
		case DF_VERDICT_CREDENTIALS:
			return NOW + SECONDS(1);
		case DF_VERDICT_POLL:
			return NOW + SECONDS(30);
		default:
			return DF_NEVER;
	}
}

static bool
same_evidence(const DfEvidence *a, const DfEvidence *b)
{
	return a->lost == b->lost && a->lost_at == b->lost_at && a->may_resend == b->may_resend &&
		a->ask_probe == b->ask_probe && a->key_spent == b->key_spent &&
		a->probed_at == b->probed_at && a->probe_found == b->probe_found &&
		a->probe_said == b->probe_said &&
		a->existed == b->existed && a->kept == b->kept && a->accepted == b->accepted &&
		a->maybe_twice == b->maybe_twice && a->maybe_not_ours == b->maybe_not_ours &&
		a->resolved == b->resolved &&
		a->said == b->said;
}

static void
test_responses(void)
{
	unsigned asked = 0;
	unsigned verdicts = 0;

	for (unsigned n = 0; n < N_RESPONSES; n++)
	{
		Response one;
		DfDecision made;
		DfVerdict verdict;
		DfEvidence evidence;

		if (!next_response(n, &one))
			continue;
		asked++;
		verdict = expected_verdict(&one);
		expected_evidence(&one, verdict, &evidence);
		made = df_decide_response(&one.world.about, &one.came);
		verdicts |= 1u << made.verdict;
		EXPECT(verdict != DF_VERDICT_NONE, "case %u: no rule for %c to %c, %c", n, one.letter,
			   one.world.method, one.lost);
		EXPECT(made.verdict == verdict,
			   "case %u: %c to %c, lost %c, key %c, probe %c, doubt %c, budget %c: %d, not %d", n,
			   one.letter, one.world.method, one.lost, one.key, one.probe, one.doubt, one.budget,
			   made.verdict, verdict);
		EXPECT(same_evidence(&made.evidence, &evidence), "case %u: other evidence after %d", n,
			   verdict);
		EXPECT(made.event == expected_event(&one, verdict, &evidence), "case %u: event %d", n,
			   made.event);
		EXPECT(made.at == expected_at(&one, verdict), "case %u: another time after %d", n, verdict);
		EXPECT(made.undo_to == DF_NO_EVENT, "case %u: an undo", n);
		EXPECT(made.new_key == takes_new_key(&one, verdict), "case %u: a new key", n);
		check_event(&one.world, &made, n);
	}
	EXPECT(asked > 90000, "%u cases only", asked);
	end_test("every response by method, loss, key, probe, doubt, budget and until");

	for (DfVerdict v = DF_VERDICT_DONE; v <= DF_VERDICT_FIND_KEPT; v++)
	{
		bool of_probe = v == DF_VERDICT_ADOPTED || v == DF_VERDICT_NOT_DONE ||
			v == DF_VERDICT_EXISTED || v == DF_VERDICT_KEPT_UNSEEN ||
			v == DF_VERDICT_PROBE_ASTRAY;

		EXPECT(of_probe == ((verdicts & (1u << v)) == 0), "verdict %d", v);
	}
	end_test("each verdict on a response was given");
}

/* ---- a probe -------------------------------------------------------------- */

/*
 * found: None, none at a path that may be wrong (n), One, Many, cannot tell (-), no answer to the
 * probe but budget to ask again (A).
 * sent: Sent, not.  settled: Yes, no.  last: what was answered to the step last: refused for
 * good (R), a conflict after a loss (X), a 2xx (D), what does not tell (m), nothing (-).  goal:
 * Forwards, Unwanted by a run that is rolled back, undo Known to be due (K).  harmless, budget:
 * Yes, no.  lost: Nothing, something (L).  own: what it finds is this step's, Yes or no:
 * nothing proves it after retry()
 * of a step with a loss, if the probe names neither run nor key.
 */
typedef struct ProbeRule
{
	const char *found;
	const char *sent;
	const char *settled;
	const char *last;
	const char *goal;
	const char *harmless;
	const char *budget;
	const char *doubt;
	const char *lost;
	const char *own;
	DfVerdict verdict;
} ProbeRule;

/* clang-format off */
static const ProbeRule probe_rules[] = {
	/* found sent settled last goal harmless budget doubt lost own */
	{"A",  "*", "*", "*",  "*",  "*", "*", "*", "*", "*", DF_VERDICT_PROBE_AGAIN},

	/* never sent: what is there is not ours, and nothing is sent without knowing */
	{"OM", "-", "*", "*",  "*",  "*", "*", "*", "N", "*", DF_VERDICT_EXISTED},
	{"N",  "-", "*", "*",  "*",  "*", "*", "*", "*", "*", DF_VERDICT_SEND},
	{"n",  "-", "*", "*",  "F",  "*", "*", "*", "N", "*", DF_VERDICT_PROBE_ASTRAY},
	{"n-", "-", "*", "*",  "FU", "*", "*", "*", "N", "*", DF_VERDICT_NOT_DONE},

	{"O",  "S", "*", "*",  "*",  "*", "*", "*", "*", "Y", DF_VERDICT_ADOPTED},

	/* not there */
	{"Nn", "S", "-", "*",  "*",  "*", "*", "*", "*", "*", DF_VERDICT_NOT_SETTLED},
	{"N",  "S", "Y", "-mR","K",  "*", "*", "*", "*", "*", DF_VERDICT_GONE},
	{"N",  "S", "Y", "-mR","U",  "*", "*", "*", "*", "*", DF_VERDICT_NOT_DONE},
	{"N",  "S", "Y", "R",  "F",  "*", "*", "*", "*", "*", DF_VERDICT_NOT_DONE},
	{"N",  "S", "Y", "-m", "F",  "*", "-", "*", "*", "*", DF_VERDICT_NOT_DONE},
	{"N",  "S", "Y", "-m", "F",  "*", "Y", "*", "*", "*", DF_VERDICT_SEND},

	/* it cannot tell, or contradicts what the system said before */
	{"*",  "*", "*", "*",  "K",  "*", "*", "*", "*", "*", DF_VERDICT_UNDO_UNKNOWN},
	{"*",  "S", "*", "-",  "FU", "Y", "Y", "*", "*", "*", DF_VERDICT_AGAIN_SAME},
	{"*",  "S", "*", "m",  "FU", "Y", "Y", "*", "*", "*", DF_VERDICT_AGAIN_SAME},
	{"*",  "S", "*", "-m", "F",  "*", "Y", "R", "*", "*", DF_VERDICT_AGAIN_SAME},
	{"*",  "S", "*", "m",  "F",  "*", "Y", "A", "*", "*", DF_VERDICT_AGAIN_SAME},
	{"*",  "*", "*", "-XRD","*", "*", "*", "A", "*", "*", DF_VERDICT_ACCEPTED},
	{"*",  "S", "*", "D",  "F",  "*", "*", "*", "*", "*", DF_VERDICT_STUCK},
	{"*",  "*", "*", "*",  "U",  "*", "*", "*", "*", "*", DF_VERDICT_DOUBTFUL},
	{"*",  "*", "*", "*",  "*",  "*", "*", "F", "*", "*", DF_VERDICT_DOUBTFUL},
	{"*",  "*", "*", "*",  "*",  "*", "*", "*", "*", "*", DF_VERDICT_ASK_PERSON},
};

static const struct
{
	DfFate fate;
	int status;
	int found;
	char letter; /* of probe_rules; '?' = asked again, unless it has no more budget */
} probes[] = {
	{DF_FATE_RESPONSE, 200, 0, 'N'},   {DF_FATE_RESPONSE, 200, 1, 'O'},
	{DF_FATE_RESPONSE, 200, 2, 'M'},   {DF_FATE_RESPONSE, 200, -1, '-'},
	{DF_FATE_RESPONSE, 404, 0, 'N'},   {DF_FATE_RESPONSE, 410, 0, 'N'},
	{DF_FATE_RESPONSE, 302, -1, '-'},  {DF_FATE_RESPONSE, 405, -1, '-'},
	{DF_FATE_RESPONSE, 401, -1, 'A'},  {DF_FATE_RESPONSE, 500, -1, '?'},
	{DF_FATE_RESPONSE, 429, -1, 'A'},  {DF_FATE_TOO_LARGE, 200, -1, '-'},
	{DF_FATE_NOT_SENT, 0, -1, '?'},    {DF_FATE_LOST, 0, -1, '?'},
	{DF_FATE_REFUSED, 0, -1, '-'},
};
/* clang-format on */

static const int last_statuses[] = {0, 409, 422, 201, 500, 412};
static const DfMeaning last_meanings[] = {DF_MEANS_DOUBT, DF_MEANS_FAIL, DF_MEANS_FAIL,
										  DF_MEANS_UNUSABLE, DF_MEANS_DOUBT, DF_MEANS_KEPT};

typedef struct Probe
{
	World world;
	DfProbeCame came;
	char found;
	char sent;
	char settled;
	char last;
	char goal;
	char harmless;
	char budget;
	char doubt;
	char loss;
	char own;
	bool too_late;
} Probe;

#define N_PROBES (15 * 3 * 2 * 4 * 6 * 3 * 3 * 2 * 2 * 4 * 3 * 2 * 2 * 2 * 2 * 2 * 2)

static bool
next_probe_case(unsigned n, Probe *one)
{
	Product product = {n};
	int i = choose(&product, lengthof(probes));
	char method = "IE"[choose(&product, 2)];
	/* not sent yet; renewed by retry() and asked about, in doubt since; sent */
	char way = "-ADS"[choose(&product, 4)];
	bool attempted = way == 'S';
	bool doubted = way == 'S' || way == 'D';
	int last = choose(&product, lengthof(last_statuses));
	int status = last_statuses[last];
	char lost = "NDR"[choose(&product, 3)];
	char goal = "FUK"[choose(&product, 3)];
	bool twin;
	bool patient;
	bool trusted;
	DfPathKnown path;

	if ((attempted && lost == 'N') || (way == 'D' && lost != 'D') ||
		(!doubted && lost == 'D'))
		return false;
	begin(&one->world, method, lost);
	trusted = choose(&product, 2);
	one->budget = "Y-"[choose(&product, 2)];
	one->doubt = "SFRA"[choose(&product, 4)];
	one->too_late = choose(&product, 3) == 2;
	twin = choose(&product, 2);
	patient = choose(&product, 2);
	one->settled = "Y-"[choose(&product, 2)];
	path = (DfPathKnown) choose(&product, DF_NPATHS);
	one->world.spec.probe_names_run = choose(&product, 2);
	one->world.step.row.renewals = choose(&product, 2);
	one->world.step.row.evidence.key_spent = choose(&product, 2);

	one->world.step.row.attempts = attempted ? 1 : 0;
	one->world.step.row.state = doubted ? DF_STEP_DOUBT : DF_STEP_PENDING;
	one->world.step.row.status = status;
	one->world.step.row.evidence.ask_probe = way == 'A';
	one->world.step.row.evidence.said = last_meanings[last];
	memset(&one->came, 0, sizeof(one->came));
	one->came.method = "GET";
	one->world.about.unwanted = goal != 'F';
	if (goal == 'K')
	{
		/* what is undone has ended: in doubt, or accepted */
		one->world.step.row.undo_state = one->too_late ? DF_UNDO_UNDONE : DF_UNDO_DUE;
		if (!doubted)
			return false;
	}
	else if (one->too_late)
		one->world.step.row.state = DF_STEP_DONE;
	one->world.spec.probe = probe;
	one->world.spec.doubt = policy_of(one->doubt);
	one->world.policy.key_trusted = trusted;
	if (one->settled == '-')
		one->world.policy.settle_ms = 60000;
	/* the time of a probe is the step's, from settling on; that of an undo its own */
	one->world.about.undo_for_ms = patient ? 3600000 : 1;
	if (!patient)
	{
		one->world.about.retry.for_ms = 1;
		one->world.step.row.undo_since = NOW - SECONDS(10);
		one->budget = '-';
		if (one->settled == '-')
			return false;
	}
	else if (one->budget == '-')
		one->world.about.retry.max_attempts = 1;

	one->came.fate = probes[i].fate;
	one->came.status = probes[i].status;
	one->came.found = probes[i].found;
	one->came.of_another = twin;
	one->came.path = path;
	one->came.retry_after_ms = -1;
	one->sent = way == '-' ? '-' : 'S';
	one->loss = lost == 'N' ? 'N' : 'L';
	one->own = attempted || lost == 'N' || one->world.spec.probe_names_run ? 'Y' : '-';
	one->found = probes[i].letter;
	if (one->found == '?')
		one->found = patient ? 'A' : '-';
	if (one->found == 'N' && path != DF_PATH_KNOWN &&
		(path == DF_PATH_UNKNOWN || way != '-' || lost != 'N'))
		one->found = 'n';
	if (one->found == 'O' && one->sent == 'S' && twin)
		one->found = '-';
	one->last = !attempted ? '-'
		: status == 409    ? 'X'
		: status == 412    ? 'X'
		: status == 422    ? 'R'
		: status == 201    ? 'D'
		: status == 500    ? 'm'
						   : '-';
	one->goal = goal;
	one->harmless = method == 'I' || (trusted && !one->world.step.row.evidence.key_spent) ? 'Y'
																						  : '-';
	/* rendered anew it is another request than the one that was lost */
	if (!attempted && lost != 'N' && one->world.step.row.renewals > 0)
		one->harmless = '-';
	if (!attempted)
		one->budget = 'Y';
	return true;
}

static DfVerdict
expected_probe_verdict(const Probe *one)
{
	DfVerdict verdict = DF_VERDICT_NONE;

	for (int i = 0; i < lengthof(probe_rules) && verdict == DF_VERDICT_NONE; i++)
	{
		const ProbeRule *rule = &probe_rules[i];

		if (fits(rule->found, one->found) && fits(rule->sent, one->sent) &&
			fits(rule->settled, one->settled) && fits(rule->last, one->last) &&
			fits(rule->goal, one->goal) && fits(rule->harmless, one->harmless) &&
			fits(rule->budget, one->budget) && fits(rule->doubt, one->doubt) &&
			fits(rule->lost, one->loss) && fits(rule->own, one->own))
			verdict = rule->verdict;
	}
	/* nothing is out that could be in doubt: retry() renewed it, and nothing was lost before */
	if ((verdict == DF_VERDICT_DOUBTFUL || verdict == DF_VERDICT_ASK_PERSON) && one->loss == 'N')
		verdict = DF_VERDICT_NOT_DONE;
	return verdict;
}

static void
expected_probe_evidence(const Probe *one, DfVerdict verdict, DfEvidence *evidence)
{
	*evidence = one->world.step.row.evidence;
	evidence->probed_at = NOW;
	evidence->probe_found = one->came.found;
	if ((one->came.found == 1 && one->found == '-') || one->found == 'n')
		evidence->probe_found = DF_FOUND_UNKNOWN;
	switch (verdict)
	{
		case DF_VERDICT_ADOPTED:
			evidence->lost = 0;
			evidence->may_resend = evidence->ask_probe = false;
			evidence->maybe_not_ours = !evidence->kept && !one->world.spec.probe_names_run;
			break;
		case DF_VERDICT_SEND:
			evidence->may_resend = evidence->lost > 0;
			evidence->key_spent = false;
			break;
		case DF_VERDICT_GONE:
			evidence->may_resend = evidence->lost > 0;
			break;
		case DF_VERDICT_NOT_DONE:
			evidence->may_resend = evidence->lost > 0;
			evidence->ask_probe = false;
			break;
		case DF_VERDICT_PROBE_ASTRAY:
			evidence->said = DF_MEANS_STUCK;
			evidence->ask_probe = false;
			break;
		case DF_VERDICT_EXISTED:
			evidence->existed = true;
			evidence->ask_probe = false;
			break;
		case DF_VERDICT_ACCEPTED:
			evidence->accepted = true;
			evidence->ask_probe = false;
			break;
		case DF_VERDICT_DOUBTFUL:
		case DF_VERDICT_ASK_PERSON:
		case DF_VERDICT_STUCK:
			evidence->may_resend = evidence->ask_probe = false;
			break;
		case DF_VERDICT_AGAIN_SAME:
			evidence->ask_probe = evidence->key_spent = false;
			if (one->sent == 'L')
				evidence->may_resend = false;
			break;
		default:
			break;
	}
}

static void
check_probe_time(const Probe *one, const DfDecision *made, unsigned n)
{
	switch (made->verdict)
	{
		case DF_VERDICT_PROBE_AGAIN:
		case DF_VERDICT_AGAIN_SAME:
			EXPECT(made->at >= NOW, "case %u: at no time", n);
			break;
		case DF_VERDICT_NOT_SETTLED:
			EXPECT(made->at == df_settled_at(&one->world.about), "case %u: not when settled", n);
			break;
		default:
			EXPECT(made->at == DF_NEVER, "case %u: at a time", n);
			break;
	}
}

static void
test_probes(void)
{
	unsigned asked = 0;

	for (unsigned n = 0; n < N_PROBES; n++)
	{
		Probe one;
		DfDecision made;
		DfVerdict verdict;
		DfEvidence evidence;

		if (!next_probe_case(n, &one))
			continue;
		asked++;
		made = df_decide_probe(&one.world.about, &one.came);
		if (one.too_late)
		{
			EXPECT(made.verdict == DF_VERDICT_NONE &&
					   same_evidence(&made.evidence, &one.world.step.row.evidence),
				   "case %u: it comes too late, %d", n, made.verdict);
			continue;
		}
		verdict = expected_probe_verdict(&one);
		expected_probe_evidence(&one, verdict, &evidence);
		EXPECT(made.verdict == verdict,
			   "case %u: found %c, sent %c, settled %c, last %c, goal %c, harmless %c, budget %c, "
			   "doubt %c: %d, not %d",
			   n, one.found, one.sent, one.settled, one.last, one.goal, one.harmless, one.budget,
			   one.doubt, made.verdict, verdict);
		EXPECT(same_evidence(&made.evidence, &evidence), "case %u: other evidence after %d", n,
			   verdict);
		EXPECT(made.new_key ==
				   (one.world.step.row.evidence.key_spent &&
					(verdict == DF_VERDICT_SEND || verdict == DF_VERDICT_AGAIN_SAME)),
			   "case %u: a new key", n);
		check_probe_time(&one, &made, n);
		check_event(&one.world, &made, n);
	}
	EXPECT(asked > 50000, "%u cases only", asked);
	end_test("every probe by what it found, what was answered before, goal, key, budget and doubt");
}

/* ---- what is certain ------------------------------------------------------ */

static bool
is_certain(DfVerdict verdict)
{
	return verdict == DF_VERDICT_DONE || verdict == DF_VERDICT_KEPT ||
		verdict == DF_VERDICT_ADOPTED || verdict == DF_VERDICT_FAILED ||
		verdict == DF_VERDICT_UNREADABLE || verdict == DF_VERDICT_FIND_KEPT ||
		verdict == DF_VERDICT_NOT_DONE ||
		verdict == DF_VERDICT_EXISTED || verdict == DF_VERDICT_GONE;
}

/* why a response makes the outcome of a step with a loss certain; NULL = nothing does */
static const char *
proof_in_response(const Response *one, DfVerdict verdict)
{
	bool answered = one->came.fate == DF_FATE_RESPONSE || one->came.fate == DF_FATE_TOO_LARGE;
	int status = one->came.status;
	bool same_key = one->key == 'T' && one->world.method != 'L';

	if (verdict == DF_VERDICT_DONE)
		return answered && one->letter == 'D' ? "the system has carried it out" : NULL;
	if ((verdict == DF_VERDICT_KEPT || verdict == DF_VERDICT_FIND_KEPT) &&
		one->world.method == 'I' && one->world.spec.undo == NULL)
		return "repeating it comes to the same, and nothing is to be undone";
	if (answered && same_key && strchr("RKk", one->letter) != NULL)
		return "the same key got the same response the first time";
	/* what the probe did not find is contradicted by a conflict, and by what is accepted */
	if (verdict == DF_VERDICT_FAILED && one->world.lost == 'R' &&
		(status != 409 || one->world.method == 'L'))
		return "a probe found nothing, and nothing has been lost since";
	return NULL;
}

static void
test_responses_are_certain_by_proof(void)
{
	unsigned certain = 0;

	for (unsigned n = 0; n < N_RESPONSES; n++)
	{
		Response one;
		DfDecision made;

		if (!next_response(n, &one) || one.world.lost == 'N')
			continue;
		made = df_decide_response(&one.world.about, &one.came);
		if (!is_certain(made.verdict))
			continue;
		certain++;
		EXPECT(proof_in_response(&one, made.verdict) != NULL,
			   "case %u: %d after a loss, and nothing proves it: status %d", n, made.verdict,
			   one.came.status);
		if (made.verdict == DF_VERDICT_FAILED && one.world.lost == 'D')
			EXPECT(made.evidence.lost == 0, "case %u: what was proved is still unknown", n);
	}
	EXPECT(certain > 1000, "%u certain outcomes only", certain);
	end_test("no response makes an outcome certain after a loss but by a proof");
}

/* the same of a probe */
static const char *
proof_in_probe(const Probe *one, DfVerdict verdict)
{
	const DfStep *step = &one->world.step;

	if (verdict == DF_VERDICT_ADOPTED && one->came.found == 1 && !one->came.of_another)
	{
		if (one->world.spec.probe_names_run)
			return "it bears the name of the run";
		return step->row.attempts > 0 ? "it was not there before the step was sent" : NULL;
	}
	if ((verdict == DF_VERDICT_NOT_DONE || verdict == DF_VERDICT_GONE) && one->came.found == 0 &&
		one->came.path == DF_PATH_KNOWN &&
		NOW >= df_settled_at(&one->world.about) && !strchr("XD", one->last))
		return "it is not there, the system has settled, and nothing contradicts that";
	return NULL;
}

static void
test_probes_are_certain_by_proof(void)
{
	unsigned certain = 0;

	for (unsigned n = 0; n < N_PROBES; n++)
	{
		Probe one;
		DfDecision made;

		if (!next_probe_case(n, &one) || one.world.lost == 'N')
			continue;
		made = df_decide_probe(&one.world.about, &one.came);
		if (!is_certain(made.verdict))
			continue;
		certain++;
		EXPECT(proof_in_probe(&one, made.verdict) != NULL,
			   "case %u: %d after a loss, and nothing proves it: found %c, sent %c, own %c", n,
			   made.verdict, one.found, one.sent, one.own);
	}
	EXPECT(certain > 1000, "%u certain outcomes only", certain);
	end_test("no probe makes an outcome certain after a loss but by a proof");
}

/* what a probe has found by an address is deleted only if something says that it is ours */
static void
test_what_may_be_anothers(void)
{
	for (unsigned n = 0; n < 2 * 2 * 2 * 2 * 2; n++)
	{
		Product product = {n};
		World world;
		DfProbeCame came = {.fate = DF_FATE_RESPONSE,
							.status = 200,
							.method = "GET",
							.retry_after_ms = -1,
							.found = 1};
		DfDecision made;
		bool named;

		begin(&world, 'E', 'D');
		world.spec.probe = probe;
		world.spec.probe_names_run = choose(&product, 2);
		world.spec.probe_names_key = choose(&product, 2);
		world.about.first_round = choose(&product, 2);
		came.names_step = choose(&product, 2);
		world.step.row.evidence.kept = choose(&product, 2);
		world.step.row.state = world.step.row.evidence.kept ? DF_STEP_PENDING : DF_STEP_DOUBT;
		named = world.spec.probe_names_key ||
			(world.spec.probe_names_run && world.about.first_round);
		if (!world.step.row.evidence.kept)
			EXPECT(df_undo_needs_probe(&world.about) == !named, "case %u: asked before", n);
		made = df_decide_probe(&world.about, &came);
		EXPECT(made.verdict == DF_VERDICT_ADOPTED, "case %u: %d", n, made.verdict);
		EXPECT(made.evidence.maybe_not_ours ==
				   (!named && !came.names_step && !world.step.row.evidence.kept),
			   "case %u: whose it is", n);
		world.step.row.evidence = made.evidence;
		world.step.row.state = DF_STEP_DONE;
		world.step.row.undo_state = DF_UNDO_FAILED;
		made = df_decide_word(&world.about, DF_WORD_DONE);
		EXPECT((made.verdict == DF_VERDICT_DONE) == world.step.row.evidence.maybe_not_ours &&
				   made.event == DF_NO_EVENT,
			   "case %u: a person says that it is ours", n);
		EXPECT(made.verdict == DF_VERDICT_NONE || !made.evidence.maybe_not_ours,
			   "case %u: which settles it", n);
	}
	end_test("what a probe finds by an address may be another's");
}

/* ---- `until` of a step with an effect --------------------------------------- */

static void
test_until_of_effects(void)
{
	for (unsigned n = 0; n < 3 * 2 * 2 * 2 * 2; n++)
	{
		Product product = {n};
		char method = "SIE"[choose(&product, 3)];
		bool trusted = choose(&product, 2);
		bool before = choose(&product, 2);
		bool met = choose(&product, 2);
		World world;
		DfCame came = {.fate = DF_FATE_RESPONSE, .status = 200, .retry_after_ms = -1};
		DfDecision made;

		begin(&world, method, 'N');
		world.spec.until = probe;
		world.spec.undo = choose(&product, 2) ? undo : NULL;
		world.step.row.state = DF_STEP_SENT;
		world.step.row.evidence.carried_out = before;
		world.policy.key_trusted = trusted;
		came.until_met = met ? DF_TRUE : DF_FALSE;
		made = df_decide_response(&world.about, &came);
		EXPECT(made.evidence.carried_out == (!met && method != 'S'),
			   "case %u: there is something to undo before it is done", n);
		EXPECT(made.evidence.maybe_twice ==
				   (before && method == 'E' && !trusted && world.spec.undo != NULL),
			   "case %u: each repetition makes another", n);
	}
	end_test("what is carried out before `until` is met can be undone");
}

/* ---- an undo -------------------------------------------------------------- */

static DfVerdict
expected_undo_verdict(const World *world, const DfCame *came, bool budget)
{
	const DfStep *step = &world->step;
	bool effect = step->row.undo == NULL || strncmp(step->row.undo, "DELETE ", 7) != 0;
	bool repeated = !effect ||
		(!came->replayed &&
		 (world->spec.doubt == DF_DOUBT_RESEND || world->policy.key_trusted));
	DfVerdict again = budget ? DF_VERDICT_UNDO_AGAIN : DF_VERDICT_UNDO_FAILED;

	switch (df_undo_meaning(came))
	{
		case DF_MEANS_KEPT:
			if (came->foreign)
				return again;
			/* sent 50 s ago; confirmed 5 s ago, if at all */
			if (world->policy.settle_ms > 50000 || step->row.finished_at != DF_NEVER)
				return DF_VERDICT_UNDO_NOT_SETTLED;
			if (!came->path_known)
				return DF_VERDICT_UNDO_ASTRAY;
			/* FALLTHROUGH */
		case DF_MEANS_DONE:
			if (step->row.state == DF_STEP_DONE && step->row.evidence.maybe_twice &&
				world->spec.undo_needs_response)
				return DF_VERDICT_UNDO_LEFT_A_SECOND;
			return came->status == 404 ? DF_VERDICT_GONE : DF_VERDICT_UNDONE;
		case DF_MEANS_CREDENTIALS:
			return DF_VERDICT_UNDO_ASKED;
		case DF_MEANS_RETRY:
			return again;
		case DF_MEANS_DOUBT:
			return repeated ? again : DF_VERDICT_UNDO_DOUBTFUL;
		default:
			return DF_VERDICT_UNDO_FAILED;
	}
}

static void
test_undos(void)
{
	static char *const undos[] = {"DELETE /x", "POST /refunds", NULL,
								  "AVERYLONGMETHODTHATNOBODYHAS /x"};
	static const int statuses[] = {200, 404, 409, 422, 500, 503, 401, 0};

	for (unsigned n = 0; n < 4 * 8 * 2 * 2 * 2 * 2 * 2 * 2 * 2 * 2 * DF_NDOUBTS * 2 * 2 * 2; n++)
	{
		Product product = {n};
		World world;
		DfCame came = {.retry_after_ms = -1};
		DfDecision made;
		DfVerdict verdict;
		bool budget;

		begin(&world, 'E', 'D');
		world.step.row.undo = undos[choose(&product, 4)];
		came.status = statuses[choose(&product, 8)];
		came.fate = came.status == 0 ? DF_FATE_LOST : DF_FATE_RESPONSE;
		came.replayed = came.status != 0 && choose(&product, 2);
		came.method = world.step.row.undo == undos[0] ? "DELETE" : "POST";
		world.step.row.state = choose(&product, 2) ? DF_STEP_DOUBT : DF_STEP_DONE;
		world.step.row.undo_state = DF_UNDO_SENT;
		world.step.row.evidence.accepted = choose(&product, 2);
		world.step.row.evidence.maybe_twice = choose(&product, 2);
		world.spec.undo_needs_response = choose(&product, 2);
		world.policy.key_trusted = choose(&product, 2);
		world.policy.settle_ms = choose(&product, 2) ? 60000 : 10000;
		budget = choose(&product, 2);
		world.about.undo_for_ms = budget ? 3600000 : 1;
		world.spec.doubt = (DfDoubtPolicy) choose(&product, DF_NDOUBTS);
		came.foreign = choose(&product, 2);
		came.path_known = choose(&product, 2);
		if (choose(&product, 2) && world.step.row.state == DF_STEP_DONE)
			world.step.row.finished_at = NOW - SECONDS(5); /* it has just been confirmed */
		verdict = expected_undo_verdict(&world, &came, budget);
		made = df_decide_undo(&world.about, &came);
		EXPECT(made.verdict == verdict, "case %u: status %d: %d, not %d", n, came.status,
			   made.verdict, verdict);
		EXPECT(same_evidence(&made.evidence, &world.step.row.evidence),
			   "case %u: other evidence", n);
		EXPECT((made.at != DF_NEVER) ==
				   (verdict == DF_VERDICT_UNDO_AGAIN || verdict == DF_VERDICT_UNDO_ASKED ||
					verdict == DF_VERDICT_UNDO_NOT_SETTLED),
			   "case %u: the time of %d", n, verdict);
		check_event(&world, &made, n);
	}
	end_test("every response to an undo");
}

/* ---- before it leaves ----------------------------------------------------- */

static void
test_phase(void)
{
	for (unsigned n = 0; n < 2 * 2 * 2 * 2 * 2 * 2 * 2 * 2; n++)
	{
		Product product = {n};
		World world;
		bool first;
		DfPhase expected = DF_PHASE_DO;

		begin(&world, 'E', 'D');
		world.step.row.state = choose(&product, 2) ? DF_STEP_DOUBT : DF_STEP_PENDING;
		world.spec.probe = choose(&product, 2) ? probe : NULL;
		world.step.row.evidence.ask_probe = choose(&product, 2);
		world.about.unwanted = choose(&product, 2);
		world.step.row.attempts = choose(&product, 2);
		world.spec.probe_names_run = choose(&product, 2);
		world.spec.probe_names_key = choose(&product, 2);
		world.about.first_round = choose(&product, 2);

		first = !world.spec.probe_names_key &&
			!(world.spec.probe_names_run && world.about.first_round);
		if (world.spec.probe == NULL)
			expected = DF_PHASE_DO;
		else if (world.step.row.state == DF_STEP_DOUBT)
			expected = world.step.row.evidence.ask_probe || world.about.unwanted ? DF_PHASE_PROBE
																				 : DF_PHASE_DO;
		else if (world.step.row.attempts == 0)
			expected = world.step.row.evidence.ask_probe || first ? DF_PHASE_PROBE : DF_PHASE_DO;
		EXPECT(df_decide_phase(&world.about) == expected, "case %u: phase %d", n, expected);
	}
	end_test("what is sent when a try is due");
}

static void
test_departure(void)
{
	for (unsigned n = 0; n < 3 * 2 * 3 * 2 * 2 * 2 * 4 * 2 * 2 * 2 * 2 * 2; n++)
	{
		Product product = {n};
		World world;
		DfObjection objection;
		DfObjection expected = DF_OBJECTION_NONE;
		DfVerdict verdict = DF_VERDICT_NONE;
		DfPhase phase;
		DfDecision made;
		bool anew;
		bool accepts;
		bool resends;
		bool forgotten;

		begin(&world, "IEL"[choose(&product, 3)], 'D');
		world.step.row.state = choose(&product, 2) ? DF_STEP_DOUBT : DF_STEP_PENDING;
		phase = world.step.engine.phase = (DfPhase) choose(&product, 3);
		world.step.engine.urgent = choose(&product, 2);
		world.policy.key_trusted = choose(&product, 2);
		world.spec.probe = choose(&product, 2) ? probe : NULL;
		world.spec.doubt = (DfDoubtPolicy) choose(&product, DF_NDOUBTS);
		world.about.unwanted = choose(&product, 2);
		/* no response, or one that does not tell */
		world.step.row.status = choose(&product, 2) ? 500 : 0;
		world.step.row.evidence.key_spent = choose(&product, 2) && world.method != 'L';

		anew = choose(&product, 2);
		if (anew)
		{
			world.step.row.attempts = 0;
			world.step.row.renewals = 1;
		}
		forgotten = choose(&product, 2);
		if (forgotten)
			world.policy.key_ttl_ms = 0;
		accepts = world.spec.doubt == DF_DOUBT_ACCEPT && (anew || world.step.row.status == 0);
		resends = world.spec.doubt == DF_DOUBT_RESEND ||
			(world.spec.doubt == DF_DOUBT_ACCEPT && !accepts);

		if ((world.method != 'I' || anew) && world.step.row.state == DF_STEP_DOUBT &&
			phase == DF_PHASE_DO)
		{
			if (world.step.row.evidence.key_spent && world.method == 'E')
				expected = DF_OBJECTION_SPENT;
			else if (!world.step.engine.urgent &&
					 (!world.policy.key_trusted || forgotten || anew) &&
					 (!resends || world.about.unwanted))
				expected = world.method == 'L' ? DF_OBJECTION_MAIL
					: anew                     ? DF_OBJECTION_ANOTHER
					: world.policy.key_trusted ? DF_OBJECTION_OLD_KEY
											   : DF_OBJECTION_NO_KEY;
		}
		if (expected != DF_OBJECTION_NONE && world.spec.probe != NULL && !world.step.engine.urgent)
			phase = DF_PHASE_PROBE;
		else if (expected != DF_OBJECTION_NONE)
			verdict = accepts                                               ? DF_VERDICT_ACCEPTED
				: world.spec.doubt == DF_DOUBT_FAIL || world.about.unwanted ? DF_VERDICT_DOUBTFUL
																			: DF_VERDICT_ASK_PERSON;
		made = df_decide_departure(&world.about, DF_WHERE_SAME, &objection);
		EXPECT(objection == expected, "case %u: objection %d, not %d", n, objection, expected);
		EXPECT(made.verdict == verdict, "case %u: %d, not %d", n, made.verdict, verdict);
		EXPECT(verdict != DF_VERDICT_NONE || made.phase == phase, "case %u: phase %d", n,
			   made.phase);
		EXPECT(made.evidence.lost == 2, "case %u: a loss is forgotten", n);
		check_event(&world, &made, n);
	}
	end_test("what is asked again before a step in doubt leaves");
}

static void
test_where(void)
{
	static uint32 former[] = {3, 7};
	DfSystem system;
	DfStep step;

#define IS_AT(base, account, where) \
	do \
	{ \
		step.row.base_hash = (base); \
		step.row.account_hash = (account); \
		EXPECT(df_where(&step, &system) == (where), "%s, %s", #base, #account); \
	} while (0)

	memset(&system, 0, sizeof(system));
	memset(&step, 0, sizeof(step));
	system.url_hash = 5;
	system.account_hash = 0x1201;
	IS_AT(5, 0x1201, DF_WHERE_SAME);
	IS_AT(0, 0, DF_WHERE_SAME);
	IS_AT(7, 0x1201, DF_WHERE_OTHER_URL);
	IS_AT(5, 0x1301, DF_WHERE_OTHER_ACCOUNT);
	/* of another database */
	IS_AT(5, 0x1302, DF_WHERE_SAME);
	system.former = former;
	system.nformer = 2;
	IS_AT(7, 0x1201, DF_WHERE_SAME);
	IS_AT(7, 0x1301, DF_WHERE_OTHER_ACCOUNT);
	IS_AT(8, 0x1201, DF_WHERE_OTHER_URL);
	end_test("where a step was sent");
}

/* whatever else is known: what may be elsewhere is neither sent, nor probed, nor undone here */
static void
test_elsewhere(void)
{
	for (unsigned n = 0; n < 4 * 2 * 3 * 2 * 2 * 2 * 2 * DF_NDOUBTS * 2 * 2 * 2 * 2; n++)
	{
		Product product = {n};
		World world;
		DfObjection objection;
		DfVerdict verdict = DF_VERDICT_NONE;
		DfWhere where;
		DfDecision made;
		bool undoing;
		bool begun;

		begin(&world, "SIEL"[choose(&product, 4)], 'D');
		world.step.row.state = choose(&product, 2) ? DF_STEP_DOUBT : DF_STEP_PENDING;
		world.step.engine.phase = (DfPhase) choose(&product, 3);
		where = choose(&product, 2) ? DF_WHERE_OTHER_URL : DF_WHERE_OTHER_ACCOUNT;
		world.step.engine.urgent = choose(&product, 2);
		world.policy.key_trusted = choose(&product, 2);
		world.spec.probe = choose(&product, 2) ? probe : NULL;
		world.spec.doubt = (DfDoubtPolicy) choose(&product, DF_NDOUBTS);
		world.about.unwanted = choose(&product, 2);
		world.step.row.status = choose(&product, 2) ? 500 : 0;
		world.step.row.evidence.carried_out = choose(&product, 2);
		if (choose(&product, 2))
			world.step.row.undo_state = DF_UNDO_DUE;
		undoing = world.step.engine.phase == DF_PHASE_UNDO ||
			world.step.row.undo_state == DF_UNDO_DUE;
		begun = world.method != 'S' &&
			(world.step.row.state == DF_STEP_DOUBT ||
			 (world.method != 'L' && world.step.row.evidence.carried_out));
		if (world.method == 'L' && !world.about.unwanted &&
			(world.spec.doubt == DF_DOUBT_RESEND ||
			 (world.spec.doubt == DF_DOUBT_ACCEPT && world.step.row.status == 500)))
			begun = false;

		made = df_decide_departure(&world.about, where, &objection);
		if (!undoing && !begun)
		{
			EXPECT(!made.evidence.elsewhere && objection != DF_OBJECTION_URL &&
					   objection != DF_OBJECTION_ACCOUNT,
				   "case %u: what is nowhere yet may go anywhere", n);
			continue;
		}
		if (undoing)
			verdict = DF_VERDICT_UNDO_ELSEWHERE;
		else if (world.spec.doubt == DF_DOUBT_ACCEPT && world.step.row.status == 0 &&
				 world.step.row.state == DF_STEP_DOUBT)
			verdict = DF_VERDICT_ACCEPTED;
		else
			verdict = world.spec.doubt == DF_DOUBT_FAIL || world.about.unwanted
				? DF_VERDICT_DOUBTFUL
				: DF_VERDICT_ASK_PERSON;
		EXPECT(objection == (where == DF_WHERE_OTHER_URL ? DF_OBJECTION_URL : DF_OBJECTION_ACCOUNT),
			   "case %u: objection %d", n, objection);
		EXPECT(made.verdict == verdict, "case %u: %d, not %d", n, made.verdict, verdict);
		EXPECT(made.evidence.elsewhere == (verdict != DF_VERDICT_ACCEPTED),
			   "case %u: retry() has to know", n);
		EXPECT(verdict == DF_VERDICT_ACCEPTED || made.evidence.lost == 2,
			   "case %u: a loss is forgotten", n);
	}
	end_test("what may be elsewhere stays there until a person has looked");
}

/* ---- what people ask ------------------------------------------------------ */

static void
test_renewal(void)
{
	static const int statuses[] = {0, 201, 409, 422, 500, 503};

	for (unsigned n = 0; n < 6 * 3 * 2 * 2 * 3 * 2 * 2 * 2; n++)
	{
		Product product = {n};
		World world;
		bool stuck;
		int status = statuses[choose(&product, 6)];
		bool ask;
		bool asked;
		bool spent;
		DfRenewal renewal;

		begin(&world, 'E', "NDR"[choose(&product, 3)]);
		world.spec.probe = choose(&product, 2) ? probe : NULL;
		asked = world.step.row.evidence.ask_probe = choose(&product, 2);
		spent = world.step.row.evidence.key_spent = choose(&product, 2);
		world.step.kind = (DfStepKind[]){DF_STEP_HTTP, DF_STEP_MAIL,
										 DF_STEP_QUERY}[choose(&product, 3)];
		world.spec.has_key = world.step.kind == DF_STEP_HTTP;
		stuck = choose(&product, 2);
		world.step.row.evidence.said = stuck ? DF_MEANS_STUCK : DF_MEANS_FAIL;
		world.step.row.state = choose(&product, 2) ? DF_STEP_FAILED : DF_STEP_DOUBT;
		world.step.row.status = status;
		ask = status >= 500 && world.spec.probe != NULL;
		renewal = df_decide_renewal(&world.about);
		EXPECT(renewal.stays_in_doubt == (world.lost == 'D'), "case %u: stays in doubt", n);
		EXPECT(renewal.new_key ==
				   (world.lost != 'D' &&
					(world.step.kind != DF_STEP_HTTP || (status >= 400 && status <= 499) || spent ||
					 (world.step.row.state == DF_STEP_FAILED && stuck))),
			   "case %u: a new key", n);
		EXPECT(renewal.evidence.ask_probe == (ask || (world.lost == 'D' && asked)),
			   "case %u: asks the probe", n);
		EXPECT(renewal.evidence.lost == world.step.row.evidence.lost &&
				   renewal.evidence.may_resend == world.step.row.evidence.may_resend,
			   "case %u: a loss is forgotten", n);
	}
	end_test("retry() forgets no loss");
}

static void
test_words(void)
{
	for (unsigned n = 0; n < DF_STEP_NSTATES * DF_UNDO_NSTATES * 5 * 2 * 2; n++)
	{
		Product product = {n};
		World world;
		DfWord word;
		DfDecision made;
		bool undo_open;
		bool doubt;
		bool learns;
		bool ended;
		DfVerdict verdict = DF_VERDICT_NONE;

		begin(&world, 'E', 'D');
		world.step.row.state = (DfStepState) choose(&product, DF_STEP_NSTATES);
		world.step.row.undo_state = (DfUndoState) choose(&product, DF_UNDO_NSTATES);
		word = (DfWord) (DF_WORD_DONE + choose(&product, 5));
		/* whether its body has learned of the doubt, or may yet */
		learns = choose(&product, 2);
		world.spec.doubt = learns ? DF_DOUBT_FAIL : DF_DOUBT_STUCK;
		ended = choose(&product, 2);
		world.step.row.finished_at = ended ? NOW : DF_NEVER;
		world.step.row.evidence.maybe_twice = world.step.row.evidence.accepted = true;
		doubt = world.step.row.state == DF_STEP_DOUBT;
		undo_open = world.step.row.undo_state == DF_UNDO_FAILED;
		made = df_decide_word(&world.about, word);
		check_event(&world, &made, n);
		switch (word)
		{
			case DF_WORD_UNDONE:
				verdict = DF_VERDICT_UNDONE;
				break;
			case DF_WORD_NOT_DONE:
				verdict = DF_VERDICT_NOT_DONE;
				EXPECT((made.event == DF_STEP_FAIL) == doubt, "case %u: event", n);
				break;
			case DF_WORD_RESEND:
				verdict = doubt && ended && !learns ? DF_VERDICT_SEND : DF_VERDICT_NONE;
				EXPECT((made.event == DF_STEP_RENEW) == (verdict == DF_VERDICT_SEND),
					   "case %u: event", n);
				break;
			case DF_WORD_SKIPPED:
				verdict = undo_open ? DF_VERDICT_UNDONE : doubt ? DF_VERDICT_DONE
																: DF_VERDICT_NONE;
				break;
			default:
				verdict = doubt ? DF_VERDICT_DONE : DF_VERDICT_NONE;
				break;
		}
		EXPECT(made.verdict == verdict, "case %u: %d, not %d", n, made.verdict, verdict);
		EXPECT((made.event == DF_STEP_SUCCEED) == (verdict == DF_VERDICT_DONE), "case %u: done", n);
		if (verdict == DF_VERDICT_NONE)
		{
			EXPECT(same_evidence(&made.evidence, &world.step.row.evidence), "case %u: evidence", n);
			continue;
		}
		EXPECT(made.evidence.lost == 0 && !made.evidence.maybe_twice && !made.evidence.accepted &&
				   made.evidence.resolved == word,
			   "case %u: a person's word settles it", n);
	}
	end_test("every word of a person, whatever state it meets");

	for (int word = DF_WORD_DONE; word < DF_NWORDS; word++)
		EXPECT(df_word_of(df_word_name((DfWord) word)) == word, "word %d", word);
	EXPECT(df_word_name(DF_WORD_NONE) == NULL && df_word_of(NULL) == -1 && df_word_of("") == -1 &&
			   df_word_of("perhaps") == -1,
		   "no word");
	end_test("names of words, both ways");
}

/* ---- one step through several answers ------------------------------------- */

static DfVerdict
tell(World *world, DfFate fate, int status)
{
	DfCame came = {.fate = fate,
				   .status = status,
				   .method = "POST",
				   .until_met = DF_TRUE,
				   .retry_after_ms = status == 503 ? 1000 : -1,
				   .once_done = true};
	DfDecision made;

	world->step.row.state = DF_STEP_SENT;
	made = df_decide_response(&world->about, &came);
	world->step.row.evidence = made.evidence;
	world->step.row.status = status;
	world->step.row.state = (DfStepState) df_step_next(DF_STEP_SENT, (DfStepEvent) made.event);
	return made.verdict;
}

static DfVerdict
look(World *world, int found)
{
	DfProbeCame came = {.status = 200,
						.method = "GET",
						.found = found,
						.path = DF_PATH_KNOWN,
						.retry_after_ms = -1};
	DfDecision made = df_decide_probe(&world->about, &came);

	world->step.row.evidence = made.evidence;
	if (made.event != DF_NO_EVENT)
		world->step.row.state =
			(DfStepState) df_step_next(world->step.row.state, (DfStepEvent) made.event);
	return made.verdict;
}

/* what happens between the second attempt and the conflict */
static void
test_a_loss_is_remembered(void)
{
	static const struct
	{
		int status;
		bool renewed;
		const char *what;
	} between[] = {{0, false, "nothing"},
				   {401, false, "a token refresh"},
				   {503, false, "come later"},
				   {422, true, "a refusal and a renewal"}};

	for (int i = 0; i < lengthof(between); i++)
	{
		World world;

		begin(&world, 'E', 'N');
		world.spec.probe = probe;
		EXPECT(tell(&world, DF_FATE_LOST, 0) == DF_VERDICT_ASK_PROBE, "lost");
		EXPECT(look(&world, 0) == DF_VERDICT_SEND, "the probe finds nothing");
		if (between[i].status != 0)
			(void) tell(&world, DF_FATE_RESPONSE, between[i].status);
		if (between[i].renewed)
		{
			EXPECT(world.step.row.state == DF_STEP_FAILED, "%s: refused", between[i].what);
			world.step.row.evidence = df_decide_renewal(&world.about).evidence;
		}
		EXPECT(tell(&world, DF_FATE_RESPONSE, 409) == DF_VERDICT_ASK_PROBE,
			   "after %s, a conflict asks the probe", between[i].what);
		EXPECT(look(&world, 0) == DF_VERDICT_ASK_PERSON && world.step.row.state == DF_STEP_DOUBT,
			   "after %s, a conflict and a probe that finds nothing contradict each other",
			   between[i].what);
		EXPECT(look(&world, 1) == DF_VERDICT_ADOPTED && world.step.row.evidence.lost == 0,
			   "after %s, what is found proves it", between[i].what);
	}
	end_test("a loss is remembered until something proves what became of it");
}

/* ---- a system that asks for time ------------------------------------------- */

/* a step whose budget is used up, by attempts and by time */
static void
begin_late(World *world, char method)
{
	begin(world, method, 'N');
	use_up(world);
	world->about.retry.for_ms = 1000;
	world->about.undo_for_ms = 1000;
}

static void
check_asked(int status, int64 retry_after_ms, DfVerdict verdict, TimestampTz at)
{
	DfCame came = {.fate = DF_FATE_RESPONSE, .status = status, .retry_after_ms = retry_after_ms};
	World world;
	DfDecision made;

	begin_late(&world, 'E');
	made = df_decide_response(&world.about, &came);
	EXPECT(made.verdict == verdict, "%d: %d, not %d", status, made.verdict, verdict);
	EXPECT(made.at == at, "%d after " INT64_FORMAT " ms: " INT64_FORMAT, status, retry_after_ms,
		   made.at - NOW);
}

static void
check_asked_of_undo(int status, int64 retry_after_ms, DfVerdict verdict)
{
	DfCame came = {.fate = DF_FATE_RESPONSE, .status = status, .retry_after_ms = retry_after_ms};
	World world;
	DfDecision made;

	begin_late(&world, 'E');
	world.step.row.undo_state = DF_UNDO_SENT;
	world.step.row.undo = undo;
	came.method = "DELETE";
	made = df_decide_undo(&world.about, &came);
	EXPECT(made.verdict == verdict, "undo, %d: %d, not %d", status, made.verdict, verdict);
}

static void
test_asked(void)
{
	World world;

	check_asked(429, 2000, DF_VERDICT_ASKED, NOW + SECONDS(2) + SECONDS(1) / 2);
	check_asked(503, 2000, DF_VERDICT_ASKED, NOW + SECONDS(2) + SECONDS(1) / 2);
	check_asked(429, 0, DF_VERDICT_ASKED, NOW + SECONDS(1) / 2);
	check_asked(429, -1, DF_VERDICT_ASKED, NOW + SECONDS(1) / 2);
	check_asked(408, -1, DF_VERDICT_FAILED, DF_NEVER);
	check_asked_of_undo(429, -1, DF_VERDICT_UNDO_ASKED);
	check_asked_of_undo(503, 5, DF_VERDICT_UNDO_ASKED);
	check_asked_of_undo(503, -1, DF_VERDICT_UNDO_FAILED);
	end_test("a system that asks for time costs no attempt and no time");

	begin(&world, 'E', 'N');
	world.about.retry.for_ms = 60000;
	EXPECT(df_next_try(&world.about, -1) == DF_NEVER, "100 s are more than a minute");
	world.about.stopped_us = SECONDS(50);
	EXPECT(df_next_try(&world.about, -1) != DF_NEVER, "50 s of them do not count");
	world.about.stopped_us = SECONDS(30);
	EXPECT(df_next_try(&world.about, -1) == DF_NEVER, "70 s are too many");
	world.about.undo_for_ms = 5000;
	world.about.stopped_us = 0;
	EXPECT(df_next_undo_try(&world.about, -1) == DF_NEVER, "10 s are more than 5");
	world.about.stopped_us = SECONDS(8);
	EXPECT(df_next_undo_try(&world.about, -1) != DF_NEVER, "8 s of them do not count");
	end_test("clocks that stood still");
}

int
main(void)
{
	test_responses();
	test_probes();
	test_responses_are_certain_by_proof();
	test_probes_are_certain_by_proof();
	test_what_may_be_anothers();
	test_until_of_effects();
	test_undos();
	test_phase();
	test_departure();
	test_where();
	test_elsewhere();
	test_renewal();
	test_words();
	test_a_loss_is_remembered();
	test_asked();
	return done_testing();
}
