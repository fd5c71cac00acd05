/*
 * guc.c
 *	  All settings of dataflows, in alphabetical order.
 *
 * Called from _PG_init, in the postmaster or, without shared_preload_libraries, in the
 * backend that loads the library.  A setting that guards or limits something is SIGHUP (read
 * by the engine's processes) or SUSET (read in sessions), so that the owner of a workflow
 * cannot raise it.  Nothing here makes a decision.
 */
#include "postgres.h"

#include <limits.h>

#include "utils/guc.h"

#include "compat.h"
#include "guc.h"
#include "shared/traceparent.h"

#define MS_PER_SECOND 1000
#define SECONDS_PER_DAY 86400
/* ten bits of the id of a run */
#define MAX_NODE 1023
/* one of the nodes that there can be, rounded down */
#define LEAST_SHARE 0.0005

bool df_allow_superuser_owner = true;
bool df_dashboard = false;
int df_body_timeout = 10 * MS_PER_SECOND;
char *df_identity_token = NULL;
int df_handler_timeout = 2 * MS_PER_SECOND;
char *df_identity_at_start = NULL;
int df_ingress_connections = 1000;
int df_ingress_timeout = 20;
char *df_ingress_database = NULL;
char *df_ingress_role = NULL;
char *df_listen = NULL;
char *df_otlp_endpoint = NULL;
char *df_public_url = NULL;
char *df_traceparent = NULL;
char *df_metrics = NULL;
char *df_on_stuck = NULL;
int df_max_body = 1024 * 1024;
int df_max_in_flight = 256;
int df_max_metrics = 1000;
int df_max_processes = 64;
int df_max_runs = 256;
int df_max_steps = 10000;
int df_max_systems = 256;
int df_node = 0;
int df_query_timeout = 300 * MS_PER_SECOND;
int df_retention = 30 * SECONDS_PER_DAY;
double df_share = 1;
int df_signal_ttl = 7 * SECONDS_PER_DAY;
int df_sql_workers_per_owner = 1;
int df_sweep_interval = 60 * MS_PER_SECOND;
int df_undo_for = SECONDS_PER_DAY;
int df_worker_idle = 60 * MS_PER_SECOND;
int df_workers_per_owner = 1;

/* an integer setting; all of them have no hooks and no flags but their unit */
typedef struct IntSetting
{
	const char *name;
	const char *summary;
	const char *detail;
	int *value;
	int low;
	int high;
	GucContext context;
	int unit;
} IntSetting;

static const IntSetting int_settings[] = {
	/* SIGHUP: workers read it, and an owner must not give itself more time */
	{"dataflows.body_timeout", "How long one entry into a workflow's function may take.",
	 "Time spent in waiting for locks does not count. A run whose body takes longer is stuck.",
	 &df_body_timeout, 10, INT_MAX, PGC_SIGHUP, GUC_UNIT_MS},
	/*
	 * SIGHUP: the ingress process reads it, and the creator of a webhook must not give
	 * itself more time
	 */
	{"dataflows.handler_timeout",
	 "How long the handler of a webhook may take, with the filter and the paths of that webhook.",
	 "dataflows.body_timeout counts if it is less. A delivery whose handler takes longer is "
	 "answered with 503, and so are others to that webhook for a while.",
	 &df_handler_timeout, 10, INT_MAX, PGC_SIGHUP, GUC_UNIT_MS},
	/* SIGHUP: a limit on sockets, read by the ingress process */
	{"dataflows.ingress_connections", "How many connections the ingress process serves at a time.",
	 NULL, &df_ingress_connections, 1, 10000, PGC_SIGHUP, 0},
	/* SIGHUP: a limit against slow clients, read by the ingress process */
	{"dataflows.ingress_timeout",
	 "How long a client may take to send a request, and a connection may be idle.", NULL,
	 &df_ingress_timeout, 1, 3600, PGC_SIGHUP, GUC_UNIT_S},
	/* SUSET: read by workers and by sessions that pass inputs and payloads */
	{"dataflows.max_body", "Largest input, payload, request or response.",
	 "A system may have a smaller limit as its option max_body.", &df_max_body, 1024,
	 256 * 1024 * 1024, PGC_SUSET, GUC_UNIT_BYTE},
	/* SIGHUP: a limit on sockets, read by workers */
	{"dataflows.max_in_flight", "How many requests one worker has in flight at a time.", NULL,
	 &df_max_in_flight, 1, 10000, PGC_SIGHUP, 0},
	/* SIGHUP: a limit on memory, read by workers */
	{"dataflows.max_runs", "How many runs one worker holds in memory at a time.", NULL,
	 &df_max_runs, 1, 100000, PGC_SIGHUP, 0},
	/* SIGHUP: a limit against endless loops, read by workers */
	{"dataflows.max_steps", "How many steps one run may have before it is stuck.",
	 "Each call of a step in a loop is one.", &df_max_steps, 1, 1000000, PGC_SIGHUP, 0},
	/* SUSET: a superuser may set another value for a role; its sql workers read it */
	{"dataflows.query_timeout", "How long the SQL of one query step may take.",
	 "A step that takes longer fails with DF001; the time in which it waits for locks does not "
	 "count. 0 sets no limit.",
	 &df_query_timeout, 0, INT_MAX, PGC_SUSET, GUC_UNIT_MS},
	/* SIGHUP: only the coordinator purges */
	{"dataflows.retention", "How long runs are kept after they have reached a terminal state.",
	 "-1 keeps them for ever.", &df_retention, -1, INT_MAX, PGC_SIGHUP, GUC_UNIT_S},
	/* SUSET: read by the sessions that send signals */
	{"dataflows.signal_ttl", "How long a signal by key waits for a run with that key.", NULL,
	 &df_signal_ttl, 1, INT_MAX, PGC_SUSET, GUC_UNIT_S},
	/* SIGHUP: the coordinator starts the sql workers */
	{"dataflows.sql_workers_per_owner",
	 "How many sql workers share the query steps of one owner role.",
	 "Each runs one statement at a time.", &df_sql_workers_per_owner, 1, 64, PGC_SIGHUP, 0},
	/* SIGHUP: the coordinator's timer */
	{"dataflows.sweep_interval",
	 "How often each coordinator looks at the tables without having been woken.",
	 "It bounds the delay that a lost wake can cause.", &df_sweep_interval, 100, INT_MAX,
	 PGC_SIGHUP, GUC_UNIT_MS},
	/* SIGHUP: a limit, read by workers */
	{"dataflows.undo_for", "How long an undo is retried before a person must do it.", NULL,
	 &df_undo_for, 1, INT_MAX, PGC_SIGHUP, GUC_UNIT_S},
	/* SIGHUP: the workers' timer */
	{"dataflows.worker_idle", "How long a worker stays without work before it ends.", NULL,
	 &df_worker_idle, 0, INT_MAX, PGC_SIGHUP, GUC_UNIT_MS},
	/* SIGHUP: the coordinator starts the workers */
	{"dataflows.workers_per_owner", "How many workers share the runs of one owner role.", NULL,
	 &df_workers_per_owner, 1, 64, PGC_SIGHUP, 0},
};

