/*
 * simulate/drive.h
 *	  Moves the runs of a simulation until nothing happens any more.
 */
#ifndef DF_SIMULATE_DRIVE_H
#define DF_SIMULATE_DRIVE_H

#include "simulate/world.h"

/* the run in sim->runs is in the table; its rows are in sim->rows afterwards */
extern void df_sim_drive(DfSim *sim);

#endif /* DF_SIMULATE_DRIVE_H */
