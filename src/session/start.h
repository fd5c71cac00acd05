/*
 * session/start.h
 *	  Shared by start(), restart() and the triggers.
 */
#ifndef DF_START_H
#define DF_START_H

#include "shared/limits.h"
#include "store/run_start.h"
#include "store/workflow_table.h"
#include "utils/uuid.h"

/* warns once per session if no run moves because the engine is not running */
extern void df_warn_not_moving(void);

/*
 * Call it inside the store: fills what all runs have in common that are started now of the
 * newest version.  Raises an error unless `judged` has the right to start it.
 */
extern void df_start_common(const char *workflow, Oid judged, DfNewRun *common,
							DfWorkflowRow *definition, MemoryContext cxt);

/*
 * Call it inside the store: inserts the run, or sets its id to that of the run that holds its
 * key.  False if that is a run of which `judged` must not learn more.
 */
extern bool df_start_insert_or_find(DfNewRun *run, Oid judged, MemoryContext cxt);

/*
 * Call it inside the store: raises 55000 if forget() has erased the run's data; `verb`
 * completes "cannot ...".
 */
extern void df_refuse_forgotten(const pg_uuid_t *run, const char *verb);

#endif /* DF_START_H */
