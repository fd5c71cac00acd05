/*
 * session/inbox.c
 *	  Signals and operator requests: signal(), signal_by_key(), cancel(), retry(),
 *	  resolve(), rename_step(), accept_drift(), undo(), abandon(); pause() and resume().
 *
 * Runs in a user's backend, in the caller's transaction: checks the caller's rights and
 * inserts one row into the inbox, as the extension's owner.  The engine decides what the row
 * does when it reads it; here only requests that can have no effect are dropped.  Must never
 * update or lock a run or a step.
 */
#include "postgres.h"

#include "flow/flow.h"
#include "fmgr.h"
#include "guc.h"
#include "miscadmin.h"
#include "store/rights.h"
#include "session/inbox.h"
#include "session/inbox_arguments.h"
#include "session/node.h"
#include "session/resolved_output.h"
#include "session/signal_notice.h"
#include "session/start.h"
#include "shared/clock.h"
#include "shared/fingerprint.h"
#include "shared/function.h"
#include "shared/json.h"
#include "shared/limits.h"
#include "shared/metrics.h"
#include "shared/uuid.h"
#include "shared/wake.h"
#include "store/identity.h"
#include "store/inbox_table.h"
#include "store/store.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(dataflows_signal);
PG_FUNCTION_INFO_V1(dataflows_signal_by_key);
PG_FUNCTION_INFO_V1(dataflows_cancel);
PG_FUNCTION_INFO_V1(dataflows_retry);
PG_FUNCTION_INFO_V1(dataflows_resolve);
PG_FUNCTION_INFO_V1(dataflows_rename_step);
PG_FUNCTION_INFO_V1(dataflows_accept_drift);
PG_FUNCTION_INFO_V1(dataflows_undo);
PG_FUNCTION_INFO_V1(dataflows_abandon);

/* one call; open_run() or open_key() enters the store, close_call() leaves it */
typedef struct Call
{
	DfStore store;
	FmgrInfo *flinfo;
	DfRight right; /* that it takes */
	Oid caller; /* whose rights count */
	DfInboxTarget target;
	const DfWorkflowRow *definition;
	const DfRights *rights; /* the caller's */
	DfNewMessage message;
} Call;

/* ---- who may: judged once per query, workflow and role -------------------- */

typedef struct Verdict
{
	Oid role;
	int version; /* the requested one; 0 = the newest */
	bool known;
	DfRights rights;
	DfWorkflowRow definition;
} Verdict;

typedef struct CallCache
{
	Oid table_owner; /* of rows that ask; InvalidOid = a function is called */
	Oid role;
	char *role_name;
	List *verdicts;
} CallCache;

static CallCache *
call_cache(FmgrInfo *flinfo, Oid role)
{
	CallCache *cache = flinfo->fn_extra;

	if (cache == NULL)
		cache = flinfo->fn_extra = MemoryContextAllocZero(flinfo->fn_mcxt, sizeof(CallCache));
	if (cache->role_name == NULL || cache->role != role)
	{
		cache->role = role;
		cache->role_name = MemoryContextStrdup(flinfo->fn_mcxt, GetUserNameFromId(role, false));
	}
	return cache;
}

void
df_requests_of_table(FmgrInfo *flinfo, Oid table_owner)
{
	call_cache(flinfo, GetUserId())->table_owner = table_owner;
}

static bool
asked_by_row(const Call *call)
{
	return OidIsValid(((CallCache *) call->flinfo->fn_extra)->table_owner);
}

static Verdict *
judge(Call *call, const char *workflow, int version)
{
	CallCache *cache = call->flinfo->fn_extra;
	MemoryContext cxt = call->flinfo->fn_mcxt;
	MemoryContext old;
	Verdict *verdict;
	ListCell *cell;

	foreach (cell, cache->verdicts)
	{
		verdict = lfirst(cell);
		if (verdict->role == call->caller && verdict->version == version &&
			strcmp(verdict->definition.name, workflow) == 0)
			return verdict;
	}
	verdict = MemoryContextAllocZero(cxt, sizeof(Verdict));
	verdict->role = call->caller;
	verdict->version = version;
	verdict->known = version == 0
		? df_workflow_latest(workflow, &verdict->definition, cxt)
		: df_workflow_version(workflow, version, &verdict->definition, cxt);
	if (!verdict->known)
		return verdict;
	old = MemoryContextSwitchTo(cxt);
	df_rights_read(call->caller, &verdict->definition, &verdict->rights);
	cache->verdicts = lappend(cache->verdicts, verdict);
	MemoryContextSwitchTo(old);
	return verdict;
}

