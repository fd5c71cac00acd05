/*
 * types/message.h
 *	  One row of the inbox in a worker's memory.
 *
 * Its run's: the engine says what became of it, store/inbox_read.c reads it and
 * writes that.
 */
#ifndef DF_TYPES_MESSAGE_H
#define DF_TYPES_MESSAGE_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "utils/jsonb.h"

/* what a row of the inbox is; flow/message_kind.c has the names */
typedef enum DfMessageKind
{
	DF_MESSAGE_NONE, /* no message, or one whose kind this version does not know */
	DF_MESSAGE_SIGNAL, /* an event for a wait */
	DF_MESSAGE_CHILD, /* a run that this one called has ended */
	/* operator requests: they take effect when they are read */
	DF_MESSAGE_CANCEL,
	DF_MESSAGE_RETRY,
	DF_MESSAGE_UNDO,
	DF_MESSAGE_ABANDON,
	DF_MESSAGE_RESOLVE,
	DF_MESSAGE_RENAME,
	DF_MESSAGE_ACCEPT,
	/* of a workflow or database, not of a run: kept as a record of what was done */
	DF_MESSAGE_PAUSE,
	DF_MESSAGE_RESUME
} DfMessageKind;
#define DF_MESSAGE_NKINDS (DF_MESSAGE_RESUME + 1)

/* one that is for this run */
typedef struct DfMessage
{
	int64 id;
	DfMessageKind kind;
	char *event;
	Jsonb *payload;
	char *note;
	char *sent_by;
	char *on_behalf_of; /* as the application said; NULL = nobody */
	TimestampTz sent_at;
	bool is_new; /* its row says that nobody has looked at it */
	bool done; /* to be written */
	int consumed_by; /* step, 0 = none */
} DfMessage;

#endif /* DF_TYPES_MESSAGE_H */
