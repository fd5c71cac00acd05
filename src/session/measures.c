/*
 * session/measures.c
 *	  All measurements as a list, for the view metrics and for GET /metrics.
 *
 * Runs in a user's backend, in the caller's transaction and role, and in the ingress
 * process.  Counters and processes come from shared memory, the rest from the tables, which
 * are read as the extension's owner.  Shows numbers and the names of workflows, systems and
 * paths: never a key, an input or an address.
 */
#include "postgres.h"

#include "catalog/pg_authid.h"
#include "commands/dbcommands.h"
#include "fmgr.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "guc.h"
#include "session/measures.h"
#include "session/rows.h"
#include "shared/clock.h"
#include "shared/slot_queue.h"
#include "shared/json.h"
#include "shared/slots.h"
#include "shared/system_state.h"
#include "store/due.h"
#include "store/gauges.h"
#include "store/identity.h"
#include "store/rights.h"
#include "store/sight.h"
#include "store/store.h"
#include "types/base.h"

PG_FUNCTION_INFO_V1(dataflows_metrics);

#define N_COLUMNS 8
#define EPOCH_S ((POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * (double) SECS_PER_DAY)

/* ---- shared memory -------------------------------------------------------- */

static DfSample *
new_sample(List **samples, const char *name, const char *help, const char *type)
{
	DfSample *sample = palloc0(sizeof(DfSample));

	sample->name = name;
	sample->help = help;
	sample->type = type;
	*samples = lappend(*samples, sample);
	return sample;
}

static List *
add_series(List *samples)
{
	ListCell *lc;

	foreach (lc, df_metrics_read())
	{
		const DfSeries *series = lfirst(lc);
		const DfMetricInfo *info = &df_metric_infos[series->metric];
		DfSample *sample = new_sample(&samples, info->name, info->help,
									  info->nbounds > 0 ? "histogram" : "counter");

		for (int i = 0; i < DF_METRIC_LABELS; i++)
		{
			sample->labels[i] = info->labels[i];
			sample->values[i] = series->labels[i];
		}
		sample->value = series->count;
		sample->series = info->nbounds > 0 ? series : NULL;
	}
	return samples;
}

typedef struct Processes
{
	int running[DF_SLOT_INGRESS + 1];
	int waiting[DF_SLOT_INGRESS + 1]; /* for a place in the server */
	int64 longest_us; /* how long the first of them has waited */
	int held;
	int in_flight;
} Processes;

static void
read_processes(Processes *processes)
{
	TimestampTz now;

	memset(processes, 0, sizeof(*processes));
	if (df_shared == NULL)
		return;
	now = df_now();
	LWLockAcquire(df_shared->lock, LW_SHARED);
	for (int i = 0; i < df_shared->nslots; i++)
	{
		const DfSlot *slot = &df_shared->slots[i];

		if (slot->kind == DF_SLOT_FREE || slot->database != MyDatabaseId)
			continue;
		if (df_shared->full_since != DF_NEVER && df_queue_waits(slot, now))
		{
			processes->waiting[slot->kind]++;
			processes->longest_us = Max(processes->longest_us, now - slot->not_before);
		}
		if (slot->state != DF_PROC_RUNNING)
			continue;
		processes->running[slot->kind]++;
		processes->held += slot->runs_held;
		processes->in_flight += slot->in_flight;
	}
	LWLockRelease(df_shared->lock);
}

static List *
add_processes(List *samples)
{
	Processes processes;
	DfSample *sample;

	read_processes(&processes);
	for (int kind = DF_SLOT_COORDINATOR; kind <= DF_SLOT_INGRESS; kind++)
	{
		sample =
			new_sample(&samples, "dataflows_processes", "Processes that are running.", "gauge");
		sample->labels[0] = "process";
		sample->values[0] = df_slot_kind_name((DfSlotKind) kind);
		sample->value = processes.running[kind];
	}
	for (int kind = DF_SLOT_COORDINATOR; kind <= DF_SLOT_INGRESS; kind++)
	{
		sample = new_sample(&samples, "dataflows_processes_waiting",
							"Processes that wait for one of the server's max_worker_processes.",
							"gauge");
		sample->labels[0] = "process";
		sample->values[0] = df_slot_kind_name((DfSlotKind) kind);
		sample->value = processes.waiting[kind];
	}
	sample = new_sample(&samples, "dataflows_process_wait_seconds",
						"For how long the first of them has waited.", "gauge");
	sample->value = processes.longest_us / 1e6;
	sample = new_sample(&samples, "dataflows_runs_held", "Runs in the memory of workers.", "gauge");
	sample->value = processes.held;
	sample = new_sample(&samples, "dataflows_requests_in_flight", "Requests in flight.", "gauge");
	sample->value = processes.in_flight;
	sample = new_sample(&samples, "dataflows_start_time_seconds",
						"When the counters began, in seconds since 1970.", "gauge");
	sample->value = df_metrics_since() / 1e6 + EPOCH_S;
	sample = new_sample(
		&samples, "dataflows_metrics_lost",
		"Updates that were counted under \"other\" for lack of dataflows.max_metrics.", "counter");
	sample->value = df_metrics_lost();
	sample = new_sample(&samples, "dataflows_build_info", "Always 1: the version and the database.",
						"gauge");
	sample->labels[0] = "version";
	sample->values[0] = DF_VERSION;
	sample->labels[1] = "database";
	sample->values[1] = get_database_name(MyDatabaseId);
	sample->value = 1;
	sample = new_sample(&samples, "dataflows_node_info",
						"Always 1: dataflows.node and dataflows.share.", "gauge");
	sample->labels[0] = "node";
	sample->values[0] = psprintf("%d", df_node);
	sample->labels[1] = "share";
	sample->values[1] = psprintf("%g", df_share);
	sample->value = 1;
	return samples;
}

