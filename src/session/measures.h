/*
 * session/measures.h
 *	  All measurements as a list, for the view metrics and for GET /metrics.
 */
#ifndef DF_MEASURES_H
#define DF_MEASURES_H

#include "nodes/pg_list.h"
#include "shared/metrics.h"

typedef struct DfSample
{
	const char *name; /* of a counter: without the suffix _total */
	const char *help;
	const char *type; /* counter, gauge or histogram */
	const char *labels[DF_METRIC_LABELS]; /* names, up to the first NULL */
	const char *values[DF_METRIC_LABELS];
	double value; /* of a histogram: observations */
	const DfSeries *series; /* of a histogram, else NULL */
} DfSample;

/* a List of DfSample, sorted by name; needs a transaction if with gauges */
extern List *df_samples(bool gauges);

#endif /* DF_MEASURES_H */
