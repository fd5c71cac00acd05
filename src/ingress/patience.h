/*
 * ingress/patience.h
 *	  Keeps slow handlers of webhooks from delaying the deliveries of others.
 *
 * In sessions that call receive_webhook() these functions do nothing.
 */
#ifndef DF_PATIENCE_H
#define DF_PATIENCE_H

#include "shared/slots.h"
#include "shared/user_code.h"

/* called once, by the ingress process */
extern void df_patience_start(DfSlot *slot);

/* for how many seconds deliveries to that path are refused, 0 = they are not */
extern int df_patience_paused_s(const char *path);

/* whether the next deliveries are handled one by one or in a batch */
extern void df_patience_alone(bool alone);

/* whether a delivery to a webhook of that role has to be handled by itself */
extern bool df_patience_put_off(Oid owner);

/* call them before and after user code; `cut` is what df_user_code_end() returned */
extern void df_patience_begin(const char *path, Oid owner);
extern void df_patience_end(DfCut cut);

#endif /* DF_PATIENCE_H */