/* ---- the systems: what the workers share ---------------------------------- */

typedef double (*SystemValue)(const DfSystemState *state);

static double
in_flight_of(const DfSystemState *state)
{
	return state->in_flight;
}

/* for any owner */
static double
breaker_of(const DfSystemState *state)
{
	for (int i = 0; i < DF_SYSTEM_OWNERS; i++)
	{
		const DfSystemOwner *own = &state->owners[i];

		if (OidIsValid(own->owner) && own->breaker == DF_BREAKER_OPEN &&
			own->reason != DF_HOLD_CREDENTIALS)
			return 1;
	}
	return 0;
}

/* of any owner, by the system or by its authorization server */
static double
refused_of(const DfSystemState *state)
{
	TimestampTz now = df_now();

	for (int i = 0; i < DF_SYSTEM_OWNERS; i++)
	{
		const DfSystemOwner *own = &state->owners[i];

		if (OidIsValid(own->owner) &&
			((own->breaker == DF_BREAKER_OPEN && own->reason == DF_HOLD_CREDENTIALS) ||
			 df_system_token_reason(own, now) == DF_HOLD_CREDENTIALS))
			return 1;
	}
	return 0;
}

static double
failures_of(const DfSystemState *state)
{
	int most = 0;

	for (int i = 0; i < DF_SYSTEM_OWNERS; i++)
		if (OidIsValid(state->owners[i].owner))
			most = Max(most, state->owners[i].failures);
	return most;
}

static double
latency_of(const DfSystemState *state)
{
	return state->took_us / 1e6;
}

static const struct
{
	const char *name;
	const char *help;
	SystemValue value;
} system_gauges[] = {
	{"dataflows_system_requests_in_flight", "Requests in flight to the system.", in_flight_of},
	{"dataflows_system_breaker_open",
	 "1 while the system does not answer and steps wait, of one owner role at least.", breaker_of},
	{"dataflows_system_credentials_refused",
	 "1 while the system, or its authorization server, refuses the credentials of one owner role "
	 "at least, whose steps wait.",
	 refused_of},
	{"dataflows_system_failures_in_row", "Failures in a row, of the owner role with most of them.",
	 failures_of},
	{"dataflows_system_latency_seconds", "How long an answer takes, smoothed.", latency_of},
};

static List *
add_systems(List *samples)
{
	int n = df_systems_count();
	DfSystemState *states = palloc(sizeof(DfSystemState) * Max(1, n));
	const char **names = palloc(sizeof(char *) * Max(1, n));
	int known = 0;

	for (int i = 0; i < n; i++)
	{
		ForeignServer *server;

		if (!df_system_copy(i, MyDatabaseId, &states[known]))
			continue;
		server = GetForeignServerExtended(states[known].system, FSV_MISSING_OK);
		if (server != NULL)
			names[known++] = server->servername;
	}
	for (int g = 0; g < lengthof(system_gauges); g++)
	{
		for (int i = 0; i < known; i++)
		{
			DfSample *sample =
				new_sample(&samples, system_gauges[g].name, system_gauges[g].help, "gauge");

			sample->labels[0] = "system";
			sample->values[0] = names[i];
			sample->value = system_gauges[g].value(&states[i]);
		}
	}
	return samples;
}

/* ---- the tables ----------------------------------------------------------- */

static const struct
{
	const char *name;
	const char *help;
} gauges[] = {
	{"dataflows_runs", "Runs that have not ended, by state."},
	{"dataflows_runs_due", "Runs that are due and that nobody has looked at yet."},
	{"dataflows_oldest_due_age_seconds", "For how long the oldest of them has been due."},
	{"dataflows_inbox", "Signals and requests that the engine has not read yet."},
	{"dataflows_pending_undos", "Undos that failed and that a person must do."},
	{"dataflows_oldest_ended_age_seconds",
	 "How long ago the oldest run ended that is still kept and was not called by another; 0 if "
	 "there is none."},
	{"dataflows_table_bytes", "Size of the table with its indexes and TOAST, in bytes."},
	{"dataflows_counts_capped", "1 if there is more than was counted: a count stops at 100000."},
};

static void
add_gauge(List **samples, const DfGauge *gauge)
{
	DfSample *sample =
		new_sample(samples, gauges[gauge->kind].name, gauges[gauge->kind].help, "gauge");

	sample->value = gauge->value;
	if (gauge->name == NULL)
		return;
	sample->labels[0] = gauge->kind == DF_GAUGE_TABLE_BYTES ? "table" : "workflow";
	sample->values[0] = gauge->name;
	if (gauge->state == NULL)
		return;
	sample->labels[1] = "state";
	sample->values[1] = gauge->state;
}

