/*
 * shared/metrics.c
 *	  Counters and histograms in shared memory.
 *
 * Used by the engine's processes, with or without a transaction, in any role.  An
 * update is a look-up in a hash table and an atomic addition; only a new series takes
 * a lock.  Series are never removed, and their number is fixed when the server starts,
 * so users who invent names cannot fill the memory: when it is full, such series are
 * counted under "other".  Never raise an error, wait, or allocate here, except in
 * df_metrics_read().
 *
 * What is counted is what the engine decides.  If the transaction that should record
 * it fails, it is decided and counted again.  That is rare; the tables are the truth.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "port/atomics.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"

#include "guc.h"
#include "shared/clock.h"
#include "shared/metrics.h"
#include "types/base.h"

#define TRANCHE "dataflows metrics"
#define LABEL_BYTES 256
#define MAX_LABEL 200
/* series that are reserved for "other" */
#define RESERVED 64
#define OTHER "other"

#define MS INT64CONST(1000)
#define S INT64CONST(1000000)

const DfMetricInfo df_metric_infos[DF_NMETRICS] = {
	{"dataflows_runs_started", "Runs that the engine began with.", {"workflow"}, 1, 0, 1, {0}},
	{"dataflows_runs_ended",
	 "Runs that came to an end, by the state that they ended in.",
	 {"workflow", "state"},
	 1,
	 0,
	 1,
	 {0}},
	{"dataflows_runs_stuck", "How often runs got stuck.", {"workflow"}, 1, 0, 1, {0}},
	{"dataflows_steps",
	 "Steps that ended, by outcome: done, failed or in_doubt.",
	 {"system", "kind", "outcome"},
	 1,
	 0,
	 1,
	 {0}},
	{"dataflows_attempts",
	 "Requests that were answered or given up, by phase (do, probe, undo) and result: the class of "
	 "the status, or why there is none.",
	 {"system", "phase", "result"},
	 1,
	 0,
	 1,
	 {0}},
	{"dataflows_undos",
	 "Undos that ended, by outcome: undone, gone or undo_failed.",
	 {"system", "outcome"},
	 1,
	 0,
	 1,
	 {0}},
	{"dataflows_waits",
	 "Waits for events that ended, by outcome: signalled or timed_out.",
	 {"workflow", "outcome"},
	 1,
	 0,
	 1,
	 {0}},
	{"dataflows_sent_bytes", "Bytes of the bodies of requests.", {"system"}, 1, 0, 1, {0}},
	{"dataflows_received_bytes", "Bytes of the bodies of answers.", {"system"}, 1, 0, 1, {0}},
	{"dataflows_webhooks",
	 "Deliveries to webhooks, by outcome.",
	 {"path", "outcome"},
	 1,
	 0,
	 1,
	 {0}},
	{"dataflows_signals_refused",
	 "Signals that were refused because so many wait to be taken, by way: signal, trigger, notify "
	 "or webhook.",
	 {"workflow", "way"},
	 1,
	 0,
	 1,
	 {0}},
	{"dataflows_alerts",
	 "What dataflows.on_stuck did, by outcome: started, notified, none or failed.",
	 {"outcome"},
	 0,
	 0,
	 1,
	 {0}},
	{"dataflows_turns", "Turns of processes.", {"process"}, 0, 0, 1, {0}},
	{"dataflows_commits",
	 "Turns that recorded something and were committed.",
	 {"process"},
	 0,
	 0,
	 1,
	 {0}},
	{"dataflows_process_starts", "Processes that were started.", {"process"}, 0, 0, 1, {0}},
	{"dataflows_process_failures", "Processes that ended unexpectedly.", {"process"}, 0, 0, 1, {0}},
	{"dataflows_run_duration_seconds",
	 "From start to end of runs that completed.",
	 {"workflow"},
	 1,
	 15,
	 1e6,
	 {10 * MS, 50 * MS, 100 * MS, 500 * MS, S, 5 * S, 30 * S, 60 * S, 300 * S, 1800 * S, 3600 * S,
	  21600 * S, 86400 * S, 604800 * S, 2592000 * S}},
	{"dataflows_attempt_duration_seconds",
	 "From the sending of a request to the end of its answer.",
	 {"system"},
	 1,
	 14,
	 1e6,
	 {MS, 2 * MS + 500, 5 * MS, 10 * MS, 25 * MS, 50 * MS, 100 * MS, 250 * MS, 500 * MS, S,
	  2 * S + 500 * MS, 5 * S, 10 * S, 30 * S}},
	{"dataflows_turn_duration_seconds",
	 "How long turns of workers took.",
	 {"process"},
	 0,
	 13,
	 1e6,
	 {500, MS, 2 * MS + 500, 5 * MS, 10 * MS, 25 * MS, 50 * MS, 100 * MS, 250 * MS, 500 * MS, S,
	  2 * S + 500 * MS, 10 * S}},
	{"dataflows_commit_runs",
	 "Runs that were recorded in one commit.",
	 {"process"},
	 0,
	 9,
	 1,
	 {1, 2, 4, 8, 16, 32, 64, 128, 256}},
};

