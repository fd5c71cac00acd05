/*
 * simulate/simulation.h
 *	  One simulation of a run, from beginning to end.
 */
#ifndef DF_SIMULATION_H
#define DF_SIMULATION_H

#include "simulate/world.h"

typedef struct DfSimulation
{
	const char *workflow;
	const Jsonb *input;
	List *replies; /* of DfReplyList */
	List *overrides; /* likewise, of single steps by their whole names; over the others */
	int crash_after; /* 0 = never */
	bool explains; /* tell of the path, and take back in the end what was done */
} DfSimulation;

/*
 * Simulates in a subtransaction that is rolled back; what is returned is in the present memory
 * context, but for what the runs held.  Raises an error if it cannot be done.
 */
extern DfSim *df_simulate(const DfSimulation *what);

#endif /* DF_SIMULATION_H */