static List *
add_gauges(List *samples)
{
	int64 identity = df_identity_hash();
	MemoryContext cxt = CurrentMemoryContext;
	DfInstallation installation;
	DfStore store;
	List *read;
	ListCell *lc;
	DfSample *sample;

	df_store_enter(&store);
	df_installation_read(cxt, &installation);
	read = df_gauges_read(df_now(), identity, cxt);
	df_store_leave(&store);
	MemoryContextSwitchTo(cxt);
	foreach (lc, read)
		add_gauge(&samples, lfirst(lc));
	sample = new_sample(
		&samples, "dataflows_ready",
		"1 if runs move: a workflow is defined, the database is no copy and not paused.", "gauge");
	sample->value = installation.defined && installation.ours && !installation.paused;
	sample = new_sample(&samples, "dataflows_notify_queue_ratio",
						"How full the queue of NOTIFY is, from 0 to 1.", "gauge");
	sample->value = DatumGetFloat8(DirectFunctionCall1(pg_notification_queue_usage, (Datum) 0));
	return samples;
}

List *
df_samples(bool with_gauges)
{
	List *samples = add_series(NIL);

	samples = add_processes(samples);
	if (with_gauges)
		samples = add_gauges(add_systems(samples));
	return samples;
}

/* ---- the function --------------------------------------------------------- */

/* names of the workflows whose runs the caller may see; *all = it may see all */
static List *
seen_workflows(bool *all)
{
	Oid caller = GetUserId();
	MemoryContext cxt = CurrentMemoryContext;
	List *owners;
	List *seen = NIL;
	ListCell *lc;
	DfStore store;

	*all = superuser() || has_privs_of_role(caller, ROLE_PG_MONITOR);
	if (*all)
		return NIL;
	df_store_enter(&store);
	owners = df_workflow_owners(cxt);
	df_store_leave(&store);
	MemoryContextSwitchTo(cxt);
	foreach (lc, owners)
	{
		DfWorkflowOwner *owner = lfirst(lc);

		if (df_is_owner(caller, owner->owner, owner->owner_name) ||
			df_sight_of_workflow(caller, owner->workflow, 0) == DF_SEES_ALL)
			seen = lappend(seen, owner->workflow);
	}
	return seen;
}

static bool
is_seen(const DfSample *sample, List *seen)
{
	ListCell *lc;

	if (sample->labels[0] == NULL || strcmp(sample->labels[0], "workflow") != 0)
		return false;
	foreach (lc, seen)
		if (strcmp(lfirst(lc), sample->values[0]) == 0)
			return true;
	return false;
}

static Jsonb *
labels_of(const DfSample *sample)
{
	DfJson json;

	df_json_begin(&json);
	for (int i = 0; i < DF_METRIC_LABELS && sample->labels[i] != NULL; i++)
		df_json_text(&json, sample->labels[i], sample->values[i]);
	return df_json_end(&json, CurrentMemoryContext);
}

static HeapTuple
row_of(TupleDesc desc, const DfSample *sample)
{
	static const double shares[] = {0.5, 0.95, 0.99};
	Datum values[N_COLUMNS] = {0};
	bool nulls[N_COLUMNS] = {0};

	values[0] = CStringGetTextDatum(sample->name);
	values[1] = CStringGetTextDatum(sample->type);
	values[2] = JsonbPGetDatum(labels_of(sample));
	values[3] = Float8GetDatum(sample->value);
	nulls[4] = sample->series == NULL;
	values[4] = nulls[4] ? (Datum) 0 : Float8GetDatum(sample->series->sum);
	for (int i = 0; i < lengthof(shares); i++)
	{
		double quantile = sample->series != NULL ? df_metric_quantile(sample->series, shares[i])
												 : -1;

		nulls[5 + i] = quantile < 0;
		values[5 + i] = Float8GetDatum(quantile);
	}
	return heap_form_tuple(desc, values, nulls);
}

static List *
samples_for_caller(bool with_gauges)
{
	bool all;
	List *seen = seen_workflows(&all);
	List *shown = NIL;
	ListCell *lc;

	foreach (lc, df_samples(with_gauges))
		if (all || is_seen(lfirst(lc), seen))
			shown = lappend(shown, lfirst(lc));
	return shown;
}

static List *
rows_for_caller(FunctionCallInfo fcinfo, TupleDesc desc)
{
	List *rows = NIL;
	ListCell *lc;

	foreach (lc, samples_for_caller(PG_GETARG_BOOL(0)))
		rows = lappend(rows, row_of(desc, lfirst(lc)));
	return rows;
}

/*
 * _metrics(gauges boolean): members of pg_monitor see everything, others what concerns
 * their workflows
 */
Datum
dataflows_metrics(PG_FUNCTION_ARGS)
{
	return df_return_rows(fcinfo, rows_for_caller, "Read the view dataflows.metrics.");
}
