/*
 * ingress/webhook.c
 *	  Handles a delivery to a webhook: verifies and filters it, starts or signals a run, or
 *	  inserts a row.
 *
 * Runs in the ingress process and in sessions that call receive_webhook(), in their
 * transaction; the sender gets the response after the commit.  Starts and signals runs with
 * the rights of the webhook's creator, which are checked at each delivery; the creator's
 * handler runs as the creator, read-only, and rows are inserted as the creator.  Must never raise
 * an error because of what a sender wrote, nor tell the sender more than that it was wrong.
 */
#include "postgres.h"

#include "access/xact.h"
#include "compat.h"
#include "flow/flow.h"
#include "fmgr.h"
#include "guc.h"
#include "ingress/form.h"
#include "ingress/patience.h"
#include "ingress/preset.h"
#include "ingress/signature.h"
#include "ingress/webhook.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "fdw/system.h"
#include "store/rights.h"
#include "session/start.h"
#include "shared/as_role.h"
#include "shared/clock.h"
#include "shared/limits.h"
#include "shared/encoding.h"
#include "shared/function.h"
#include "shared/json.h"
#include "shared/jsonpath.h"
#include "shared/limits.h"
#include "shared/traceparent.h"
#include "shared/metrics.h"
#include "shared/user_code.h"
#include "shared/uuid.h"
#include "shared/wake.h"
#include "shared/watchdog.h"
#include "store/due.h"
#include "store/identity.h"
#include "store/inbox_table.h"
#include "store/store.h"
#include "store/subxact.h"
#include "store/webhook_row.h"
#include "store/webhook_table.h"
#include "store/xact.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"

#define BUSY_S 60
#define SAY_EVERY_MS 10000
/* how long an INSERT waits for a lock: meanwhile no other delivery is handled */
#define LOCK_MS 1000
#define EPOCH_US ((int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY)

/* one delivery while it is handled */
typedef struct Receipt
{
	DfWebhook hook;
	DfVerify scheme;
	char *header; /* of the scheme, or NULL */
	DfDelivery delivery;
	Jsonb *body;
	char *key;
	char *event;
	char *event_id; /* given by the sender, or NULL */
	const Jsonb *input; /* input of the run, or payload of the signal */
	const char *ignored; /* why nothing happens; NULL = something does */
	DfCut cut; /* why the creator's code was cancelled */
	bool repeated; /* and this was the answer */
	bool has_run;
	pg_uuid_t run;
	DfWebhookAnswer *answer;
	const DfPreset *preset; /* or NULL */
	struct Receipt *events; /* of a delivery that is an array of them, each handled by itself */
	int nevents;
} Receipt;

/* a header by its name in lower case, for signature.c; NULL = there is none */
static char *
header_text(const void *headers, const char *name)
{
	return df_json_get_text(headers, name);
}

/* ---- answers -------------------------------------------------------------- */

static Jsonb *
object_of(const char *key, const char *value)
{
	DfJson json;

	df_json_begin(&json);
	if (value != NULL)
		df_json_text(&json, key, value);
	else
		df_json_null(&json, key);
	return df_json_end(&json, CurrentMemoryContext);
}

static void
answer_error(DfWebhookAnswer *answer, int status, const char *why)
{
	answer->status = status;
	answer->retry_after_s = status == 503 ? BUSY_S : 0;
	answer->body = object_of("error", why);
}

/* ---- verification --------------------------------------------------------- */

/* verifies with the creator's secrets; call creator_is_there() first */
static bool
verified(Receipt *receipt, const char **why)
{
	const DfWebhook *hook = &receipt->hook;
	DfSystem *system;
	char *problem = NULL;
	char *present = NULL;
	char *old = NULL;
	DfAsRole before;

	if (receipt->scheme == DF_VERIFY_NONE)
		return true;
	df_as_role_begin(&before, hook->owner, false);
	system = df_system_get(hook->secret, &problem);
	if (system != NULL && system->webhook_secret != NULL)
		present = pstrdup(system->webhook_secret);
	if (system != NULL && system->webhook_secret_old != NULL)
		old = pstrdup(system->webhook_secret_old);
	df_as_role_end(&before);

	*why = df_verify(receipt->scheme, receipt->header, present, &receipt->delivery);
	if (*why != NULL && old != NULL)
		*why = df_verify(receipt->scheme, receipt->header, old, &receipt->delivery);
	if (present != NULL)
		explicit_bzero(present, strlen(present));
	if (old != NULL)
		explicit_bzero(old, strlen(old));
	return *why == NULL;
}

