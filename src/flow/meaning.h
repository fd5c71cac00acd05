/*
 * flow/meaning.h
 *	  What a response says by itself, whatever is known of the step.
 */
#ifndef DF_FLOW_MEANING_H
#define DF_FLOW_MEANING_H

#include "types/answers.h"
#include "types/fate.h"
#include "types/step_spec.h"

/* what came back, with what flow/ cannot see by itself */
typedef struct DfCame
{
	DfFate fate;
	int status;
	bool foreign; /* it does not speak as the system does: a page of something between */
	bool body_unusable; /* it cannot be read, or is too large, and something needs it */
	bool until_met; /* or the step has no `until` */
	int64 retry_after_ms; /* what the system asked for, -1 = nothing */
	bool replayed; /* it is the system's first response to this key, once more */
} DfCame;

extern DfMeaning df_response_meaning(const DfStepSpec *spec, const DfCame *came);
extern DfMeaning df_probe_meaning(const DfCame *came);
extern DfMeaning df_undo_meaning(const DfCame *came);

/* a definite no, that another time would not lift */
extern bool df_status_is_refusal(int status);

/* the step names it in `accept` */
extern bool df_status_is_accepted(const DfStepSpec *spec, int status);

extern DfMethodClass df_method_class(const char *method);

#endif /* DF_FLOW_MEANING_H */
