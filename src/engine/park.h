/*
 * engine/park.h
 *	  A run that has nothing to do at present is released, or retained in memory.
 */
#ifndef DF_PARK_H
#define DF_PARK_H

#include "types/run.h"

/* released so that it is claimed again at once, with other steps loaded */
extern void df_run_claim_anew(DfRun *run);

/* may_retain: there is room to keep it in memory while it waits */
extern void df_run_park(DfRun *run, bool may_retain);

#endif /* DF_PARK_H */
