/*
 * simulate/network.c
 *	  The network of a simulation: requests that leave, and the responses that were asked for.
 *
 * Runs in a user's backend, in the subtransaction of simulate(), as the owner of the workflow.
 * Stands where a worker has its departures, flights and libcurl: a request is rendered as ever,
 * and then a reply of the caller's is its response.  Nothing is ever sent here, no credentials
 * are read, and no place of a system is taken.
 */
#include "postgres.h"

#include "engine/departure.h"
#include "engine/outcome.h"
#include "engine/outgoing.h"
#include "engine/read_spec.h"
#include "engine/replay.h"
#include "engine/run_due.h"
#include "engine/run_steps.h"
#include "engine/step_api.h"
#include "engine/step_kind.h"
#include "fdw/policy.h"
#include "guc.h"
#include "shared/clock.h"
#include "simulate/network.h"
#include "simulate/path.h"
#include "simulate/replies.h"
#include "simulate/sim_response.h"
#include "simulate/story.h"
#include "types/base.h"
#include "utils/fmgrprotos.h"
#include "utils/timestamp.h"

/* a step that is sent so often will be sent for ever; one with `until` is asked in any case */
#define MOST_REQUESTS 1000
#define MOST_POLLS 5000

static const char *const suffixes[] = {"", "/probe", "/undo"};

/* ---- which reply ----------------------------------------------------------- */

static DfReplyList *
find_replies(DfSim *sim, const DfSimRun *of, const DfStep *step, const char *suffix)
{
	const char *whole = psprintf("%s%s%s", of->path, step->name, suffix);
	DfReplyList *list = df_replies_of(sim->overrides, whole);

	if (list == NULL)
		list = df_replies_of_step(sim->replies, of->path, step->name, suffix);
	if (list == NULL && df_is_handler_step(step))
		list = df_replies_of_step(sim->replies, of->path, df_step_called_name(step), suffix);
	return list;
}

static const DfReply *
reply_to(DfSim *sim, DfSimRun *of, DfStep *step)
{
	DfPhase phase = step->engine.phase;
	int attempt = df_sim_step(sim, of, step)->requests[phase]++;
	DfReplyList *list = find_replies(sim, of, step, suffixes[phase]);

	return list != NULL ? df_reply_of(list, attempt) : NULL;
}

/* of its replies the first that has one */
static const Jsonb *
made_body(DfSim *sim, DfSimRun *of, const DfStep *step)
{
	DfReplyList *list = find_replies(sim, of, step, "");
	ListCell *lc;

	foreach (lc, list != NULL ? list->replies : NIL)
		if (((DfReply *) lfirst(lc))->body != NULL)
			return ((DfReply *) lfirst(lc))->body;
	return NULL;
}

/* ---- departures ------------------------------------------------------------ */

static void
count_effect(DfSim *sim, DfSimRun *of, DfStep *step)
{
	if (step->engine.phase == DF_PHASE_PROBE ||
		df_step_spec(of->run, step)->method_class == DF_METHOD_SAFE)
		return;
	df_sim_note_effect(sim, of, step);
	if (++sim->effects == sim->crash_after)
	{
		sim->crash_run = of;
		sim->crash_step = step;
	}
}

static TimestampTz
later(const DfReply *reply, TimestampTz now)
{
	return DatumGetTimestampTz(DirectFunctionCall2(
		timestamptz_pl_interval, TimestampTzGetDatum(now), IntervalPGetDatum(&reply->after)));
}

/* nobody has seen its response */
static bool
is_made_unseen(const DfSimFlight *flight)
{
	const DfReply *reply = flight->reply;

	if (flight->phase != DF_PHASE_DO)
		return false;
	if (reply == NULL || reply->kind == DF_REPLY_LOST)
		return true;
	if (reply->kind != DF_REPLY_ANSWER)
		return false;
	if (reply->has_meaning)
		return reply->answer.is == DF_MEANS_DONE;
	return reply->status == 0 || reply->status / 100 == 2;
}

/* it may have been carried out, and may not */
static bool
reply_is_late(const DfSimFlight *flight)
{
	return flight->phase == DF_PHASE_DO && flight->reply != NULL &&
		flight->reply->kind == DF_REPLY_TIMEOUT;
}

static void
set_arrival(DfSimFlight *flight)
{
	TimestampTz now = df_now();
	TimestampTz given_up_at = now + flight->timeout_ms * 1000;
	const DfReply *reply = flight->reply;

	flight->arrives_at = reply != NULL ? later(reply, now) : now;
	flight->is_late = reply != NULL && reply->kind == DF_REPLY_ANSWER &&
		flight->arrives_at > given_up_at;
	if (flight->is_late || (reply != NULL && reply->kind == DF_REPLY_TIMEOUT))
		flight->arrives_at = given_up_at;
}