/* checks that the caller may do this with the workflow; NULL = there is no such workflow */
static const DfWorkflowRow *
require_right(Call *call, const char *workflow, int version)
{
	Verdict *verdict = judge(call, workflow, version);
	const char *what = df_message_kind_name(call->message.kind);

	if (!verdict->known)
		return NULL;
	if (!df_rights_have(&verdict->rights, call->right, call->message.event))
		df_refuse_right(call->caller, &verdict->definition, call->right,
						call->right == DF_RIGHT_SIGNAL ? call->message.event : NULL, what);
	call->rights = &verdict->rights;
	return &verdict->definition;
}

/* ---- opening and closing -------------------------------------------------- */

static void
begin_call(FunctionCallInfo fcinfo, Call *call, DfMessageKind kind, DfRight right)
{
	CallCache *cache = call_cache(fcinfo->flinfo, GetUserId());

	df_require_writable(psprintf("%s a run", df_message_kind_name(kind)));
	df_warn_not_moving();
	memset(call, 0, sizeof(*call));
	call->flinfo = fcinfo->flinfo;
	call->right = right;
	call->caller = OidIsValid(cache->table_owner) ? cache->table_owner : cache->role;
	call->message.kind = kind;
	call->message.sent_by = cache->role_name;
	call->message.now = df_now();
}

/*
 * A run that does not exist may have ended and been purged: then its id, which contains its
 * time, is older than dataflows.retention.
 */
static bool
may_have_been_purged(const pg_uuid_t *run)
{
	pg_uuid_t floor;

	if (df_retention < 0 || (run->data[6] >> 4) != 7)
		return false;
	floor = df_uuid_floor(df_now() - df_retention * USECS_PER_SEC);
	return memcmp(run, &floor, sizeof(floor)) < 0;
}

/* argument 0 is the run; false = it was purged, and the store is left again */
static bool
open_run(FunctionCallInfo fcinfo, Call *call)
{
	pg_uuid_t *run = PG_GETARG_UUID_P(0);

	df_store_enter(&call->store);
	if (!df_inbox_find_run(run, &call->target, call->store.result_context))
	{
		if (!may_have_been_purged(run) || df_uuid_other_node(run) != 0)
			df_refuse_unknown_run(run);
		df_store_leave(&call->store);
		return false;
	}
	call->definition = require_right(call, call->target.workflow, call->target.version);
	if (call->definition == NULL)
		df_refuse_unknown_run(run);
	call->message.run = &call->target.run;
	call->message.workflow = call->target.workflow;
	call->message.key = call->target.key;
	return true;
}

static void
warn_no_room(const DfNewMessage *message)
{
	ereport(WARNING,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 errmsg("a signal to run \"%s\" was dropped: " DF_TOO_MANY_SIGNALS,
					df_uuid_text(message->run)),
			 errhint(DF_TOO_MANY_SIGNALS_HINT)));
}

static bool
has_room(const Call *call)
{
	const DfNewMessage *message = &call->message;
	bool of_row = asked_by_row(call);

	if (df_inbox_has_room(message->run, message->workflow, message->key))
		return true;
	df_metric_add(DF_METRIC_SIGNALS_REFUSED, message->workflow, of_row ? "trigger" : "signal",
				  NULL, 1);
	if (of_row)
	{
		warn_no_room(message);
		return false;
	}
	if (message->run != NULL)
		ereport(
			ERROR,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 errmsg("run \"%s\" can be sent no more signals: " DF_TOO_MANY_SIGNALS,
					df_uuid_text(message->run)),
			 errhint(DF_TOO_MANY_SIGNALS_HINT)));
	ereport(
		ERROR,
		(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
		 errmsg("key \"%s\" of workflow \"%s\" can be sent no more signals: " DF_TOO_MANY_SIGNALS,
				message->key, message->workflow),
		 errhint("Start the run, or wait until they are dropped after dataflows.signal_ttl.")));
	return false;
}

/* writes the row if it can have an effect; the engine is woken at the commit */
static bool
close_call(Call *call, bool useful)
{
	if (useful && call->message.kind == DF_MESSAGE_SIGNAL)
		useful = has_room(call);
	if (useful)
		df_inbox_insert(&call->message);
	df_store_leave(&call->store);
	if (useful)
		df_wake_owner(call->definition->owner);
	return useful;
}

/* ---- signals -------------------------------------------------------------- */