static bool
creator_is_there(const DfWebhook *hook)
{
	return df_role_is_there(hook->owner, hook->owner_name);
}

/* ---- the body ------------------------------------------------------------- */

/*
 * called in a subtransaction: raises an error if the body is not a document that jsonb can
 * hold
 */
static Jsonb *
parsed(const DfDelivery *delivery)
{
	char *type = df_json_get_text(delivery->headers, "content-type");
	char *text;

	text = df_json_from_utf8(delivery->body, delivery->body_len);
	if (text == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_CHARACTER_NOT_IN_REPERTOIRE),
				 errmsg("the body is not text in UTF-8")));
	/* many tools send JSON with the type of a form, so check how the body begins */
	if (type != NULL && pg_strncasecmp(type, "application/x-www-form-urlencoded", 33) == 0 &&
		text[0] != '{' && text[0] != '[')
		return df_form_parse(pnstrdup(delivery->body, delivery->body_len));
	if (strspn(text, " \t\r\n") == strlen(text))
		text = pstrdup("{}");
	return df_json_read(text);
}

/* the literal, or the text that a jsonpath finds in the body; NULL = none */
static char *
located(const Receipt *receipt, const char *where)
{
	int matches;

	if (where == NULL || where[0] != '$')
		return where == NULL ? NULL : pstrdup(where);
	return df_json_scalar_text(df_jsonpath_first(receipt->body, where, NULL, &matches));
}

/* ---- the handler ---------------------------------------------------------- */

typedef struct Handling
{
	Oid function;
	Oid role;
	const Jsonb *headers;
	const Jsonb *body;
	MemoryContext cxt;
	Jsonb *decision; /* NULL = SQL NULL */
} Handling;

/* read-only; its subtransaction is always rolled back */
static void
call_handler(void *arg)
{
	Handling *handling = arg;
	MemoryContext old;
	DfAsRole before;
	FmgrInfo flinfo;
	Datum value;

	LOCAL_FCINFO(fcinfo, 2);

	XactReadOnly = true;
	df_settings_of_others_pin();
	df_as_role_begin(&before, handling->role, true);
	fmgr_info(handling->function, &flinfo);
	InitFunctionCallInfoData(*fcinfo, &flinfo, 2, InvalidOid, NULL, NULL);
	fcinfo->args[0].value = JsonbPGetDatum(handling->headers);
	fcinfo->args[0].isnull = false;
	fcinfo->args[1].value = JsonbPGetDatum(handling->body);
	fcinfo->args[1].isnull = false;
	value = FunctionCallInvoke(fcinfo);
	df_as_role_end(&before);
	handling->decision = NULL;
	if (fcinfo->isnull)
		return;
	old = MemoryContextSwitchTo(handling->cxt);
	handling->decision = DatumGetJsonbPCopy(value);
	MemoryContextSwitchTo(old);
}

static void
require_handler(const DfWebhook *hook, Oid function)
{
	if (!OidIsValid(function) || df_function_owner(function) != hook->handler_owner)
		ereport(
			ERROR,
			(errcode(ERRCODE_UNDEFINED_FUNCTION),
			 errmsg("handler %s of webhook \"%s\" does not exist, or has another owner than before",
					hook->handler, hook->path),
			 errhint("Create the handler again, or drop the webhook and create another one.")));
	if (object_aclcheck(ProcedureRelationId, function, hook->owner, ACL_EXECUTE) != ACLCHECK_OK)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("role \"%s\" may not execute handler %s of webhook \"%s\"",
						hook->owner_name, hook->handler, hook->path),
				 errhint("Grant EXECUTE on it.")));
}

