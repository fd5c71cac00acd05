/*
 * simulate/sim_response.c
 *	  The response to a request of a simulation, as http/ would have made it of bytes.
 *
 * Runs in a user's backend, in the subtransaction of simulate(), as the owner of the workflow.
 * Says what the caller's reply says, and what every system is taken to say otherwise; what that
 * means is the engine's to judge.
 */
#include "postgres.h"

#include "engine/step_key.h"
#include "http/rate_limit.h"
#include "shared/clock.h"
#include "shared/encoding.h"
#include "shared/json.h"
#include "simulate/sim_response.h"
#include "utils/formatting.h"

static void
add_header(StringInfo lines, const char *name, const char *value)
{
	char *lower = asc_tolower(name, strlen(name));

	appendStringInfo(lines, "%s: ", lower);
	/* the value of a header has one line */
	for (const char *c = value; *c != '\0'; c++)
		appendStringInfoChar(lines, *c == '\n' || *c == '\r' ? ' ' : *c);
	appendStringInfoChar(lines, '\n');
}

/* "name: value\n", as http/ makes them; a header that comes several times is an array */
static char *
header_lines(const Jsonb *headers)
{
	StringInfoData lines;
	DfJsonWalk walk;

	if (headers == NULL)
		return NULL;
	initStringInfo(&lines);
	df_json_walk(&walk, headers);
	while (df_json_next(&walk))
	{
		DfJsonWalk item;

		if (walk.value.type != jbvBinary)
		{
			add_header(&lines, walk.key, df_json_scalar_text(df_json_of(&walk.value)));
			continue;
		}
		df_json_walk(&item, df_json_of(&walk.value));
		while (df_json_next(&item))
			if (item.value.type == jbvString)
				add_header(&lines, walk.key, df_json_string_of(&item.value));
	}
	return lines.data;
}

static const char *
content_type_of(const DfReply *reply, bool is_text)
{
	DfJsonWalk walk;

	if (reply != NULL && reply->headers != NULL)
	{
		df_json_walk(&walk, reply->headers);
		while (df_json_next(&walk))
			if (pg_strcasecmp(walk.key, "content-type") == 0 && walk.value.type == jbvString)
				return df_json_string_of(&walk.value);
	}
	return is_text ? "text/plain" : "application/json";
}

static bool
has_sent(const DfStep *step, const char *name)
{
	return step->row.body != NULL && strstr(step->row.body, name) != NULL;
}

/* the members of the request by which the step is known again, wherever the id stands in them */
static void
repeat_names(DfJson *json, const DfRun *run, const DfStep *step, const char *key)
{
	const char *body = step->row.body;
	Jsonb *request =
		body == NULL ? NULL : df_json_parse(body, strlen(body), CurrentMemoryContext);
	DfJsonWalk walk;

	if (request == NULL || !JB_ROOT_IS_OBJECT(request))
		return;
	df_json_walk(&walk, request);
	while (df_json_next(&walk))
	{
		Jsonb *value = df_json_of(&walk.value);
		char *text = df_json_to_text(value);

		if (strstr(text, run->id_text) != NULL || strstr(text, key) != NULL)
			df_json_value(json, walk.key, value);
	}
}

/*
 * What the step was answered, or would have been, and the names in its request: no author can
 * write the id of a run that does not exist yet.
 */
static const Jsonb *
found_body(const DfSimFlight *flight)
{
	const DfRun *run = flight->of->run;
	const DfStep *step = flight->step;
	char *key = df_step_key(run, step);
	DfJson json;
	DfJsonWalk walk;

	if (flight->made_body != NULL && !JB_ROOT_IS_OBJECT(flight->made_body))
		return flight->made_body;
	df_json_begin(&json);
	repeat_names(&json, run, step, key);
	if (flight->made_body == NULL)
		df_json_text(&json, "id", step->name);
	else
	{
		df_json_walk(&walk, flight->made_body);
		while (df_json_next(&walk))
			df_json_value(&json, walk.key, df_json_of(&walk.value));
	}
	if (has_sent(step, run->id_text))
		df_json_text(&json, "run", run->id_text);
	if (has_sent(step, key))
		df_json_text(&json, "idempotency_key", key);
	return df_json_end(&json, CurrentMemoryContext);
}

