/*
 * session/inbox_arguments.h
 *	  Arguments of the functions that ask something of runs.
 */
#ifndef DF_INBOX_ARGUMENTS_H
#define DF_INBOX_ARGUMENTS_H

#include "fmgr.h"
#include "utils/jsonb.h"

/* 22004 if it is NULL */
extern void df_require_given(FunctionCallInfo fcinfo, int arg, const char *what);

extern char *df_event_argument(FunctionCallInfo fcinfo, int arg);

/* NULL becomes {}, which a body gets for an event without payload */
extern Jsonb *df_payload_argument(FunctionCallInfo fcinfo, int arg);

extern char *df_note_argument(FunctionCallInfo fcinfo, int arg, bool required);

/* an application's own user: what it says is recorded and believed; NULL = none */
extern char *df_behalf_argument(FunctionCallInfo fcinfo, int arg);

#endif /* DF_INBOX_ARGUMENTS_H */
