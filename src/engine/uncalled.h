/*
 * engine/uncalled.h
 *	  The recorded steps that a body has not called when it returns.
 */
#ifndef DF_UNCALLED_H
#define DF_UNCALLED_H

#include "types/run.h"

/* whether the body has not called a step that the function of this fingerprint has to call */
extern bool df_uncalled_has_effect(const DfRun *run, int64 fingerprint);

/*
 * The function of this fingerprint has returned.  True: the run is stuck, since there is an
 * effect that it has not called.  Waits that it has not called end.
 */
extern bool df_uncalled_at_end(DfRun *run, int64 fingerprint);

#endif /* DF_UNCALLED_H */
