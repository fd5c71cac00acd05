/*
 * test/unit/flow/books_test.c
 *	  Tests of flow/doubt.c against the books of a system that loses responses.
 *
 * A system is played that keeps books, honours keys or not, and answers the first request in
 * one of many bad ways, the second in others.  The decisions drive a step to its end.  No
 * end may contradict the books, whatever the key, the probe, the budget and `doubt` are.
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

#define BEGINNING ((TimestampTz) INT64CONST(800000000000000))
#define MS(n) ((TimestampTz) (n) *1000)
#define SETTLE_MS 10000

/* ---- the system ------------------------------------------------------------ */

/* how the first response is lost, and what is said to the second request */
static const char *const firsts[] = {"before", "after", "half", "late", "router", "error"};
static const char *const seconds[] = {"201", "409", "500", "replay"};
static const char *const probes[] = {"none", "right", "late", "cannot tell", "blind"};

typedef struct System
{
	int first;
	int second;
	int probe;
	bool trusted;
	int requests;
	int made;
	bool made_by_key[8]; /* by renewals: what honours keys makes one of each */
	TimestampTz made_at; /* the first, DF_NEVER = none */
	TimestampTz late_at; /* when the first request will be carried out */
} System;

static bool
same(const char *name, const char *other)
{
	return strcmp(name, other) == 0;
}

static void
carry_out(System *system, int key, TimestampTz now)
{
	if (system->trusted && system->made_by_key[key])
		return;
	system->made_by_key[key] = true;
	system->made++;
	if (system->made_at == DF_NEVER)
		system->made_at = now;
}

static void
pass(System *system, TimestampTz now)
{
	if (system->late_at == DF_NEVER || now < system->late_at)
		return;
	carry_out(system, 0, system->late_at);
	system->late_at = DF_NEVER;
}

static DfCame
answer(DfFate fate, int status)
{
	DfCame came = {.fate = fate,
				   .status = status,
				   .method = "POST",
				   .until_met = DF_TRUE,
				   .retry_after_ms = -1};

	return came;
}

static DfCame
respond_first(System *system, TimestampTz now)
{
	const char *way = firsts[system->first];

	if (same(way, "late"))
		system->late_at = now + MS(SETTLE_MS / 2);
	else if (!same(way, "before") && !same(way, "error"))
		carry_out(system, 0, now);
	if (same(way, "router"))
		return answer(DF_FATE_RESPONSE, 503);
	return same(way, "error") ? answer(DF_FATE_RESPONSE, 500) : answer(DF_FATE_LOST, 0);
}

static DfCame
respond(System *system, int key, TimestampTz now)
{
	const char *second = seconds[system->second];
	DfCame came;

	pass(system, now);
	system->requests++;
	if (system->requests == 1)
		return respond_first(system, now);
	if (same(second, "replay") && key == 0)
	{
		came = answer(DF_FATE_RESPONSE, 500);
		came.replayed = true;
		return came;
	}
	if (system->requests == 2 && !same(second, "201") && !same(second, "replay"))
		return answer(DF_FATE_RESPONSE, same(second, "409") ? 409 : 500);
	carry_out(system, key, now);
	return answer(DF_FATE_RESPONSE, 201);
}

static DfProbeCame
look(System *system, TimestampTz now)
{
	const char *kind = probes[system->probe];
	DfProbeCame came = {.fate = DF_FATE_RESPONSE,
						.status = 200,
						.method = "GET",
						.path = DF_PATH_KNOWN,
						.retry_after_ms = -1};
	TimestampTz visible = now - (same(kind, "late") ? MS(SETTLE_MS / 3) : 0);

	pass(system, now);
	if (same(kind, "cannot tell"))
		came.found = DF_FOUND_UNKNOWN;
	else if (!same(kind, "blind") && system->made_at != DF_NEVER && system->made_at <= visible)
		came.found = system->made;
	return came;
}

/* ---- the step --------------------------------------------------------------- */