/*
 * What every system is taken to say that nobody has said anything of.  A probe finds what may
 * have been carried out, and nothing before the first send: that something existed before is a
 * case of its own.
 */
static const Jsonb *
usual_body(DfSim *sim, const DfSimFlight *flight)
{
	DfJson json;

	if (flight->phase == DF_PHASE_PROBE)
		return df_sim_step(sim, flight->of, flight->step)->may_be_there ? found_body(flight)
																		: df_json_read("[]");
	if (flight->is_mail)
		return df_json_string("250 OK", strlen("250 OK"), CurrentMemoryContext);
	df_json_begin(&json);
	df_json_text(&json, "id", flight->step->name);
	return df_json_end(&json, CurrentMemoryContext);
}

static void
put_body(DfSim *sim, DfResponse *response, const DfSimFlight *flight)
{
	const DfReply *reply = flight->reply;
	const Jsonb *body = reply != NULL ? reply->body : NULL;
	char *text;
	bool is_text;

	/* 204 and 205 have none */
	if (body == NULL && (response->status / 100 == 2 || response->status == 0) &&
		response->status != 204 && response->status != 205)
		body = usual_body(sim, flight);
	if (body == NULL)
		return;
	text = df_json_to_text(body);
	is_text = text[0] == '"';
	if (is_text)
		text = df_json_scalar_text(body);
	else if (strcmp(text, "null") == 0)
		return;
	response->body = text = df_text_to_utf8(text);
	response->body_len = strlen(text);
	response->content_type = content_type_of(reply, is_text);
}

/* a mail server's codes alone say what it means */
static int
mail_code(const DfReply *reply)
{
	if (reply == NULL || (reply->status == 0 && !reply->has_meaning))
		return 250;
	if (!reply->has_meaning)
		return reply->status;
	switch (reply->answer.is)
	{
		case DF_MEANS_DONE:
		case DF_MEANS_KEPT:
			return 250;
		case DF_MEANS_RETRY:
			return 421;
		case DF_MEANS_FAIL:
			return 550;
		case DF_MEANS_STUCK:
			return 530;
		default:
			return 354;
	}
}

static void
put_answer(DfSim *sim, DfResponse *response, const DfSimFlight *flight)
{
	const DfReply *reply = flight->reply;

	response->fate = DF_FATE_RESPONSE;
	response->head_complete = true;
	if (flight->is_mail)
		response->status = mail_code(reply);
	else
		response->status = reply != NULL && reply->status != 0 ? reply->status : 200;
	response->error = "";
	if (reply != NULL)
		response->headers = header_lines(reply->headers);
	if (reply != NULL && reply->has_meaning && !flight->is_mail)
		response->said = &reply->answer;
	put_body(sim, response, flight);
	if (!flight->is_mail)
		response->retry_after_ms =
			df_rate_limit_ms(response->status, response->headers, df_now());
}

void
df_sim_response(DfSim *sim, const DfSimFlight *flight, DfResponse *response)
{
	DfReplyKind kind = flight->reply == NULL ? DF_REPLY_ANSWER
		: flight->is_late                    ? DF_REPLY_TIMEOUT
											 : flight->reply->kind;

	memset(response, 0, sizeof(*response));
	response->retry_after_ms = -1;
	switch (kind)
	{
		case DF_REPLY_ANSWER:
			put_answer(sim, response, flight);
			break;
		case DF_REPLY_LOST:
			response->fate = DF_FATE_LOST;
			response->error = "the connection was closed before the response came";
			break;
		case DF_REPLY_TIMEOUT:
			response->fate = DF_FATE_LOST;
			response->error =
				psprintf("no response came within " INT64_FORMAT " ms", flight->timeout_ms);
			break;
		case DF_REPLY_DOWN:
			response->fate = DF_FATE_NOT_SENT;
			response->error = "the system could not be reached";
			break;
	}
}
