/*
 * ingress/webhook_sql.c
 *	  create_webhook(), drop_webhook(), receive_webhook().
 *
 * Runs in a user's backend, in the caller's transaction.  A webhook belongs to its creator:
 * it starts and signals with the creator's rights, and finds its secret in the creator's
 * user mapping.  Never read the secret here; only check that it is there.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "compat.h"
#include "fdw/system.h"
#include "flow/flow.h"
#include "fmgr.h"
#include "ingress/preset.h"
#include "ingress/signature.h"
#include "ingress/webhook.h"
#include "miscadmin.h"
#include "parser/parse_func.h"
#include "session/author.h"
#include "store/rights.h"
#include "session/start.h"
#include "shared/clock.h"
#include "shared/function.h"
#include "shared/json.h"
#include "shared/jsonpath.h"
#include "store/store.h"
#include "store/webhook_row.h"
#include "store/webhook_table.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/varlena.h"

PG_FUNCTION_INFO_V1(dataflows_create_webhook);
PG_FUNCTION_INFO_V1(dataflows_drop_webhook);
PG_FUNCTION_INFO_V1(dataflows_receive_webhook);

#define MAX_PATH 200
#define CALL_HINT \
	"Call dataflows.create_webhook(path, starts => workflow) or (path, signals => workflow, " \
	"event => name, key => '$.id') or (path, inserts => table)."

/* ---- arguments ------------------------------------------------------------ */

static char *
text_arg(FunctionCallInfo fcinfo, int arg)
{
	return PG_ARGISNULL(arg) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(arg));
}

/* paths that this extension uses or may use */
static bool
is_reserved(const char *path)
{
	static const char *const ours[] = {"/metrics", "/ready", "/page", "/event"};

	for (int i = 0; i < lengthof(ours); i++)
	{
		size_t len = strlen(ours[i]);

		if (strncmp(path, ours[i], len) == 0 && (path[len] == '\0' || path[len] == '/'))
			return true;
	}
	return false;
}

static char *
checked_path(char *path)
{
	static const char allowed[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~/";

	if (path == NULL || path[0] != '/' || path[1] == '\0' || strlen(path) > MAX_PATH ||
		strspn(path, allowed) != strlen(path) || strstr(path, "//") != NULL ||
		strstr(path, "/.") != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("path \"%s\" cannot be that of a webhook", path != NULL ? path : ""),
				 errhint("Use up to %d letters, digits and - . _ ~ / with a \"/\" at the "
						 "beginning, such as '/hooks/stripe'.",
						 MAX_PATH)));
	if (is_reserved(path))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("path \"%s\" is used by dataflows itself", path),
				 errhint("Choose another one, such as '/hooks%s'.", path)));
	return path;
}

static void
check_targets(const DfWebhook *hook)
{
	if ((hook->starts != NULL) + (hook->signals != NULL) + (hook->inserts != NULL) != 1)
		ereport(
			ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("webhook \"%s\" must either start a workflow, signal its runs or insert rows",
					hook->path),
			 errhint(CALL_HINT)));
	if (hook->starts != NULL && hook->event != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("webhook \"%s\" starts a workflow and has an event", hook->path),
				 errhint("Leave out the event, or give signals instead of starts.")));
	if (hook->signals != NULL && hook->handler == NULL &&
		(hook->event == NULL || hook->key == NULL))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("webhook \"%s\" signals runs, but has no %s", hook->path,
						hook->event == NULL ? "event" : "key"),
				 errhint(CALL_HINT)));
	if (hook->event != NULL && hook->event[0] != '$' &&
		(hook->event[0] == '\0' || strlen(hook->event) > DF_MAX_NAME ||
		 !df_name_is_clean(hook->event)))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("event \"%s\" of webhook \"%s\" is empty, too long or has a character that "
						"events must not have",
						hook->event, hook->path),
				 errhint("Give the name that the workflow passes to dataflows.wait_for(), or a "
						 "jsonpath such as '$.type'.")));
}

static void
check_paths(const DfWebhook *hook)
{
	if (hook->key != NULL && hook->key[0] == '$')
		df_jsonpath_check(hook->key, "key", "");
	else
		df_check_key(hook->key);
	if (hook->event != NULL && hook->event[0] == '$')
		df_jsonpath_check(hook->event, "event", "");
	if (hook->filter != NULL)
		df_jsonpath_check(hook->filter, "filter", "");
}

/* ---- verification --------------------------------------------------------- */

static void
require_secret(const DfWebhook *hook)
{
	char *why = NULL;
	DfSystem *system;

	if (hook->secret == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("webhook \"%s\" is to be verified, but has no secret", hook->path),
				 errhint("Name a system as secret whose user mapping for you has the option "
						 "webhook_secret.")));
	system = df_system_get(hook->secret, &why);
	if (system == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("the secret of webhook \"%s\" cannot be found", hook->path),
				 errdetail_internal("%s", why),
				 errhint("Create the system with CREATE SERVER ... FOREIGN DATA WRAPPER dataflows, "
						 "and GRANT USAGE on it to yourself.")));
	if (system->webhook_secret == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("system \"%s\" has no webhook_secret for role \"%s\"", hook->secret,
						hook->owner_name),
				 errhint("Run CREATE USER MAPPING FOR %s SERVER %s OPTIONS (webhook_secret '...').",
						 quote_identifier(hook->owner_name), quote_identifier(hook->secret))));
}