static void
ask_handler(Receipt *receipt)
{
	Handling handling;
	ErrorData *error;
	Jsonb *input;
	int matches;

	handling.function = df_handler_oid(receipt->hook.handler);
	require_handler(&receipt->hook, handling.function);
	handling.role = receipt->hook.owner;
	handling.headers = receipt->delivery.headers;
	handling.body = receipt->body;
	handling.cxt = CurrentMemoryContext;
	if (!df_subxact(call_handler, &handling, false, &error))
		ThrowErrorData(error);
	if (handling.decision == NULL || !JB_ROOT_IS_OBJECT(handling.decision))
	{
		receipt->ignored = "the handler says so";
		return;
	}
	receipt->ignored = df_json_get_text(handling.decision, "ignored");
	if (df_json_get_text(handling.decision, "key") != NULL)
		receipt->key = df_json_get_text(handling.decision, "key");
	if (df_json_get_text(handling.decision, "event") != NULL)
		receipt->event = df_json_get_text(handling.decision, "event");
	input = df_jsonpath_first(handling.decision, "$.input", NULL, &matches);
	if (input != NULL)
		receipt->input = input;
}

/* ---- effects: inside the store -------------------------------------------- */

static void
start_run(Receipt *receipt)
{
	DfNewRun run;
	DfWorkflowRow definition;
	DfTraceparent ignored;

	memset(&run, 0, sizeof(run));
	run.id = df_new_uuid();
	run.identity = df_identity_hash();
	run.started_by = receipt->hook.owner_name;
	run.key = receipt->key;
	run.input = receipt->input;
	/* the sender's trace; ignores an invalid one */
	run.traceparent = df_json_get_text(receipt->delivery.headers, "traceparent");
	if (run.traceparent != NULL && !df_traceparent_parse(run.traceparent, &ignored))
		run.traceparent = NULL;
	df_start_common(receipt->hook.starts, receipt->hook.owner, &run, &definition,
					CurrentMemoryContext);
	receipt->has_run = df_start_insert_or_find(&run, receipt->hook.owner, CurrentMemoryContext);
	receipt->run = run.id;
	df_wake_owner(definition.owner);
}

/* signals by key: kept if the run does not exist yet, dropped if it has ended */
static void
signal_run(Receipt *receipt, MemoryContext cxt)
{
	const DfWebhook *hook = &receipt->hook;
	DfWorkflowRow definition;
	DfInboxTarget target;
	DfNewMessage message;

	df_require_workflow(hook->signals, &definition, cxt);
	df_require_right(hook->owner, &definition, DF_RIGHT_SIGNAL, receipt->event, "signal");
	memset(&message, 0, sizeof(message));
	message.kind = DF_MESSAGE_SIGNAL;
	message.workflow = hook->signals;
	message.key = receipt->key;
	message.event = receipt->event;
	message.payload = receipt->input;
	message.note = psprintf("webhook %s", hook->path);
	message.sent_by = hook->owner_name;
	message.now = df_now();
	if (!df_inbox_find_key(hook->signals, receipt->key, &target, cxt))
		message.expires_at = message.now + df_signal_ttl * USECS_PER_SEC;
	else if (df_run_is_terminal(target.state))
		receipt->ignored = "the run has ended";
	else
	{
		message.run = &target.run;
		receipt->run = target.run;
		receipt->has_run = true;
	}
	if (receipt->ignored != NULL)
		return;
	if (!df_inbox_has_room(message.run, message.workflow, message.key))
	{
		df_metric_add(DF_METRIC_SIGNALS_REFUSED, message.workflow, "webhook", NULL, 1);
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_RESOURCES),
				 errmsg("no more signals can be sent to that key: " DF_TOO_MANY_SIGNALS),
				 errhint(DF_TOO_MANY_SIGNALS_HINT)));
	}
	df_inbox_insert(&message);
	df_wake_owner(definition.owner);
}

static Jsonb *
outcome_of(const Receipt *receipt)
{
	if (receipt->ignored != NULL)
		return object_of("ignored", receipt->ignored);
	if (receipt->hook.inserts != NULL)
	{
		DfJson json;

		df_json_begin(&json);
		df_json_bool(&json, "inserted", true);
		return df_json_end(&json, CurrentMemoryContext);
	}
	return object_of("run",
					 receipt->has_run ? df_uuid_text(&receipt->run)
									  : NULL);
}

/*
 * Handler, filter, paths and INSERTs are the creator's code, so they have a time limit.  In a
 * session that calls receive_webhook(), too, code that goes on after the cancel ends the session,
 * because nothing else can stop it.
 */
