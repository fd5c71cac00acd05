/*
 * engine/attempt.c
 *	  The attempts of steps and undos: those that failed are recorded, all are counted.
 *
 * Runs in a worker, in its recording transaction.  What is noted here is written with
 * the turn; it changes no step.
 */
#include "postgres.h"

#include "engine/attempt.h"
#include "engine/read_response.h"
#include "shared/metrics.h"
#include "types/base.h"

List *df_turn_attempts = NIL;

void
df_attempt_note(DfRun *run, DfStep *step, const DfResponse *response, const char *outcome,
				TimestampTz next_at)
{
	DfAttempt *attempt = palloc0(sizeof(DfAttempt));

	attempt->run = run->id;
	attempt->n = step->n;
	attempt->undo = step->engine.phase == DF_PHASE_UNDO;
	attempt->seq = attempt->undo ? step->row.undo_attempts : step->row.attempts;
	attempt->at = step->worker.attempt_at != DF_NEVER
		? step->worker.attempt_at
		: (step->row.sent_at != DF_NEVER ? step->row.sent_at : step->row.started_at);
	attempt->took_ms = response->took_us / 1000.0;
	attempt->status = response->status;
	attempt->outcome = outcome;
	attempt->error = df_response_what_came(response);
	attempt->next_at = next_at;
	df_turn_attempts = lappend(df_turn_attempts, attempt);
}

static const char *
result_of(const DfResponse *response)
{
	static const char *const classes[] = {"1xx", "2xx", "3xx", "4xx", "5xx"};

	switch (response->fate)
	{
		case DF_FATE_NOT_SENT:
			return "not_sent";
		case DF_FATE_LOST:
			return "no_answer";
		case DF_FATE_TOO_LARGE:
			return "too_large";
		case DF_FATE_REFUSED:
			return "refused";
		case DF_FATE_STARVED:
			return "not_sent";
		case DF_FATE_RESPONSE:
			break;
	}
	if (response->status == 429)
		return "429"; /* asks for time: neither their fault nor ours */
	if (response->status == 401)
		return "credentials";
	return response->status >= 100 && response->status < 600
		? classes[response->status / 100 - 1]
		: "5xx";
}

void
df_attempt_count(const DfStep *step, const DfResponse *response)
{
	static const char *const phases[] = {"do", "probe", "undo"};

	df_metric_add(DF_METRIC_ATTEMPTS, step->system, phases[step->engine.phase],
				  result_of(response), 1);
	if (response->took_us > 0)
		df_metric_observe(DF_METRIC_ATTEMPT_DURATION, step->system, response->took_us);
	if (response->body_len > 0)
		df_metric_add(DF_METRIC_RECEIVED_BYTES, step->system, NULL, NULL, response->body_len);
}
