/*
 * ingress/live.c
 *	  Tells people who look at the page what is new: Server-Sent Events.
 *
 * Runs in the ingress process.  A watch is a question of a role, however many people look at
 * its answer; a viewer is a stream, which looks at some watches.  Streams are opened in a
 * request's subtransaction.  Each look is a transaction of its own between two batches, asks
 * one watch as its role, checks the tokens of its viewers, and sends them the answer if it
 * is new.  Looks take a bounded part of the process' time.  Must never keep a transaction
 * open for a client, tell a viewer whose token has ended anything, or write a token down.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "mb/pg_wchar.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "guc.h"
#include "ingress/live.h"
#include "ingress/page.h"
#include "shared/clock.h"
#include "shared/encoding.h"
#include "shared/json.h"
#include "store/page_calls.h"
#include "store/page_token_table.h"
#include "store/subxact.h"
#include "worker/process.h"

/* all streams, and those of one token: a browser with many windows */
#define MAX_VIEWERS 64
#define MAX_OF_TOKEN 16
#define MAX_QUESTIONS 8
/* a question is asked again after so long, or after so many times of what it took */
#define AGAIN_US INT64CONST(1000000)
#define AGAIN_FACTOR 20
/* all of them together take at most one part in so many of the time */
#define SHARE 20
/* something is sent at least so often, for proxies that end what is silent */
#define ALIVE_US INT64CONST(15000000)
#define FAILED_US INT64CONST(10000000)

typedef struct Watch
{
	struct Watch *next;
	Oid role;
	char *question; /* as it was asked: "runs?state=stuck" */
	const DfPageCall *call;
	char *values[DF_PAGE_MAX_ARGS];
	char *answer; /* NULL = not asked yet */
	uint64 tag; /* hash of the answer */
	int64 due_us;
	int viewers;
} Watch;

typedef struct Viewer
{
	struct Viewer *next;
	DfStream *stream;
	Oid role;
	char token[DF_PAGE_TOKEN_LEN + 1];
	int64 said_us;
	int n;
	Watch *watches[MAX_QUESTIONS];
	uint64 told[MAX_QUESTIONS]; /* tag of the answer that it has; 0 = none */
} Viewer;

static MemoryContext cxt = NULL;
static Watch *watches = NULL;
static Viewer *viewers = NULL;
static Watch *looking = NULL; /* at this one now */
static int64 quiet_until_us = 0;

/* ---- questions ------------------------------------------------------------ */

static int
hex_digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10
		: c >= 'A' && c <= 'F'                                   ? c - 'A' + 10
																 : -1;
}

/* of a query string, decoded; in the server's encoding */
static char *
decoded(const char *text, size_t len)
{
	char *result = palloc(len + 1);
	size_t n = 0;

	for (size_t i = 0; i < len; i++)
	{
		bool coded = text[i] == '%' && i + 2 < len && hex_digit(text[i + 1]) >= 0 &&
			hex_digit(text[i + 2]) >= 0;

		if (coded)
		{
			result[n++] = (char) (hex_digit(text[i + 1]) * 16 + hex_digit(text[i + 2]));
			i += 2;
		}
		else
			result[n++] = text[i] == '+' ? ' ' : text[i];
	}
	result[n] = '\0';
	if (strlen(result) != n)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("the question has a NUL")));
	return pg_any_to_server(result, n, PG_UTF8);
}

/* the values of "name=value&..." for the arguments of a call */
static void
read_values(const DfPageCall *call, const char *query, char **values)
{
	while (*query != '\0')
	{
		size_t len = strcspn(query, "&");
		size_t name = strcspn(query, "=&");

		for (int i = 0; call->args[i] != NULL; i++)
			if (name < len && strlen(call->args[i]) == name &&
				strncmp(call->args[i], query, name) == 0 && len > name + 1)
				values[i] = decoded(query + name + 1, len - name - 1);
		query += len;
		query += *query == '&';
	}
}

