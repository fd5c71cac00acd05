/*
 * simulate/path.h
 *	  What explain() tells of the steps of a simulated run, beside its rows.
 */
#ifndef DF_SIMULATE_PATH_H
#define DF_SIMULATE_PATH_H

#include "engine/outgoing.h"
#include "fdw/system.h"
#include "simulate/world.h"

/* a step, as far as it came; of the simulation's memory.  NULL = there is none */
typedef struct DfSimPathStep
{
	DfSimRun *of;
	DfSimStep *known;
	int n;
	int index; /* in the path */
	const char *name; /* with the path of its run */
	const char *called; /* as the body calls it */
	bool in_handler; /* of on_failure */
	const char *kind;
	const char *system;
	const char *request; /* "METHOD /path", as it was sent, or what else it asks for */
	const Jsonb *body; /* likewise; of what is no JSON a string */
	const char *key; /* where its idempotency key is sent */
	const char *probe; /* rendered */
	const char *doubt;
	bool nobody_can_tell; /* if its response is lost, a person has to look */
	const char *undo; /* rendered, if it is done; else as it was given */
	const char *undo_of; /* of on_rollback(): the step whose effect it takes back */
	bool undo_rendered;
	bool undo_unrendered; /* it is done, and its undo names what is not there */
	bool asks_other; /* a later entry of the body asked for something else */
	DfStepState came_to;
} DfSimPathStep;

/* a request, when it was sent for the first time */
typedef struct DfSimRequest
{
	const DfSimPathStep *step;
	DfPhase phase;
	const char *request;
	const Jsonb *body;
} DfSimRequest;

/* the request is about to be sent */
extern void df_sim_path_request(DfSim *sim, DfSimRun *of, DfStep *step, const DfSystem *system,
								const DfOutgoing *out);

/* after a turn: steps that are new, and what has become of the others */
extern void df_sim_path_of_turn(DfSim *sim, DfSimRun *of);

/* NULL = it was never sent */
extern const DfSimRequest *df_sim_request_of(const DfSim *sim, const DfSimPathStep *step,
											 DfPhase phase);

#endif /* DF_SIMULATE_PATH_H */
