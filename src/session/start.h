/*
 * session/start.h
 *	  What start(), restart() and the triggers share.
 */
#ifndef DF_START_H
#define DF_START_H

#include "shared/limits.h"
#include "store/run_start.h"
#include "store/workflow_table.h"
#include "utils/uuid.h"

/* warns once per session if nothing will move for lack of an engine */
extern void df_warn_not_moving(void);

/*
 * Inside the store: what all runs have in common that are started now of the
 * newest version, which `judged` must have the right to start.
 */
extern void df_start_common(const char *workflow, Oid judged, DfNewRun *common,
							DfWorkflowRow *definition, MemoryContext cxt);

/* inside the store: inserts the run, or sets its id to that of the run that holds its key */
extern void df_start_insert_or_find(DfNewRun *run);

/*
 * inside the store: 55000 if forget() has erased what the run held; `verb` completes "cannot ..."
 */
extern void df_refuse_forgotten(const pg_uuid_t *run, const char *verb);

#endif /* DF_START_H */
