/*
 * ingress/openmetrics.h
 *	  GET /metrics.
 */
#ifndef DF_OPENMETRICS_H
#define DF_OPENMETRICS_H

#include "ingress/listener.h"

/* whether anybody may read them; else there is no such path */
extern bool df_metrics_are_shown(void);

/* in a transaction: the answer to who asks */
extern void df_metrics_answer(DfRequest *request);

#endif /* DF_OPENMETRICS_H */
