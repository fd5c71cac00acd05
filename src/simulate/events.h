/*
 * simulate/events.h
 *	  The people of a simulation: signals for the events that runs wait for.
 */
#ifndef DF_SIMULATE_EVENTS_H
#define DF_SIMULATE_EVENTS_H

#include "simulate/world.h"

/* the run has begun waits, or ended some: arranges what is to come for them */
extern void df_sim_arrange_signals(DfSim *sim, DfSimRun *of);

/* writes the signals that are due by now into the inbox */
extern void df_sim_send_signals(DfSim *sim);

/*
 * Nothing happens any more: has a person ask that the first run be taken back, as it would be if
 * it failed now.  False: it is already, or cannot be.
 */
extern bool df_sim_ask_to_undo(DfSim *sim);

extern TimestampTz df_sim_next_signal(const DfSim *sim); /* DF_NEVER = none is to come */

#endif /* DF_SIMULATE_EVENTS_H */