Datum
dataflows_signal(PG_FUNCTION_ARGS)
{
	Call call;

	df_require_given(fcinfo, 0, "the run");
	begin_call(fcinfo, &call, DF_MESSAGE_SIGNAL, DF_RIGHT_SIGNAL);
	call.message.event = df_event_argument(fcinfo, 1);
	call.message.payload = df_payload_argument(fcinfo, 2);
	call.message.on_behalf_of = df_behalf_argument(fcinfo, 3);
	if (!open_run(fcinfo, &call))
		PG_RETURN_BOOL(false);
	if (!asked_by_row(&call))
		df_signal_notice(&call.target, call.message.event, call.caller,
						 df_rights_have(call.rights, DF_RIGHT_SEE, NULL));
	PG_RETURN_BOOL(close_call(&call, !df_run_is_terminal(call.target.state)));
}

/*
 * A dropped workflow gets no new runs, so a signal without a run is not kept, but one for a
 * run that still exists is.  A run of an older version belongs to the owner of that version.
 */
static bool
open_key(Call *call, const char *workflow, const char *key)
{
	call->definition = require_right(call, workflow, 0);
	if (call->definition == NULL)
		ereport(ERROR,
				(errcode(DF_ERR_UNKNOWN),
				 errmsg("workflow \"%s\" does not exist", workflow),
				 errhint("Look for its name in the view dataflows.workflows.")));
	call->message.workflow = workflow;
	call->message.key = key;
	if (!df_inbox_find_key(workflow, key, &call->target, call->store.result_context))
	{
		if (call->definition->dropped)
			return false;
		call->message.expires_at = call->message.now + df_signal_ttl * USECS_PER_SEC;
		return true;
	}
	if (call->target.version != call->definition->version)
		call->definition = require_right(call, workflow, call->target.version);
	call->message.run = &call->target.run;
	if (call->definition != NULL)
		df_signal_notice(&call->target, call->message.event, call->caller,
						 df_rights_have(call->rights, DF_RIGHT_SEE, NULL));
	return call->definition != NULL && !df_run_is_terminal(call->target.state);
}

Datum
dataflows_signal_by_key(PG_FUNCTION_ARGS)
{
	Call call;
	char *workflow;
	char *key;

	df_require_given(fcinfo, 0, "the workflow");
	df_require_given(fcinfo, 1, "the key");
	begin_call(fcinfo, &call, DF_MESSAGE_SIGNAL, DF_RIGHT_SIGNAL);
	workflow = text_to_cstring(PG_GETARG_TEXT_PP(0));
	key = text_to_cstring(PG_GETARG_TEXT_PP(1));
	df_check_key(key);
	call.message.event = df_event_argument(fcinfo, 2);
	call.message.payload = df_payload_argument(fcinfo, 3);
	call.message.on_behalf_of = df_behalf_argument(fcinfo, 4);
	df_store_enter(&call.store);
	PG_RETURN_BOOL(close_call(&call, open_key(&call, workflow, key)));
}

/* ---- operator requests ---------------------------------------------------- */

/* the payload of a resolve; output may be NULL */
static Jsonb *
resolution(const char *outcome, const Jsonb *output, MemoryContext cxt)
{
	DfJson json;

	df_json_begin(&json);
	df_json_text(&json, "outcome", outcome);
	df_json_value(&json, "output", output);
	return df_json_end(&json, cxt);
}

Datum
dataflows_cancel(PG_FUNCTION_ARGS)
{
	Call call;

	df_require_given(fcinfo, 0, "the run");
	begin_call(fcinfo, &call, DF_MESSAGE_CANCEL, DF_RIGHT_CANCEL);
	call.message.note = df_note_argument(fcinfo, 1, false);
	call.message.on_behalf_of = df_behalf_argument(fcinfo, 2);
	if (!open_run(fcinfo, &call))
		PG_RETURN_BOOL(false);
	PG_RETURN_BOOL(close_call(&call, df_run_next(call.target.state, DF_RUN_CANCEL) >= 0));
}

Datum
dataflows_retry(PG_FUNCTION_ARGS)
{
	Call call;

	df_require_given(fcinfo, 0, "the run");
	begin_call(fcinfo, &call, DF_MESSAGE_RETRY, DF_RIGHT_OPERATE);
	call.message.note = df_note_argument(fcinfo, 1, false);
	call.message.on_behalf_of = df_behalf_argument(fcinfo, 2);
	if (!open_run(fcinfo, &call))
		PG_RETURN_BOOL(false);
	PG_RETURN_BOOL(close_call(&call, call.target.state == DF_RUN_STUCK));
}

