/*
 * flow/doubt.h
 *	  The one place that decides what becomes of a step that may have been carried out.
 *
 * Each function takes the case (what was asked, what is known, what the system's
 * options say, now) and what came, and returns the decision whole: the event, the
 * phase, the time and the new evidence.  The engine applies it and decides nothing.
 */
#ifndef DF_FLOW_DOUBT_H
#define DF_FLOW_DOUBT_H

#include "flow/meaning.h"
#include "types/evidence.h"
#include "types/retry.h"
#include "types/step.h"
#include "types/system_options.h"
#include "types/system_policy.h"

typedef struct DfDoubtCase
{
	const DfStep *step; /* with its spec and its evidence */
	const DfSystemPolicy *policy;
	DfRetry retry; /* the system's, with what the workflow and the step say instead */
	int64 undo_for_ms; /* how long an undo is tried */
	int64 stopped_us; /* for so long the clocks of both have stood still */
	bool first_round; /* the run has had no other one, whose steps would look the same */
	bool has_rollback; /* on_rollback() is to take it back, too */
	bool unwanted; /* the run is being rolled back: nobody wants the step any more */
	TimestampTz now;
	double jitter; /* in [0,1), the caller's random number */
} DfDoubtCase;

/* which rule decided: the engine chooses its words by it */
typedef enum DfVerdict
{
	DF_VERDICT_NONE, /* nothing is to be changed: a person was quicker */

	/* the step has ended */
	DF_VERDICT_DONE, /* carried out: record the output */
	DF_VERDICT_KEPT, /* an accepted status: record the output, there is nothing to undo */
	DF_VERDICT_ADOPTED, /* a probe found it, and it is ours */
	DF_VERDICT_ACCEPTED, /* doubt => 'accept': taken for done */
	DF_VERDICT_FAILED, /* refused for good, or its budget is used up */
	DF_VERDICT_UNREADABLE, /* a read whose response cannot be used */
	DF_VERDICT_UNTIL_TIMEOUT, /* `until` was not met in time */
	DF_VERDICT_NOT_DONE, /* a probe says that it was not carried out, and it will not be */
	DF_VERDICT_EXISTED, /* it was there before we sent anything */
	DF_VERDICT_PROBE_ASTRAY, /* not sent: its probe may look in the wrong place */
	DF_VERDICT_DOUBTFUL, /* nobody can tell: DF001 in the body, and a candidate for undo */
	DF_VERDICT_ASK_PERSON, /* nobody can tell: the run is stuck until a person says it */
	DF_VERDICT_STUCK, /* carried out for certain, but what came of it is not known */
	DF_VERDICT_SAID_STUCK, /* it means that a person has to look */
	DF_VERDICT_KEPT_UNSEEN, /* there already, it is said, but the probe does not find it */

	/* it goes on */
	DF_VERDICT_POLL, /* `until` is not met yet */
	DF_VERDICT_AGAIN, /* not carried out: tried again */
	DF_VERDICT_AGAIN_SAME, /* maybe carried out: repeating it does no harm, or is asked for */
	DF_VERDICT_ASKED, /* when the system wants it to; no attempt is used */
	DF_VERDICT_CREDENTIALS, /* when somebody has repaired them; no attempt is used */
	DF_VERDICT_ASK_PROBE,
	DF_VERDICT_FIND_KEPT, /* it was there already: the probe is asked for it */
	DF_VERDICT_PROBE_AGAIN, /* the probe itself got no response */
	DF_VERDICT_NOT_SETTLED, /* not there, but that is believed only later */
	DF_VERDICT_SEND, /* not there: it is sent now */

	/* of an undo; UNDO_ASKED: of the probe that was asked for it */
	DF_VERDICT_UNDONE,
	DF_VERDICT_GONE, /* there is nothing to undo */
	DF_VERDICT_UNDO_AGAIN,
	DF_VERDICT_UNDO_ASKED, /* when the system wants it to, or has other credentials */
	DF_VERDICT_UNDO_NOT_SETTLED, /* gone, but what it would take away may still come */
	DF_VERDICT_UNDO_FAILED,
	DF_VERDICT_UNDO_ELSEWHERE, /* it would go to another system or account than the step */
	DF_VERDICT_UNDO_ASTRAY, /* not there, but perhaps it was looked for in the wrong place */
	DF_VERDICT_UNDO_LEFT_A_SECOND, /* of two that may be there one is undone */
	DF_VERDICT_UNDO_DOUBTFUL, /* it may have been carried out, and must not be repeated */
	DF_VERDICT_UNDO_UNKNOWN /* no probe can tell what the undo has to know */
} DfVerdict;
#define DF_NVERDICTS (DF_VERDICT_UNDO_UNKNOWN + 1)

#define DF_NO_EVENT (-1)

