/*
 * ingress/page.c
 *	  The page for people: its files, login, queries and actions.
 *
 * dashboard_token() and revoke_dashboard_tokens() run in user sessions, the rest in the
 * ingress process: files without a transaction, everything else in a request's
 * subtransaction, where queries and actions run as the token's role (store/page_calls.c).
 * Must never write a token to a log, a URL or a response, act on a GET, or let a query
 * delay webhooks for long.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/timeout.h"
#include "utils/timestamp.h"

#include "ingress/page.h"
#include "shared/clock.h"
#include "shared/encoding.h"
#include "shared/json.h"
#include "store/page_calls.h"
#include "store/page_token_table.h"
#include "store/rights.h"
#include "store/store.h"
#include "store/subxact.h"

PG_FUNCTION_INFO_V1(dataflows_dashboard_token);
PG_FUNCTION_INFO_V1(dataflows_revoke_dashboard_tokens);

#define COOKIE "dataflows="
#define API "/page/api/"
#define TOKEN_BYTES (DF_PAGE_TOKEN_LEN / 2)
#define MAX_EXPIRES_DAYS 30
#define PATIENCE_MS 2000

/* ---- tokens --------------------------------------------------------------- */

static TimestampTz
expiry(Datum interval, TimestampTz now)
{
	TimestampTz expires = DatumGetTimestampTz(
		DirectFunctionCall2(timestamptz_pl_interval, TimestampTzGetDatum(now), interval));

	if (expires <= now || expires > now + MAX_EXPIRES_DAYS * USECS_PER_DAY)
		ereport(
			ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("a token of the page cannot be valid for %s",
					DatumGetCString(DirectFunctionCall1(interval_out, interval))),
			 errhint("Give an interval of up to %d days, such as '12 hours'.", MAX_EXPIRES_DAYS)));
	return expires;
}

Datum
dataflows_dashboard_token(PG_FUNCTION_ARGS)
{
	TimestampTz now = df_now();
	TimestampTz expires = expiry(PG_GETARG_DATUM(0), now);
	Oid role = GetUserId();
	char *name = GetUserNameFromId(role, false);
	const char *refused = df_page_role_refused(role, name, now);
	uint8 bytes[TOKEN_BYTES];
	char token[DF_PAGE_TOKEN_LEN + 1];
	DfStore store;

	df_require_writable("make a token for the page");
	if (refused != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("role \"%s\" cannot have a token of the page: it %s", name, refused),
				 errhint("Make it as an ordinary role with LOGIN and CONNECT: "
						 "SET ROLE <role>; SELECT dataflows.dashboard_token();")));
	df_random_bytes(bytes, sizeof(bytes));
	(void) hex_encode((const char *) bytes, sizeof(bytes), token);
	token[DF_PAGE_TOKEN_LEN] = '\0';
	df_store_enter(&store);
	df_page_token_insert(token, role, name, now, expires);
	df_store_leave(&store);
	PG_RETURN_TEXT_P(cstring_to_text(token));
}

Datum
dataflows_revoke_dashboard_tokens(PG_FUNCTION_ARGS)
{
	Oid role = GetUserId();
	DfStore store;
	uint64 n;

	df_require_writable("revoke tokens of the page");
	df_store_enter(&store);
	n = df_page_token_delete(role);
	df_store_leave(&store);
	PG_RETURN_INT64((int64) n);
}

/* ---- answers -------------------------------------------------------------- */

void
df_page_secure(DfRequest *request, const char *cache)
{
	(void) df_request_add_header(
		request, "Content-Security-Policy",
		"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
		"img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'self'");
	(void) df_request_add_header(request, "X-Frame-Options", "DENY");
	(void) df_request_add_header(request, "Referrer-Policy", "no-referrer");
	(void) df_request_add_header(request, "Cross-Origin-Opener-Policy", "same-origin");
	(void) df_request_add_header(request, "Cache-Control", cache);
}

static void
reply_json(DfRequest *request, int status, const char *text)
{
	(void) df_request_reply(request, status, "application/json", text, strlen(text));
	df_page_secure(request, "no-store");
}

/* sends the text only if the client does not have it already */
static void
reply_data(DfRequest *request, const char *text)
{
	const char *known = df_request_header(request, "if-none-match");
	char *tag =
		psprintf("\"" UINT64_FORMAT "\"",
				 DatumGetUInt64(hash_any_extended((const unsigned char *) text, strlen(text), 0)));

	if (known != NULL && strcmp(known, tag) == 0)
		reply_json(request, 304, "");
	else
		reply_json(request, 200, df_text_to_utf8(text));
	(void) df_request_add_header(request, "ETag", tag);
}

static bool
was_late(const ErrorData *error)
{
	return error->sqlerrcode == ERRCODE_QUERY_CANCELED;
}

