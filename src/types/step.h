/*
 * types/step.h
 *	  One step of a run, and one failed attempt of a step, in a worker's memory.
 *
 * Its run's, in run->cxt: the engine changes it, store/step_table.c reads it
 * and writes it.
 */
#ifndef DF_TYPES_STEP_H
#define DF_TYPES_STEP_H

#include "postgres.h"

#include "datatype/timestamp.h"
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

typedef struct DfStep
{
	int n;
	char *name; /* base#k */
	DfStepKind kind;
	char *system;
	char *request; /* "METHOD /path" or what else identifies it */
	Jsonb *headers;
	char *body;
	Jsonb *options; /* read by df_step_spec(), but those of waits and calls */
	uint32 base_hash;
	TimestampTz started_at;

	DfStepState state;
	int attempts;
	int renewals;
	TimestampTz sent_at;
	TimestampTz wake_at;
	TimestampTz finished_at;
	int status;
	Jsonb *output;
	Jsonb *answer;
	Jsonb *error;
	char *undo;
	char *undo_body;
	DfUndoState undo_state;
	int undo_attempts;
	TimestampTz undo_since;
	Jsonb *undo_error;

	DfEvidence evidence; /* changed by df_step_know() alone */

	/* memory only */
	const DfStepSpec *spec; /* df_step_spec() has it; NULL = nobody has asked yet */
	int index; /* in run->steps */
	bool traced; /* its span was put out */
	bool fresh; /* it has no row yet */
	bool dirty; /* differs from its row */
	bool evidence_dirty; /* so does its evidence */
	bool rerendered; /* so does its intent: retry() renewed it */
	bool to_send; /* the dispatcher is to send `phase` */
	bool to_run_sql; /* SQL: a sql worker is to run it, or its undo */
	bool to_insert_child; /* its child run is to be inserted */
	bool has_own_child; /* its child run was inserted for it, and did not hold its key already */
	DfMessageKind child_request; /* CANCEL or UNDO: to be sent to the child run */
	bool in_flight;
	bool seen_by_body; /* the body has been given its outcome */
	/* its probe has just been answered; if it waited in line, the probe would be asked again */
	bool urgent;
	TimestampTz not_before; /* urgent, and got no place: when to try for one again */
	bool unauthorized; /* its token was refused: it is sent again with a new one */
	DfPhase phase;
	int called; /* number of the entry that last called it */
	int next_same; /* index of the next step of that base name, -1 */
	TimestampTz attempt_at; /* when the attempt in flight left */
	TimestampTz sent_before; /* sent_at before it did */
} DfStep;

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
