/*
 * types/evidence.h
 *	  What is known of whether a step was carried out, beside its state and status.
 *
 * A step's, in columns of dataflows.step; all zero for a step that nothing went
 * wrong with.  flow/doubt.c alone says what it becomes.  It forgets a loss only when
 * something proves what became of the attempt: a response under the same key, what a
 * probe finds, a person's word.
 */
#ifndef DF_TYPES_EVIDENCE_H
#define DF_TYPES_EVIDENCE_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "types/answers.h"

/* what a person said with resolve() */
typedef enum DfWord
{
	DF_WORD_NONE,
	DF_WORD_DONE,
	DF_WORD_NOT_DONE,
	DF_WORD_SKIPPED,
	DF_WORD_UNDONE,
	DF_WORD_RESEND /* it was not carried out, and is to be */
} DfWord;
#define DF_NWORDS (DF_WORD_RESEND + 1)

/* of a probe that was answered, but not so that it could be understood */
#define DF_FOUND_UNKNOWN (-1)

typedef struct DfEvidence
{
	int lost; /* attempts that may have been carried out; nothing proves what became of them */
	TimestampTz lost_at; /* when the last of them was lost */
	bool may_resend; /* since then a probe found nothing */
	bool ask_probe; /* the probe is asked before the step is sent again */
	bool key_spent; /* the system repeats its first response to the key, which does not help */

	TimestampTz probed_at; /* when a probe was last answered, or given up; DF_NEVER = never */
	int probe_found; /* how many resources it found, or DF_FOUND_UNKNOWN */
	char *probe_said; /* the same in words */

	bool existed; /* a probe found it before the step was sent for the first time */
	bool kept; /* an accepted status: it was there already, its undo is not ours to send */
	bool accepted; /* done by doubt => 'accept', which nothing confirms */
	bool carried_out; /* a 2xx has said so, but `until` is not met: it is repeated, or failed */
	bool maybe_twice; /* done, but an earlier attempt may have been carried out, too */
	bool maybe_not_ours; /* a probe found it by what it is, and anybody may have made it */
	bool elsewhere; /* not sent, for it would have gone to another system or account than before */
	DfWord resolved;
	DfMeaning said; /* what the last response meant; DF_MEANS_DONE also if there was none */
} DfEvidence;

/* an attempt may have been carried out, and no probe has said otherwise */
static inline bool
df_evidence_in_doubt(const DfEvidence *evidence)
{
	return evidence->lost > 0 && !evidence->may_resend;
}

#endif /* DF_TYPES_EVIDENCE_H */
