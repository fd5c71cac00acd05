/*
 * simulate/left_behind.h
 *	  What a simulated run has left in the systems that nobody takes back.
 */
#ifndef DF_SIMULATE_LEFT_BEHIND_H
#define DF_SIMULATE_LEFT_BEHIND_H

#include "simulate/world.h"

/* names of steps, a List of char *, in the memory of the simulation; NIL where all is well */
extern List *df_sim_left_behind(const DfSim *sim);

#endif /* DF_SIMULATE_LEFT_BEHIND_H */
