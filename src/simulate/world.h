/*
 * simulate/world.h
 *	  What simulate() knows of the runs that it moves, beside what the engine knows.
 */
#ifndef DF_SIMULATE_WORLD_H
#define DF_SIMULATE_WORLD_H

#include "shared/as_role.h"
#include "types/run.h"

/* a step, and what the world outside knows of it */
typedef struct DfSimStep
{
	int n;
	DfStepState shown; /* its state in the last row about it */
	DfUndoState undo_shown; /* likewise */
	int requests[3]; /* by DfPhase */
	bool arranged; /* the signals for its wait are */
	const char *name; /* with the path of its run; NULL = it has no effect */
	bool may_be_there; /* one of its requests may have been carried out: a probe finds it */
	int made; /* so many of it are there: an unprotected one may be made twice */
	bool kept; /* on purpose: a mail, or one whose undo is 'none', or of on_failure */
	bool has_undo;
	bool taken_back; /* by its own undo, or by on_rollback() */
	struct DfSimPathStep *path; /* NULL = it is not told of: path.c */
} DfSimStep;

/* an event that a run has waited for */
typedef struct DfSimEvent
{
	const char *name;
	int asked; /* so many of its replies were used */
	int open; /* signals that are to come, or have come and are not consumed */
} DfSimEvent;

typedef struct DfSimRun
{
	pg_uuid_t id;
	struct DfSimRun *caller; /* of a child run */
	const char *path; /* before the names of its steps: "", or the calls that lead here */
	Oid owner; /* InvalidOid = its row was not read yet, and so with the next two */
	const char *workflow;
	const char *key; /* NULL = none */
	DfRun *run; /* in memory; NULL = only its row is there */
	bool at_rest; /* it was released, until wake_at */
	TimestampTz wake_at;
	List *steps; /* of DfSimStep, by n */
	List *events; /* of DfSimEvent */
	DfRunState was; /* its state when it was last recorded */
	TimestampTz since; /* it is in that state */
	Jsonb *ending; /* its result, its error, or why it is stuck */
} DfSimRun;

typedef struct DfSim
{
	Oid caller;
	struct DfSessionState *session; /* what was in the caller's session before */
	TimestampTz began;
	int64 lease;
	int64 identity;
	List *replies; /* of DfReplyList */
	List *overrides; /* of DfReplyList: likewise, for single steps by their whole names */
	List *runs; /* of DfSimRun, the first is the one that was started */
	List *workflows; /* of DfWorkflow */
	List *turn_list; /* of DfSimRun: to be recorded in this turn */
	List *flights; /* of DfSimFlight: network.c */
	List *signals; /* of DfSimSignal: events.c */
	List *rows; /* of DfSimRow: story.c */
	bool explains; /* for explain(): what follows, and all is taken back in the end */
	List *path; /* of DfSimPathStep: path.c */
	List *requests; /* of DfSimRequest: path.c */
	int forward_rows; /* so many were there when nothing happened any more by itself */
	int forward_path; /* likewise */
	bool asked_to_undo; /* from then on all is taken back */
	bool read_inbox; /* something may have been written into it */
	int crash_after; /* effects until a crash, 0 = none */
	int effects; /* requests that have left, but reads and probes */
	DfSimRun *crash_run; /* the one whose effect was the last before the crash */
	DfStep *crash_step;
	bool endless; /* it was given up */
	int most_rounds; /* of one run: with more of them it is */
	MemoryContext cxt; /* as long as the result */
	MemoryContext turn_cxt;
	MemoryContext runs_cxt;
} DfSim;

extern DfSimRun *df_sim_add_run(DfSim *sim, const pg_uuid_t *id, DfSimRun *caller,
								const char *path);
extern DfSimRun *df_sim_find_run(DfSim *sim, const pg_uuid_t *id);
extern DfSimStep *df_sim_step(DfSim *sim, DfSimRun *of, const DfStep *step);

/* it has done something: what is to become of that if the run does not complete */
extern void df_sim_note_effect(DfSim *sim, DfSimRun *of, DfStep *step);

/* what is done for the run in between is done as its owner, as its worker would */
extern void df_sim_act_as_owner(DfSim *sim, const DfSimRun *of, DfAsRole *before);
extern void df_sim_act_as_before(const DfAsRole *before);

extern void df_sim_touch(DfSim *sim, DfSimRun *of); /* it is to be recorded in this turn */

#endif /* DF_SIMULATE_WORLD_H */
