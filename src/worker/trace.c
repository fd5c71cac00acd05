/*
 * worker/trace.c
 *	  Spans of runs, steps and attempts, and their export to a collector.
 *
 * Runs in workers; the first half also in sql workers, which have no sockets.  Spans
 * are made of what was committed, outside of transactions, and put into a ring in
 * shared memory; a worker exports them as OTLP/HTTP JSON, a few requests at a time.
 * Their ids are computed from the run's, so nothing of them is stored.  Never delay
 * a run for tracing: spans that the collector does not take are dropped and counted.
 */
#include "postgres.h"

#include "commands/dbcommands.h"
#include "engine/run_steps.h"
#include "engine/transition.h"
#include "flow/flow.h"
#include "guc.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "shared/clock.h"
#include "shared/json.h"
#include "shared/spans.h"
#include "shared/traceparent.h"
#include "shared/uuid.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "worker/trace.h"
#include "worker/worker_state.h"

#define MAX_BATCH 1024 /* proxies often limit bodies to 1 MB */
#define MAX_EXPORTS 4
#define FULL_BATCH 256
#define BATCH_DELAY_MS 1000
#define PAUSE_MS 5000
#define TIMEOUT_MS 10000
#define EPOCH_US ((int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY)

static List *pending = NIL; /* of DfSpan, in df_turn_cxt: attempts of this turn */
static int exports = 0; /* in flight */
static TimestampTz next_export = DF_NEVER;
static TimestampTz first_seen = DF_NEVER;
static char *database_name = NULL;

/* ---- ids ------------------------------------------------------------------ */

static bool
tracing(void)
{
	return df_otlp_endpoint[0] != '\0';
}

/* unique over the phases of a step */
static int
attempt_number(const DfStep *step, int made)
{
	return step->engine.phase * 1000000 + made;
}

static int
attempts_made(const DfStep *step)
{
	return step->engine.phase == DF_PHASE_UNDO ? step->row.undo_attempts : step->row.attempts;
}

/* called before the attempt is counted */
const char *
df_trace_header(const DfRun *run, const DfStep *step)
{
	DfTraceparent trace;
	char text[DF_TRACEPARENT_LEN + 1];
	int number = attempts_made(step) + (step->engine.phase == DF_PHASE_PROBE ? 0 : 1);

	if (run->traceparent == NULL && !tracing())
		return NULL;
	df_run_trace(run, &trace);
	trace.parent = df_span_id(run, step->n, attempt_number(step, number));
	df_traceparent_print(&trace, text);
	return psprintf("traceparent: %s", text);
}

/* ---- making spans --------------------------------------------------------- */

static void
copy_text(char *to, size_t size, const char *from)
{
	size_t len = from == NULL ? 0 : pg_mbcliplen(from, strlen(from), size - 1);

	memcpy(to, from == NULL ? "" : from, len);
	to[len] = '\0';
}

/* false if the caller's trace is not sampled */
static bool
begin_span(DfSpan *span, DfSpanKind kind, const DfRun *run, const DfStep *step)
{
	DfTraceparent trace;

	df_run_trace(run, &trace);
	if (!trace.sampled)
		return false;
	memset(span, 0, sizeof(*span));
	span->database = MyDatabaseId;
	span->kind = kind;
	memcpy(span->trace, trace.trace, sizeof(span->trace));
	span->run = run->id;
	copy_text(span->workflow, sizeof(span->workflow), run->workflow_name);
	span->parent = kind == DF_SPAN_RUN ? trace.parent
									   : df_span_id(run, kind == DF_SPAN_STEP ? 0 : step->n, 0);
	copy_text(span->name, sizeof(span->name),
			  kind == DF_SPAN_RUN ? run->workflow_name : step->name);
	if (step != NULL)
	{
		span->n = step->n;
		copy_text(span->system, sizeof(span->system), step->system);
	}
	return true;
}

void
df_trace_begin_turn(void)
{
	pending = NIL;
}

void
df_trace_attempt(const DfRun *run, const DfStep *step, const DfResponse *response)
{
	static const char *const phases[] = {
		[DF_PHASE_DO] = "do",
		[DF_PHASE_PROBE] = "probe",
		[DF_PHASE_UNDO] = "undo",
	};
	MemoryContext old;
	DfSpan *span;

	if (!tracing())
		return;
	old = MemoryContextSwitchTo(df_turn_cxt);
	span = palloc(sizeof(DfSpan));
	if (begin_span(span, DF_SPAN_ATTEMPT, run, step))
	{
		span->attempt = attempts_made(step);
		span->id = df_span_id(run, step->n, attempt_number(step, attempts_made(step)));
		span->start = step->worker.attempt_at;
		span->end = df_now();
		span->status = response->status;
		span->failed = response->fate != DF_FATE_RESPONSE || response->status >= 400;
		copy_text(span->what, sizeof(span->what), phases[step->engine.phase]);
		pending = lappend(pending, span);
	}
	MemoryContextSwitchTo(old);
}

