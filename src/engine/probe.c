/*
 * engine/probe.c
 *	  The probe: asking a system whether a step in doubt was carried out.
 *
 * Runs in a worker, in its recording transaction, on structs in memory.  A
 * probe adopts only one single match that is provably ours: its template names
 * {run} or {idempotency_key}, or the same probe found nothing before the first
 * send.  What was there before is never adopted and never undone.
 */
#include "postgres.h"

#include "engine/json.h"
#include "engine/options.h"
#include "engine/outcome.h"
#include "shared/clock.h"
#include "shared/jsonpath.h"
#include "utils/memutils.h"

static bool
names_us(const char *probe)
{
	return strstr(probe, "{run}") != NULL || strstr(probe, "{idempotency_key}") != NULL;
}

/* whether the engine has to ask before it sends for the first time */
bool
df_probe_wanted_first(const DfStep *step)
{
	char	   *probe = df_json_get_text(step->options, "probe");

	return probe != NULL && !names_us(probe) && step->attempts == 0 && step->state == DF_STEP_PENDING;
}

/* how many records the answer shows; the one, if it is one */
static int
found_records(const DfStep *step, const DfReply *reply, Jsonb **record)
{
	char	   *path = df_json_get_text(step->options, "probe_found");
	bool		unusable;
	int			matches;
	Jsonb	   *body;

	if (reply->status == 404 || reply->status == 410)
		return 0;
	body = df_reply_body(reply, CurrentMemoryContext, &unusable);
	if (unusable)
		return -1;
	if (body == NULL)
		return 0;
	if (path != NULL)
	{
		*record = df_jsonpath_first(body, path, &matches);
		return matches;
	}
	if (!JB_ROOT_IS_ARRAY(body) || JB_ROOT_IS_SCALAR(body))
	{
		*record = body;
		return 1;
	}
	*record = df_jsonpath_first(body, "$[*]", &matches);
	return matches;
}

/* of a body that is being rolled back, not of its on_failure */
static bool
is_unwanted(const DfRun *run, const DfStep *step)
{
	return run->state == DF_RUN_ROLLING_BACK && strncmp(step->name, "on_failure/", 11) != 0;
}

/* nothing there: send (again), but believe it only when the system has settled */
static void
not_there(DfRun *run, DfStep *step, const DfReply *reply, const DfSystemPolicy *policy)
{
	TimestampTz sent_at = step->sent_at != DF_NEVER ? step->sent_at : step->started_at;
	TimestampTz settled = sent_at + policy->settle_ms * 1000;

	if (step->attempts == 0)
	{
		step->phase = DF_PHASE_DO;
		step->to_send = true;
		return;
	}
	if (df_now() < settled)
	{
		step->wake_at = settled;
		step->dirty = true;
		return;
	}
	if (is_unwanted(run, step))
	{
		/* it was not carried out, and nobody wants it any more */
		step->error = NULL;
		df_step_transition(run, step, DF_STEP_FAIL);
		return;
	}
	step->phase = DF_PHASE_DO;
	step->cleared = true;
	step->to_send = true;
}

/* the probe cannot tell: as the step's `doubt` says */
static void
cannot_tell(DfRun *run, DfStep *step, const DfReply *reply, const char *why)
{
	char	   *doubt = df_json_get_text(step->options, "doubt");

	if (doubt != NULL && strcmp(doubt, "resend") == 0 && !is_unwanted(run, step))
	{
		step->phase = DF_PHASE_DO;
		step->cleared = true;
		step->to_send = true;
	}
	else if (doubt != NULL && strcmp(doubt, "accept") == 0 && step->attempts > 0)
		df_step_accept_doubt(run, step);
	else if (step->attempts == 0)
	{
		DfJson		json;

		df_json_begin(&json);
		df_json_text(&json, "message", why);
		df_json_bool(&json, "in_doubt", false);
		step->error = df_json_end(&json, run->cxt);
		df_step_transition(run, step, DF_STEP_FAIL);
	}
	else
		df_step_doubtful(run, step, reply, why);
}

/* it was there before we ever sent: not ours */
static void
existed(DfRun *run, DfStep *step)
{
	DfJson		json;

	df_json_begin(&json);
	df_json_text(&json, "message", "the record existed before the step was sent");
	df_json_bool(&json, "existed", true);
	df_json_bool(&json, "in_doubt", false);
	step->error = df_json_end(&json, run->cxt);
	df_step_transition(run, step, DF_STEP_FAIL);
}

void
df_probe_reply(DfRun *run, DfStep *step, const DfReply *reply, const DfSystemPolicy *policy)
{
	DfAnswer	answer;
	DfVerdict	verdict;
	Jsonb	   *record = NULL;
	int			found;
	TimestampTz at;

	memset(&answer, 0, sizeof(answer));
	answer.fate = reply->fate;
	answer.status = reply->status;
	answer.method = DF_METHOD_SAFE;
	verdict = df_answer_verdict(&answer);

	if (verdict == DF_VERDICT_RETRY || verdict == DF_VERDICT_RETRY_SAME || verdict == DF_VERDICT_CREDENTIALS)
	{
		at = df_step_next_try(run, step, reply, policy);
		if (at == DF_NEVER)
			cannot_tell(run, step, reply, "the probe got no answer");
		else
		{
			step->wake_at = at;
			step->dirty = true;
		}
		return;
	}
	if (verdict != DF_VERDICT_DONE && reply->status != 404 && reply->status != 410)
	{
		cannot_tell(run, step, reply, psprintf("the probe was answered with status %d", reply->status));
		return;
	}
	found = found_records(step, reply, &record);
	if (found == 0)
		not_there(run, step, reply, policy);
	else if (step->attempts == 0)
		existed(run, step);
	else if (found == 1)
		df_step_done(run, step, reply, df_json_copy(record, run->cxt));
	else
		cannot_tell(run, step, reply, found < 0 ? "the probe's answer is not usable"
					: psprintf("the probe found %d records", found));
}
