/*
 * engine/query_run.h
 *	  Runs the SQL of a query step, or of its undo.
 */
#ifndef DF_QUERY_RUN_H
#define DF_QUERY_RUN_H

#include "engine/step_query.h"

/* it waits no longer for a lock than that; true: it was our own timer that cancelled it */
extern bool df_query_run(DfRun *run, DfStep *step, int lock_ms, DfSqlOutcome *outcome);

#endif /* DF_QUERY_RUN_H */