static Watch *
find_watch(Oid role, const char *question)
{
	for (Watch *watch = watches; watch != NULL; watch = watch->next)
		if (watch->role == role && strcmp(watch->question, question) == 0)
			return watch;
	return NULL;
}

static Watch *
make_watch(Oid role, const char *question)
{
	char *name = pnstrdup(question, strcspn(question, "?"));
	const char *query = question + strlen(name);
	const DfPageCall *call = df_page_call_find(name);
	char *values[DF_PAGE_MAX_ARGS] = {NULL};
	Watch *watch;

	if (call == NULL || call->writes)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("there is no question of that name")));
	read_values(call, query + (*query == '?'), values);
	watch = MemoryContextAllocZero(cxt, sizeof(Watch));
	watch->role = role;
	watch->call = call;
	watch->question = MemoryContextStrdup(cxt, question);
	for (int i = 0; i < DF_PAGE_MAX_ARGS; i++)
		if (values[i] != NULL)
			watch->values[i] = MemoryContextStrdup(cxt, values[i]);
	watch->next = watches;
	watches = watch;
	return watch;
}

static void
free_watch(Watch *watch)
{
	Watch **link = &watches;

	while (*link != watch)
		link = &(*link)->next;
	*link = watch->next;
	for (int i = 0; i < DF_PAGE_MAX_ARGS; i++)
		if (watch->values[i] != NULL)
			pfree(watch->values[i]);
	if (watch->answer != NULL)
		pfree(watch->answer);
	pfree(watch->question);
	pfree(watch);
}

/* ---- viewers -------------------------------------------------------------- */

static void
free_viewer(Viewer *viewer)
{
	for (int i = 0; i < viewer->n; i++)
		if (--viewer->watches[i]->viewers == 0)
			free_watch(viewer->watches[i]);
	if (viewer->stream != NULL)
		df_stream_free(viewer->stream);
	explicit_bzero(viewer->token, sizeof(viewer->token));
	pfree(viewer);
}

static void
drop_gone(void)
{
	Viewer **link = &viewers;

	while (*link != NULL)
	{
		Viewer *viewer = *link;

		if (!df_stream_has_gone(viewer->stream))
		{
			link = &viewer->next;
			continue;
		}
		*link = viewer->next;
		free_viewer(viewer);
	}
}

static void
check_all(void)
{
	for (Viewer *viewer = viewers; viewer != NULL; viewer = viewer->next)
		df_stream_check(viewer->stream);
}

/* those whose clients have closed them do not count, even if the listener has not seen it yet */
static bool
are_too_many(const char *token)
{
	int n = 0;
	int of_token = 0;

	check_all();
	for (Viewer *viewer = viewers; viewer != NULL; viewer = viewer->next)
	{
		if (df_stream_is_over(viewer->stream))
			continue;
		n++;
		of_token += strcmp(viewer->token, token) == 0;
	}
	return n >= Min(MAX_VIEWERS, Max(1, df_ingress_connections / 4)) || of_token >= MAX_OF_TOKEN;
}

static void
end_viewer(Viewer *viewer)
{
	static const char text[] = "event: end\ndata: {}\n\n";

	if (df_stream_is_over(viewer->stream))
		return;
	(void) df_stream_write(viewer->stream, text, strlen(text));
	df_stream_end(viewer->stream);
}

/* an event: what a line break would end goes on in a line of its own */
static void
tell(Viewer *viewer, const char *event, const char *data)
{
	StringInfoData text;

	initStringInfo(&text);
	appendStringInfo(&text, "event: %s\n", event);
	while (data != NULL)
	{
		size_t len = strcspn(data, "\n");

		appendStringInfoString(&text, "data: ");
		appendBinaryStringInfo(&text, data, (int) len);
		appendStringInfoChar(&text, '\n');
		data = data[len] == '\0' ? NULL : data + len + 1;
	}
	appendStringInfoChar(&text, '\n');
	if (!df_stream_write(viewer->stream, text.data, text.len))
		end_viewer(viewer);
	viewer->said_us = df_monotonic_us();
	pfree(text.data);
}