static void
depart(DfSim *sim, DfSimRun *of, DfStep *step, const DfSystem *system, const DfOutgoing *out)
{
	MemoryContext old = MemoryContextSwitchTo(sim->cxt);
	DfSimFlight *flight = palloc0(sizeof(DfSimFlight));

	flight->of = of;
	flight->step = step;
	flight->phase = step->engine.phase;
	flight->reply = reply_to(sim, of, step);
	flight->is_mail = out->mail_from != NULL;
	flight->made_body = made_body(sim, of, step);
	flight->timeout_ms = out->timeout_ms > 0 ? out->timeout_ms : system->timeout_ms;
	set_arrival(flight);
	if (is_made_unseen(flight) || reply_is_late(flight))
		df_sim_step(sim, of, step)->may_be_there = true;
	sim->flights = lappend(sim->flights, flight);
	flight->key_trusted = system->idempotency_trusted && system->idempotency_header != NULL;
	MemoryContextSwitchTo(old);
	count_effect(sim, of, step);
}

static bool
is_sent_for_ever(DfSim *sim, DfSimRun *of, DfStep *step)
{
	int most = df_step_spec(of->run, step)->until != NULL ? MOST_POLLS : MOST_REQUESTS;

	return df_sim_step(sim, of, step)->requests[step->engine.phase] >= most;
}

static void
dispatch_step(DfSim *sim, DfSimRun *of, DfStep *step)
{
	DfRun *run = of->run;
	char *why = NULL;
	DfSystem *system = df_system_get(step->system, &why);
	DfOutgoing out;

	if (system == NULL)
		df_step_has_no_system(run, step, why);
	else if (is_sent_for_ever(sim, of, step))
	{
		sim->endless = true;
		df_sim_row_of_endless(sim, of, step, step->engine.phase);
	}
	else if (!df_step_may_go(run, step, system))
		return;
	else if (!df_step_outgoing(run, step, &out, system->body.encoding == DF_ENCODING_FORM, &why))
		df_step_refuse(run, step, why);
	else
	{
		df_step_leaves(run, step, system);
		if (sim->explains)
			df_sim_path_request(sim, of, step, system, &out);
		depart(sim, of, step, system, &out);
	}
}

void
df_sim_dispatch(DfSim *sim, DfSimRun *of)
{
	DfRun *run = of->run;

	for (int i = 0; i < run->nsteps && !sim->endless; i++)
		if (run->steps[i]->engine.to_send)
		{
			df_sim_touch(sim, of);
			dispatch_step(sim, of, run->steps[i]);
		}
}

/* ---- what is there afterwards ---------------------------------------------- */

/* the engine has seen its response: what that says of the step it knows best */
static bool
is_made(const DfSimFlight *flight)
{
	const DfStep *step = flight->step;

	if (flight->phase == DF_PHASE_UNDO)
		return false;
	if (flight->is_late || (flight->reply != NULL && flight->reply->kind == DF_REPLY_LOST))
		return is_made_unseen(flight);
	return step->row.state == DF_STEP_DONE && !step->row.evidence.kept &&
		!step->row.evidence.accepted;
}

/* a probe finds what was made before; so does a key, and a PUT makes the same once more */
static void
note_made(DfSim *sim, const DfSimFlight *flight, bool made)
{
	DfStep *step = flight->step;
	DfSimStep *known = df_sim_step(sim, flight->of, step);
	DfMethodClass method = df_step_spec(flight->of->run, step)->method_class;
	bool again = flight->phase == DF_PHASE_DO && method == DF_METHOD_EFFECT && !flight->key_trusted;

	if (made && !flight->is_mail && method != DF_METHOD_SAFE && (known->made == 0 || again))
		known->made++;
}

/* ---- arrivals -------------------------------------------------------------- */

/*
 * The system asks for time or refuses our credentials, which uses no attempt, and its reply is the
 * same each time: nothing in the simulation will change that.
 */
static bool
is_held_for_ever(DfSim *sim, const DfSimFlight *flight)
{
	const DfStep *step = flight->step;
	DfReplyList *list;

	if (flight->reply == NULL || step->row.held_since == DF_NEVER)
		return false;
	list = find_replies(sim, flight->of, step, suffixes[flight->phase]);
	return flight->reply ==
		df_reply_of(list, df_sim_step(sim, flight->of, step)->requests[flight->phase]);
}

/* as the owner */
static void
arrive(DfSim *sim, DfSimFlight *flight)
{
	DfSimRun *of = flight->of;
	DfResponse response;
	DfSystemPolicy policy;
	char *why;

	df_sim_response(sim, flight, &response);
	df_policy_of(df_system_get(flight->step->system, &why), &policy);
	(void) df_step_response(of->run, flight->step, &response, &policy);
	df_step_lands(of->run, flight->step);
	note_made(sim, flight, is_made(flight));
	df_sim_row_of_response(sim, of, flight->step, flight->phase);
	if (is_held_for_ever(sim, flight))
	{
		sim->endless = true;
		df_sim_row_of_endless(sim, of, flight->step, flight->phase);
	}
	pfree(flight);
}

