/*
 * types/step.h
 *	  One step of a run, and one failed attempt of a step, in a worker's memory.
 *
 * Its run's, in run->cxt: store/step_table.c makes it from its row, or the engine when a
 * body first calls it; store/step_table.c writes it.  Each part below says who writes it;
 * everybody in the worker may read all of it.
 */
#ifndef DF_TYPES_STEP_H
#define DF_TYPES_STEP_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "types/base.h"
#include "types/evidence.h"
#include "types/message.h"
#include "types/states.h"
#include "types/step_spec.h"
#include "utils/jsonb.h"
#include "utils/uuid.h"

/* which request of a step is in flight, or is sent next */
typedef enum DfPhase
{
	DF_PHASE_DO,
	DF_PHASE_PROBE,
	DF_PHASE_UNDO
} DfPhase;

/*
 * What its row holds and a worker changes.  Read and written by store/step_table.c; in
 * between the engine owns it, unless a field says otherwise.  A value behind a pointer
 * is replaced, never edited or freed.
 */
typedef struct DfStepRow
{
	/* its intent, all before `state`: what the body asks for, anew when retry() renewed it */
	Jsonb *headers;
	char *body;
	char *request; /* "METHOD /path" or what else identifies it; NULL = to be rendered anew */
	Jsonb *options; /* read by df_step_spec(), but those of waits and calls */
	TimestampTz started_at;
	uint32 base_hash; /* where it was sent, 0 = not known; engine/step_evidence.c */
	uint32 account_hash; /* in whose account, likewise */
	int64 body_hash; /* of the function that asked for it, 0 = that of the first entry */
	int64 accepted_hash; /* of the one for which accept_drift() let it be: drift.c; 0 = none */
	int renamed; /* drift.c: how often since it was read, so that its name is written */

	DfStepState state; /* engine/transition.c */
	int attempts; /* transition.c counts them; as if it had not left: outcome.c */
	TimestampTz sent_at; /* transition.c */
	TimestampTz wake_at; /* when it is looked at next; worker: when to try for a place again */
	TimestampTz finished_at; /* when it has ended, DF_NEVER = it has not */
	int status; /* of the last response, 0 = none */
	Jsonb *output;
	Jsonb *answer; /* headers of the response; of a call, which run; of a wait, who sent it */
	char *undo; /* rendered when it is done: outgoing.c and the kinds */
	char *undo_body;
	DfUndoState undo_state; /* engine/transition.c */

	/* an ordinary step has none of these: they are written only if one of them differs */
	int renewals; /* how often its key was changed: step_kind.c renders it again; step_evidence.c */
	Jsonb *error; /* why it waits, failed, is in doubt, or what a person said of it */
	Jsonb *undo_headers; /* as undo: over the step's own; null = this one is left out */
	int undo_attempts; /* transition.c, outcome.c */
	TimestampTz undo_since; /* when its undo was first sent, or begun again by retry() */
	Jsonb *undo_error;

	/* hold.c: the clock of retry's `for`, or of the undo's time, stands still */
	TimestampTz held_since; /* DF_NEVER = it runs */
	int64 held_us; /* for how long it stood still before */

	DfEvidence evidence; /* step_evidence.c alone */
} DfStepRow;

/* what the engine keeps of it between two looks */
typedef struct DfStepEngine
{
	const DfStepSpec *spec; /* read_spec.c: df_step_spec() has it; NULL = nobody has asked yet */
	int index; /* run_steps.c: in run->steps */
	int called; /* replay.c, step_api.c: number of the entry that last called it */
	int asked_other; /* call_order.c: number of the entry that last called it with something else */
	int ordinal; /* replay.c: k in base#k, 1 where the name has none */
	int next_same; /* replay.c: index of the next step of that base name, -1 */
	DfPhase phase; /* the request that is in flight, or sent next; worker/flight.c too */
	TimestampTz sent_before; /* transition.c: sent_at before the attempt in flight left */
	TimestampTz not_before; /* urgent, and got no place (dispatch.c): when to try for one again */

	/* it is to be ...; set by the engine, and reset by the code that does it */
	bool to_send; /* worker/dispatch.c sends `phase` */
	bool to_run_sql; /* a sql worker runs its SQL, or its undo */
	bool to_insert_child; /* child_run.c inserts its child run, back in store/record.c */
	DfMessageKind child_request; /* CANCEL or UNDO: the same, sent to the child run */

	bool has_own_child; /* its child run was inserted for it, and did not hold its key already */
	/* proven.c: what this body has done for the first time, a hash; 0 = nothing */
	uint64 proves;
	uint64 proves_undo; /* likewise, what it has undone */
	uint64 proves_probe; /* what it has asked for and got an answer to */
	bool seen_by_body; /* the body has been given its outcome */
	int64 paused_us; /* hold.c: likewise, while its workflow or the database was paused */
	/* its probe has just been answered; if it waited in line, the probe would be asked again */
	bool urgent;
} DfStepEngine;

/* what the worker keeps of it: the engine reads in_flight and attempt_at, no more */
typedef struct DfStepWorker
{
	bool in_flight; /* dispatch.c, flight.c */
	TimestampTz attempt_at; /* dispatch.c: when the attempt in flight left */
	bool unauthorized; /* token.c: its token was refused, it is sent again with a new one */
	bool traced; /* trace.c: its span was put out; so it was if it is read when it has ended */
} DfStepWorker;

typedef struct DfStep
{
	/* which step it is: the same ever after, but for rename_step() */
	int n;
	char *name; /* base#k */
	DfStepKind kind;
	char *system;
	char *key_form; /* of its idempotency key, for life; NULL = a UUID; shared/idempotency_key.h */

	DfStepRow row;
	DfStepRow saved; /* what the table has: store/record.c, after each commit; zero = no row */
	DfStepEngine engine;
	DfStepWorker worker;
} DfStep;

/* its row is what the table has now */
static inline void
df_step_saved(DfStep *step)
{
	memcpy(&step->saved, &step->row, sizeof(DfStepRow));
}

/* it has no row yet */
static inline bool
df_step_is_new(const DfStep *step)
{
	return step->saved.started_at == DF_NEVER;
}

/*
 * Whether its row is to be written, to be made even if it is new.  Pointers are compared,
 * not what they point to: values are replaced and never freed.  Steps are allocated as
 * zeros, so that bytes between fields are equal; if they were not, a row would be written
 * that need not be.
 */
static inline bool
df_step_differs(const DfStep *step)
{
	return memcmp(&step->row, &step->saved, sizeof(DfStepRow)) != 0;
}

/* the same for its intent alone, which an ordinary step never changes */
static inline bool
df_step_intent_differs(const DfStep *step)
{
	return memcmp(&step->row, &step->saved, offsetof(DfStepRow, state)) != 0;
}

/* and for what an ordinary step has none of: its evidence, its undo, why it was tried again */
static inline bool
df_step_rare_differs(const DfStep *step)
{
	return memcmp(&step->row.renewals, &step->saved.renewals,
				  sizeof(DfStepRow) - offsetof(DfStepRow, renewals)) != 0;
}

/* its time begins anew, without the holds so far */
static inline void
df_step_forget_holds(DfStep *step)
{
	step->row.held_since = DF_NEVER;
	step->row.held_us = step->engine.paused_us = 0;
}

/* a failed try, to be written */
typedef struct DfAttempt
{
	pg_uuid_t run;
	int n;
	int seq;
	bool undo;
	TimestampTz at;
	double took_ms;
	int status; /* 0 = none */
	const char *outcome;
	char *error;
	TimestampTz next_at;
} DfAttempt;

#endif /* DF_TYPES_STEP_H */