static void
in_time(Receipt *receipt, void (*work)(Receipt *))
{
	int limit = Min(df_handler_timeout, df_body_timeout);
	MemoryContext cxt = CurrentMemoryContext;

	df_patience_begin(receipt->hook.path, receipt->hook.owner);
	df_user_code_begin(limit, Max(100, limit / 4));
	PG_TRY();
	{
		work(receipt);
	}
	PG_CATCH();
	{
		receipt->cut = df_user_code_end();
		df_patience_end(receipt->cut);
		if (receipt->cut == DF_CUT_NONE)
			PG_RE_THROW();
		MemoryContextSwitchTo(cxt);
		FlushErrorState();
	}
	PG_END_TRY();
	if (receipt->cut == DF_CUT_NONE)
	{
		receipt->cut = df_user_code_end();
		df_patience_end(receipt->cut);
	}
	if (receipt->cut != DF_CUT_NONE)
		ereport(ERROR,
				(errcode(ERRCODE_QUERY_CANCELED),
				 receipt->cut == DF_CUT_LIMIT
					 ? errmsg("the handler of webhook \"%s\" ran longer than "
							  "dataflows.handler_timeout (%d ms)",
							  receipt->hook.path, limit)
					 : errmsg("the handler of webhook \"%s\" was cancelled because the process "
							  "has to end",
							  receipt->hook.path),
				 errhint("Decide from the delivery alone, and leave slow work to the workflow.")));
}

/* user code: not inside the store */
static void
insert_row(Receipt *receipt)
{
	const DfWebhook *hook = &receipt->hook;
	DfWebhookRow row = {receipt->key, receipt->event, receipt->input, hook->path,
						receipt->event_id};
	DfSqlOutcome outcome;
	DfAsRole before;

	df_settings_of_others_pin();
	df_as_role_begin(&before, hook->owner, true);
	df_webhook_row_insert(hook->inserts, &row, LOCK_MS, &outcome);
	df_as_role_end(&before);
	/* as a run that has the key already */
	if (outcome.sqlstate == ERRCODE_UNIQUE_VIOLATION)
		receipt->ignored = "there is such a row already";
	else if (outcome.error != NULL)
		ThrowErrorData(outcome.error);
}

static const char *
outcome_name(const Receipt *receipt)
{
	if (receipt->ignored != NULL)
		return "ignored";
	return receipt->hook.inserts != NULL ? "inserted"
		: receipt->hook.starts != NULL   ? "started"
										 : "signalled";
}

/* records the delivery together with its effect and response, or none of them */
static void
take_effect(Receipt *receipt)
{
	MemoryContext cxt = CurrentMemoryContext;
	DfStore store;
	Jsonb *before = NULL;
	int64 id;

	df_store_enter(&store);
	MemoryContextSwitchTo(cxt);
	if (!df_delivery_insert(receipt->hook.path, receipt->event_id, df_now(), &id, &before, cxt))
	{
		MemoryContextSwitchTo(cxt);
		receipt->repeated = true;
		receipt->answer->body = before != NULL ? before : object_of("ignored", "delivered before");
	}
	else
	{
		MemoryContextSwitchTo(cxt);
		if (receipt->ignored == NULL && receipt->hook.inserts != NULL)
		{
			df_store_leave(&store);
			in_time(receipt, insert_row);
			df_store_enter(&store);
		}
		else if (receipt->ignored == NULL && receipt->hook.starts != NULL)
			start_run(receipt);
		else if (receipt->ignored == NULL)
			signal_run(receipt, cxt);
		MemoryContextSwitchTo(cxt);
		receipt->answer->body = outcome_of(receipt);
		df_delivery_answered(id, outcome_name(receipt),
							 receipt->has_run ? &receipt->run : NULL, receipt->answer->body);
	}
	df_store_leave(&store);
}

/* ---- the order of things -------------------------------------------------- */

