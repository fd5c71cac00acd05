/*
 * ingress/openmetrics.c
 *	  GET /metrics, in OpenMetrics or the older text format of Prometheus.
 *
 * Runs in the ingress process, in its transaction and as its role. dataflows.metrics says
 * who may read: clients on this machine (not through a proxy), or clients that send the token.
 * Repeated requests get the result of a moment ago.  Shows names and numbers only.
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "fdw/system.h"
#include "guc.h"
#include "ingress/openmetrics.h"
#include "ingress/signature.h"
#include "session/measures.h"
#include "shared/clock.h"
#include "shared/json.h"

#define LOCAL "local"
#define TOKEN "token:"
#define KEEP_US (1 * USECS_PER_SEC)

static const char open_metrics[] = "application/openmetrics-text; version=1.0.0; charset=utf-8";
static const char plain_text[] = "text/plain; version=0.0.4; charset=utf-8";

/* ---- who may read --------------------------------------------------------- */

bool
df_metrics_are_shown(void)
{
	return strcmp(df_metrics, LOCAL) == 0 || strncmp(df_metrics, TOKEN, strlen(TOKEN)) == 0;
}

/* a proxy on this machine may forward requests of other machines */
static bool
is_local(const DfRequest *request)
{
	static const char *const signs[] = {"forwarded", "via", "x-forwarded-for", "x-real-ip"};

	for (int i = 0; i < lengthof(signs); i++)
		if (df_request_header(request, signs[i]) != NULL)
			return false;
	return df_request_is_local(request);
}

static char *
header_of(const void *headers, const char *name)
{
	const char *value = df_request_header(headers, name);

	return value != NULL ? pstrdup(value) : NULL;
}

static bool
shows_secret(const DfDelivery *delivery, const char *secret)
{
	return secret != NULL && df_verify(DF_VERIFY_BEARER, NULL, secret, delivery) == NULL;
}

/* the secret is in this role's user mapping for the system */
static bool
shows_token(const DfRequest *request)
{
	static bool said = false;
	DfDelivery delivery;
	DfSystem *system;
	char *why = NULL;

	memset(&delivery, 0, sizeof(delivery));
	delivery.body = "";
	delivery.header = header_of;
	delivery.headers = request;
	system = df_system_get(df_metrics + strlen(TOKEN), &why);
	if (system == NULL || system->webhook_secret == NULL)
	{
		if (!said)
			ereport(
				LOG,
				(errcode(ERRCODE_CONFIG_FILE_ERROR),
				 errmsg("dataflows shows no metrics: %s",
						why != NULL ? why
									: "the user mapping of the ingress role has no webhook_secret"),
				 errhint("Create the server that dataflows.metrics names, grant USAGE on it to the "
						 "ingress role, and give that role a user mapping with webhook_secret.")));
		said = true;
		return false;
	}
	said = false;
	return shows_secret(&delivery, system->webhook_secret) ||
		shows_secret(&delivery, system->webhook_secret_old);
}

/* ---- the text ------------------------------------------------------------- */

/* converts to UTF-8; an invalid name gets "?" for its bytes */
static char *
utf8_of(const char *text)
{
	char *copy = pstrdup(text);

	if (GetDatabaseEncoding() != PG_SQL_ASCII)
		return pg_server_to_any(copy, strlen(copy), PG_UTF8);
	if (!pg_verify_mbstr(PG_UTF8, copy, strlen(copy), true))
		for (char *c = copy; *c != '\0'; c++)
			if (IS_HIGHBIT_SET(*c))
				*c = '?';
	return copy;
}

static void
append_label(StringInfo out, const char *name, const char *value)
{
	appendStringInfo(out, "%s%s=\"", out->data[out->len - 1] == '{' ? "" : ",", name);
	for (const char *c = utf8_of(value); *c != '\0'; c++)
	{
		if (*c == '\n')
			appendStringInfoString(out, "\\n");
		else if (*c == '"' || *c == '\\')
			appendStringInfo(out, "\\%c", *c);
		else
			appendStringInfoChar(out, *c);
	}
	appendStringInfoChar(out, '"');
}

/* the shortest text of a number with a decimal point, as both formats write bounds */
static const char *
bound_text(double bound)
{
	char *text = psprintf("%.15g", bound);

	return strpbrk(text, ".e") != NULL ? text : psprintf("%s.0", text);
}

