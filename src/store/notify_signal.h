/*
 * store/notify_signal.h
 *	  Signals that come by NOTIFY.
 *
 * Between df_store_enter() and df_store_leave().
 */
#ifndef DF_STORE_NOTIFY_SIGNAL_H
#define DF_STORE_NOTIFY_SIGNAL_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "utils/jsonb.h"
#include "utils/uuid.h"

typedef enum DfNotifyFate
{
	DF_NOTIFY_TAKEN,
	DF_NOTIFY_UNKNOWN, /* no such run or workflow */
	DF_NOTIFY_REFUSED, /* accept_notify does not allow it */
	DF_NOTIFY_TOO_LATE, /* the run has ended */
	DF_NOTIFY_TOO_MANY /* that it has not taken */
} DfNotifyFate;

typedef struct DfNotifySignal
{
	bool by_key;
	pg_uuid_t run;
	char *workflow; /* by_key */
	char *key; /* by_key */
	char *event;
	Jsonb *payload;
	int pid;
	TimestampTz at;
} DfNotifySignal;

/* is there a live run that NOTIFY may signal? */
extern bool df_some_accept_notify(void);

/* writes the inbox row; wake *owner then */
extern DfNotifyFate df_insert_notify(const DfNotifySignal *signal, Oid *owner);

#endif /* DF_STORE_NOTIFY_SIGNAL_H */