Datum
dataflows_undo(PG_FUNCTION_ARGS)
{
	Call call;

	df_require_given(fcinfo, 0, "the run");
	begin_call(fcinfo, &call, DF_MESSAGE_UNDO, DF_RIGHT_OPERATE);
	call.message.note = df_note_argument(fcinfo, 1, true);
	call.message.on_behalf_of = df_behalf_argument(fcinfo, 2);
	if (!open_run(fcinfo, &call))
		PG_RETURN_BOOL(false);
	df_refuse_forgotten(&call.target.run, "undo");
	PG_RETURN_BOOL(close_call(&call, df_run_next(call.target.state, DF_RUN_UNDO) >= 0));
}

/* whether the run does not move because it is paused or because this is a copy */
static bool
rests(Call *call)
{
	DfInstallation installation;

	if (call->definition->paused)
		return true;
	df_installation_read(call->store.result_context, &installation);
	return installation.paused || !installation.ours;
}

/*
 * a run that moves has to be cancelled, which undoes its steps; one that does not may be
 * finished elsewhere
 */
Datum
dataflows_abandon(PG_FUNCTION_ARGS)
{
	Call call;
	bool useful;

	df_require_given(fcinfo, 0, "the run");
	begin_call(fcinfo, &call, DF_MESSAGE_ABANDON, DF_RIGHT_OPERATE);
	call.message.note = df_note_argument(fcinfo, 1, true);
	call.message.on_behalf_of = df_behalf_argument(fcinfo, 2);
	if (!open_run(fcinfo, &call))
		PG_RETURN_BOOL(false);
	useful = df_run_next(call.target.state, DF_RUN_ABANDON) >= 0;
	if (useful && rests(&call))
	{
		/* the coordinator does it, because no worker moves the run now */
		call.message.payload = resolution("abandoned", NULL, call.store.result_context);
		df_wake_everybody();
	}
	else
		useful &= call.target.state == DF_RUN_STUCK;
	PG_RETURN_BOOL(close_call(&call, useful));
}

/* what each outcome can settle */
static const struct Outcome
{
	const char *name;
	bool doubt; /* of the step */
	bool failed_undo;
	bool due_undo;
	bool may_be_resent;
	bool maybe_not_ours;
} outcomes[] = {
	{"done", true, false, false, false, true},
	{"not_done", true, true, false, false, false},
	{"resend", false, false, false, true, false},
	{"skipped", true, true, false, false, false},
	{"undone", false, true, true, false, false},
};

static const struct Outcome *
outcome_argument(FunctionCallInfo fcinfo, int arg)
{
	char *name;

	df_require_given(fcinfo, arg, "the outcome");
	name = text_to_cstring(PG_GETARG_TEXT_PP(arg));
	for (int i = 0; i < lengthof(outcomes); i++)
		if (strcmp(outcomes[i].name, name) == 0)
			return &outcomes[i];
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("outcome \"%s\" does not exist", name),
			 errhint("Use done (it was carried out), not_done (it was not), resend (it was not: "
					 "send it again), skipped (go on without it) or undone (what it did has been "
					 "undone by hand).")));
	return NULL;
}

static bool
settles(const struct Outcome *outcome, const DfStepStates *step)
{
	return (outcome->doubt && step->state == DF_STEP_DOUBT) ||
		(outcome->failed_undo && step->undo_state == DF_UNDO_FAILED) ||
		(outcome->due_undo && step->undo_state == DF_UNDO_DUE) ||
		(outcome->may_be_resent && step->may_be_resent) ||
		(outcome->maybe_not_ours && step->maybe_not_ours);
}

Datum
dataflows_resolve(PG_FUNCTION_ARGS)
{
	Call call;
	DfStepStates step;
	const struct Outcome *outcome;
	bool useful;
	Jsonb *output = PG_ARGISNULL(4) ? NULL : PG_GETARG_JSONB_P(4);

	df_require_given(fcinfo, 0, "the run");
	df_require_given(fcinfo, 1, "the step");
	begin_call(fcinfo, &call, DF_MESSAGE_RESOLVE, DF_RIGHT_OPERATE);
	call.message.event = text_to_cstring(PG_GETARG_TEXT_PP(1));
	outcome = outcome_argument(fcinfo, 2);
	call.message.note = df_note_argument(fcinfo, 3, true);
	call.message.on_behalf_of = df_behalf_argument(fcinfo, 5);
	if (output != NULL)
		df_check_payload(output, "the output of a step");
	if (!open_run(fcinfo, &call))
		PG_RETURN_BOOL(false);
	if (!df_inbox_find_step(&call.target.run, call.message.event, &step))
		ereport(ERROR,
				(errcode(DF_ERR_UNKNOWN),
				 errmsg("the run has no step \"%s\"", call.message.event),
				 errhint("Look for its name in the view dataflows.steps.")));
	useful = !df_run_is_terminal(call.target.state) && settles(outcome, &step);
	if (useful && output != NULL && strcmp(outcome->name, "done") == 0)
		df_check_resolved_output(&call.target.run, &step, output, call.store.result_context);
	call.message.payload = resolution(outcome->name, output, call.store.result_context);
	PG_RETURN_BOOL(close_call(&call, useful));
}

