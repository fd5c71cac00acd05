/*
 * simulate/network.h
 *	  The network of a simulation: requests that leave, and the responses that were asked for.
 */
#ifndef DF_SIMULATE_NETWORK_H
#define DF_SIMULATE_NETWORK_H

#include "simulate/world.h"

/* marks the steps of the run that are to be sent as sent; their responses are under way */
extern void df_sim_dispatch(DfSim *sim, DfSimRun *of);

/* applies the responses that have come by now */
extern void df_sim_arrivals(DfSim *sim);
extern TimestampTz df_sim_next_arrival(const DfSim *sim); /* DF_NEVER = nothing is in flight */

extern void df_sim_lose_flights(DfSim *sim);

/* in between, steps of the run may be answered before its body is left */
extern void df_sim_enter(DfSim *sim, DfSimRun *of);
extern void df_sim_leave(void); /* after an error, too */

#endif /* DF_SIMULATE_NETWORK_H */
