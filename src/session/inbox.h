/*
 * session/inbox.h
 *	  What asks something of runs, for rows that ask it.
 */
#ifndef DF_SESSION_INBOX_H
#define DF_SESSION_INBOX_H

#include "fmgr.h"

extern PGDLLEXPORT Datum dataflows_signal(PG_FUNCTION_ARGS);
extern PGDLLEXPORT Datum dataflows_cancel(PG_FUNCTION_ARGS);
extern PGDLLEXPORT Datum dataflows_retry(PG_FUNCTION_ARGS);
extern PGDLLEXPORT Datum dataflows_resolve(PG_FUNCTION_ARGS);
extern PGDLLEXPORT Datum dataflows_undo(PG_FUNCTION_ARGS);
extern PGDLLEXPORT Datum dataflows_abandon(PG_FUNCTION_ARGS);

/*
 * Calls of these by `flinfo` ask with the rights of a table's owner; the role that changes the
 * table is recorded all the same.  A signal for which there is no room is dropped with a WARNING:
 * the statement must not fail because of it.
 */
extern void df_requests_of_table(FmgrInfo *flinfo, Oid table_owner);

#endif /* DF_SESSION_INBOX_H */
