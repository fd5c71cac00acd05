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

static bool
is_former_url(const DfSystem *system, uint32 hash)
{
	for (int i = 0; i < system->nformer; i++)
		if (system->former[i] == hash)
			return true;
	return false;
}

DfWhere
df_where(const DfStep *step, const DfSystem *system)
{
	uint32 url = step->row.base_hash;
	uint32 account = step->row.account_hash;

	if (url != 0 && url != system->url_hash && !is_former_url(system, url))
		return DF_WHERE_OTHER_URL;
	/* the oids of another database say nothing of this one's mappings */
	if (account != 0 && account != system->account_hash &&
		(account & DF_DATABASE_BITS) == (system->account_hash & DF_DATABASE_BITS))
		return DF_WHERE_OTHER_ACCOUNT;
	return DF_WHERE_SAME;
}

/*
 * Something of it may be where it was sent.  Elsewhere its undo would meet somebody else's
 * resource of the same number, its key is not known, and a probe that finds nothing proves
 * nothing.  A second mail goes to the same people, by whatever server.
 */
static bool
belongs_where_it_was(const DfDoubtCase *about)
{
	const DfStep *step = about->step;
	const DfStepSpec *spec = step->engine.spec;

	if (step->engine.phase == DF_PHASE_UNDO || df_is_undoing(about))
		return true;
	if (spec->is_mail)
		return step->row.state == DF_STEP_DOUBT && !df_is_sent_in_doubt(about);
	return spec->method_class != DF_METHOD_SAFE &&
		(step->row.state == DF_STEP_DOUBT || step->row.evidence.carried_out);
}

/* a person knows whether it is the same system after all */
static void
stay_here(const DfDoubtCase *about, DfDecision *made)
{
	const DfStep *step = about->step;

	if (step->engine.phase != DF_PHASE_UNDO && !df_is_undoing(about))
	{
		if (step->engine.spec->doubt == DF_DOUBT_ACCEPT && step->row.state == DF_STEP_DOUBT &&
			!df_was_answered_doubtfully(step))
		{
			df_accept_doubt(made);
			return;
		}
		df_end_in_doubt(about, df_doubtful(about), made);
	}
	else
	{
		made->verdict = DF_VERDICT_UNDO_ELSEWHERE;
		made->undo_to = DF_UNDO_FAILED;
	}
	made->evidence.elsewhere = true;
}

/* with a key that is forgotten, or without one, it would be carried out twice */
static DfObjection
objection_to(const DfDoubtCase *about)
{
	const DfStep *step = about->step;

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
df_decide_departure(const DfDoubtCase *about, DfWhere where, DfObjection *objection)
{
	const DfStep *step = about->step;
	DfDecision made = df_decision(about, DF_MEANS_DOUBT);

	*objection = DF_OBJECTION_NONE;
	made.phase = step->engine.phase;
	if (where != DF_WHERE_SAME && belongs_where_it_was(about))
	{
		*objection = where == DF_WHERE_OTHER_URL ? DF_OBJECTION_URL : DF_OBJECTION_ACCOUNT;
		stay_here(about, &made);
		return made;
	}
	if (step->engine.phase != DF_PHASE_DO || step->row.state != DF_STEP_DOUBT ||
		(step->engine.spec->method_class != DF_METHOD_EFFECT && !df_is_another_request(step)))
		return made;
	*objection = objection_to(about);
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
