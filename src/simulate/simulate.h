/*
 * simulate/simulate.h
 *	  What simulate() and simulate_all() have in common.
 */
#ifndef DF_SIMULATE_H
#define DF_SIMULATE_H

#include "fmgr.h"
#include "simulate/simulation.h"

/* the first three arguments, checked */
extern void df_simulate_arguments(FunctionCallInfo fcinfo, DfSimulation *what);

/*
 * Tells of replies that nothing has asked for: they are of steps that are called otherwise, it
 * seems; or the run has ended before.
 */
extern void df_simulate_tell_unused(const DfSim *sim);

#endif /* DF_SIMULATE_H */
