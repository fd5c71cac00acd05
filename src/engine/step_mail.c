/*
 * engine/step_mail.c
 *	  send_mail(): the step that sends a mail.
 *
 * The SQL function runs inside a body, in its read-only subtransaction, as the
 * workflow's owner: it checks the message and notes it as an intent; the worker
 * commits that and only then sends.  The request is made and the response is
 * applied in the worker, in its recording transaction.  Credentials are not touched
 * here.
 */
#include "postgres.h"

#include "engine/body.h"
#include "engine/call_order.h"
#include "engine/drift.h"
#include "engine/mail_message.h"
#include "engine/outgoing.h"
#include "engine/request_body.h"
#include "engine/step_api.h"
#include "engine/step_evidence.h"
#include "engine/step_key.h"
#include "engine/step_kind.h"
#include "engine/template.h"
#include "fdw/system.h"
#include "flow/doubt.h"
#include "guc.h"
#include "shared/json.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

PG_FUNCTION_INFO_V1(dataflows_send_mail);

static DfSystem *
checked_mail_server(const char *name, const char *step)
{
	DfSystem *system = df_step_system(name, step);

	if (!system->mail)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("step \"%s\" cannot send mail by system \"%s\"", step, name),
				 errdetail("The url of the system begins with http."),
				 errhint("Name a system whose url begins with smtp, or call this one with "
						 "dataflows.post().")));
	return system;
}

static void
check_message(const Jsonb *message, DfMailMessage *mail, const char *step)
{
	DfMailProblem problem;

	if (!df_mail_read(message, mail, &problem))
		ereport(ERROR,
				(errcode(problem.sqlstate),
				 errmsg("the message of step \"%s\" %s", step, problem.message),
				 errhint("%s", problem.hint)));
}

/* fills in what is sent; all attempts render the same message from it */
static void
render(DfRun *run, DfStep *step, const Jsonb *message, const DfMailMessage *mail)
{
	DfSystem *system = checked_mail_server(step->system, step->name);
	char *body = df_body_json(message);
	DfJson json;

	/* rendered here only to measure it; the key is not known yet, but its length is */
	if (Max(strlen(body), strlen(df_mail_render(mail, run->id_text, run->started_at))) >
		(size_t) df_max_body)
		ereport(ERROR,
				(errcode(DF_ERR_LIMIT),
				 errmsg("the message of step \"%s\" is larger than dataflows.max_body (%d bytes)",
						step->name, df_max_body),
				 errhint("Send less, or raise dataflows.max_body.")));
	step->row.options = NULL;
	if (mail->doubt != NULL && df_doubt_policy_of(mail->doubt) != DF_DOUBT_STUCK)
	{
		df_json_begin(&json);
		df_json_text(&json, "doubt", mail->doubt);
		step->row.options = df_json_end(&json, run->cxt);
	}
	step->row.body = MemoryContextStrdup(run->cxt, body);
	step->row.request = MemoryContextStrdup(run->cxt, df_mail_request(mail));
	if (df_step_is_new(step))
		df_step_goes_to(step, system);
	step->engine.to_send = true;
	step->engine.phase = DF_PHASE_DO;
}

static DfStep *
new_mail(DfRun *run, char *name, char *system, const Jsonb *message, const DfMailMessage *mail)
{
	DfStep draft;
	DfStep *step;
	DfAsked asked;

	/* all checks come before the step exists */
	memset(&draft, 0, sizeof(draft));
	draft.name = name;
	draft.system = system;
	render(run, &draft, message, mail);
	asked = (DfAsked){draft.row.request, draft.row.body, NULL};
	df_order_check_new(run, name, DF_STEP_MAIL, &asked);
	step = df_step_new_effect(run, name, DF_STEP_MAIL, system, draft.row.request,
							  draft.row.body);
	step->row.options = draft.row.options;
	step->row.body = draft.row.body;
	step->row.base_hash = draft.row.base_hash;
	step->row.account_hash = draft.row.account_hash;
	step->row.request = draft.row.request;
	step->engine.to_send = true;
	return step;
}

static void
check_order(DfRun *run, DfStep *step, const Jsonb *message, const DfMailMessage *mail)
{
	DfAsked asked = {df_mail_request(mail), df_body_json(message), NULL};

	df_order_check(run, step, &asked);
}

