/*
 * flow/doubt_departure.c
 *	  Whether a step that is about to be sent may leave, and as what.
 *
 * Called where flow/doubt.c is, whose rules hold here.  Pure: the case and what came go in, a
 * decision comes out.
 */
#include "postgres.h"

#include "flow/doubt_facts.h"
#include "flow/flow.h"
#include "flow/names.h"
#include "types/base.h"

/*
 * Whether the engine has to ask before it sends: for the first time, or after
 * retry() of a step whose last response did not tell.  The run alone proves
 * nothing once it has had another round, whose record would look the same.
 */
static bool
is_probed_first(const DfDoubtCase *about)
{
	const DfStep *step = about->step;
	const DfStepSpec *spec = step->engine.spec;

	if (spec->probe == NULL || step->row.attempts > 0 || step->row.state != DF_STEP_PENDING)
		return false;
	return step->row.evidence.ask_probe || !df_probe_names_step(about);
}

/* with a key that is still trusted it is sent again: the departure decides */
DfPhase
df_decide_phase(const DfDoubtCase *about)
{
	const DfStep *step = about->step;

	if (df_looks_for_kept(step))
		return DF_PHASE_PROBE;
	if (step->row.state == DF_STEP_DOUBT && step->engine.spec->probe != NULL &&
		(step->row.evidence.ask_probe || about->unwanted))
		return DF_PHASE_PROBE;
	return is_probed_first(about) ? DF_PHASE_PROBE : DF_PHASE_DO;
}

static DfObjection
objection_to_key(const DfDoubtCase *about)
{
	if (about->step->engine.spec->is_mail)
		return DF_OBJECTION_MAIL;
	if (df_is_another_request(about->step))
		return DF_OBJECTION_ANOTHER;
	return df_key_is_honoured(about) ? DF_OBJECTION_OLD_KEY : DF_OBJECTION_NO_KEY;
}

/* Sent to another place, or with a key that is forgotten, it would be carried out twice. */
static DfObjection
objection_to(const DfDoubtCase *about, bool same_url)
{
	const DfStep *step = about->step;

	if (!same_url)
		return DF_OBJECTION_URL;
	if (step->row.evidence.key_spent && step->engine.spec->method_class == DF_METHOD_EFFECT)
		return DF_OBJECTION_SPENT;
	if (step->engine.urgent ||
		(df_key_is_trusted(about) && !df_is_another_request(step)))
		return DF_OBJECTION_NONE;
	if (df_is_sent_in_doubt(about))
		return DF_OBJECTION_NONE;
	return objection_to_key(about);
}

DfDecision
df_decide_departure(const DfDoubtCase *about, bool same_url, DfObjection *objection)
{
	const DfStep *step = about->step;
	DfDecision made = df_decision(about, DF_MEANS_DOUBT);

	*objection = DF_OBJECTION_NONE;
	made.phase = step->engine.phase;
	if (step->engine.phase != DF_PHASE_DO || step->row.state != DF_STEP_DOUBT ||
		(step->engine.spec->method_class != DF_METHOD_EFFECT && !df_is_another_request(step)))
		return made;
	*objection = objection_to(about, same_url);
	if (*objection == DF_OBJECTION_NONE)
		return made;
	if (step->engine.spec->probe != NULL && !step->engine.urgent)
		made.phase = DF_PHASE_PROBE;
	else if (step->engine.spec->doubt == DF_DOUBT_ACCEPT && !df_was_answered_doubtfully(step))
		df_accept_doubt(&made);
	else
		df_end_in_doubt(about, df_doubtful(about), &made);
	return made;
}
