/*
 * store/sight.h
 *	  What a role sees of the runs of a workflow, for views.
 */
#ifndef DF_STORE_SIGHT_H
#define DF_STORE_SIGHT_H

#include "store/rights.h"

/*
 * What the role sees of the runs that others have started of a workflow, in that version (0 =
 * the newest); DF_SEES_NOTHING or what it sees of every run if there is no such version.  As
 * the running query sees the rights, and decided once per workflow and snapshot: cheap enough
 * to be asked for each row.  For STABLE functions; enters the store by itself.
 */
extern DfSight df_sight_of_workflow(Oid role, const char *workflow, int version);

#endif /* DF_STORE_SIGHT_H */