/* finds key, event and input; receipt->ignored says why nothing happens */
static void
understand(Receipt *receipt)
{
	const DfWebhook *hook = &receipt->hook;

	for (int i = 0; i < receipt->nevents; i++)
		understand(&receipt->events[i]);
	if (receipt->nevents > 0)
		return;

	receipt->input = receipt->body;
	if (hook->filter != NULL && !df_jsonpath_match(receipt->body, hook->filter))
	{
		receipt->ignored = "the filter does not match";
		return;
	}
	receipt->key = located(receipt, hook->key);
	receipt->event = located(receipt, hook->event);
	if (hook->handler != NULL)
		ask_handler(receipt);
	if (receipt->ignored != NULL)
		return;
	if (receipt->key == NULL && (hook->signals != NULL || hook->key != NULL))
		receipt->ignored = "there is no key in the body";
	else if (hook->signals != NULL &&
			 (receipt->event == NULL || receipt->event[0] == '\0' ||
			  strlen(receipt->event) > DF_MAX_NAME || !df_name_is_clean(receipt->event)))
		receipt->ignored = "there is no usable event in the body";
}

static void
take_one(Receipt *receipt)
{
	receipt->event_id = receipt->preset != NULL ? df_preset_event_id(receipt->preset, receipt->body)
		: receipt->scheme == DF_VERIFY_STRIPE
		? df_json_get_text(receipt->body, "id")
		: df_event_id(receipt->scheme, &receipt->delivery);
	if (receipt->ignored == NULL)
	{
		df_check_key(receipt->key);
		if (receipt->input != receipt->body)
			df_check_payload(receipt->input, "what the handler returned");
	}
	take_effect(receipt);
	receipt->answer->status =
		df_json_get_text(receipt->answer->body, "ignored") != NULL ? 200 : 202;
}

/* a delivery of several events: a receipt for each */
static void
split(Receipt *receipt)
{
	DfJsonWalk walk;

	receipt->events = palloc(JB_ROOT_COUNT(receipt->body) * sizeof(Receipt));
	df_json_walk(&walk, receipt->body);
	while (df_json_next(&walk))
	{
		Receipt *event = &receipt->events[receipt->nevents];

		*event = *receipt;
		event->nevents = 0;
		event->body = df_json_of(&walk.value);
		receipt->nevents++;
	}
}

/* the responses to all events; ignored, if all of them are */
static void
take_each(Receipt *receipt)
{
	DfJson json;
	int status = 200;

	df_json_begin(&json);
	df_json_open_array(&json, "events");
	for (int i = 0; i < receipt->nevents; i++)
	{
		take_one(&receipt->events[i]);
		status = Max(status, receipt->answer->status);
		df_json_value(&json, NULL, receipt->answer->body);
	}
	df_json_close_array(&json);
	receipt->answer->body = df_json_end(&json, CurrentMemoryContext);
	receipt->answer->status = status;
	if (status == 200)
		receipt->ignored = "none of the events has an effect";
}

/* the vendor asks whether the address is ours: it gets back what it sent */
static bool
is_challenge(Receipt *receipt)
{
	char *challenge;

	if (receipt->preset == NULL || !receipt->preset->challenged ||
		(challenge = df_json_get_text(receipt->body, "challenge")) == NULL)
		return false;
	receipt->ignored = "a challenge";
	receipt->answer->body = object_of("challenge", challenge);
	receipt->answer->status = 200;
	return true;
}

/*
 * called in a subtransaction: raises an error for anything that is wrong with the
 * delivery or the webhook
 */
static void
carry_out(void *arg)
{
	Receipt *receipt = arg;

	receipt->body = parsed(&receipt->delivery);
	/* checked before a filter or a handler runs */
	df_check_payload(receipt->body, "the body of a delivery");
	if (is_challenge(receipt))
		return;
	if (receipt->preset != NULL && receipt->preset->each && JB_ROOT_IS_ARRAY(receipt->body) &&
		!JB_ROOT_IS_SCALAR(receipt->body) && JB_ROOT_COUNT(receipt->body) > 0)
		split(receipt);
	in_time(receipt, understand);
	if (receipt->nevents > 0)
		take_each(receipt);
	else
		take_one(receipt);
}

/* anybody can send, so do not log each delivery; the metrics count all of them */
static void
log_failure(const Receipt *receipt, const ErrorData *error)
{
	static TimestampTz said = DF_NEVER;
	static int unsaid = 0;

	if (said != DF_NEVER && !TimestampDifferenceExceeds(said, df_now(), SAY_EVERY_MS))
	{
		unsaid++;
		return;
	}
	ereport(LOG,
			(errmsg("dataflows could not handle a delivery to webhook \"%s\": %s",
					receipt->hook.path, error->message),
			 unsaid > 0
				 ? errdetail_plural("%d more has failed since the last such line.",
									"%d more have failed since the last such line.", unsaid, unsaid)
				 : 0,
			 error->hint != NULL ? errhint("%s", error->hint) : 0, errhidestmt(true),
			 errhidecontext(true)));
	said = df_now();
	unsaid = 0;
}