static void
put_step(const DfRun *run, DfStep *step)
{
	DfSpan span;

	if (step->worker.traced || !df_step_ended(step) || !df_step_differs(step))
		return;
	step->worker.traced = true;
	if (!begin_span(&span, DF_SPAN_STEP, run, step))
		return;
	span.id = df_span_id(run, step->n, 0);
	span.start = step->row.started_at;
	span.end = step->row.finished_at;
	span.status = step->row.status;
	span.failed = step->row.state != DF_STEP_DONE;
	copy_text(span.what, sizeof(span.what), df_step_kind_name(step->kind));
	copy_text(span.state, sizeof(span.state), df_step_state_name(step->row.state));
	df_span_put(&span);
}

static void
put_run(const DfRun *run)
{
	DfSpan span;

	if (!df_run_has_just_ended(run) || !begin_span(&span, DF_SPAN_RUN, run, NULL))
		return;
	span.id = df_span_id(run, 0, 0);
	span.start = run->started_at;
	span.end = run->row.finished_at;
	span.failed = run->row.state != DF_RUN_COMPLETED;
	copy_text(span.state, sizeof(span.state), df_run_state_name(run->row.state));
	df_span_put(&span);
}

void
df_trace_commit(List *runs)
{
	ListCell *lc;

	if (!tracing())
		return;
	foreach (lc, pending)
		df_span_put(lfirst(lc));
	pending = NIL;
	foreach (lc, runs)
	{
		DfRun *run = lfirst(lc);

		for (int i = 0; i < run->nsteps; i++)
			put_step(run, run->steps[i]);
		put_run(run);
	}
}

/* ---- OTLP ----------------------------------------------------------------- */

/*
 * A collector refuses the whole export if one name is not UTF-8, and outside of
 * transactions text cannot be converted: write "?" instead.
 */
static const char *
utf8_or_marks(const char *text)
{
	int len = strlen(text);
	char *plain;

	if (pg_encoding_verifymbstr(PG_UTF8, text, len) == len)
		return text;
	plain = pstrdup(text);
	for (char *c = plain; *c != '\0'; c++)
		if (IS_HIGHBIT_SET(*c))
			*c = '?';
	return plain;
}

static void
add_attribute(DfJson *json, const char *key, const char *type, const char *value)
{
	df_json_open_object(json, NULL);
	df_json_text(json, "key", key);
	df_json_open_object(json, "value");
	df_json_text(json, type, value);
	df_json_close_object(json);
	df_json_close_object(json);
}

static void
add_word(DfJson *json, const char *key, const char *value)
{
	if (value[0] != '\0')
		add_attribute(json, key, "stringValue", utf8_or_marks(value));
}

/* whole numbers are strings in the JSON of protobuf */
static void
add_number(DfJson *json, const char *key, int value)
{
	if (value != 0)
		add_attribute(json, key, "intValue", psprintf("%d", value));
}

static char *
nanoseconds(TimestampTz at)
{
	return psprintf(INT64_FORMAT "000", at + EPOCH_US);
}

static void
add_span(DfJson *json, const DfSpan *span)
{
	bool attempt = span->kind == DF_SPAN_ATTEMPT;
	char trace[2 * sizeof(span->trace) + 1];

	trace[hex_encode((const char *) span->trace, sizeof(span->trace), trace)] = '\0';
	df_json_open_object(json, NULL);
	df_json_text(json, "traceId", trace);
	df_json_text(json, "spanId", psprintf("%016llx", (unsigned long long) span->id));
	if (span->parent != 0)
		df_json_text(json, "parentSpanId",
					 psprintf("%016llx", (unsigned long long) span->parent));
	df_json_text(json, "name", utf8_or_marks(span->name));
	df_json_int(json, "kind", attempt ? 3 : 1);
	df_json_text(json, "startTimeUnixNano", nanoseconds(span->start));
	df_json_text(json, "endTimeUnixNano", nanoseconds(span->end));
	df_json_open_array(json, "attributes");
	add_word(json, "dataflows.run",
			 df_uuid_text(&span->run));
	add_word(json, "dataflows.workflow", span->workflow);
	add_word(json, "dataflows.state", span->state);
	add_word(json, attempt ? "dataflows.phase" : "dataflows.kind", span->what);
	add_word(json, "dataflows.system", span->system);
	add_number(json, "dataflows.step", span->n);
	add_number(json, "dataflows.attempt", span->attempt);
	add_number(json, "http.response.status_code", span->status);
	df_json_close_array(json);
	df_json_open_object(json, "status");
	df_json_int(json, "code", span->failed ? 2 : 1);
	df_json_close_object(json);
	df_json_close_object(json);
}

