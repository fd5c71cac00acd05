/*
 * review/trial.h
 *	  One run, entered to see what would become of it.
 */
#ifndef DF_REVIEW_TRIAL_H
#define DF_REVIEW_TRIAL_H

#include "types/run.h"

typedef struct DfVerdict
{
	pg_uuid_t run;
	char *key; /* NULL = none */
	const char *verdict; /* docs/reference/workflows.md has them */
	char *detail; /* NULL = there is nothing to say */
} DfVerdict;

/*
 * Enters the body of the run, as the owner of its workflow, and forgets what it did.  The run is
 * as its row was read, and worthless afterwards.  `ended`: it has completed, and NULL is
 * returned unless the body would not let it; otherwise the verdict, in the present memory
 * context.  Raises only what is no fault of the run or the body.
 */
extern DfVerdict *df_try_run(DfRun *run, Oid owner, bool ended);

#endif /* DF_REVIEW_TRIAL_H */