typedef struct Series
{
	pg_atomic_uint32 ready; /* 1 = the fields below except values are set and never change */
	uint32 hash;
	Oid database;
	uint16 metric;
	uint16 len;
	char labels[LABEL_BYTES]; /* each ends with a NUL */
	pg_atomic_uint64 values[DF_METRIC_BOUNDS + 2]; /* a counter; or buckets, then the sum */
} Series;

#define SUM(metric) (df_metric_infos[metric].nbounds + 1)

typedef struct Metrics
{
	LWLock *lock; /* held while a series is added */
	TimestampTz since;
	int nentries; /* more than are used, so that searches are short */
	int max;
	int used;
	pg_atomic_uint64 lost;
	Series entries[FLEXIBLE_ARRAY_MEMBER];
} Metrics;

static Metrics *metrics = NULL;
static bool enabled = false;
static bool paused = false;

/* ---- set-up --------------------------------------------------------------- */

static int
count_entries(void)
{
	return df_max_metrics + df_max_metrics / 2;
}

static Size
metrics_size(void)
{
	return add_size(offsetof(Metrics, entries), mul_size(sizeof(Series), count_entries()));
}

void
df_metrics_request(void)
{
	RequestAddinShmemSpace(metrics_size());
	RequestNamedLWLockTranche(TRANCHE, 1);
}

void
df_metrics_startup(void)
{
	bool found;

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	metrics = ShmemInitStruct("dataflows metrics", metrics_size(), &found);
	if (!found)
	{
		memset(metrics, 0, metrics_size());
		metrics->lock = &GetNamedLWLockTranche(TRANCHE)->lock;
		metrics->since = df_now();
		metrics->nentries = count_entries();
		metrics->max = df_max_metrics;
		pg_atomic_init_u64(&metrics->lost, 0);
		for (int i = 0; i < metrics->nentries; i++)
		{
			pg_atomic_init_u32(&metrics->entries[i].ready, 0);
			for (int v = 0; v < DF_METRIC_BOUNDS + 2; v++)
				pg_atomic_init_u64(&metrics->entries[i].values[v], 0);
		}
	}
	LWLockRelease(AddinShmemInitLock);
}

void
df_metrics_enable(void)
{
	enabled = true;
}

/* ---- entries -------------------------------------------------------------- */

typedef struct Key
{
	uint32 hash;
	uint16 metric;
	uint16 len;
	char labels[LABEL_BYTES];
} Key;

static void
make_key(Key *key, DfMetric metric, const char *const *labels)
{
	key->metric = metric;
	key->len = 0;
	for (int i = 0; i < DF_METRIC_LABELS && df_metric_infos[metric].labels[i] != NULL; i++)
	{
		const char *label = labels[i] != NULL ? labels[i] : "";
		int room = Min(MAX_LABEL, LABEL_BYTES - key->len - DF_METRIC_LABELS + i);
		int len = (int) strlen(label);

		if (len > room)
			len = pg_mbcliplen(label, len, room);
		memcpy(key->labels + key->len, label, len);
		key->len += len;
		key->labels[key->len++] = '\0';
	}
	key->hash = hash_bytes((const unsigned char *) key->labels, key->len) ^ (metric * 0x9e3779b1) ^
		MyDatabaseId;
}

/* its entry, or the free one where it belongs; NULL if all are used by others */
static Series *
find(const Key *key)
{
	for (int i = 0; i < metrics->nentries; i++)
	{
		Series *series = &metrics->entries[(key->hash + (uint32) i) % (uint32) metrics->nentries];

		if (pg_atomic_read_u32(&series->ready) == 0)
			return series;
		pg_read_barrier();
		if (series->hash == key->hash && series->metric == key->metric &&
			series->database == MyDatabaseId && series->len == key->len &&
			memcmp(series->labels, key->labels, key->len) == 0)
			return series;
	}
	return NULL;
}

/* its series, added if it is new; NULL if there are too many already */
static Series *
find_or_make(const Key *key, int reserve)
{
	Series *series = find(key);

	if (series != NULL && pg_atomic_read_u32(&series->ready) != 0)
		return series;
	LWLockAcquire(metrics->lock, LW_EXCLUSIVE);
	series = find(key);
	if (series != NULL && pg_atomic_read_u32(&series->ready) == 0)
	{
		if (metrics->used >= metrics->max - reserve)
			series = NULL;
		else
		{
			metrics->used++;
			series->hash = key->hash;
			series->database = MyDatabaseId;
			series->metric = key->metric;
			series->len = key->len;
			memcpy(series->labels, key->labels, key->len);
			pg_write_barrier();
			pg_atomic_write_u32(&series->ready, 1);
		}
	}
	LWLockRelease(metrics->lock);
	return series;
}

