/*
 * store/webhook_row.h
 *	  Deliveries that become rows of a user's table.
 */
#ifndef DF_STORE_WEBHOOK_ROW_H
#define DF_STORE_WEBHOOK_ROW_H

#include "store/user_sql.h"
#include "utils/jsonb.h"

/* what a column of that name gets, if the table has it */
typedef struct DfWebhookRow
{
	const char *key; /* or NULL */
	const char *event; /* or NULL */
	const Jsonb *payload;
	const char *path;
	const char *event_id; /* or NULL */
} DfWebhookRow;

/*
 * The qualified name of a table as the current role writes it.  Raises 42P01, 42809, 42501 or
 * 42703 if it may not insert there, or there is no column payload.
 */
extern char *df_webhook_table(const char *given);

/* inserts as the current role, with the locks waited for as long as other user SQL does */
extern void df_webhook_row_insert(const char *table, const DfWebhookRow *row, int lock_ms,
								  DfSqlOutcome *outcome);

#endif /* DF_STORE_WEBHOOK_ROW_H */