typedef struct World
{
	DfStepSpec spec;
	DfStep step;
	DfSystemPolicy policy;
	DfDoubtCase about;
	System system;
} World;

static char probe[] = "GET /x?run={run}";

static void
begin(World *world)
{
	memset(world, 0, sizeof(*world));
	world->spec.method = "POST";
	world->spec.method_class = DF_METHOD_EFFECT;
	world->spec.probe_names_run = true;
	world->step.engine.spec = &world->spec;
	world->step.row.started_at = BEGINNING;
	world->policy.retry.initial_ms = 100;
	world->policy.retry.max_ms = 2000;
	world->policy.key_ttl_ms = 24 * 3600 * 1000;
	world->policy.settle_ms = SETTLE_MS;
	world->about.step = &world->step;
	world->about.policy = &world->policy;
	world->about.undo_for_ms = 3600000;
	world->about.first_round = true;
	world->about.now = BEGINNING;
	world->about.jitter = 0.5;
}

/* what engine/step_evidence.c does */
static void
apply(World *world, const DfDecision *made)
{
	DfStep *step = &world->step;

	step->row.evidence = made->evidence;
	if (made->event != DF_NO_EVENT)
	{
		int to = df_step_next(step->row.state, (DfStepEvent) made->event);

		EXPECT(to >= 0, "a step that is %s cannot %s", df_step_state_name(step->row.state),
			   df_step_event_name((DfStepEvent) made->event));
		step->row.state = (DfStepState) to;
	}
	if (made->new_key)
		step->row.renewals++;
	step->engine.phase = made->phase;
	world->about.now = Max(made->at, world->about.now + MS(1));
}

static bool
is_end(DfVerdict verdict)
{
	return verdict > DF_VERDICT_NONE && verdict < DF_VERDICT_POLL;
}

static DfVerdict
send(World *world)
{
	DfStep *step = &world->step;
	DfObjection objection;
	DfDecision made = df_decide_departure(&world->about, DF_WHERE_SAME, &objection);
	DfCame came;

	if (made.verdict != DF_VERDICT_NONE)
	{
		step->row.status = 0;
		apply(world, &made);
		return made.verdict;
	}
	step->engine.phase = made.phase;
	if (made.phase == DF_PHASE_PROBE)
		return DF_VERDICT_ASK_PROBE;
	step->engine.urgent = false;
	step->row.state = (DfStepState) df_step_next(step->row.state, DF_STEP_SEND);
	step->row.attempts++;
	step->row.sent_at = world->about.now;
	came = respond(&world->system, step->row.renewals, world->about.now);
	step->row.status = came.status;
	made = df_decide_response(&world->about, &came);
	apply(world, &made);
	return made.verdict;
}

static DfVerdict
ask(World *world)
{
	DfProbeCame came = look(&world->system, world->about.now);
	DfDecision made = df_decide_probe(&world->about, &came);

	apply(world, &made);
	if (made.verdict == DF_VERDICT_SEND)
	{
		world->step.engine.urgent = true;
		world->step.engine.phase = DF_PHASE_DO;
	}
	return made.verdict;
}

static DfVerdict
run(World *world)
{
	DfVerdict verdict = DF_VERDICT_NONE;

	world->step.engine.phase = df_decide_phase(&world->about);
	for (int i = 0; i < 200 && !is_end(verdict); i++)
		verdict = world->step.engine.phase == DF_PHASE_PROBE ? ask(world) : send(world);
	/* whatever may still come has come */
	pass(&world->system, world->about.now + MS(10 * SETTLE_MS));
	return verdict;
}

/* ---- what the books allow ---------------------------------------------------- */

