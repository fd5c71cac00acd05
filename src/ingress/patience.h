/*
 * ingress/patience.h
 *	  That no handler of a webhook takes the listener from the others.
 *
 * In sessions that call receive_webhook() none of this does anything.
 */
#ifndef DF_PATIENCE_H
#define DF_PATIENCE_H

#include "shared/slots.h"
#include "shared/user_code.h"

/* once, in the ingress process */
extern void df_patience_start(DfSlot *slot);

/* seconds for which deliveries to that path are turned away, 0 = they are not */
extern int df_patience_paused_s(const char *path);

/* the deliveries that follow are carried out each by itself, or with others */
extern void df_patience_alone(bool alone);

/* whether a delivery to a webhook of that role has to wait until it is carried out by itself */
extern bool df_patience_put_off(Oid owner);

/* around the code of a webhook's creator; `cut` is what df_user_code_end() said */
extern void df_patience_begin(const char *path, Oid owner);
extern void df_patience_end(DfCut cut);

#endif /* DF_PATIENCE_H */