/* one resource, with one scope, with all spans */
static char *
as_json(const DfSpan *spans, int n)
{
	DfJson json;

	df_json_begin(&json);
	df_json_open_array(&json, "resourceSpans");
	df_json_open_object(&json, NULL);
	df_json_open_object(&json, "resource");
	df_json_open_array(&json, "attributes");
	add_word(&json, "service.name", "dataflows");
	add_word(&json, "db.namespace", database_name);
	df_json_close_array(&json);
	df_json_close_object(&json);
	df_json_open_array(&json, "scopeSpans");
	df_json_open_object(&json, NULL);
	df_json_open_object(&json, "scope");
	df_json_text(&json, "name", "dataflows");
	df_json_text(&json, "version", DF_VERSION);
	df_json_close_object(&json);
	df_json_open_array(&json, "spans");
	for (int i = 0; i < n; i++)
		add_span(&json, &spans[i]);
	df_json_close_array(&json);
	df_json_close_object(&json);
	df_json_close_array(&json);
	df_json_close_object(&json);
	df_json_close_array(&json);
	return df_json_end_text(&json);
}

/* with the standard path if the setting has none */
static char *
endpoint_url(void)
{
	const char *host = strstr(df_otlp_endpoint, "://");
	const char *path = host != NULL ? strchr(host + 3, '/') : NULL;

	if (path == NULL)
		return psprintf("%s/v1/traces", df_otlp_endpoint);
	return strcmp(path, "/") == 0 ? psprintf("%sv1/traces", df_otlp_endpoint)
								  : pstrdup(df_otlp_endpoint);
}

/* ---- exporting ------------------------------------------------------------ */

TimestampTz
df_trace_due(void)
{
	int waiting;

	if (!tracing() || exports == MAX_EXPORTS)
		return DF_NEVER;
	waiting = df_spans_waiting(MyDatabaseId);
	if (waiting == 0)
	{
		first_seen = DF_NEVER;
		return DF_NEVER;
	}
	if (first_seen == DF_NEVER)
		first_seen = df_now();
	if (next_export != DF_NEVER && next_export > df_now())
		return next_export;
	return waiting >= FULL_BATCH
		? df_now()
		: TimestampTzPlusMilliseconds(first_seen, BATCH_DELAY_MS);
}

static void
submit(const DfSpan *spans, int n)
{
	static const char *const headers[] = {"Content-Type: application/json", NULL};
	static uint32 number = 0;
	DfHttpRequest request;

	memset(&request, 0, sizeof(request));
	request.cookie = DF_TRACE_COOKIE(++number, n);
	request.url = endpoint_url();
	request.method = "POST";
	request.body = as_json(spans, n);
	request.body_len = strlen(request.body);
	request.headers = headers;
	request.connect_timeout_ms = TIMEOUT_MS / 2;
	request.timeout_ms = TIMEOUT_MS;
	request.max_body = 65536;
	request.allow_private = true; /* the setting is an administrator's */
	exports++;
	df_http_submit(&request);
}

/* false: there are no spans */
static bool
export_batch(void)
{
	DfSpan *spans = palloc(sizeof(DfSpan) * MAX_BATCH);
	int n = df_spans_take(MyDatabaseId, spans, MAX_BATCH);

	if (n > 0)
		submit(spans, n);
	first_seen = DF_NEVER;
	return n > 0;
}

void
df_trace_export(void)
{
	TimestampTz due;

	if (database_name == NULL)
		return;
	do
		due = df_trace_due();
	while (due != DF_NEVER && due <= df_now() && export_batch());
}

bool
df_trace_arrive(DfHttpResult *result)
{
	bool ok = result->fate == DF_FATE_RESPONSE && result->status / 100 == 2;
	int exported = DF_TRACE_SPANS(result->cookie);
	char error[160];

	if (exported == 0)
		return false;
	exports--;
	if (ok)
		df_spans_sent(exported, NULL);
	else
	{
		if (result->fate == DF_FATE_RESPONSE)
			snprintf(error, sizeof(error), "the collector answered with status %d", result->status);
		else
			strlcpy(error, result->error, sizeof(error));
		df_spans_sent(exported, error);
		next_export = TimestampTzPlusMilliseconds(df_now(), PAUSE_MS);
	}
	df_http_free(result);
	return true;
}

/* in the first transaction of the process */
void
df_trace_set_up(void)
{
	database_name = MemoryContextStrdup(df_process_cxt, get_database_name(MyDatabaseId));
}
