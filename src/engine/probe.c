/*
 * engine/probe.c
 *	  The probe: asking a system whether a step in doubt was carried out.
 *
 * Runs in a worker, in its recording transaction, on structs in memory.  What
 * a response means is decided in flow/doubt.c; here the resources in it are
 * counted and the decision is applied.  A probe takes over only a single match: its
 * template names {run} or {idempotency_key}, or the same probe found nothing before the
 * first send.  The latter is no proof, so that its undo is a person's, unless the match
 * bears one of these names.  What existed before is never taken over and never undone.
 */
#include "postgres.h"

#include "engine/hold.h"
#include "engine/home_path.h"
#include "engine/judge.h"
#include "engine/step_evidence.h"
#include "engine/probe.h"
#include "engine/probe_found.h"
#include "engine/proven.h"
#include "engine/read_body.h"
#include "engine/request_body.h"
#include "engine/run_failure.h"
#include "engine/step_end.h"
#include "engine/step_error.h"
#include "engine/step_key.h"
#include "engine/read_spec.h"
#include "engine/template.h"
#include "engine/transition.h"
#include "shared/json.h"
#include "types/base.h"
#include "types/fate.h"
#include "types/response.h"
#include "types/run.h"
#include "types/system_policy.h"
#include "utils/memutils.h"

/* ---- whose it is ----------------------------------------------------------- */

static bool
is_same(const Jsonb *one, const Jsonb *other)
{
	if (one == NULL || other == NULL)
		return one == other;
	return strcmp(df_json_to_text(one), df_json_to_text(other)) == 0;
}

/*
 * Another step of this run whose request was sent and whose probe asks the same:
 * one resource could belong to either.
 */
static DfStep *
asks_the_same(DfRun *run, DfStep *step)
{
	DfRendered mine;
	DfRendered theirs;
	char *why = NULL;

	if (df_step_spec(run, step)->probe_names_key ||
		!df_probe_render(run, step, &mine, &why))
		return NULL;
	for (int i = 0; i < run->nsteps; i++)
	{
		DfStep *other = run->steps[i];

		if (other == step || other->row.attempts == 0 ||
			other->row.state == DF_STEP_FAILED || df_step_spec(run, other)->probe == NULL ||
			strcmp(other->system, step->system) != 0)
			continue;
		if (df_probe_render(run, other, &theirs, &why) &&
			strcmp(mine.request, theirs.request) == 0 && is_same(mine.body, theirs.body) &&
			is_same(mine.headers, theirs.headers))
			return other;
	}
	return NULL;
}

/*
 * It bears the key of the step, or the id of the run: of a run that has had another round, that
 * round's would look the same.
 */
static bool
bears_our_name(const DfRun *run, const DfStep *step, const Jsonb *resource)
{
	const char *text = resource == NULL ? "" : df_json_to_text(resource);

	if (strstr(text, psprintf("\"%s\"", df_step_key(run, step))) != NULL)
		return true;
	return run->row.round_n == 0 && strstr(text, run->id_text) != NULL;
}

/* ---- the decision, applied ------------------------------------------------ */

static void
fail(DfRun *run, DfStep *step, const char *message, bool existed)
{
	DfJson json;

	df_json_begin(&json);
	df_json_text(&json, "message", message);
	if (existed)
		df_json_bool(&json, "existed", true);
	df_json_bool(&json, "in_doubt", false);
	step->row.error = df_error_with(run,
									existed || step->row.attempts == 0 ? NULL : step->row.error,
									df_json_end(&json, CurrentMemoryContext));
}

static void
not_done(DfRun *run, DfStep *step, const char *said)
{
	if (step->row.attempts == 0)
		fail(run, step, said, false);
	else
		fail(run, step,
			 psprintf("%s, and it was not carried out: %s",
					  df_json_get_text(step->row.error, "message"), said),
			 false);
}

/* sent again at once: what the probe has just seen may change soon */
static void
send_now(DfRun *run, DfStep *step)
{
	if (step->row.attempts > 0)
		step->row.error = df_error_flag(run, step->row.error, "in_doubt", false);
	step->engine.to_send = step->engine.urgent = run->engine.urgent = true;
	step->engine.not_before = DF_NEVER;
}

/* ended in doubt; status and body stay those of the step's own response */
static void
doubtful(DfRun *run, DfStep *step, const char *said)
{
	DfJson json;
	char *before = df_json_get_text(step->row.error, "message");

	df_json_begin(&json);
	if (before == NULL)
		before = "an earlier attempt may have been carried out";
	/* a probe that is asked again after retry() may say the same */
	df_json_text(&json, "message",
				 strstr(before, said) != NULL ? before : psprintf("%s, and %s", before, said));
	df_json_bool(&json, "in_doubt", true);
	step->row.error = df_error_with(run, step->row.error, df_json_end(&json, CurrentMemoryContext));
	df_step_ends_in_doubt(step);
}

