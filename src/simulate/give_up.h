/*
 * simulate/give_up.h
 *	  Ends a simulation that would never end.
 */
#ifndef DF_SIMULATE_GIVE_UP_H
#define DF_SIMULATE_GIVE_UP_H

#include "simulate/world.h"

/* after a turn was recorded: sets sim->endless, with a row that says what goes on */
extern void df_sim_give_up(DfSim *sim);

#endif /* DF_SIMULATE_GIVE_UP_H */
