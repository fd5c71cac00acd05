/*
 * types/message.h
 *	  One row of the inbox in a worker's memory.
 *
 * Its run's: store/inbox_table.c reads it, the engine says what became of it,
 * store/record.c writes that.
 */
#ifndef DF_TYPES_MESSAGE_H
#define DF_TYPES_MESSAGE_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "utils/jsonb.h"

/* a signal or another request of the inbox that is for this run */
typedef struct DfMessage
{
	int64 id;
	char *kind;
	char *event;
	Jsonb *payload;
	char *note;
	char *sent_by;
	TimestampTz sent_at;
	bool is_new; /* its row says that nobody has looked at it */
	bool done; /* to be written */
	int consumed_by; /* step, 0 = none */
} DfMessage;

#endif /* DF_TYPES_MESSAGE_H */