/*
 * To who does not have this answer.  One that replaces another waits until the client has taken
 * all that was said before: a slow one gets fewer.
 */
static void
tell_answer(Viewer *viewer, int i)
{
	Watch *watch = viewer->watches[i];
	char event[16];

	if (watch->answer == NULL || viewer->told[i] == watch->tag ||
		df_stream_is_over(viewer->stream) ||
		(viewer->told[i] != 0 && !df_stream_is_read(viewer->stream)))
		return;
	snprintf(event, sizeof(event), "%d", i);
	tell(viewer, event, watch->answer);
	viewer->told[i] = watch->tag;
}

/* ---- opening -------------------------------------------------------------- */

typedef struct Opening
{
	DfRequest *request;
	Viewer *viewer;
} Opening;

/* in a subtransaction: what is asked may be nonsense */
static void
read_questions(void *arg)
{
	Opening *opening = arg;
	Viewer *viewer = opening->viewer;

	for (int i = 0; i < opening->request->narguments; i++)
	{
		const DfField *argument = &opening->request->arguments[i];
		Watch *watch;

		if (strcmp(argument->name, "q") != 0 || viewer->n >= MAX_QUESTIONS)
			continue;
		watch = find_watch(viewer->role, argument->value);
		if (watch == NULL)
			watch = make_watch(viewer->role, argument->value);
		watch->viewers++;
		viewer->watches[viewer->n++] = watch;
	}
	if (viewer->n == 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("nothing is asked")));
}

