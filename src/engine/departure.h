/*
 * engine/departure.h
 *	  A step's request leaves, or cannot.
 */
#ifndef DF_DEPARTURE_H
#define DF_DEPARTURE_H

#include "fdw/system.h"
#include "types/run.h"

/* false: it must not be sent, there or again; it is in doubt, accepted, or not undone */
extern bool df_step_may_go(DfRun *run, DfStep *step, const DfSystem *system);

/* its request is ready, and is sent once this is recorded */
extern void df_step_leaves(DfRun *run, DfStep *step, const DfSystem *system);
extern void df_step_lands(DfRun *run, DfStep *step); /* it is in flight no longer */

/* it cannot be sent: as if the connection had been refused */
extern void df_step_refuse(DfRun *run, DfStep *step, const char *why);
extern void df_step_has_no_system(DfRun *run, DfStep *step, const char *why);

#endif /* DF_DEPARTURE_H */
