/*
 * ingress/webhook.h
 *	  Handles a delivery to a webhook.
 */
#ifndef DF_WEBHOOK_H
#define DF_WEBHOOK_H

#include "utils/jsonb.h"

typedef struct DfWebhookAnswer
{
	int status; /* HTTP status; 0 = nothing was done, and it is to be handled by itself */
	int retry_after_s; /* 0 = not said */
	Jsonb *body; /* {"run"}, {"ignored"} or {"error"} */
} DfWebhookAnswer;

/*
 * Needs a transaction that can write; does not raise errors for what is wrong with the
 * delivery. headers: an object whose names are in lower case.
 */
extern void df_webhook_receive(const char *path, const Jsonb *headers, const char *body,
							   size_t body_len, DfWebhookAnswer *answer);

#endif /* DF_WEBHOOK_H */