Datum
dataflows_send_mail(PG_FUNCTION_ARGS)
{
	DfRun *run = df_entry_run("send_mail");
	char *base = df_checked_name(fcinfo, 0, "step");
	Jsonb *message = df_arg_jsonb(fcinfo, 2);
	DfMailMessage mail;
	char *system;
	char *name;
	DfStep *step;

	if (PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("system of step \"%s\" is NULL", base),
				 errhint("Name a server of the foreign-data wrapper dataflows.")));
	system = NameStr(*PG_GETARG_NAME(1));
	check_message(message, &mail, base);
	step = df_step_recorded(run, base, DF_STEP_MAIL, &name);
	if (step != NULL && df_order_matters(step, message))
		check_order(run, step, message, &mail);
	if (step == NULL)
		step = new_mail(run, name, system, message, &mail);
	else if (strcmp(step->system, system) != 0)
		df_step_mismatch(step, "system", step->system, system);
	else if (step->row.request == NULL)
	{
		render(run, step, message, &mail);
		df_drift_note_body(run, step);
	}
	else if (strcmp(step->row.request, df_mail_request(&mail)) != 0)
		df_step_mismatch(step, "recipients", step->row.request, df_mail_request(&mail));
	else if (df_step_is_compared(step))
		df_step_compare(step, "message", step->row.body, df_body_json(message));
	return df_step_await(fcinfo, step);
}

/* ---- in the worker: request and response ---------------------------------- */

static bool
recorded_mail(const DfStep *step, DfMailMessage *mail, char **why)
{
	Jsonb *message = step->row.body == NULL
		? NULL
		: df_json_parse(step->row.body, strlen(step->row.body), CurrentMemoryContext);
	DfMailProblem problem;

	if (df_mail_read(message, mail, &problem))
		return true;
	*why = psprintf("the message of step \"%s\" %s", step->name, problem.message);
	return false;
}

static bool
outgoing(DfRun *run, DfStep *step, DfOutgoing *out, bool form, char **why)
{
	DfMailMessage mail;
	const char **to;
	int n;

	if (!recorded_mail(step, &mail, why))
		return false;
	n = mail.nto + mail.ncc + mail.nbcc;
	to = palloc(sizeof(char *) * (n + 1));
	for (int i = 0; i < n; i++)
		to[i] = mail.to[i].address;
	to[n] = NULL;
	out->method = "MAIL";
	out->mail_from = mail.from.address;
	out->mail_to = to;
	out->body = df_mail_render(&mail, df_step_key(run, step), step->row.started_at);
	out->body_len = strlen(out->body);
	return true;
}

/* {"message_id", "reply"} of a mail that was accepted */
static Jsonb *
output(DfRun *run, DfStep *step, const DfResponse *response, bool *unusable)
{
	DfMailMessage mail;
	DfJson json;
	char *text = response->shown != NULL ? pnstrdup(response->shown, response->shown_len)
		: response->body != NULL         ? pnstrdup(response->body, response->body_len)
										 : NULL;
	char *why;

	/* the text of a server may have any bytes */
	for (char *c = text; c != NULL && *c != '\0'; c++)
		if ((unsigned char) *c > 0x7E || ((unsigned char) *c < ' ' && *c != '\n'))
			*c = '?';
	df_json_begin(&json);
	if (recorded_mail(step, &mail, &why))
		df_json_text(&json, "message_id", df_mail_id(&mail, df_step_key(run, step)));
	df_json_text(&json, "reply", text);
	return df_json_end(&json, run->cxt);
}

/*
 * A mail server that refuses a recipient or a text is healthy, as a system that
 * responds with 404 is; one that closes the connection (421) is not.
 */
static int
http_status(const DfResponse *response, DfMeaning meaning)
{
	if (response->fate != DF_FATE_RESPONSE || meaning == DF_MEANS_CREDENTIALS)
		return response->status;
	return response->status == 421 ? 503 : 200;
}

static const char *
effect(const DfStep *step)
{
	return step->row.request;
}

const DfStepOps df_mail_ops = {
	.kind = DF_STEP_MAIL,
	.sends_requests = true,
	.due = df_request_due,
	.outgoing = outgoing,
	.output = output,
	.http_status = http_status,
	.renewable = true,
	.effect = effect,
};
