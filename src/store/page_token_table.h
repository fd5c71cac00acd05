/*
 * store/page_token_table.h
 *	  Tokens of the page.
 */
#ifndef DF_STORE_PAGE_TOKEN_TABLE_H
#define DF_STORE_PAGE_TOKEN_TABLE_H

#include "postgres.h"

#include "datatype/timestamp.h"

/* inside the store, as the extension's owner */
extern void df_page_token_insert(const char *token, Oid owner, const char *owner_name,
								 TimestampTz now, TimestampTz expires);
extern uint64 df_page_token_delete(Oid owner);
extern uint64 df_page_tokens_drop(void);

/* why a role may not use the page now, completing "it ..."; NULL = it may */
extern const char *df_page_role_refused(Oid role, const char *name, TimestampTz now);

/* the role that made it; InvalidOid if it has ended.  Enters the store by itself */
extern Oid df_page_token_role(const char *token, TimestampTz now);

#endif /* DF_STORE_PAGE_TOKEN_TABLE_H */
