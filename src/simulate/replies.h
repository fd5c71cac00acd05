/*
 * simulate/replies.h
 *	  What the author of a test says that systems and people answer.
 */
#ifndef DF_SIMULATE_REPLIES_H
#define DF_SIMULATE_REPLIES_H

#include "nodes/pg_list.h"
#include "types/answers.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"

typedef enum DfReplyKind
{
	DF_REPLY_ANSWER, /* to a request a response, of an event its signal */
	DF_REPLY_LOST, /* carried out, and the response never came */
	DF_REPLY_TIMEOUT, /* nothing came in time; of an event: never */
	DF_REPLY_DOWN /* nothing could be sent */
} DfReplyKind;

typedef struct DfReply
{
	DfReplyKind kind;
	int status; /* 0 = the usual one */
	const Jsonb *headers; /* NULL = none */
	const Jsonb *body; /* NULL = the usual one; JSON null = none */
	DfAnswer answer; /* what it means */
	bool has_meaning; /* else `answers` and the status say it */
	Interval after; /* comes so much later */
	const Jsonb *payload; /* of an event, NULL = none */
} DfReply;

/* those of one key, one per attempt; the last one repeats */
typedef struct DfReplyList
{
	const char *key;
	List *replies; /* of DfReply */
	bool used;
} DfReplyList;

/* a List of DfReplyList, in the current context; raises 22023 for what is none */
extern List *df_replies_read(const Jsonb *replies);

/* NULL = there is none of that key */
extern DfReplyList *df_replies_of(List *replies, const char *key);

/* of a call of a step: by its whole name, or by that which all calls of it have */
extern DfReplyList *df_replies_of_step(List *replies, const char *path, const char *name,
									   const char *suffix);
extern const DfReply *df_reply_of(DfReplyList *list, int attempt); /* from 0 */

/* keys that nothing has asked for, as text; NULL = there are none */
extern char *df_replies_unused(List *replies);

#endif /* DF_SIMULATE_REPLIES_H */
