/*
 * engine/step_pivot.h
 *	  The point of no return of a run.
 */
#ifndef DF_STEP_PIVOT_H
#define DF_STEP_PIVOT_H

#include "types/run.h"

/*
 * The last one among the steps in memory; NULL = none.  Those of earlier rounds may not be
 * there: run->row.pivot_n says whether there was one.
 */
extern const DfStep *df_run_pivot(const DfRun *run);

#endif /* DF_STEP_PIVOT_H */
