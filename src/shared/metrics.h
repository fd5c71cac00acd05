/*
 * shared/metrics.h
 *	  Counters and histograms in shared memory.
 *
 * A series is a metric, a database and values for the metric's labels.  They are lost
 * when the server restarts: no row is written for them.
 */
#ifndef DF_METRICS_H
#define DF_METRICS_H

#include "datatype/timestamp.h"
#include "nodes/pg_list.h"

typedef enum DfMetric
{
	DF_METRIC_RUNS_STARTED,
	DF_METRIC_RUNS_ENDED,
	DF_METRIC_RUNS_STUCK,
	DF_METRIC_STEPS,
	DF_METRIC_ATTEMPTS,
	DF_METRIC_UNDOS,
	DF_METRIC_WAITS,
	DF_METRIC_SENT_BYTES,
	DF_METRIC_RECEIVED_BYTES,
	DF_METRIC_WEBHOOKS,
	DF_METRIC_SIGNALS_REFUSED,
	DF_METRIC_ALERTS,
	DF_METRIC_TURNS,
	DF_METRIC_COMMITS,
	DF_METRIC_PROCESS_STARTS,
	DF_METRIC_PROCESS_FAILURES,
	DF_METRIC_RUN_DURATION, /* this and what follows are histograms */
	DF_METRIC_ATTEMPT_DURATION,
	DF_METRIC_TURN_DURATION,
	DF_METRIC_TURN_RUNS
} DfMetric;
#define DF_NMETRICS (DF_METRIC_TURN_RUNS + 1)

#define DF_METRIC_LABELS 3
#define DF_METRIC_BOUNDS 15

typedef struct DfMetricInfo
{
	const char *name; /* without the suffix _total of counters */
	const char *help;
	const char *labels[DF_METRIC_LABELS];
	int named; /* so many labels, from the first, have values that users choose */
	int nbounds; /* 0 = a counter */
	double scale; /* stored value per unit */
	int64 bounds[DF_METRIC_BOUNDS]; /* upper bounds, as stored */
} DfMetricInfo;

extern const DfMetricInfo df_metric_infos[DF_NMETRICS];

/* a copy of one series */
typedef struct DfSeries
{
	DfMetric metric;
	const char *labels[DF_METRIC_LABELS]; /* palloc'd, NULL = the metric has no such label */
	uint64 count; /* of a histogram: observations */
	double sum; /* of a histogram, in its unit */
	uint64 buckets[DF_METRIC_BOUNDS + 1]; /* not cumulative; the last one is +Inf's */
} DfSeries;

/* in processes of the engine: what a session simulates must not be counted */
extern void df_metrics_enable(void);

/* in all processes: what is only tried is not counted meanwhile */
extern void df_metrics_pause(bool pause);

extern void df_metric_add(DfMetric metric, const char *a, const char *b, const char *c, uint64 n);
extern void df_metric_observe(DfMetric metric, const char *a, int64 value);

/* all series of this database, ordered by metric; palloc'd */
extern List *df_metrics_read(void);

/* updates that went to "other" or were lost because there were too many series */
extern uint64 df_metrics_lost(void);
extern TimestampTz df_metrics_since(void);

/* estimates below which value that share of the observations is; < 0 = there are none */
extern double df_metric_quantile(const DfSeries *series, double share);

extern void df_metrics_request(void); /* shmem_request_hook */
extern void df_metrics_startup(void); /* shmem_startup_hook */

#endif /* DF_METRICS_H */
