/*
 * flow/meaning.h
 *	  What a response says by itself, whatever is known of the step.
 */
#ifndef DF_FLOW_MEANING_H
#define DF_FLOW_MEANING_H

#include "types/answers.h"
#include "types/fate.h"
#include "types/step_spec.h"
#include "types/truth.h"

/* what came back, with what flow/ cannot see by itself */
typedef struct DfCame
{
	DfFate fate;
	int status;
	bool foreign; /* it does not speak as the system does: a page of something between */
	const char *method; /* of the request that it responds to */
	bool body_unusable; /* it cannot be read: no JSON, NUL, bad encoding, too large */
	bool body_needed; /* by the undo, or by a condition that was asked */
	DfTruth until_met; /* true if the step has no `until` */
	int64 retry_after_ms; /* what the system asked for, -1 = nothing */
	bool replayed; /* it is the system's first response to this key, once more */
	bool limit_used_up; /* its headers say ...-Remaining: 0 */
	bool denied; /* its body says no; of a step, only if it names nothing to undo */
	bool made; /* of a 2xx: its body has all that the undo names */
	bool once_done; /* the step has once been done with this body of the workflow */
	bool path_known; /* of an undo: something shows that its path is that of the resource */
	DfSaid said; /* by `answers` */
} DfCame;

/* the first rule of the lists, in their order, that fits, or may fit; holds() evaluates `if` */
typedef DfTruth (*DfHolds)(void *arg, const char *condition);
extern DfSaid df_answers_say(const DfAnswers *const *lists, int nlists, const char *method,
							 int status, DfHolds holds, void *arg);

/* of a step, a probe and an undo; and of a mail */
extern DfMeaning df_response_meaning(const DfStepSpec *spec, const DfCame *came);
extern DfMeaning df_probe_meaning(const DfCame *came);
extern DfMeaning df_undo_meaning(const DfCame *came);

/* without `answers`: what the status says by itself */
extern DfMeaning df_default_meaning(const DfCame *came);

extern DfMethodClass df_method_class(const char *method);

#endif /* DF_FLOW_MEANING_H */
