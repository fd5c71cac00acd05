/*
 * worker/request_build.c
 *	  Builds the HTTP request of a step, with the credentials of its system.
 *
 * Runs in a worker, in the turn's transaction.  Copies of credentials are wiped after
 * the request was sent (worker/flight.c).  Never log one, and never keep one
 * elsewhere.
 */
#include "postgres.h"

#include "engine/outgoing.h"
#include "guc.h"
#include "http/url.h"
#include "shared/encoding.h"
#include "shared/header.h"
#include "shared/json.h"
#include "worker/request_sign.h"
#include "worker/secrets.h"
#include "worker/token.h"
#include "worker/trace.h"

/* a copy that is wiped after the request has left */
char *
df_departure_secret(DfDeparture *departure, const char *value)
{
	char *copy;

	if (value == NULL)
		return NULL;
	copy = pstrdup(value);
	departure->secrets = lappend(departure->secrets, copy);
	return copy;
}

/* null is there, too: it takes the header away */
static bool
is_there(const Jsonb *headers, const char *name)
{
	DfJsonWalk walk;

	if (headers == NULL)
		return false;
	df_json_walk(&walk, headers);
	while (df_json_next(&walk))
		if (df_header_is(walk.key, strlen(walk.key), name))
			return true;
	return false;
}

/* what the undo or the probe takes over from the step */
static bool
is_taken_over(const char *name, const DfOutgoing *out)
{
	size_t len = strlen(name);

	if (is_there(out->headers, name) || df_header_is_condition(name, len))
		return false;
	/* some systems refuse a type without a body */
	return !df_header_is(name, len, "Content-Type") || (out->body != NULL && !out->other_format);
}

static void
add_headers(const Jsonb *from, const DfOutgoing *over, const char **headers, int *n)
{
	DfJsonWalk walk;

	if (from == NULL)
		return;
	df_json_walk(&walk, from);
	while (df_json_next(&walk))
		if (walk.value.type == jbvString && (over == NULL || is_taken_over(walk.key, over)))
			headers[(*n)++] = psprintf("%s: %s", walk.key,
									   df_text_to_utf8(df_json_string_of(&walk.value)));
}

static int
number_of(const Jsonb *headers)
{
	return headers != NULL ? JB_ROOT_COUNT(headers) : 0;
}

static const char *const *
request_headers(DfDeparture *departure, const DfSystem *system, const DfStep *step,
				const DfOutgoing *out)
{
	int extra = number_of(step->row.headers) + number_of(out->headers);
	const char *trace = df_trace_header(departure->flight->run, step);
	const char **headers = palloc(sizeof(char *) * (system->nheaders + extra + 6));
	int n = 0;

	/* a header of the system may say otherwise, unless the step has; a header of the step, too */
	if (out->content_type != NULL)
		headers[n++] = psprintf("Content-Type: %s", out->content_type);
	for (int i = 0; i < system->nheaders; i++)
		headers[n++] = df_departure_secret(departure, system->headers[i]);
	if (out->content_type != NULL && out->other_format && step->engine.phase == DF_PHASE_DO)
		headers[n++] = psprintf("Content-Type: %s", out->content_type);
	if (trace != NULL)
		headers[n++] = trace;
	/* an undo and a probe are about the same account as the step, and so on */
	add_headers(step->row.headers, step->engine.phase == DF_PHASE_DO ? NULL : out, headers, &n);
	add_headers(out->headers, NULL, headers, &n);
	/* of headers with the same name the last one counts: nothing replaces the key */
	if (out->idempotency_key != NULL && system->idempotency_header != NULL)
		headers[n++] =
			psprintf("%s: %s", system->idempotency_header, df_text_to_utf8(out->idempotency_key));
	/* nor the boundary */
	if (out->content_type != NULL && strstr(out->content_type, "; boundary=") != NULL)
		headers[n++] = psprintf("Content-Type: %s", out->content_type);
	headers[n] = NULL;
	return headers;
}

void
df_build_request(DfDeparture *departure, const DfSystem *system, const DfStep *step,
				 const DfOutgoing *out)
{
	DfHttpRequest *request = &departure->request;
	const char *token = df_token_take(departure->flight, system);

	departure->hidden = departure->flight->secrets = df_secrets_of(system, token);

	request->method = out->method;
	request->body = out->body;
	request->body_len = out->body_len;
	request->headers = request_headers(departure, system, step, out);
	request->username = df_departure_secret(departure, system->username);
	request->password = df_departure_secret(departure, system->password);
	request->bearer_token =
		df_departure_secret(departure, token != NULL ? token : system->bearer_token);
	request->client_cert = system->client_cert != NULL ? pstrdup(system->client_cert) : NULL;
	request->client_key = system->client_key != NULL ? pstrdup(system->client_key) : NULL;
	request->connect_timeout_ms = system->connect_timeout_ms;
	request->timeout_ms = out->timeout_ms > 0 ? (int) Min(out->timeout_ms, INT_MAX)
											  : system->timeout_ms;
	request->max_body = system->max_body > 0 ? system->max_body : df_max_body;
	request->follow_redirects = system->follow_redirects;
	request->allow_private = system->allow_private;
	request->private_origins = system->private_origins != NULL ? pstrdup(system->private_origins)
															   : NULL;
	request->mail_from = out->mail_from;
	request->mail_to = (const char *const *) out->mail_to;
	request->mail_in_clear = system->mail_in_clear;
	departure->secrets = lappend(departure->secrets, unconstify(char *, request->url));
	df_request_sign(departure, system, out->idempotency_key);
}

/* the system's url may have changed since the step was called */
char *
df_request_url(const DfStep *step, const DfSystem *system, const DfOutgoing *out,
			   const char **problem)
{
	if (system->mail == (out->mail_from != NULL))
		return system->mail ? pstrdup(system->url) : df_secret_url(system, out->path, problem);
	*problem =
		psprintf("the url of system \"%s\" is now %s", step->system,
				 system->mail ? "that of a mail server" : "not that of a mail server any more");
	return NULL;
}