static bool
agrees(DfVerdict verdict, DfDoubtPolicy doubt, int made)
{
	switch (verdict)
	{
		case DF_VERDICT_DONE:
		case DF_VERDICT_ADOPTED:
			return doubt >= DF_DOUBT_RESEND ? made >= 1 && made <= 2 : made == 1;
		case DF_VERDICT_FAILED:
		case DF_VERDICT_NOT_DONE:
			return made == 0;
		case DF_VERDICT_DOUBTFUL:
			return doubt == DF_DOUBT_FAIL && made <= 1;
		case DF_VERDICT_ASK_PERSON:
			return doubt != DF_DOUBT_FAIL && made <= (doubt >= DF_DOUBT_RESEND ? 2 : 1);
		case DF_VERDICT_ACCEPTED:
			return doubt == DF_DOUBT_ACCEPT && made <= 1;
		default:
			return false;
	}
}

/* nobody is needed where the key or the probe tells */
static bool
is_told(const World *world)
{
	const System *system = &world->system;
	bool finds = same(probes[system->probe], "right") || same(probes[system->probe], "late");
	bool nothing = same(firsts[system->first], "before") || same(firsts[system->first], "error");

	if (world->about.retry.max_attempts > 0)
		return false;
	if (system->trusted && !same(seconds[system->second], "replay"))
		return true;
	return finds && !(same(seconds[system->second], "409") && nothing);
}

static void
test_books(bool in_request)
{
	int ends[DF_NVERDICTS] = {0};
	int cases = 0;

	for (unsigned n = 0; n < 6 * 4 * 5 * 2 * 2 * DF_NDOUBTS; n++)
	{
		unsigned rest = n;
		World world;
		DfVerdict verdict;

		begin(&world);
		world.system.first = rest % lengthof(firsts);
		rest /= lengthof(firsts);
		world.system.second = rest % lengthof(seconds);
		rest /= lengthof(seconds);
		world.system.probe = rest % lengthof(probes);
		rest /= lengthof(probes);
		world.system.trusted = rest % 2;
		rest /= 2;
		world.about.retry = world.policy.retry;
		world.about.retry.max_attempts = rest % 2 ? 2 : 0;
		rest /= 2;
		world.spec.doubt = (DfDoubtPolicy) rest;
		/* what it never finds it denies: that is believed, unless the system contradicts it */
		if (same(probes[world.system.probe], "blind") && !same(seconds[world.system.second], "409"))
			continue;
		world.spec.probe = same(probes[world.system.probe], "none") ? NULL : probe;
		if (world.system.trusted && in_request)
			world.spec.key_place.field = probe;
		else
			world.policy.key_trusted = world.system.trusted;
		verdict = run(&world);
		cases++;
		ends[verdict]++;
		EXPECT(agrees(verdict, world.spec.doubt, world.system.made),
			   "%s, then %s, probe %s, %s key, doubt %d, budget %d: %d with %d made",
			   firsts[world.system.first], seconds[world.system.second],
			   probes[world.system.probe], world.system.trusted ? "trusted" : "no",
			   world.spec.doubt, world.about.retry.max_attempts, verdict, world.system.made);
		EXPECT(!is_told(&world) || verdict == DF_VERDICT_DONE || verdict == DF_VERDICT_ADOPTED ||
				   world.spec.doubt == DF_DOUBT_ACCEPT,
			   "%s, then %s, probe %s, %s key, doubt %d: %d, though it could be told",
			   firsts[world.system.first], seconds[world.system.second],
			   probes[world.system.probe], world.system.trusted ? "trusted" : "no",
			   world.spec.doubt, verdict);
	}
	EXPECT(cases > 1500, "%d cases only", cases);
	EXPECT(ends[DF_VERDICT_DONE] > 0 && ends[DF_VERDICT_ADOPTED] > 0 &&
			   ends[DF_VERDICT_NOT_DONE] > 0 && ends[DF_VERDICT_DOUBTFUL] > 0 &&
			   ends[DF_VERDICT_ASK_PERSON] > 0 && ends[DF_VERDICT_ACCEPTED] > 0,
		   "not every end was met");
	end_test(in_request ? "no end contradicts the books, with the key in the request"
						: "no end contradicts the books, with the key in a header");
}

int
main(void)
{
	test_books(false);
	test_books(true);
	return done_testing();
}
