/*
 * engine/park.h
 *	  What becomes of a run that nothing can be done for at present.
 */
#ifndef DF_PARK_H
#define DF_PARK_H

#include "types/run.h"

extern void df_run_claim_anew(DfRun *run);
/* may_retain: there is room to keep it in memory while it waits */
extern void df_run_park(DfRun *run, bool may_retain);

#endif /* DF_PARK_H */
