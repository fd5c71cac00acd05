/*
 * fdw/system.h
 *	  A system: a FOREIGN SERVER of the wrapper "dataflows" with the current role's
 *	  credentials for it, ready for requests.
 */
#ifndef DF_FDW_SYSTEM_H
#define DF_FDW_SYSTEM_H

#include "types/system_options.h"

/*
 * The system of that name for the current role, from a cache of this process that catalog
 * invalidations empty.  Needs a transaction.  NULL, with *why set to a palloc'd sentence that
 * names it, if there is no such server, if it has another wrapper, or if the role lacks
 * USAGE.  Valid until the next AcceptInvalidationMessages(): use it at once, do not keep it.
 */
extern DfSystem *df_system_get(const char *name, char **why);

#endif /* DF_FDW_SYSTEM_H */
