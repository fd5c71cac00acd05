/*
 * engine/step_query.h
 *	  A query step between the sql worker, which runs it, and the engine; and what
 *	  a call of query() has in common with one of once().
 */
#ifndef DF_STEP_QUERY_H
#define DF_STEP_QUERY_H

#include "compat.h"
#include "fmgr.h"
#include "store/user_sql.h"
#include "types/run.h"
#include "types/system_policy.h"

/* the SQL that is due for the step, by its phase, and its args (NULL = none) */
extern const char *df_query_sql(DfRun *run, DfStep *step, Jsonb **args, bool *result_arg);

/* applies what became of it; timed_out: it was our own timer that cancelled it */
extern void df_query_outcome(DfRun *run, DfStep *step, const DfSqlOutcome *outcome, bool timed_out);

/* the SQL of a call, checked; `what` names the argument in errors */
extern char *df_sql_argument(FunctionCallInfo fcinfo, int arg, const char *what, const char *step);

/* its args as text, which is also what is recorded; NULL if there are none */
extern char *df_sql_args_argument(FunctionCallInfo fcinfo, int arg, const char *step);

/* DF003 if the step is recorded with other SQL or other args */
extern void df_sql_check_recorded(const DfStep *step, const char *sql, const char *args);

extern void df_sql_note(DfRun *run, DfStep *step, const char *sql, const char *args);

/* how a query step is tried again, unless the step or the workflow says otherwise */
extern const DfSystemPolicy df_sql_policy;

#endif /* DF_STEP_QUERY_H */
