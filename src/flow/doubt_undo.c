/*
 * flow/doubt_undo.c
 *	  What becomes of a step when its undo was answered, or not.
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
 * What there is may be somebody else's, also if the undo could be sent without having
 * seen it: only a probe that finds nothing, or a person, can say more.
 */
bool
df_undo_needs_probe(const DfDoubtCase *about)
{
	const DfStep *step = about->step;

	return step->row.state == DF_STEP_DOUBT && step->engine.spec->probe != NULL &&
		step->row.evidence.lost > 0 && !df_probe_names_step(about);
}

/*
 * From when on it is believed that what the undo names is not there.  Before, it may still
 * come, of a step in doubt; and a system that has just confirmed the step may itself not
 * find it yet.
 */
static TimestampTz
undo_settled_at(const DfDoubtCase *about)
{
	const DfStep *step = about->step;
	TimestampTz settled = df_settled_at(about);

	if ((step->row.state != DF_STEP_DONE && !step->row.evidence.carried_out) ||
		step->row.finished_at == DF_NEVER)
		return settled;
	return Max(settled, step->row.finished_at + about->policy->settle_ms * 1000);
}

/*
 * doubt => 'resend': an earlier attempt may have made one more, and the undo names the
 * last one's only
 */
static bool
leaves_a_second(const DfStep *step)
{
	return (step->row.state == DF_STEP_DONE || step->row.evidence.carried_out) &&
		step->row.evidence.maybe_twice &&
		step->engine.spec->undo_needs_response;
}

static DfMethodClass
undo_method(const DfStep *step)
{
	char method[16];
	size_t len = step->row.undo == NULL ? 0 : strcspn(step->row.undo, " ");

	if (len >= sizeof(method))
		return DF_METHOD_EFFECT;
	memcpy(method, step->row.undo == NULL ? "" : step->row.undo, len);
	method[len] = '\0';
	return df_method_class(method);
}

/*
 * An undo that may have been carried out is as much in doubt as any other request: a
 * DELETE may be repeated, its second 404 or 410 means gone; a POST, a refund say, only
 * with a key that the system honours, or if the step says so.
 */
static bool
may_repeat_undo(const DfDoubtCase *about, bool replayed)
{
	const DfStep *step = about->step;

	if (undo_method(step) != DF_METHOD_EFFECT)
		return true;
	/* a system that replays a response does so again */
	if (replayed)
		return false;
	return step->engine.spec->doubt == DF_DOUBT_RESEND ||
		(step->row.undo_since != DF_NEVER && df_key_holds(about, step->row.undo_since, true));
}

static void
undo_ends(DfVerdict verdict, DfUndoState to, DfDecision *made)
{
	made->verdict = verdict;
	made->undo_to = to;
	made->phase = DF_PHASE_UNDO;
}

static void
undo_again(const DfDoubtCase *about, const DfCame *came, DfDecision *made)
{
	made->at = df_next_undo_try(about, came->retry_after_ms);
	if (made->at == DF_NEVER)
		undo_ends(DF_VERDICT_UNDO_FAILED, DF_UNDO_FAILED, made);
	else
		undo_ends(DF_VERDICT_UNDO_AGAIN, DF_UNDO_DUE, made);
}

/* it is said that there is nothing to undo */
static void
gone(const DfDoubtCase *about, const DfCame *came, DfDecision *made)
{
	if (came->foreign)
		undo_again(about, came, made);
	else if (about->now < undo_settled_at(about))
	{
		undo_ends(DF_VERDICT_UNDO_NOT_SETTLED, DF_UNDO_DUE, made);
		made->at = undo_settled_at(about);
	}
	/* a router says 404 of a path that is written wrongly, too */
	else if (!came->path_known)
		undo_ends(DF_VERDICT_UNDO_ASTRAY, DF_UNDO_FAILED, made);
	else if (leaves_a_second(about->step))
		undo_ends(DF_VERDICT_UNDO_LEFT_A_SECOND, DF_UNDO_FAILED, made);
	else
		undo_ends(DF_VERDICT_GONE, DF_UNDO_GONE, made);
}

static void
undo_later(TimestampTz at, DfDecision *made)
{
	undo_ends(DF_VERDICT_UNDO_ASKED, DF_UNDO_DUE, made);
	made->at = at;
}

DfDecision
df_decide_undo(const DfDoubtCase *about, const DfCame *came)
{
	DfDecision made = df_decision(about, df_undo_meaning(came));

	switch (made.meaning)
	{
		case DF_MEANS_DONE:
			if (leaves_a_second(about->step))
				undo_ends(DF_VERDICT_UNDO_LEFT_A_SECOND, DF_UNDO_FAILED, &made);
			else
				undo_ends(DF_VERDICT_UNDONE, DF_UNDO_UNDONE, &made);
			break;
		case DF_MEANS_KEPT:
			gone(about, came, &made);
			break;
		case DF_MEANS_DOUBT:
			if (may_repeat_undo(about, came->replayed && df_is_answer(came)))
				undo_again(about, came, &made);
			else
				undo_ends(DF_VERDICT_UNDO_DOUBTFUL, DF_UNDO_FAILED, &made);
			break;
		case DF_MEANS_RETRY:
			if (df_asks_for_time(came->fate, came->status, came->retry_after_ms))
				undo_later(df_asked_until(about, came->retry_after_ms), &made);
			else
				undo_again(about, came, &made);
			break;
		case DF_MEANS_CREDENTIALS:
			undo_later(about->now + about->policy->retry.initial_ms * 1000, &made);
			break;
		case DF_MEANS_UNUSABLE:
		case DF_MEANS_FAIL:
		case DF_MEANS_STUCK:
			undo_ends(DF_VERDICT_UNDO_FAILED, DF_UNDO_FAILED, &made);
			break;
	}
	return made;
}
