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
	int most_rounds; /* of continue_with(), until a run is taken for one that goes on for ever */
} DfSimulation;

/* so many are shown of a run that goes on for ever: nobody wants to read more of the same */
#define DF_SIM_ROUNDS 100
/* and of each way in which it may go wrong */
#define DF_SIM_FEW_ROUNDS 3

/*
 * Simulates in a subtransaction that is rolled back; what is returned is in the present memory
 * context, but for what the runs held.  Raises an error if it cannot be done.
 */
extern DfSim *df_simulate(const DfSimulation *what);

#endif /* DF_SIMULATION_H */
