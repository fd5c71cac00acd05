/*
 * session/node.h
 *	  Runs that are not here, but maybe on another node.
 */
#ifndef DF_SESSION_NODE_H
#define DF_SESSION_NODE_H

#include "compat.h"
#include "utils/uuid.h"

/* raises DF005; says on which node the run lives, if its id does */
pg_noreturn extern void df_refuse_unknown_run(const pg_uuid_t *run);

#endif /* DF_SESSION_NODE_H */
