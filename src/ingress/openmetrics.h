/*
 * ingress/openmetrics.h
 *	  GET /metrics.
 */
#ifndef DF_OPENMETRICS_H
#define DF_OPENMETRICS_H

#include "ingress/listener.h"

/* whether the metrics are served; if not, the path does not exist */
extern bool df_metrics_are_shown(void);

/* answers a request; needs a transaction */
extern void df_metrics_answer(DfRequest *request);

#endif /* DF_OPENMETRICS_H */