/* texts, set in postgresql.conf */
typedef struct TextSetting
{
	const char *name;
	const char *summary;
	const char *detail;
	char **value;
} TextSetting;

static const TextSetting text_settings[] = {
	/* SIGHUP, all of them: the administrator decides what is reachable */
	{"dataflows.ingress_database", "Database whose webhooks are heard.",
	 "Empty: the first that has the extension and gets the address.", &df_ingress_database},
	{"dataflows.ingress_role", "Role whose session hears webhooks.",
	 "A plain role that may log in and connect, with no rights of its own.", &df_ingress_role},
	{"dataflows.listen", "Address on which webhooks are heard, such as 127.0.0.1:8480.",
	 "Empty: no ingress.", &df_listen},
	{"dataflows.otlp_endpoint",
	 "Collector that spans of runs, steps and attempts are sent to, such as http://127.0.0.1:4318.",
	 "OTLP/HTTP with JSON; /v1/traces is added where there is no path. Empty: none are made.",
	 &df_otlp_endpoint},
	{"dataflows.public_url",
	 "Address under which people reach dataflows.listen, such as https://hooks.example.com.",
	 "The links of event_url() begin with it.", &df_public_url},
	{"dataflows.metrics",
	 "Who may GET /metrics from the ingress: nobody (empty), local, or token:<system>.",
	 "local: clients on this machine. token: who shows, as a bearer token, the webhook_secret that "
	 "the ingress role has for that system.",
	 &df_metrics},
	{"dataflows.on_stuck",
	 "What happens when a run gets stuck: a workflow that is started, or channel:<name> that is "
	 "notified.",
	 "Empty: nothing.", &df_on_stuck},
};

/*
 * A POSTMASTER setting can be defined only while the postmaster preloads libraries.  In a
 * backend that loads the library by itself it is SIGHUP, so that a value in postgresql.conf
 * is valid there, too.
 */
static void
define_fixed_at_start(bool preloaded)
{
	GucContext context = preloaded ? PGC_POSTMASTER : PGC_SIGHUP;

	/* POSTMASTER: it is the size of the shared memory */
	DefineCustomIntVariable("dataflows.max_metrics",
							"How many series of counters and histograms are kept.",
							"What would be more is counted under the name \"other\".",
							&df_max_metrics, 1000, 200, 100000, context,
							0, NULL, NULL, NULL);

	/* POSTMASTER: it is the size of the shared memory */
	DefineCustomIntVariable("dataflows.max_processes",
							"How many processes the engine may have in the whole cluster.",
							"Each needs one of max_worker_processes, too.",
							&df_max_processes, 64, 4, 1024, context,
							0, NULL, NULL, NULL);

	/* POSTMASTER: it is the size of the shared memory */
	DefineCustomIntVariable(
		"dataflows.max_systems", "For how many systems the limits are shared by all workers.",
		"For systems beyond, in all databases of the cluster, each worker keeps limits of its own.",
		&df_max_systems, 256, 1, 10000, context, 0, NULL, NULL, NULL);
}