char *
df_page_error_text(const ErrorData *error)
{
	DfJson json;
	bool late = was_late(error);

	df_json_begin(&json);
	df_json_text(&json, "error", late ? "there is too much to look at" : error->message);
	df_json_text(&json, "detail", error->detail);
	df_json_text(&json, "hint", late ? "Narrow it down, for example by time." : error->hint);
	df_json_text(&json, "sqlstate", unpack_sql_state(error->sqlerrcode));
	return df_text_to_utf8(df_json_to_text(df_json_end(&json, CurrentMemoryContext)));
}

void
df_page_reply_error(DfRequest *request, const ErrorData *error)
{
	reply_json(request,
			   was_late(error)                                           ? 503
				   : error->sqlerrcode == ERRCODE_INSUFFICIENT_PRIVILEGE ? 403
																		 : 400,
			   df_page_error_text(error));
}

void
df_page_reply_log_in(DfRequest *request)
{
	reply_json(request, 401, DF_JSON_ERROR("log in"));
}

void
df_page_reply_busy(DfRequest *request)
{
	reply_json(request, 503, DF_JSON_ERROR("too many look at the page"));
}

/* ---- who asks ------------------------------------------------------------- */

static bool
looks_like_token(const char *text, size_t len)
{
	return len == DF_PAGE_TOKEN_LEN && strspn(text, "0123456789abcdef") >= DF_PAGE_TOKEN_LEN;
}

static Oid
role_of_token(const char *text, size_t len)
{
	return looks_like_token(text, len) ? df_page_token_role(pnstrdup(text, len), df_now())
									   : InvalidOid;
}

Oid
df_page_role_of(const DfRequest *request, char *token)
{
	const char *header = df_request_header(request, "cookie");

	while (header != NULL && *header != '\0')
	{
		header += strspn(header, "; ");
		if (strncmp(header, COOKIE, strlen(COOKIE)) == 0)
		{
			const char *value = header + strlen(COOKIE);
			size_t len = strcspn(value, "; ");

			strlcpy(token, value, Min(len, DF_PAGE_TOKEN_LEN) + 1);
			return role_of_token(value, len);
		}
		header += strcspn(header, ";");
	}
	return InvalidOid;
}

static void
set_cookie(DfRequest *request, const char *value, const char *more)
{
	const char *proto = df_request_header(request, "x-forwarded-proto");

	(void) df_request_add_header(
		request, "Set-Cookie",
		psprintf(COOKIE "%s; Path=/page; HttpOnly; SameSite=Strict%s%s", value, more,
				 proto != NULL && pg_strcasecmp(proto, "https") == 0 ? "; Secure" : ""));
}

/* ---- what is asked -------------------------------------------------------- */

typedef struct Asked
{
	DfRequest *request;
	const DfPageCall *call; /* NULL = the request to log in */
	Oid role;
	char *values[DF_PAGE_MAX_ARGS];
	char *result;
} Asked;

static char *
server_text(const char *text)
{
	return pg_any_to_server(pstrdup(text), strlen(text), PG_UTF8);
}

static Jsonb *
body_of(const DfRequest *request)
{
	Jsonb *body;

	if (request->body == NULL || strlen(request->body) != request->body_len)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the body is not a JSON object")));
	body = df_json_read(server_text(request->body));
	if (!JB_ROOT_IS_OBJECT(body))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the body is not a JSON object")));
	return body;
}

/* in a signal handler: flags only */
static void
out_of_patience(void)
{
	InterruptPending = true;
	QueryCancelPending = true;
	SetLatch(MyLatch);
}

/* limits the time of a query, because the process serves everybody */
static char *
ask_for_a_while(const DfPageCall *call, Oid role, char **values)
{
	static TimeoutId timer = MAX_TIMEOUTS;
	char *volatile result = NULL;

	if (timer == MAX_TIMEOUTS)
		timer = RegisterTimeout(USER_TIMEOUT, out_of_patience);
	enable_timeout_after(timer, PATIENCE_MS);
	PG_TRY();
	{
		result = df_page_call_run(call, role, values);
	}
	PG_FINALLY();
	{
		disable_timeout(timer, false);
	}
	PG_END_TRY();
	return result;
}

static void
carry_out(void *arg)
{
	Asked *asked = arg;
	const DfPageCall *call = asked->call;
	Jsonb *body = call->writes ? body_of(asked->request) : NULL;

	for (int i = 0; call->args[i] != NULL; i++)
	{
		const char *given = call->writes ? NULL
										 : df_request_argument(asked->request, call->args[i]);

		asked->values[i] = call->writes         ? df_json_get_as_text(body, call->args[i])
			: given == NULL || given[0] == '\0' ? NULL
												: server_text(given);
	}
	asked->result = ask_for_a_while(call, asked->role, asked->values);
}

static void
ask_again(void *arg)
{
	Asked *asked = arg;

	asked->result = ask_for_a_while(asked->call, asked->role, asked->values);
}

char *
df_page_ask(const DfPageCall *call, Oid role, char **values, ErrorData **error)
{
	Asked asked;

	memset(&asked, 0, sizeof(asked));
	asked.call = call;
	asked.role = role;
	memcpy(asked.values, values, sizeof(char *) * DF_PAGE_MAX_ARGS);
	return df_subxact(ask_again, &asked, false, error) ? asked.result : NULL;
}