static void
get_stuck(DfRun *run, DfStep *step, const char *said)
{
	df_run_get_stuck(
		run, DF_ERR_STEP_FAILED,
		psprintf("step \"%s\" was carried out (status %d), but its answer is not usable, and %s",
				 step->name, step->row.status, said),
		df_step_remedy(run, step));
}

/* there already, says the system, and yet it cannot be found: nothing is ours, and nothing known */
static void
kept_unseen(DfRun *run, DfStep *step, const char *said)
{
	fail(run, step, psprintf("it is there already (status %d), but %s", step->row.status, said),
		 false);
	df_run_get_stuck(
		run, DF_ERR_STEP_FAILED,
		psprintf("step \"%s\" (\"%s\" to system \"%s\"): %s", step->name, step->row.request,
				 step->system, df_json_get_text(step->row.error, "message")),
		psprintf("Correct the probe, or wait until the resource can be found; then have the step "
				 "sent again: SELECT dataflows.retry('%s');",
				 run->id_text));
}

/* nothing was sent, and nothing is, before somebody has looked at the probe */
static void
not_asked_rightly(DfRun *run, DfStep *step, const char *said)
{
	fail(run, step, psprintf("it was not sent, for %s", said), false);
	df_run_get_stuck(
		run, DF_ERR_STEP_FAILED,
		psprintf("step \"%s\" (\"%s\" to system \"%s\"): %s", step->name, step->row.request,
				 step->system, df_json_get_text(step->row.error, "message")),
		psprintf("Correct the path of the probe in the function or, if it is right, give the "
				 "probe \"answers\": \"404=kept\"; then have the step sent: SELECT "
				 "dataflows.retry('%s');",
				 run->id_text));
}

/* the result of the probe does not help the undo */
static Jsonb *
undo_unknown(DfRun *run, const DfStep *step, const char *said)
{
	const char *why = step->engine.spec->undo_needs_response
		? "the undo needs a field of a response that was never received"
		: "the undo may take away what is not this step's";
	DfJson json;

	df_json_begin(&json);
	df_json_text(&json, "message",
				 psprintf("%s, and %s", why, said));
	df_json_bool(&json, "in_doubt", true);
	return df_json_end(&json, run->cxt);
}

/* found while rolling back: the undo is rendered from it when its turn comes again */
static void
adopt(DfRun *run, DfStep *step, const DfResponse *response, const DfDecision *made,
	  Jsonb *resource)
{
	bool undoing = step->row.undo_state == DF_UNDO_DUE;

	if (resource != NULL)
		resource = df_json_copy(resource, run->cxt);
	if (!undoing && step->row.state != DF_STEP_DONE)
	{
		int status = step->row.status;

		df_step_know(step, &made->evidence);
		df_step_done(run, step, response, resource);
		if (made->evidence.kept) /* that it was there already is what the step was told */
			step->row.status = status;
		return;
	}
	step->row.output = resource;
	step->row.error = NULL;
	df_step_apply(run, step, made);
}

static void
apply(DfRun *run, DfStep *step, const DfDecision *made, const char *said, DfWhy why)
{
	df_step_apply(run, step, made);
	switch (made->verdict)
	{
		case DF_VERDICT_EXISTED:
			fail(run, step, "the resource existed before the step was sent", true);
			break;
		case DF_VERDICT_SEND:
			send_now(run, step);
			break;
		case DF_VERDICT_NOT_DONE:
			not_done(run, step, said);
			break;
		case DF_VERDICT_ACCEPTED:
			df_step_say_accepted(run, step);
			break;
		case DF_VERDICT_DOUBTFUL:
			doubtful(run, step, said);
			break;
		case DF_VERDICT_ASK_PERSON:
			doubtful(run, step, said);
			df_step_ask_person(run, step);
			break;
		case DF_VERDICT_STUCK:
			doubtful(run, step, said);
			get_stuck(run, step, said);
			break;
		case DF_VERDICT_PROBE_ASTRAY:
			not_asked_rightly(run, step, said);
			break;
		case DF_VERDICT_KEPT_UNSEEN:
			kept_unseen(run, step, said);
			break;
		case DF_VERDICT_GONE:
			step->row.undo_error = NULL;
			break;
		case DF_VERDICT_UNDO_UNKNOWN:
			step->row.undo_error = undo_unknown(run, step, said);
			break;
		default:
			break; /* asked, or sent, again at its time */
	}
	if (made->event == DF_STEP_FAIL)
		step->row.error = df_error_why(run, step->row.error, why);
}

/* ---- the way in ----------------------------------------------------------- */

