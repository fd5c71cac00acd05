/*
 * ingress/routes.c
 *	  Routes requests by their path, and answers those that need no table.
 *
 * Runs in the ingress process: df_route() outside any transaction, the handlers that it
 * returns inside one.  The response to an unknown path tells only that it was not found.
 */
#include "postgres.h"

#include "ingress/event_link.h"
#include "ingress/link_page.h"
#include "guc.h"
#include "ingress/openmetrics.h"
#include "ingress/live.h"
#include "ingress/page.h"
#include "ingress/routes.h"
#include "ingress/webhook.h"
#include "shared/encoding.h"
#include "shared/json.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"

static const char json_type[] = "application/json";

static void
reply_text(DfRequest *request, int status, const char *body)
{
	(void) df_request_reply(request, status, json_type, body, strlen(body));
}

/* ---- webhooks ------------------------------------------------------------- */

static Jsonb *
headers_as_jsonb(const DfRequest *request)
{
	DfJson json;

	df_json_begin(&json);
	for (int i = 0; i < request->nheaders; i++)
	{
		/* skips headers that are not valid text in this database */
		if (!pg_verify_mbstr(GetDatabaseEncoding(), request->headers[i].value,
							 strlen(request->headers[i].value), true) ||
			request->headers[i].name[strspn(request->headers[i].name,
											"abcdefghijklmnopqrstuvwxyz0123456789-_")] != '\0')
			continue;
		df_json_text(&json, request->headers[i].name, request->headers[i].value);
	}
	return df_json_end(&json, CurrentMemoryContext);
}

static void
receive(DfRequest *request)
{
	DfWebhookAnswer answer;

	df_webhook_receive(request->path, headers_as_jsonb(request),
					   request->body != NULL ? request->body : "", request->body_len, &answer);
	if (answer.status == 0)
		return;
	reply_text(request, answer.status, df_text_to_utf8(df_json_to_text(answer.body)));
	if (answer.retry_after_s > 0)
		(void) df_request_add_header(request, "Retry-After", psprintf("%d", answer.retry_after_s));
}

/* ---- links ---------------------------------------------------------------- */

static DfRouteHandler
event_link(DfRequest *request)
{
	if (strcmp(request->path, "/event/style.css") == 0)
	{
		df_link_page_style(request);
		return NULL;
	}
	if (df_request_is_get(request))
		return df_event_link_show;
	if (strcmp(request->method, "POST") == 0)
		return df_event_link_follow;
	reply_text(request, 405, DF_JSON_ERROR("method not allowed"));
	(void) df_request_add_header(request, "Allow", "GET, HEAD, POST");
	return NULL;
}

/* ---- the page ------------------------------------------------------------- */

static DfRouteHandler
page(DfRequest *request)
{
	if (strcmp(request->path, "/page/live") != 0)
		return df_page_route(request);
	if (strcmp(request->method, "GET") == 0)
		return df_live_open;
	reply_text(request, 405, DF_JSON_ERROR("method not allowed"));
	(void) df_request_add_header(request, "Allow", "GET");
	return NULL;
}

/* ---- the table ------------------------------------------------------------ */

/* answers any method to a path that is not one of these; POST may be a webhook */
static DfRouteHandler
other_path(DfRequest *request)
{
	if (strcmp(request->method, "POST") == 0)
		return receive;
	reply_text(request, 404, DF_JSON_ERROR("not found"));
	return NULL;
}

static DfRouteHandler
ready(DfRequest *request)
{
	reply_text(request, 200, "{\"ready\": true}");
	return NULL;
}

static DfRouteHandler
metrics(DfRequest *request)
{
	return df_metrics_are_shown() ? df_metrics_answer : other_path(request);
}

/* paths for GET and HEAD */
static const struct
{
	const char *path;
	DfRouteHandler (*route)(DfRequest *request);
} routes[] = {
	{"/metrics", metrics},
	{"/ready", ready},
};

DfRouteHandler
df_route(DfRequest *request)
{
	for (int i = 0; i < lengthof(routes); i++)
	{
		if (strcmp(request->path, routes[i].path) != 0)
			continue;
		if (df_request_is_get(request))
			return routes[i].route(request);
		reply_text(request, 405, DF_JSON_ERROR("method not allowed"));
		(void) df_request_add_header(request, "Allow", "GET, HEAD");
		return NULL;
	}
	if (strncmp(request->path, "/event/", 7) == 0)
		return event_link(request);
	if (df_dashboard &&
		(strcmp(request->path, "/page") == 0 || strncmp(request->path, "/page/", 6) == 0))
		return page(request);
	return other_path(request);
}

bool
df_route_has_time(const DfRequest *request)
{
	return strncmp(request->path, "/page/", 6) == 0 || strcmp(request->path, "/metrics") == 0;
}