static void
answer_call(DfRequest *request)
{
	char token[DF_PAGE_TOKEN_LEN + 1];
	Asked asked;
	ErrorData *error;

	memset(&asked, 0, sizeof(asked));
	asked.request = request;
	asked.call = df_page_call_find(request->path + strlen(API));
	asked.role = df_page_role_of(request, token);
	explicit_bzero(token, sizeof(token));
	if (!OidIsValid(asked.role))
		df_page_reply_log_in(request);
	else if (!df_subxact(carry_out, &asked, asked.call->writes, &error))
		df_page_reply_error(request, error);
	else if (asked.result == NULL)
		reply_json(request, 404, DF_JSON_ERROR("not found"));
	else
		reply_data(request, asked.result);
}

/* ---- logging in and out --------------------------------------------------- */

static void
read_token(void *arg)
{
	Asked *asked = arg;

	asked->result = df_json_get_as_text(body_of(asked->request), "token");
}

static void
log_in(DfRequest *request)
{
	Asked asked;
	ErrorData *error;

	memset(&asked, 0, sizeof(asked));
	asked.request = request;
	if (!df_subxact(read_token, &asked, false, &error) || asked.result == NULL ||
		!OidIsValid(role_of_token(asked.result, strlen(asked.result))))
	{
		reply_json(request, 401, DF_JSON_ERROR("this token is not valid, or has expired"));
		return;
	}
	reply_json(request, 200, "{\"done\": true}");
	set_cookie(request, asked.result, "");
}

static DfRouteHandler
log_out(DfRequest *request)
{
	reply_json(request, 200, "{\"done\": true}");
	set_cookie(request, "", "; Max-Age=0");
	return NULL;
}

/* ---- routes --------------------------------------------------------------- */

static DfRouteHandler
not_allowed(DfRequest *request, const char *allow)
{
	reply_json(request, 405, DF_JSON_ERROR("method not allowed"));
	(void) df_request_add_header(request, "Allow", allow);
	return NULL;
}

static const char *
type_of(const char *name)
{
	const char *dot = strrchr(name, '.');

	return strcmp(dot, ".css") == 0 ? "text/css; charset=utf-8"
		: strcmp(dot, ".js") == 0   ? "text/javascript; charset=utf-8"
		: strcmp(dot, ".txt") == 0  ? "text/plain; charset=utf-8"
									: "text/html; charset=utf-8";
}

/* a browser that has it already is told so */
static void
reply_file(DfRequest *request, const DfPageFile *f)
{
	const char *known = df_request_header(request, "if-none-match");
	char tag[32];

	snprintf(tag, sizeof(tag), "\"" UINT64_FORMAT "\"",
			 DatumGetUInt64(
				 hash_any_extended((const unsigned char *) f->bytes, (int) f->len, 0)));
	if (known != NULL && strcmp(known, tag) == 0)
		(void) df_request_reply(request, 304, type_of(f->name), "", 0);
	else
		(void) df_request_reply(request, 200, type_of(f->name), f->bytes, f->len);
	df_page_secure(request, "no-cache");
	(void) df_request_add_header(request, "ETag", tag);
}

static DfRouteHandler
file(DfRequest *request)
{
	const char *name = request->path[6] == '\0' ? "index.html" : request->path + 6;

	for (const DfPageFile *f = df_page_files; f->name != NULL; f++)
	{
		if (strcmp(f->name, name) != 0)
			continue;
		reply_file(request, f);
		return NULL;
	}
	reply_json(request, 404, DF_JSON_ERROR("not found"));
	return NULL;
}

/*
 * Requires a header that pages of other sites cannot send: browsers ask for permission
 * first, which is never granted.
 */
static bool
is_from_page(const DfRequest *request)
{
	const char *mark = df_request_header(request, "x-dataflows");

	return mark != NULL && strcmp(mark, "1") == 0;
}

DfRouteHandler
df_page_route(DfRequest *request)
{
	bool get = df_request_is_get(request);
	bool post = strcmp(request->method, "POST") == 0;
	const DfPageCall *call = NULL;

	if (!get && !post)
		return not_allowed(request, "GET, HEAD, POST");
	if (post && !is_from_page(request))
	{
		reply_json(request, 403, DF_JSON_ERROR("the header X-Dataflows is missing"));
		return NULL;
	}
	if (strcmp(request->path, "/page") == 0 && get)
	{
		reply_json(request, 308, "");
		(void) df_request_add_header(request, "Location", "/page/");
		return NULL;
	}
	if (strcmp(request->path, "/page/login") == 0)
		return post ? log_in : not_allowed(request, "POST");
	if (strcmp(request->path, "/page/logout") == 0)
		return post ? log_out(request) : not_allowed(request, "POST");
	if (strncmp(request->path, API, strlen(API)) == 0)
		call = df_page_call_find(request->path + strlen(API));
	if (call != NULL)
		return call->writes == post ? answer_call
									: not_allowed(request, call->writes ? "POST" : "GET, HEAD");
	return get ? file(request) : not_allowed(request, "GET, HEAD");
}