static Series *
series_of(DfMetric metric, const char *a, const char *b, const char *c)
{
	const char *labels[DF_METRIC_LABELS] = {a, b, c};
	Key key;
	Series *series;

	/* SQL of a query step may simulate, and call replay_check() */
	if (metrics == NULL || paused || df_clock_is_simulated() ||
		(!enabled && metric != DF_METRIC_WEBHOOKS && metric != DF_METRIC_SIGNALS_REFUSED))
		return NULL;
	make_key(&key, metric, labels);
	series = find_or_make(&key, df_metric_infos[metric].named > 0 ? RESERVED : 0);
	if (series != NULL)
		return series;
	for (int i = 0; i < df_metric_infos[metric].named; i++)
		labels[i] = OTHER;
	make_key(&key, metric, labels);
	series = find_or_make(&key, 0);
	(void) pg_atomic_fetch_add_u64(&metrics->lost, 1);
	return series;
}

/* ---- updates -------------------------------------------------------------- */

void
df_metrics_pause(bool pause)
{
	paused = pause;
}

void
df_metric_add(DfMetric metric, const char *a, const char *b, const char *c, uint64 n)
{
	Series *series = series_of(metric, a, b, c);

	Assert(df_metric_infos[metric].nbounds == 0);
	if (series != NULL)
		(void) pg_atomic_fetch_add_u64(&series->values[0], (int64) n);
}

void
df_metric_observe(DfMetric metric, const char *a, int64 value)
{
	const DfMetricInfo *info = &df_metric_infos[metric];
	Series *series = series_of(metric, a, NULL, NULL);
	int i = 0;

	Assert(info->nbounds > 0);
	if (series == NULL)
		return;
	if (value < 0)
		value = 0; /* the clock was set back */
	while (i < info->nbounds && value > info->bounds[i])
		i++;
	(void) pg_atomic_fetch_add_u64(&series->values[i], 1);
	(void) pg_atomic_fetch_add_u64(&series->values[SUM(metric)], value);
}

/* ---- reading -------------------------------------------------------------- */

static DfSeries *
copy_series(Series *series)
{
	const DfMetricInfo *info = &df_metric_infos[series->metric];
	DfSeries *copy = palloc0(sizeof(DfSeries));
	const char *label = series->labels;

	copy->metric = (DfMetric) series->metric;
	for (int i = 0; i < DF_METRIC_LABELS && info->labels[i] != NULL; i++)
	{
		copy->labels[i] = pstrdup(label);
		label += strlen(label) + 1;
	}
	if (info->nbounds == 0)
	{
		copy->count = pg_atomic_read_u64(&series->values[0]);
		return copy;
	}
	for (int i = 0; i <= info->nbounds; i++)
	{
		copy->buckets[i] = pg_atomic_read_u64(&series->values[i]);
		copy->count += copy->buckets[i];
	}
	copy->sum = pg_atomic_read_u64(&series->values[SUM(series->metric)]) / info->scale;
	return copy;
}

static int
by_metric(const ListCell *a, const ListCell *b)
{
	const DfSeries *left = lfirst(a);
	const DfSeries *right = lfirst(b);

	if (left->metric != right->metric)
		return left->metric < right->metric ? -1 : 1;
	for (int i = 0; i < DF_METRIC_LABELS && left->labels[i] != NULL; i++)
	{
		int order = strcmp(left->labels[i], right->labels[i]);

		if (order != 0)
			return order;
	}
	return 0;
}

List *
df_metrics_read(void)
{
	List *all = NIL;

	if (metrics == NULL)
		return NIL;
	for (int i = 0; i < metrics->nentries; i++)
	{
		Series *series = &metrics->entries[i];

		if (pg_atomic_read_u32(&series->ready) == 0)
			continue;
		pg_read_barrier();
		if (series->database == MyDatabaseId)
			all = lappend(all, copy_series(series));
	}
	list_sort(all, by_metric);
	return all;
}

uint64
df_metrics_lost(void)
{
	return metrics == NULL ? 0 : pg_atomic_read_u64(&metrics->lost);
}

TimestampTz
df_metrics_since(void)
{
	return metrics == NULL ? DF_NEVER : metrics->since;
}

/* as Prometheus' histogram_quantile: linear within a bucket, at most the highest bound */
double
df_metric_quantile(const DfSeries *series, double share)
{
	const DfMetricInfo *info = &df_metric_infos[series->metric];
	double rank = share * series->count;
	uint64 below = 0;

	if (series->count == 0)
		return -1;
	for (int i = 0; i < info->nbounds; i++)
	{
		double low = i == 0 ? 0 : info->bounds[i - 1] / info->scale;
		double high = info->bounds[i] / info->scale;

		if (below + series->buckets[i] >= rank && series->buckets[i] > 0)
			return low + (high - low) * (rank - below) / series->buckets[i];
		below += series->buckets[i];
	}
	return info->bounds[info->nbounds - 1] / info->scale;
}