/* by its status it would tell */
static bool
tells_in_vain(const DfResponse *response)
{
	return response->status / 100 == 2 || response->status == 404 || response->status == 410;
}

/* the resource may be in a part of it, of which nobody has said which */
static bool
may_be_wrapped(const DfStep *step, const DfResponse *response)
{
	bool unusable;

	return response->status / 100 == 2 && step->engine.spec->probe_found == NULL &&
		df_response_json(response, CurrentMemoryContext, &unusable) != NULL && !unusable;
}

/* a 404 that may be the router's */
static char *
astray_in_words(DfRun *run, DfStep *step, const DfResponse *response)
{
	DfRendered probe;
	char *why;

	return psprintf("the probe was answered with status %d, but nothing shows that \"%s\" is where "
					"the resource would be: it is not the path of the step, and this probe has "
					"never found anything",
					response->status,
					df_probe_render(run, step, &probe, &why) ? probe.request
															 : df_step_spec(run, step)->probe);
}

/* what it said, for a person: in the error, too, while the step has one */
static char *
in_words(DfRun *run, DfStep *step, const DfResponse *response, const DfProbeCame *came,
		 const DfDecision *made, const DfStep *other)
{
	char *said;

	if (response->fate != DF_FATE_RESPONSE && response->fate != DF_FATE_TOO_LARGE)
		said = psprintf("the probe got no answer (%s)",
						response->error != NULL ? response->error : "no reason given");
	else if (came->found == DF_FOUND_UNKNOWN)
		said = psprintf("the probe was answered with status %d%s%s", response->status,
						tells_in_vain(response) ? " and nothing that tells" : "",
						may_be_wrapped(step, response)
							? "; \"probe_found\" says which part of it is the resource"
							: "");
	else if (came->found == 0 && made->evidence.probe_found != 0)
		said = astray_in_words(run, step, response);
	else
		said = psprintf("the probe found %d resource%s (status %d)", came->found,
						came->found == 1 ? "" : "s", response->status);
	if (other != NULL)
		said = psprintf("%s, which may be that of step \"%s\"", said, other->name);
	return MemoryContextStrdup(run->cxt, said);
}

static void
note(DfRun *run, DfStep *step, const char *said)
{
	DfJson json;

	df_json_begin(&json);
	df_json_text(&json, "probe", said);
	step->row.error = df_error_with(run, step->row.error, df_json_end(&json, CurrentMemoryContext));
}

/* of a 2xx the body has said it, and a rule of `answers` was written by who knows the system */
static DfPathKnown
path_of(DfRun *run, DfStep *step, const DfCame *plain)
{
	DfPathKnown path;

	if (plain->status / 100 == 2 || df_probe_meaning(plain) == DF_MEANS_KEPT)
		return DF_PATH_KNOWN;
	path = df_probe_path(run, step);
	return path != DF_PATH_KNOWN && df_probe_was_proven(run, step) ? DF_PATH_KNOWN : path;
}

DfMeaning
df_probe_response(DfRun *run, DfStep *step, const DfResponse *response,
				  const DfSystemPolicy *policy)
{
	DfDoubtCase about = df_step_case(run, step, policy);
	DfCame plain = df_judge(run, step, response, policy);
	DfProbeCame came = {.fate = response->fate,
						.status = response->status,
						.method = plain.method,
						.retry_after_ms = response->retry_after_ms,
						.limit_used_up = plain.limit_used_up,
						.said = plain.said};
	DfStep *other = NULL;
	Jsonb *resource;
	DfDecision made;
	char *said;

	came.found = df_probe_found(run, step, response, &plain, &resource);
	if (came.found == 0)
		came.path = path_of(run, step, &plain);
	if (came.found == 1 && df_was_sent(step))
		other = asks_the_same(run, step);
	came.of_another = other != NULL;
	came.names_step = came.found == 1 && bears_our_name(run, step, resource);
	made = df_decide_probe(&about, &came);
	if (made.verdict == DF_VERDICT_NONE)
		return made.meaning;
	if (came.found != DF_FOUND_UNKNOWN && response->status / 100 == 2)
		df_probe_proven(run, step);
	said = in_words(run, step, response, &came, &made, other);
	made.evidence.probe_said = said;
	note(run, step, said);
	if (made.verdict == DF_VERDICT_PROBE_AGAIN &&
		(made.meaning == DF_MEANS_RETRY || made.meaning == DF_MEANS_CREDENTIALS))
		df_step_hold_begins(run, step);
	if (made.verdict == DF_VERDICT_ADOPTED)
		adopt(run, step, response, &made, resource);
	else
		apply(run, step, &made, said, df_why_failed(&about, &made, response->fate));
	return made.meaning;
}
