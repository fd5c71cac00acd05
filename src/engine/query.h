/*
 * engine/query.h
 *	  A query step between the sql worker, which runs it, and the engine.
 */
#ifndef DF_ENGINE_QUERY_H
#define DF_ENGINE_QUERY_H

#include "df_types.h"
#include "store/user_sql.h"

/* the SQL that is due for the step, by its phase, and its args (NULL = none) */
extern const char *df_query_sql(DfRun *run, DfStep *step, Jsonb **args, bool *result_arg);

/* applies what became of it; timed_out: it was our own timer that cancelled it */
extern void df_query_outcome(DfRun *run, DfStep *step, const DfSqlOutcome *outcome, bool timed_out);

#endif /* DF_ENGINE_QUERY_H */