static void
check_verify(const DfWebhook *hook)
{
	DfVerify scheme;
	char *header;

	if (!df_verify_parse(hook->verify, &scheme, &header))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("verify \"%s\" of webhook \"%s\" is not known", hook->verify, hook->path),
				 errhint("Use none, bearer, basic, stripe, github, standard, slack, hubspot, "
						 "sendgrid or hmac-sha256:<Header>.")));
	if (scheme != DF_VERIFY_NONE)
		require_secret(hook);
	else if (hook->secret != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("webhook \"%s\" has a secret, but verifies nothing with it", hook->path),
				 errhint("Say how the sender signs, such as verify => 'stripe'.")));
}

/* ---- the handler ---------------------------------------------------------- */

static const char *
unfit(const Form_pg_proc proc)
{
	if (proc->prokind != PROKIND_FUNCTION || proc->prorettype != JSONBOID || proc->proretset)
		return "does not return one jsonb";
	if (proc->prosecdef)
		return "is SECURITY DEFINER";
	if (isAnyTempNamespace(proc->pronamespace))
		return "is in a temporary schema";
	return NULL;
}

/* finds it in the caller's search_path; returns its qualified signature */
static char *
checked_handler(const char *given, Oid *owner)
{
	Oid arguments[2] = {JSONBOID, JSONBOID};
	List *names = stringToQualifiedNameList(pnstrdup(given, strcspn(given, "(")), NULL);
	Oid function = LookupFuncName(names, 2, arguments, true);
	HeapTuple tuple;
	Form_pg_proc proc;
	char *signature;
	const char *reason;

	if (!OidIsValid(function))
		ereport(
			ERROR,
			(errcode(ERRCODE_UNDEFINED_FUNCTION),
			 errmsg("function %s(jsonb, jsonb) does not exist", given),
			 errhint(
				 "Create the handler as FUNCTION name(headers jsonb, body jsonb) RETURNS jsonb.")));
	if (object_aclcheck(ProcedureRelationId, function, GetUserId(), ACL_EXECUTE) != ACLCHECK_OK)
		aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_FUNCTION, given);
	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	proc = (Form_pg_proc) GETSTRUCT(tuple);
	reason = unfit(proc);
	if (reason != NULL)
		ereport(
			ERROR,
			(errcode(ERRCODE_INVALID_FUNCTION_DEFINITION),
			 errmsg("function %s(jsonb, jsonb) cannot be a handler: it %s", given, reason),
			 errhint(
				 "Create the handler as FUNCTION name(headers jsonb, body jsonb) RETURNS jsonb.")));
	*owner = proc->proowner;
	signature = psprintf("%s(jsonb,jsonb)",
						 quote_qualified_identifier(get_namespace_name(proc->pronamespace),
													NameStr(proc->proname)));
	ReleaseSysCache(tuple);
	return signature;
}

/* ---- presets ------------------------------------------------------------- */

/* fills in what is not said; a preset is never unverified */
static void
apply_preset(DfWebhook *hook)
{
	const DfPreset *preset;

	if (hook->preset == NULL)
		return;
	preset = df_preset_find(hook->preset);
	if (preset == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("preset \"%s\" of webhook \"%s\" is not known", hook->preset, hook->path),
				 errhint("Use %s, or say verify, event and key.", df_preset_names())));
	if (strcmp(hook->verify, "none") == 0)
		hook->verify = pstrdup(preset->verify);
	if (hook->secret == NULL)
		hook->secret = pstrdup(preset->name);
	if (hook->event == NULL && hook->starts == NULL && preset->event != NULL)
		hook->event = pstrdup(preset->event);
	if (hook->key == NULL && hook->starts == NULL && preset->key != NULL)
		hook->key = pstrdup(preset->key);
}

/* who has a workflow may take webhooks for it; who has none must be one who may have */
static void
require_author(const DfWebhook *hook)
{
	Oid define = df_own_function(linitial_node(ObjectWithArgs, df_author_functions()));

	if (object_aclcheck(ProcedureRelationId, define, hook->owner, ACL_EXECUTE) != ACLCHECK_OK)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("role \"%s\" may not take webhooks for a table", hook->owner_name),
				 errhint("Have a member of the extension's owner call dataflows.allow_author(%s).",
						 quote_literal_cstr(hook->owner_name))));
}

/* ---- create and drop ------------------------------------------------------ */