void
df_sim_arrivals(DfSim *sim)
{
	List *flights = sim->flights;
	List *due = NIL;
	MemoryContext old = MemoryContextSwitchTo(sim->cxt);
	TimestampTz now = df_now();
	ListCell *lc;

	sim->flights = NIL;
	foreach (lc, flights)
	{
		DfSimFlight *flight = lfirst(lc);

		if (flight->arrives_at <= now)
			due = lappend(due, flight);
		else
			sim->flights = lappend(sim->flights, flight);
	}
	MemoryContextSwitchTo(old);
	foreach (lc, due)
	{
		DfSimRun *of = ((DfSimFlight *) lfirst(lc))->of;
		DfAsRole before;

		df_sim_touch(sim, of);
		df_sim_act_as_owner(sim, of, &before);
		arrive(sim, lfirst(lc));
		df_sim_act_as_before(&before);
	}
	list_free(due);
	list_free(flights);
}

TimestampTz
df_sim_next_arrival(const DfSim *sim)
{
	TimestampTz next = DF_NEVER;
	ListCell *lc;

	foreach (lc, sim->flights)
	{
		TimestampTz at = ((DfSimFlight *) lfirst(lc))->arrives_at;

		if (next == DF_NEVER || at < next)
			next = at;
	}
	return next;
}

void
df_sim_lose_flights(DfSim *sim)
{
	ListCell *lc;

	foreach (lc, sim->flights)
		note_made(sim, lfirst(lc), is_made_unseen(lfirst(lc)));
	list_free_deep(sim->flights);
	sim->flights = NIL;
}

/* ---- within a body --------------------------------------------------------- */

/*
 * A run of fewer steps is entered anew for each of them, as in a worker.  Of more it is for one
 * in so many: a body that takes another way each time is still found out.
 */
#define FIRST_STEPS 100
#define STEPS_AT_ONCE 50

static DfSim *entered_sim = NULL;
static DfSimRun *entered_run = NULL;
static int answered = 0; /* in this entry */

/* nothing else that the run has begun can end before */
static bool
is_alone(const DfRun *run, const DfStep *step)
{
	if (run->worker.in_flight > 0 || run->row.state == DF_RUN_STUCK)
		return false;
	for (int i = 0; i < run->nsteps; i++)
		if (run->steps[i] != step && !df_step_ended(run->steps[i]))
			return false;
	return true;
}

/* its response comes at once */
static void
answer_request(DfSim *sim, DfSimRun *of, DfStep *step)
{
	DfSimFlight *flight;

	df_step_ops(step)->due(of->run, step);
	dispatch_step(sim, of, step);
	flight = sim->flights != NIL ? linitial(sim->flights) : NULL;
	if (flight == NULL || flight->arrives_at > df_now())
		return;
	list_free(sim->flights);
	sim->flights = NIL;
	arrive(sim, flight);
}

/* the clock goes on to its end, unless another run, a signal or the deadline comes before */
static void
end_sleep(DfSim *sim, DfSimRun *of, DfStep *step)
{
	TimestampTz deadline = df_run_deadline(of->run);
	TimestampTz until = step->row.wake_at;

	if (list_length(sim->runs) > 1 || sim->signals != NIL ||
		(deadline != DF_NEVER && deadline <= until))
		return;
	if (until > df_now())
		df_clock_simulate(until);
	df_step_ops(step)->settle(of->run, step, df_now());
	df_sim_rows_of_turn(sim, of, NIL);
}

static void
answer_at_once(DfRun *run, DfStep *step)
{
	DfSim *sim = entered_sim;
	MemoryContext old;

	if (entered_run->run != run || run->nsteps < FIRST_STEPS || run->nsteps > df_max_steps ||
		!df_step_is_new(step) || sim->flights != NIL || !is_alone(run, step) ||
		++answered % STEPS_AT_ONCE == 0)
		return;
	old = MemoryContextSwitchTo(sim->turn_cxt);
	if (df_step_ops(step)->sends_requests && step->row.state == DF_STEP_PENDING)
		answer_request(sim, entered_run, step);
	else if (step->kind == DF_STEP_SLEEP && step->row.state == DF_STEP_WAITING)
		end_sleep(sim, entered_run, step);
	MemoryContextSwitchTo(old);
}

/* a crash is to come in between */
void
df_sim_enter(DfSim *sim, DfSimRun *of)
{
	answered = 0;
	entered_sim = sim;
	entered_run = of;
	df_answer_at_once = sim->crash_after == 0 ? answer_at_once : NULL;
}

void
df_sim_leave(void)
{
	entered_sim = NULL;
	entered_run = NULL;
	df_answer_at_once = NULL;
}
