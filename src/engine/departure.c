/*
 * engine/departure.c
 *	  A step's request leaves, or cannot.
 *
 * Runs in a worker, and in a session that simulates, in the transaction that records the
 * intent and as the role that owns the workflow, on structs in memory.  Never send a byte
 * here: who calls does, after the commit.
 */
#include "postgres.h"

#include "engine/departure.h"
#include "engine/hold.h"
#include "engine/outcome.h"
#include "engine/run_failure.h"
#include "engine/step_evidence.h"
#include "engine/transition.h"
#include "fdw/policy.h"
#include "shared/clock.h"

/* in its phase: the effect and the undo have a state that says so */
static void
mark_sent(DfRun *run, DfStep *step)
{
	if (step->engine.phase == DF_PHASE_DO)
		df_step_transition(run, step, DF_STEP_SEND);
	else if (step->engine.phase == DF_PHASE_UNDO)
		df_undo_transition(run, step, DF_UNDO_SENT);
}

/* it cannot be sent: as if the connection had been refused */
void
df_step_refuse(DfRun *run, DfStep *step, const char *why)
{
	DfResponse response;
	DfSystemPolicy policy;

	step->engine.to_send = false;
	memset(&response, 0, sizeof(response));
	response.fate = DF_FATE_REFUSED;
	response.retry_after_ms = -1;
	response.error = why;
	df_policy_of(NULL, &policy);
	if (step->engine.phase != DF_PHASE_DO || step->row.state == DF_STEP_PENDING)
		mark_sent(run, step);
	(void) df_step_response(run, step, &response, &policy);
}

/* false: it must not be sent again; it is in doubt, or accepted */
bool
df_step_may_go(DfRun *run, DfStep *step, const DfSystem *system)
{
	DfSystemPolicy policy;

	df_policy_of(system, &policy);
	return df_step_may_leave(run, step, &policy, df_where(step, system));
}

void
df_step_has_no_system(DfRun *run, DfStep *step, const char *why)
{
	step->engine.to_send = false;
	df_run_get_stuck(run, ERRCODE_UNDEFINED_OBJECT,
					 psprintf("step \"%s\" cannot call system \"%s\": %s", step->name,
							  step->system, why),
					 "Correct the server or its user mapping, or grant USAGE on it, then call "
					 "dataflows.retry(run).");
	run->engine.advance = true;
}

void
df_step_leaves(DfRun *run, DfStep *step, const DfSystem *system)
{
	df_step_hold_ends(run, step);
	df_step_goes_to(step, system);
	mark_sent(run, step);
	step->engine.to_send = false;
	step->worker.in_flight = true;
	step->worker.attempt_at = df_now();
	run->worker.in_flight++;
}

void
df_step_lands(DfRun *run, DfStep *step)
{
	run->worker.in_flight--;
	step->worker.in_flight = false;
}
