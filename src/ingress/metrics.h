/*
 * ingress/metrics.h
 *	  GET /metrics.
 */
#ifndef DF_INGRESS_METRICS_H
#define DF_INGRESS_METRICS_H

#include "ingress/listener.h"

/* whether anybody may read them; else there is no such path */
extern bool df_metrics_are_shown(void);

/* in a transaction: the answer to who asks */
extern void df_metrics_answer(DfRequest *request);

#endif /* DF_INGRESS_METRICS_H */