/* bad data is the sender's fault; after any other error it should try again */
static void
answer_raised(Receipt *receipt, const ErrorData *error)
{
	int category = ERRCODE_TO_CATEGORY(error->sqlerrcode);

	if (category == ERRCODE_DATA_EXCEPTION || error->sqlerrcode == DF_ERR_LIMIT ||
		category == ERRCODE_PROGRAM_LIMIT_EXCEEDED)
	{
		answer_error(receipt->answer, error->sqlerrcode == DF_ERR_LIMIT ? 413 : 400,
					 error->sqlerrcode == DF_ERR_LIMIT ? "the body or its key is too large"
													   : "the body cannot be used");
		return;
	}
	answer_error(receipt->answer, 503, "not possible now");
	log_failure(receipt, error);
}

static bool
find_webhook(const char *path, DfWebhook *hook, bool *ready)
{
	MemoryContext cxt = CurrentMemoryContext;
	DfInstallation installation;
	DfStore store;
	bool found;

	df_store_enter(&store);
	df_installation_read(cxt, &installation);
	*ready = installation.defined && installation.ours;
	found = df_webhook_find(path, hook, cxt);
	df_store_leave(&store);
	return found;
}

/* do not count unknown paths by name: a scan would make a series for each */
static void
count_delivery(const Receipt *receipt)
{
	const DfWebhookAnswer *answer = receipt->answer;
	const char *outcome = answer->status == 401 ? "unverified" : answer->status == 413 ? "too_large"
		: answer->status == 503                                                        ? "failed"
		: answer->status == 404                                                        ? "not_found"
																					   : "unusable";

	if (answer->status / 100 == 2)
		outcome = receipt->repeated ? "repeated" : outcome_name(receipt);
	df_metric_add(DF_METRIC_WEBHOOKS, receipt->hook.path != NULL ? receipt->hook.path : "", outcome,
				  NULL, 1);
}

/* finds out how it is verified and read; false = a row says what this library does not know */
static bool
prepare(Receipt *receipt)
{
	const DfWebhook *hook = &receipt->hook;

	if (hook->preset != NULL && (receipt->preset = df_preset_find(hook->preset)) == NULL)
		return false;
	if (df_public_url[0] != '\0')
		receipt->delivery.url = psprintf("%s%s", df_public_url, hook->path);
	return df_verify_parse(hook->verify, &receipt->scheme, &receipt->header);
}

void
df_webhook_receive(const char *path, const Jsonb *headers, const char *body, size_t body_len,
				   DfWebhookAnswer *answer)
{
	Receipt receipt;
	ErrorData *error;
	const char *why = NULL;
	bool ready;

	memset(&receipt, 0, sizeof(receipt));
	memset(answer, 0, sizeof(*answer));
	receipt.answer = answer;
	receipt.delivery.header = header_text;
	receipt.delivery.headers = headers;
	receipt.delivery.body = body;
	receipt.delivery.body_len = body_len;
	receipt.delivery.now = (df_now() + EPOCH_US) / USECS_PER_SEC;
	if (!find_webhook(path, &receipt.hook, &ready))
		answer_error(answer, 404, "not found");
	else if (body_len > (size_t) df_max_body)
		answer_error(answer, 413, "the body is too large");
	else if (!ready || !creator_is_there(&receipt.hook) || !prepare(&receipt))
		answer_error(answer, 503, "not possible now");
	else if (!verified(&receipt, &why))
		answer_error(answer, 401, why);
	else if (df_patience_put_off(receipt.hook.owner))
		return;
	else if (!df_subxact(carry_out, &receipt, true, &error))
	{
		/* a cancel in a session is meant for the statement, not for the delivery */
		if (error->sqlerrcode == ERRCODE_QUERY_CANCELED && receipt.cut == DF_CUT_NONE &&
			!df_watchdog_is_on())
			ThrowErrorData(error);
		answer_raised(&receipt, error);
	}
	count_delivery(&receipt);
}
