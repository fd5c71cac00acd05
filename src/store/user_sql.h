/*
 * store/user_sql.h
 *	  SQL that users wrote: of query() and once().
 *
 * Not between df_store_enter() and df_store_leave(): it is run as whoever the
 * process is, with its settings.
 */
#ifndef DF_STORE_USER_SQL_H
#define DF_STORE_USER_SQL_H

#include "utils/jsonb.h"

/* what became of one statement */
typedef struct DfSqlOutcome
{
	Jsonb *rows; /* an array of objects; NULL if it raised */
	int sqlstate; /* 0 = it did not raise */
	ErrorData *error; /* what it raised */
} DfSqlOutcome;

/*
 * Runs the one statement in a subtransaction of its own: its effects stay if
 * it does not raise and are gone if it does.  `args` is an array or NULL;
 * `result_arg` says that its one element is $1 as jsonb, whatever it is.  It waits
 * for each lock so long, unless it has set a lock_timeout itself.
 */
extern void df_user_sql_run(const char *sql, const Jsonb *args, bool result_arg, int lock_ms,
							DfSqlOutcome *outcome);

/* the first column of the first row, read-only; NULL for NULL or no row; raises */
extern Jsonb *df_user_sql_value(const char *sql, const Jsonb *args, MemoryContext cxt);

/*
 * Raises what the SQL of an undo, whose $1 is jsonb, would raise before it did anything: a
 * typo, a table that is not there, a right that is missing.  `sql` is that of the step: 22023
 * if the undo reads a result that it never has.
 */
extern void df_user_sql_check(const char *undo, const char *sql);

/* drops what SQL leaves in a session; in a transaction, whose commit ends it */
extern void df_user_session_clean(void);

#endif /* DF_STORE_USER_SQL_H */