/*
 * SIGHUP: a running server can be given a token; the coordinators make sure that all use
 * the same one
 */
static void
define_identity(bool preloaded)
{
	DefineCustomStringVariable(
		"dataflows.identity", "Token that tells this installation from copies of it.",
		"If it is empty, the system identifier of the cluster is used. "
		"Runs move only where the identity is the one that they were made under.",
		&df_identity_token, "", PGC_SIGHUP, GUC_SUPERUSER_ONLY, NULL, NULL, NULL);
	if (preloaded)
		df_identity_at_start = strdup(df_identity_token);
}

/*
 * PostgreSQL takes the default for a value that a setting of an extension cannot have, with a
 * WARNING.  A server that is another node than it was told, or takes the limits for itself
 * alone, must rather not start.
 */
static void
refuse_out_of_range(const char *name, double low, double high)
{
	const char *given = GetConfigOption(name, true, false);
	char *end;
	double value;

	if (given == NULL)
		return;
	value = strtod(given, &end);
	if (end != given && *end == '\0' && value >= low && value <= high)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid value for parameter \"%s\": \"%s\"", name, given),
			 errhint("Set it to a number from %g to %g, or remove it.", low, high)));
}

static void
define_node(bool preloaded)
{
	if (preloaded)
	{
		refuse_out_of_range("dataflows.node", 0, MAX_NODE);
		refuse_out_of_range("dataflows.share", LEAST_SHARE, 1);
	}

	/* POSTMASTER: all processes must make ids of one node; see define_fixed_at_start() */
	DefineCustomIntVariable("dataflows.node",
							"Number of this server among several that share the work.",
							"It is in the id of each run that is started here. 0: it is alone.",
							&df_node, 0, 0, MAX_NODE, preloaded ? PGC_POSTMASTER : PGC_SIGHUP,
							0, NULL, NULL, NULL);

	/* SIGHUP: a limit, read by workers */
	DefineCustomRealVariable(
		"dataflows.share", "This node's part of rate_limit and max_concurrency of each system.",
		"With several nodes, all parts together are at most 1.", &df_share, 1.0, LEAST_SHARE,
		1.0, PGC_SIGHUP, 0, NULL, NULL, NULL);
}

static bool
check_traceparent(char **value, void **extra, GucSource source)
{
	DfTraceparent ignored;

	if (*value == NULL || (*value)[0] == '\0' || df_traceparent_parse(*value, &ignored))
		return true;
	GUC_check_errhint("Pass a traceparent as W3C Trace Context writes it, such as "
					  "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01.");
	return false;
}

void
df_guc_define(bool preloaded)
{
	/* SUSET: it guards define_workflow(), which runs in sessions */
	DefineCustomBoolVariable("dataflows.allow_superuser_owner",
							 "Whether superusers may define workflows.",
							 "The bodies of such workflows run with all rights.",
							 &df_allow_superuser_owner, true, PGC_SUSET,
							 0, NULL, NULL, NULL);

	/* SIGHUP: it makes the page reachable */
	DefineCustomBoolVariable("dataflows.dashboard",
							 "Whether dataflows.listen shows the page to people, too.",
							 "They log in there with a token of dashboard_token().",
							 &df_dashboard, false, PGC_SIGHUP,
							 0, NULL, NULL, NULL);

	for (int i = 0; i < lengthof(int_settings); i++)
	{
		const IntSetting *s = &int_settings[i];

		DefineCustomIntVariable(s->name, s->summary, s->detail, s->value, *s->value,
								s->low, s->high, s->context, s->unit, NULL, NULL, NULL);
	}
	for (int i = 0; i < lengthof(text_settings); i++)
	{
		const TextSetting *s = &text_settings[i];

		DefineCustomStringVariable(s->name, s->summary, s->detail, s->value, "",
								   PGC_SIGHUP, 0, NULL, NULL, NULL);
	}
	/* USERSET: it concerns the runs that the session starts only */
	DefineCustomStringVariable(
		"dataflows.traceparent",
		"Trace that the runs started from here belong to: a traceparent of W3C Trace Context.",
		"It is stored with each run and sent with its requests.", &df_traceparent, "", PGC_USERSET,
		0, check_traceparent, NULL, NULL);
	define_node(preloaded);
	define_identity(preloaded);
	define_fixed_at_start(preloaded);
	MarkGUCPrefixReserved("dataflows");
}