/* a browser shows ages by the server's clock */
static int64
unix_ms(TimestampTz at)
{
	return at / 1000 + (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * INT64CONST(86400000);
}

static void
begin(Viewer *viewer, DfRequest *request)
{
	viewer->stream = df_request_stream(request, "text/event-stream");
	if (viewer->stream == NULL)
	{
		free_viewer(viewer);
		df_page_reply_busy(request);
		return;
	}
	df_page_secure(request, "no-store");
	/* a proxy must pass it on as it comes */
	(void) df_request_add_header(request, "X-Accel-Buffering", "no");
	viewer->next = viewers;
	viewers = viewer;
	tell(viewer, "hello", psprintf("{\"now\": " INT64_FORMAT "}", unix_ms(df_now())));
}

void
df_live_open(DfRequest *request)
{
	char token[DF_PAGE_TOKEN_LEN + 1];
	Oid role;
	Opening opening;
	ErrorData *error;

	/* it is handled once more, because its commit has failed: that undoes nothing of a stream */
	if (request->stream != NULL)
		return;
	role = df_page_role_of(request, token);
	if (!OidIsValid(role))
	{
		df_page_reply_log_in(request);
		return;
	}
	drop_gone();
	if (are_too_many(token))
	{
		df_page_reply_busy(request);
		return;
	}
	if (cxt == NULL)
		cxt = AllocSetContextCreate(df_process_cxt, "dataflows live", ALLOCSET_DEFAULT_SIZES);
	opening.request = request;
	opening.viewer = MemoryContextAllocZero(cxt, sizeof(Viewer));
	opening.viewer->role = role;
	strlcpy(opening.viewer->token, token, sizeof(token));
	explicit_bzero(token, sizeof(token));
	if (df_subxact(read_questions, &opening, true, &error))
		begin(opening.viewer, request);
	else
	{
		free_viewer(opening.viewer);
		df_page_reply_error(request, error);
	}
}

/* ---- looking -------------------------------------------------------------- */

/* one that was never asked does not wait for the others' share of the time */
static int64
due_of(const Watch *watch)
{
	return watch->answer == NULL && watch->due_us == 0 ? 0 : Max(watch->due_us, quiet_until_us);
}

static Watch *
next_watch(void)
{
	Watch *next = watches;

	for (Watch *watch = watches; watch != NULL; watch = watch->next)
		if (due_of(watch) < due_of(next))
			next = watch;
	return next;
}

static void
keep_alive(int64 now)
{
	static const char text[] = ":\n\n";

	for (Viewer *viewer = viewers; viewer != NULL; viewer = viewer->next)
	{
		if (df_stream_is_over(viewer->stream) || now - viewer->said_us < ALIVE_US)
			continue;
		viewer->said_us = now;
		if (df_stream_is_read(viewer->stream))
			(void) df_stream_write(viewer->stream, text, strlen(text));
	}
}

/* tells what others have asked already to who has come since, or was slow */
static void
tell_all(void)
{
	for (Viewer *viewer = viewers; viewer != NULL; viewer = viewer->next)
		for (int i = 0; i < viewer->n; i++)
			tell_answer(viewer, i);
}

bool
df_live_is_due(void)
{
	int64 now = df_monotonic_us();

	if (viewers == NULL)
		return false;
	drop_gone();
	keep_alive(now);
	tell_all();
	looking = next_watch();
	if (looking == NULL || due_of(looking) > now)
		return false;
	check_all();
	return true;
}

static void
check_tokens(const Watch *watch)
{
	TimestampTz now = df_now();

	for (Viewer *viewer = viewers; viewer != NULL; viewer = viewer->next)
		for (int i = 0; i < viewer->n; i++)
			if (viewer->watches[i] == watch && !df_stream_is_over(viewer->stream) &&
				df_page_token_role(viewer->token, now) != viewer->role)
				end_viewer(viewer);
}

static void
keep_answer(Watch *watch, const char *answer)
{
	char *text = df_text_to_utf8(answer);
	char *copy;
	uint64 tag =
		DatumGetUInt64(hash_any_extended((const unsigned char *) text, (int) strlen(text), 0)) | 1;

	if (watch->answer != NULL && watch->tag == tag)
		return;
	/* without memory for it the old one stays */
	copy = MemoryContextStrdup(cxt, text);
	if (watch->answer != NULL)
		pfree(watch->answer);
	watch->answer = copy;
	watch->tag = tag;
}

static void
again_after(Watch *watch, int64 began, int64 least)
{
	int64 now = df_monotonic_us();

	watch->due_us = now + Max(least, AGAIN_FACTOR * (now - began));
	quiet_until_us = Max(quiet_until_us, now) + (SHARE - 1) * (now - began);
}

void
df_live_look(void)
{
	Watch *watch = looking;
	int64 began = df_monotonic_us();
	ErrorData *error = NULL;
	char *answer;

	check_tokens(watch);
	answer = df_page_ask(watch->call, watch->role, watch->values, &error);
	if (error == NULL)
		keep_answer(watch, answer != NULL ? answer : "null");
	else
	{
		char *said = df_page_error_text(error);

		for (Viewer *viewer = viewers; viewer != NULL; viewer = viewer->next)
			for (int i = 0; i < viewer->n; i++)
				if (viewer->watches[i] == watch && !df_stream_is_over(viewer->stream) &&
					df_stream_is_read(viewer->stream))
					tell(viewer, "problem", said);
	}
	again_after(watch, began, error == NULL ? AGAIN_US : FAILED_US);
	looking = NULL;
	tell_all();
}

void
df_live_failed(void)
{
	if (looking != NULL)
		looking->due_us = df_monotonic_us() + FAILED_US;
	looking = NULL;
}

long
df_live_timeout_ms(void)
{
	Watch *next = next_watch();

	if (next == NULL)
		return -1;
	return (long) Max(0, Min(1000, (due_of(next) - df_monotonic_us()) / 1000 + 1));
}

void
df_live_stop(void)
{
	for (Viewer *viewer = viewers; viewer != NULL; viewer = viewer->next)
		df_stream_end(viewer->stream);
}