typedef struct DfDecision
{
	DfMeaning meaning; /* what came, by itself */
	DfVerdict verdict;
	int event; /* DfStepEvent, or DF_NO_EVENT: its state stays */
	int undo_to; /* DfUndoState, or DF_NO_EVENT */
	DfPhase phase; /* what is sent next, if anything is */
	TimestampTz at; /* when, DF_NEVER = it is not due by itself */
	bool new_key; /* with another key, since its own is spent */
	DfEvidence evidence; /* from now on */
} DfDecision;

/* a response to the step itself, or none */
extern DfDecision df_decide_response(const DfDoubtCase *about, const DfCame *came);

/* of one that fails or ends in doubt; fate: of what came last */
extern DfWhy df_why_failed(const DfDoubtCase *about, const DfDecision *made, DfFate fate);

/* its request left at least once */
extern bool df_was_sent(const DfStep *step);

/* its last response said for good that it was not carried out */
extern bool df_was_refused(const DfStep *step);

/* whether "not there" is of the place where the step makes its resource */
typedef enum DfPathKnown
{
	DF_PATH_UNKNOWN,
	DF_PATH_LIKELY, /* below the path of the step, by what may be no id of the system's */
	DF_PATH_KNOWN
} DfPathKnown;
#define DF_NPATHS (DF_PATH_KNOWN + 1)

/* what a probe's response shows */
typedef struct DfProbeCame
{
	DfFate fate;
	int status;
	const char *method;
	int64 retry_after_ms;
	bool limit_used_up;
	DfSaid said;
	int found; /* resources that the response shows, DF_FOUND_UNKNOWN = it cannot be read */
	DfPathKnown path; /* if nothing was found */
	bool of_another; /* the one that was found may as well be another step's */
	bool names_step; /* it bears the step's key, or the run's id */
} DfProbeCame;

extern DfDecision df_decide_probe(const DfDoubtCase *about, const DfProbeCame *came);

/* its undo is not sent before the probe has been asked */
extern bool df_undo_needs_probe(const DfDoubtCase *about);
extern DfDecision df_decide_undo(const DfDoubtCase *about, const DfCame *came);

/* its next try is due: the step itself, or the probe before it */
extern DfPhase df_decide_phase(const DfDoubtCase *about);

/* what has changed of its system since it was sent */
typedef enum DfWhere
{
	DF_WHERE_SAME,
	DF_WHERE_OTHER_URL,
	DF_WHERE_OTHER_ACCOUNT
} DfWhere;
#define DF_NWHERES (DF_WHERE_OTHER_ACCOUNT + 1)

extern DfWhere df_where(const DfStep *step, const DfSystem *system);

/* why a step in doubt, or an undo, must not be sent as it is */
typedef enum DfObjection
{
	DF_OBJECTION_NONE,
	DF_OBJECTION_URL, /* it would go to another system than before */
	DF_OBJECTION_ACCOUNT, /* it would go to another account than before */
	DF_OBJECTION_NO_KEY, /* nothing says that the system knows its key */
	DF_OBJECTION_OLD_KEY, /* the system would no longer know its key */
	DF_OBJECTION_ANOTHER, /* it is not what was lost: both would be carried out */
	DF_OBJECTION_SPENT, /* the system would repeat a response that did not help */
	DF_OBJECTION_MAIL
} DfObjection;

/*
 * It is about to leave: what was decided when the response was lost is asked again,
 * for it may have waited for days.  verdict NONE: it leaves, by decision.phase.
 */
extern DfDecision df_decide_departure(const DfDoubtCase *about, DfWhere where,
									  DfObjection *objection);

/* retry() of a step that has failed or ended in doubt */
typedef struct DfRenewal
{
	bool stays_in_doubt; /* it goes on as it is: the same key, its age from the first attempt */
	bool new_key; /* a definite no, and nothing done: the body renders it again */
	DfEvidence evidence;
} DfRenewal;

extern DfRenewal df_decide_renewal(const DfDoubtCase *about);

/* resolve(): a person knows better than any evidence */
extern DfDecision df_decide_word(const DfDoubtCase *about, DfWord word);

/* with the outcome 'done' and an undo that can be rendered after all */
extern bool df_word_revives_undo(const DfStep *step, DfWord word);

/* the time of the next try, DF_NEVER = the budget is used up */
extern TimestampTz df_next_try(const DfDoubtCase *about, int64 retry_after_ms);
extern TimestampTz df_next_undo_try(const DfDoubtCase *about, int64 retry_after_ms);

/* from when on "not there" is believed */
extern TimestampTz df_settled_at(const DfDoubtCase *about);

/* `doubt` by its name, -1 = no such name */
extern int df_doubt_policy_of(const char *name);

/* it has ended in doubt, and only a person may tell the body what came of it */
extern bool df_asks_person(const DfStep *step);

extern const char *df_word_name(DfWord word); /* NULL for DF_WORD_NONE */
extern int df_word_of(const char *name); /* -1 = no such name */

#endif /* DF_FLOW_DOUBT_H */