/* writes name{labels} and a space; le = the bound of a bucket, or NULL */
static void
append_name(StringInfo out, const DfSample *sample, const char *suffix, const char *le)
{
	appendStringInfo(out, "%s%s", sample->name, suffix);
	if (sample->labels[0] != NULL || le != NULL)
	{
		appendStringInfoChar(out, '{');
		for (int i = 0; i < DF_METRIC_LABELS && sample->labels[i] != NULL; i++)
			append_label(out, sample->labels[i], sample->values[i]);
		if (le != NULL)
			append_label(out, "le", le);
		appendStringInfoChar(out, '}');
	}
	appendStringInfoChar(out, ' ');
}

static void
append_histogram(StringInfo out, const DfSample *sample)
{
	const DfSeries *series = sample->series;
	const DfMetricInfo *info = &df_metric_infos[series->metric];
	uint64 below = 0;

	for (int i = 0; i <= info->nbounds; i++)
	{
		below += series->buckets[i];
		append_name(out, sample, "_bucket",
					i < info->nbounds ? bound_text(info->bounds[i] / info->scale) : "+Inf");
		appendStringInfo(out, UINT64_FORMAT "\n", below);
	}
	append_name(out, sample, "_sum", NULL);
	appendStringInfo(out, "%.15g\n", series->sum);
	append_name(out, sample, "_count", NULL);
	appendStringInfo(out, UINT64_FORMAT "\n", series->count);
}

static void
append_sample(StringInfo out, const DfSample *sample, bool first, bool open)
{
	bool counter = strcmp(sample->type, "counter") == 0;

	if (first)
	{
		const char *suffix = counter && !open ? "_total" : "";

		appendStringInfo(out, "# HELP %s%s %s\n", sample->name, suffix, sample->help);
		appendStringInfo(out, "# TYPE %s%s %s\n", sample->name, suffix, sample->type);
	}
	if (sample->series != NULL)
	{
		append_histogram(out, sample);
		return;
	}
	append_name(out, sample, counter ? "_total" : "", NULL);
	appendStringInfo(out, "%.15g\n", sample->value);
}

static char *
text_of(bool open)
{
	StringInfoData out;
	List *samples = df_samples(true);
	DfSample connections = {"dataflows_ingress_connections", "Connections of the ingress process.",
							"gauge"};
	const char *last = "";
	ListCell *lc;

	connections.value = df_listener_connections();
	samples = lappend(samples, &connections);
	initStringInfo(&out);
	foreach (lc, samples)
	{
		const DfSample *sample = lfirst(lc);

		append_sample(&out, sample, strcmp(last, sample->name) != 0, open);
		last = sample->name;
	}
	if (open)
		appendStringInfoString(&out, "# EOF\n");
	return out.data;
}

/* ---- the answer ----------------------------------------------------------- */

/* read again at most once a second per format */
static const char *
recent_text(bool open)
{
	static char *kept[2] = {NULL, NULL};
	static int64 kept_at[2];
	int64 now = df_monotonic_us();
	char *text;

	if (kept[open] != NULL && now - kept_at[open] < KEEP_US)
		return kept[open];
	text = text_of(open);
	if (kept[open] != NULL)
		pfree(kept[open]);
	kept[open] = MemoryContextStrdup(TopMemoryContext, text);
	kept_at[open] = now;
	return kept[open];
}

void
df_metrics_answer(DfRequest *request)
{
	const char *accept = df_request_header(request, "accept");
	bool open = accept != NULL && strstr(accept, "application/openmetrics-text") != NULL;
	bool local = strcmp(df_metrics, LOCAL) == 0;
	const char *text;

	if (local ? !is_local(request) : !shows_token(request))
	{
		text = DF_JSON_ERROR("not allowed");
		(void) df_request_reply(request, local ? 403 : 401, "application/json", text, strlen(text));
		if (!local)
			(void) df_request_add_header(request, "WWW-Authenticate", "Bearer");
		return;
	}
	text = recent_text(open);
	(void) df_request_reply(request, 200, open ? open_metrics : plain_text, text, strlen(text));
	(void) df_request_add_header(request, "Cache-Control", "no-store");
}