/* ---- a function that has changed ------------------------------------------ */

/* only what has no effect on a run that moves: its worker knows the steps by their names */
static bool
may_be_changed(const Call *call)
{
	return !call->target.held && !df_run_is_terminal(call->target.state);
}

/* a name as the view dataflows.steps has it: of a call, and behind '#' which call it is */
static char *
step_name_argument(FunctionCallInfo fcinfo, int arg)
{
	char *name;
	char *mark;
	size_t length;

	df_require_given(fcinfo, arg, "the name of the step");
	name = text_to_cstring(PG_GETARG_TEXT_PP(arg));
	mark = strrchr(name, '#');
	length = mark != NULL ? mark - name : strlen(name);
	if (length == 0 || length > DF_MAX_NAME || !df_name_is_clean(pnstrdup(name, length)) ||
		(mark != NULL &&
		 (strspn(mark + 1, "0123456789") != strlen(mark + 1) || strlen(mark + 1) > 6 ||
		  mark[1] == '0' || strtol(mark + 1, NULL, 10) < 2)))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"%s\" cannot be the name of a step", name),
				 errhint("Give the name in the body, and behind it #2 for its second call, #3 for "
						 "its third.")));
	return name;
}

Datum
dataflows_rename_step(PG_FUNCTION_ARGS)
{
	Call call;
	char *recorded;
	char *now;

	df_require_given(fcinfo, 0, "the run");
	df_require_given(fcinfo, 1, "the recorded name");
	recorded = text_to_cstring(PG_GETARG_TEXT_PP(1));
	now = step_name_argument(fcinfo, 2);
	begin_call(fcinfo, &call, DF_MESSAGE_RENAME, DF_RIGHT_OPERATE);
	call.message.event = recorded;
	call.message.note = df_note_argument(fcinfo, 3, false);
	call.message.on_behalf_of = df_behalf_argument(fcinfo, 4);
	if (!open_run(fcinfo, &call))
		PG_RETURN_BOOL(false);
	call.message.payload = resolution(now, NULL, call.store.result_context);
	PG_RETURN_BOOL(close_call(&call,
							  may_be_changed(&call) &&
								  df_inbox_may_rename(&call.target.run, recorded, now)));
}

/* for which functions it is accepted: as they are now, for the caller's transaction */
static Jsonb *
present_functions(const DfWorkflowRow *definition, MemoryContext cxt)
{
	Oid body = df_function_oid(definition->function);
	Oid handler =
		definition->on_failure != NULL ? df_function_oid(definition->on_failure) : InvalidOid;
	DfJson json;

	df_json_begin(&json);
	if (OidIsValid(body))
		df_json_text(&json, "body", psprintf(INT64_FORMAT, df_fingerprint(body)));
	if (OidIsValid(handler))
		df_json_text(&json, "on_failure", psprintf(INT64_FORMAT, df_fingerprint(handler)));
	return df_json_end(&json, cxt);
}

Datum
dataflows_accept_drift(PG_FUNCTION_ARGS)
{
	Call call;
	DfStepStates ignored;

	df_require_given(fcinfo, 0, "the run");
	begin_call(fcinfo, &call, DF_MESSAGE_ACCEPT, DF_RIGHT_OPERATE);
	call.message.event = PG_ARGISNULL(1) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(1));
	call.message.note = df_note_argument(fcinfo, 2, false);
	call.message.on_behalf_of = df_behalf_argument(fcinfo, 3);
	if (!open_run(fcinfo, &call))
		PG_RETURN_BOOL(false);
	call.message.payload = present_functions(call.definition, call.store.result_context);
	PG_RETURN_BOOL(close_call(
		&call,
		may_be_changed(&call) && !df_inbox_stuck_by_kind(&call.target.run, call.message.event) &&
			(call.message.event == NULL ||
			 df_inbox_find_step(&call.target.run, call.message.event, &ignored))));
}