Datum
dataflows_create_webhook(PG_FUNCTION_ARGS)
{
	DfWebhook hook;
	DfWorkflowRow definition;
	DfStore store;
	bool inserted;

	df_require_writable("create a webhook");
	memset(&hook, 0, sizeof(hook));
	hook.path = checked_path(text_arg(fcinfo, 0));
	hook.starts = text_arg(fcinfo, 1);
	hook.signals = text_arg(fcinfo, 2);
	hook.event = text_arg(fcinfo, 3);
	hook.key = text_arg(fcinfo, 4);
	hook.verify = PG_ARGISNULL(5) ? pstrdup("none") : text_arg(fcinfo, 5);
	hook.secret = text_arg(fcinfo, 6);
	hook.filter = text_arg(fcinfo, 7);
	hook.handler = text_arg(fcinfo, 8);
	hook.preset = text_arg(fcinfo, 9);
	/* a schema of 0.1 has no such argument */
	hook.inserts = PG_NARGS() > 10 ? text_arg(fcinfo, 10) : NULL;
	hook.owner = GetUserId();
	hook.owner_name = GetUserNameFromId(hook.owner, false);
	apply_preset(&hook);
	check_targets(&hook);
	check_paths(&hook);
	check_verify(&hook);
	if (hook.handler != NULL)
		hook.handler = checked_handler(hook.handler, &hook.handler_owner);

	if (hook.inserts != NULL)
	{
		require_author(&hook);
		hook.inserts = df_webhook_table(hook.inserts);
	}

	df_store_enter(&store);
	if (hook.inserts == NULL)
	{
		df_require_workflow(hook.starts != NULL ? hook.starts : hook.signals, &definition,
							store.result_context);
		df_require_own(hook.owner, &definition, "take webhooks for");
	}
	inserted = df_webhook_insert(&hook, df_now());
	df_store_leave(&store);
	if (!inserted)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("there is a webhook \"%s\" already", hook.path),
				 errhint("Call dataflows.drop_webhook('%s') before, or choose another path.",
						 hook.path)));
	PG_RETURN_VOID();
}

Datum
dataflows_drop_webhook(PG_FUNCTION_ARGS)
{
	char *path = text_to_cstring(PG_GETARG_TEXT_PP(0));
	Oid caller = GetUserId();
	DfWebhook hook;
	DfStore store;

	df_require_writable("drop a webhook");
	df_store_enter(&store);
	if (!df_webhook_find(path, &hook, store.result_context))
		ereport(ERROR,
				(errcode(DF_ERR_UNKNOWN),
				 errmsg("webhook \"%s\" does not exist", path),
				 errhint("Look for its path in the view dataflows.webhooks.")));
	if (!superuser_arg(caller) && !df_is_owner(caller, hook.owner, hook.owner_name))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("role \"%s\" may not drop webhook \"%s\"", GetUserNameFromId(caller, false),
						path),
				 errdetail("It belongs to role \"%s\".", hook.owner_name),
				 errhint("Act as a member of role \"%s\".", hook.owner_name)));
	df_webhook_delete(path);
	df_store_leave(&store);
	PG_RETURN_VOID();
}

/* ---- receive_webhook() ---------------------------------------------------- */

/* lowers the names, and drops values that are not strings */
static Jsonb *
lowered(Jsonb *headers)
{
	DfJsonWalk walk;
	DfJson json;

	if (!JB_ROOT_IS_OBJECT(headers))
		ereport(
			ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("the headers of a delivery are not a JSON object"),
			 errhint(
				 "Give names and values, such as '{\"Content-Type\": \"application/json\"}'.")));
	df_json_begin(&json);
	df_json_walk(&walk, headers);
	while (df_json_next(&walk))
	{
		for (char *c = walk.key; *c != '\0'; c++)
			*c = pg_ascii_tolower((unsigned char) *c);
		df_json_text(&json, walk.key, df_json_string_of(&walk.value));
	}
	return df_json_end(&json, CurrentMemoryContext);
}

static void
require_given(FunctionCallInfo fcinfo, int arg, const char *what)
{
	if (PG_ARGISNULL(arg))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s of a delivery must not be null", what),
				 errhint("Pass path, headers and the raw bytes of the body as they came.")));
}

Datum
dataflows_receive_webhook(PG_FUNCTION_ARGS)
{
	DfWebhookAnswer answer;
	bytea *body;
	DfJson status;

	require_given(fcinfo, 0, "the path");
	require_given(fcinfo, 1, "the headers");
	require_given(fcinfo, 2, "the body");
	df_require_writable("receive a webhook");
	body = PG_GETARG_BYTEA_PP(2);
	df_webhook_receive(text_to_cstring(PG_GETARG_TEXT_PP(0)), lowered(PG_GETARG_JSONB_P(1)),
					   VARDATA_ANY(body), VARSIZE_ANY_EXHDR(body), &answer);
	df_json_begin(&status);
	df_json_int(&status, "status", answer.status);
	PG_RETURN_DATUM(DirectFunctionCall2(
		jsonb_concat, JsonbPGetDatum(df_json_end(&status, CurrentMemoryContext)),
		JsonbPGetDatum(answer.body)));
}
