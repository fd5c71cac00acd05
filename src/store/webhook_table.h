/*
 * store/webhook_table.h
 *	  Webhooks, and what was delivered to them.
 *
 * Between df_store_enter() and df_store_leave(); what a row points to is
 * allocated in `cxt`.
 */
#ifndef DF_STORE_WEBHOOK_TABLE_H
#define DF_STORE_WEBHOOK_TABLE_H

#include "datatype/timestamp.h"
#include "utils/jsonb.h"
#include "utils/uuid.h"

typedef struct DfWebhook
{
	char *path;
	char *starts; /* one of the three */
	char *signals;
	char *inserts; /* qualified name of a table */
	char *event; /* of signals and inserts, or NULL */
	char *key; /* or NULL */
	char *verify;
	char *secret; /* name of a system, or NULL */
	char *filter; /* or NULL */
	char *handler; /* qualified signature, or NULL */
	Oid handler_owner;
	Oid owner;
	char *owner_name;
	char *preset; /* whose events these are, or NULL */
} DfWebhook;

extern bool df_webhook_find(const char *path, DfWebhook *webhook, MemoryContext cxt);

/* false if the path is taken */
extern bool df_webhook_insert(const DfWebhook *webhook, TimestampTz now);
extern void df_webhook_delete(const char *path);

/*
 * A delivery is written before it takes effect: false if there is one with this
 * event id already, whose answer is then *answer.  Waits for a session
 * that is writing the same one.
 */
extern bool df_delivery_insert(const char *path, const char *event_id, TimestampTz now,
							   int64 *id, Jsonb **answer, MemoryContext cxt);
/* false if there is no such delivery */
extern bool df_delivery_find(const char *path, const char *event_id, Jsonb **answer,
							 MemoryContext cxt);
extern void df_delivery_answered(int64 id, const char *outcome, const pg_uuid_t *run,
								 const Jsonb *answer);

#endif /* DF_STORE_WEBHOOK_TABLE_H */
