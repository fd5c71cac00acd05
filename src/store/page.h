/*
 * store/page.h
 *	  Tokens of the page, and what it reads and asks for.
 */
#ifndef DF_STORE_PAGE_H
#define DF_STORE_PAGE_H

#include "df_types.h"

#define DF_PAGE_MAX_ARGS 8

/* a question or an action: its parameters are texts, by these names, NULL-terminated */
typedef struct DfPageCall
{
	const char *name;
	bool writes; /* to be POSTed */
	const char *args[DF_PAGE_MAX_ARGS + 1];
} DfPageCall;

/* inside the store, as the extension's owner */
extern void df_page_token_insert(const char *token, Oid owner, const char *owner_name,
								 TimestampTz now, TimestampTz expires);
extern uint64 df_page_token_delete(Oid owner);
extern uint64 df_page_tokens_drop(void);
extern uint64 df_page_tokens_purge(TimestampTz now);

/* why a role may not use the page now, completing "it ..."; NULL = it may */
extern const char *df_page_role_refused(Oid role, const char *name, TimestampTz now);

/* whose it is; InvalidOid if it is nobody's any more.  Enters the store by itself */
extern Oid df_page_token_role(const char *token, TimestampTz now);

/* NULL if there is none of that name */
extern const DfPageCall *df_page_call_find(const char *name);

/*
 * What it comes to, as JSON, copied to the present context.  Runs as the role,
 * and raises what the role is told.  values: one per argument, NULL = not given.
 */
extern char *df_page_call_run(const DfPageCall *call, Oid role, char **values);

#endif /* DF_STORE_PAGE_H */
