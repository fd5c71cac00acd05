/*
 * simulate/sim_response.h
 *	  A request in flight in a simulation, and its response.
 */
#ifndef DF_SIM_RESPONSE_H
#define DF_SIM_RESPONSE_H

#include "simulate/replies.h"
#include "simulate/world.h"
#include "types/response.h"

/* a request in flight; of the simulation's memory */
typedef struct DfSimFlight
{
	DfSimRun *of;
	DfStep *step;
	DfPhase phase;
	const DfReply *reply; /* NULL = the usual one */
	bool is_late; /* it comes when nobody waits for it any more */
	bool is_mail;
	const Jsonb *made_body; /* what the step is answered, so that a probe finds it; or NULL */
	bool key_trusted; /* the system knows the effect by its key */
	int64 timeout_ms;
	TimestampTz arrives_at;
} DfSimFlight;

/* what its reply says, in the present memory context */
extern void df_sim_response(DfSim *sim, const DfSimFlight *flight, DfResponse *response);

#endif /* DF_SIM_RESPONSE_H */
