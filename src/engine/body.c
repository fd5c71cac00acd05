/*
 * engine/body.c
 *	  Entering a workflow's body, and getting out of it again.
 *
 * Runs in a worker, in the worker's transaction, as the workflow's owner (the
 * session's role), or in the session of somebody who tries a body, under that
 * role.  The body runs in a subtransaction that is read-only and
 * always rolled back, whatever it did, returned or raised; only what the step
 * functions noted in memory remains.  Nothing here writes a row, sends a byte
 * or ends a transaction.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_proc.h"
#include "commands/prepare.h"
#include "compat.h"
#include "engine/body.h"
#include "engine/replay.h"
#include "flow/flow.h"
#include "fmgr.h"
#include "guc.h"
#include "miscadmin.h"
#include "shared/clock.h"
#include "shared/fingerprint.h"
#include "shared/function.h"
#include "shared/function_watch.h"
#include "shared/limits.h"
#include "shared/user_code.h"
#include "storage/lock.h"
#include "types/base.h"
#include "types/run.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

DfEntry *df_entry = NULL;

/*
 * After a body has waited in vain for a lock, bodies wait no longer than this for
 * LATER_US, because all other runs of the worker wait with them.  That is real time: a
 * simulation is weeks ahead.
 */
#define LATER_LOCK_WAIT "10ms"
#define LATER_US 1000000
static int64 lock_refused_us = 0; /* 0 = none was */

/* after an error of ours that left a body */
void
df_body_forget(void)
{
	(void) df_user_code_end();
	df_log_entry_forget();
	df_entry = NULL;
}

/* how long a body may go on after its cancel before the watchdog ends the worker */
static int
body_grace_ms(void)
{
	return Max(1000, df_body_timeout / 2);
}

/* ---- errors inside the body ----------------------------------------------- */

/* PL/Python keeps the SQLSTATE of an error of its SQL, and puts a name before the message */
static bool
is_prefixed(const ErrorData *error, const ErrorData *inner)
{
	size_t all;
	size_t own;

	if (inner == NULL || inner->sqlerrcode != error->sqlerrcode || inner->message == NULL ||
		error->message == NULL)
		return false;
	all = strlen(error->message);
	own = strlen(inner->message);
	return all > own && strcmp(error->message + (all - own), inner->message) == 0;
}

/* a cancel that a session got, by a person or by statement_timeout, whatever a body makes of it */
static void
note_cancel(DfEntry *entry, const ErrorData *error)
{
	if (df_user_code_in_session() && !df_user_code_is_cut() &&
		error->sqlerrcode == ERRCODE_QUERY_CANCELED && error->funcname != NULL &&
		strcmp(error->funcname, "ProcessInterrupts") == 0)
		entry->cancelled = MemoryContextStrdup(entry->run->cxt, error->message);
}

/*
 * Languages wrap an error of their SQL into one of class 38.  This callback sees each
 * error and keeps the last one that is not such a wrapper.  Of what is no error it says whose
 * it is.
 */
static void
note_inner_error(void *arg)
{
	DfEntry *entry = (DfEntry *) arg;
	MemoryContext old;
	ErrorData *edata;
	int code = geterrcode();

	/* an error's code is never 0, but for one that says so on purpose */
	if (code == 0)
		df_log_say_entry(entry->run);
	if (ERRCODE_TO_CATEGORY(code) == ERRCODE_EXTERNAL_ROUTINE_EXCEPTION || code == 0)
		return;
	old = MemoryContextSwitchTo(entry->cxt);
	edata = CopyErrorData();
	note_cancel(entry, edata);
	if (edata->elevel >= ERROR && !is_prefixed(edata, entry->inner))
	{
		if (entry->inner != NULL)
			FreeErrorData(entry->inner);
		entry->inner = edata;
	}
	else
	{
		if (edata->elevel < ERROR)
			df_log_say_entry(entry->run);
		FreeErrorData(edata);
	}
	MemoryContextSwitchTo(old);
}

static char *
text_of(const char *text)
{
	return text != NULL ? pstrdup(text) : NULL;
}

/* what is kept of an error, in the current memory context */
static ErrorData *
copy_of(const ErrorData *error)
{
	ErrorData *copy = palloc0(sizeof(ErrorData));

	copy->elevel = error->elevel;
	copy->sqlerrcode = error->sqlerrcode;
	copy->message = text_of(error->message);
	copy->detail = text_of(error->detail);
	copy->hint = text_of(error->hint);
	copy->context = text_of(error->context);
	copy->schema_name = text_of(error->schema_name);
	copy->table_name = text_of(error->table_name);
	copy->column_name = text_of(error->column_name);
	copy->datatype_name = text_of(error->datatype_name);
	copy->constraint_name = text_of(error->constraint_name);
	return copy;
}

/*
 * The error that left the body in a language's wrapping is the inner one if its message
 * begins with that one's, as in PL/Perl.  Elsewhere in the message it is a body's own error
 * that quotes another: it must not fail the run in that one's name, but may say that it is
 * transient, or wrong.
 */
static void
unwrap(DfBodyExit *exit, const ErrorData *inner)
{
	const char *message = exit->error->message;
	const char *found;

	if (inner == NULL || inner->message == NULL || inner->message[0] == '\0' || message == NULL)
		return;
	if (is_prefixed(exit->error, inner))
	{
		exit->error->message = pstrdup(inner->message);
		return;
	}
	if (ERRCODE_TO_CATEGORY(exit->sqlstate) != ERRCODE_EXTERNAL_ROUTINE_EXCEPTION)
		return;
	found = strstr(message, inner->message);
	if (found == message)
	{
		exit->error = copy_of(inner);
		df_error_cut(exit->error);
		exit->sqlstate = inner->sqlerrcode;
	}
	else if (found != NULL && inner->sqlerrcode != DF_ERR_STEP_FAILED &&
			 df_classify_body_error(inner->sqlerrcode, NULL, DF_UNDO_ON_FAILURE) != DF_BODY_FAILED)
		exit->sqlstate = inner->sqlerrcode;
}

DfRun *
df_entry_run(const char *function)
{
	if (df_entry == NULL)
		ereport(
			ERROR,
			(errcode(DF_ERR_OUTSIDE_WORKFLOW),
			 errmsg("\"dataflows.%s\" was called outside a workflow", function),
			 errhint(
				 "Call it in the function of a workflow, and start that with dataflows.start().")));
	if (df_entry->fatal != 0)
		df_fatal(df_entry->fatal, df_entry->fatal_message, df_entry->fatal_hint);
	if (df_entry->suspended)
		df_suspend_on(NULL, 0, false);
	df_entry->log.calls++;
	return df_entry->run;
}

/*
 * PL/pgSQL's WHEN OTHERS does not catch class 57.  Nobody reads this error, so do not
 * run the callbacks that would add its context.
 */
static void
raise_suspension(void)
{
	error_context_stack = NULL;
	ereport(ERROR,
			(errcode(ERRCODE_QUERY_CANCELED),
			 errmsg_internal("the workflow's body is suspended")));
}

void
df_suspend_on(int *indexes, int n, bool any)
{
	DfRun *run = df_entry->run;

	if (!df_entry->suspended)
	{
		run->engine.blocked = indexes;
		run->engine.nblocked = n;
		run->engine.blocked_any = any;
		df_entry->suspended = true;
	}
	raise_suspension();
	pg_unreachable();
}

void
df_suspend(DfStep *step)
{
	int *index = MemoryContextAlloc(df_entry->run->cxt, sizeof(int));

	*index = step->engine.index;
	df_suspend_on(index, 1, false);
}

void
df_fatal(int sqlstate, char *message, char *hint)
{
	df_entry->fatal = sqlstate;
	df_entry->fatal_message = message;
	df_entry->fatal_hint = hint;
	/* raised as a cancel so that no handler catches it; df_body_enter() returns the real one */
	ereport(ERROR,
			(errcode(ERRCODE_QUERY_CANCELED),
			 errmsg_internal("%s", message)));
}

/* ---- entering ------------------------------------------------------------- */

/*
 * The function of that signature, InvalidOid if there is none.  Looking it up costs as
 * much as entering a small body, so the last result is kept until a function or a
 * schema changes.
 */
static Oid
function_oid(const char *signature)
{
	static char last_signature[NAMEDATALEN * 4];
	static Oid last_oid = InvalidOid;
	static uint64 last_number = 0;
	uint64 number = df_functions_number();

	if (number == last_number && strcmp(last_signature, signature) == 0)
		return last_oid;
	last_oid = df_function_oid(signature);
	last_number =
		strlcpy(last_signature, signature, sizeof(last_signature)) < sizeof(last_signature) ? number
																							: 0;
	return last_oid;
}

/* the function may have been given to another role on purpose, and the workflow not yet */
static char *
remedy_for_owner(const DfRun *run, Oid owner)
{
	const char *name = GetUserNameFromId(owner, true);
	const char *before = GetUserNameFromId(run->workflow->function_owner, true);

	return psprintf("Give the function back%s%s; or give the workflow to its owner, too, as a "
					"superuser: SELECT dataflows.set_owner(%s, %s); Then, if the run is still "
					"stuck: SELECT dataflows.retry('%s');",
					before != NULL ? " to role " : "",
					before != NULL ? quote_identifier(before) : "",
					quote_literal_cstr(run->workflow->name),
					quote_literal_cstr(name != NULL ? name : "role"), run->id_text);
}

/*
 * Checks that the function still exists, has the owner that it had when the workflow
 * was defined, or that of the workflow, and may be executed.  Returns its oid, or
 * InvalidOid with *reason.
 */
static Oid
resolve_function(DfRun *run, const char *function, const char **reason, const char **remedy)
{
	Oid oid;
	Oid owner;
	HeapTuple tuple;

	*reason = NULL;
	oid = function_oid(function);
	if (!OidIsValid(oid))
	{
		*reason = psprintf("function %s does not exist", function);
		return InvalidOid;
	}
	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(oid));
	if (!HeapTupleIsValid(tuple))
	{
		*reason = psprintf("function %s does not exist", function);
		return InvalidOid;
	}
	owner = ((Form_pg_proc) GETSTRUCT(tuple))->proowner;
	if (((Form_pg_proc) GETSTRUCT(tuple))->prosecdef)
		*reason = psprintf("function %s has become SECURITY DEFINER", function);
	ReleaseSysCache(tuple);
	/* code of the role that it runs as is no stranger's */
	if (owner != run->workflow->function_owner && owner != run->workflow->owner)
	{
		*reason = psprintf("function %s has another owner than when the workflow was "
						   "defined",
						   function);
		*remedy = remedy_for_owner(run, owner);
	}
	else if (object_aclcheck(ProcedureRelationId, oid, GetUserId(), ACL_EXECUTE) != ACLCHECK_OK)
		*reason = psprintf("role \"%s\" may not execute function %s",
						   GetUserNameFromId(GetUserId(), false), function);
	return *reason == NULL ? oid : InvalidOid;
}

/*
 * Drops what the body's subtransaction leaves behind though it was rolled back.  In a user's
 * session the same would drop what is the session's: store/session_state.c finds the body's.
 */
static void
drop_leaks(void)
{
	if (df_user_code_in_session())
		return;
	LockReleaseSession(USER_LOCKMETHOD);
	DropAllPreparedStatements();
}

static void
call_body(DfRun *run, Oid function, Jsonb *argument, DfBodyExit *exit)
{
	FmgrInfo flinfo;
	MemoryContext old;
	Datum value;

	LOCAL_FCINFO(fcinfo, 1);

	fmgr_info(function, &flinfo);
	InitFunctionCallInfoData(*fcinfo, &flinfo, 1, InvalidOid, NULL, NULL);
	fcinfo->args[0].value = JsonbPGetDatum(argument);
	fcinfo->args[0].isnull = false;
	value = FunctionCallInvoke(fcinfo);

	exit->result = DF_BODY_RETURNED;
	exit->value = NULL;
	if (!fcinfo->isnull)
	{
		df_check_payload(DatumGetJsonbP(value), "what the body returned");
		old = MemoryContextSwitchTo(run->cxt);
		exit->value = DatumGetJsonbPCopy(value);
		MemoryContextSwitchTo(old);
	}
}

/*
 * Whether the function is still what it was at the first entry of this round.  The hash of a
 * run that was begun under 0.1 is of the function's text alone.
 */
static void
note_fingerprint(DfRun *run, Oid function)
{
	df_entry->fingerprint = df_entry->log.fingerprint = df_fingerprint(function);
	if (run->row.state == DF_RUN_ROLLING_BACK || run->row.body_hash == df_entry->fingerprint)
		return;
	if (run->row.body_hash == 0 || run->row.body_hash == df_fingerprint_0_1(function))
		run->row.body_hash = df_entry->fingerprint;
	else
		run->row.drifted = true;
}

/* everything between the subtransaction's begin and the error or the return */
static void
run_body(DfRun *run, const char *function, Jsonb *argument, DfBodyExit *exit)
{
	ErrorContextCallback callback;
	Oid oid;

	callback.callback = note_inner_error;
	callback.arg = df_entry;
	callback.previous = error_context_stack;
	error_context_stack = &callback;

	XactReadOnly = true;
	if (lock_refused_us != 0 && df_monotonic_us() - lock_refused_us <= LATER_US)
		(void) set_config_option("lock_timeout", LATER_LOCK_WAIT, PGC_USERSET, PGC_S_SESSION,
								 GUC_ACTION_LOCAL, true, 0, false);
	PushActiveSnapshot(GetTransactionSnapshot());

	oid = resolve_function(run, function, &exit->reason, &exit->remedy);
	if (!OidIsValid(oid))
	{
		exit->result = DF_BODY_REFUSED;
		exit->sqlstate = OidIsValid(function_oid(function)) ? ERRCODE_INSUFFICIENT_PRIVILEGE
															: ERRCODE_UNDEFINED_FUNCTION;
		exit->reason = MemoryContextStrdup(run->cxt, exit->reason);
		if (exit->remedy != NULL)
			exit->remedy = MemoryContextStrdup(run->cxt, exit->remedy);
	}
	else
	{
		note_fingerprint(run, oid);
		call_body(run, oid, argument, exit);
	}
	PopActiveSnapshot();
	error_context_stack = callback.previous;
}

/* what the error that left the body means: it was suspended, or it raised */
static void
judge_error(DfRun *run, DfBodyExit *exit)
{
	MemoryContext old;

	if (df_entry->suspended && df_entry->fatal == 0)
	{
		exit->result = DF_BODY_SUSPENDED;
		FlushErrorState();
		return;
	}
	old = MemoryContextSwitchTo(run->cxt);
	exit->error = CopyErrorData();
	df_error_cut(exit->error);
	FlushErrorState();
	exit->result = DF_BODY_RAISED;
	exit->sqlstate = exit->error->sqlerrcode;
	unwrap(exit, df_entry->inner);
	MemoryContextSwitchTo(old);
}

/*
 * The body was cancelled because the process is to end, which is no fault of the body:
 * another process enters it again.
 */
static void
cut_short(DfRun *run, DfBodyExit *exit)
{
	exit->result = DF_BODY_RAISED;
	exit->sqlstate = ERRCODE_ADMIN_SHUTDOWN;
	exit->error = MemoryContextAllocZero(run->cxt, sizeof(ErrorData));
	exit->error->elevel = ERROR;
	exit->error->sqlerrcode = exit->sqlstate;
	exit->error->message = "the process was asked to end";
}

/* enters the body once; its subtransaction is always rolled back, run->steps may have grown */
void
df_body_enter(DfRun *run, const char *function, Jsonb *argument, DfBodyExit *exit)
{
	MemoryContext oldcxt = CurrentMemoryContext;
	ResourceOwner oldowner = CurrentResourceOwner;
	MemoryContext entrycxt;
	DfEntry entry;
	DfCut cut;

	Assert(df_entry == NULL);
	memset(&entry, 0, sizeof(entry));
	memset(exit, 0, sizeof(*exit));
	entry.run = run;
	df_replay_begin(run);
	run->engine.blocked = NULL;
	run->engine.nblocked = 0;

	entrycxt = AllocSetContextCreate(oldcxt, "dataflows body", ALLOCSET_DEFAULT_SIZES);
	entry.cxt = entrycxt;
	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(entrycxt);
	df_entry = &entry;
	df_log_entry_begins(&entry.log, run);
	df_user_code_begin(df_body_timeout, body_grace_ms());
	PG_TRY();
	{
		run_body(run, function, argument, exit);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(oldcxt);
		judge_error(run, exit);
		if (exit->sqlstate == ERRCODE_LOCK_NOT_AVAILABLE)
			lock_refused_us = df_monotonic_us();
	}
	PG_END_TRY();
	cut = df_user_code_end();
	exit->fingerprint = entry.fingerprint;
	RollbackAndReleaseCurrentSubTransaction();
	MemoryContextSwitchTo(oldcxt);
	CurrentResourceOwner = oldowner;
	df_entry = NULL;
	df_log_entry_ends(&entry.log, entry.suspended && entry.next_input == NULL);
	MemoryContextDelete(entrycxt);
	drop_leaks();
	if (entry.cancelled != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_QUERY_CANCELED), errmsg_internal("%s", entry.cancelled)));

	/* the entry's flags count, whatever the body made of the error that they raised */
	if (entry.fatal != 0)
	{
		exit->result = DF_BODY_REFUSED;
		exit->sqlstate = entry.fatal;
		exit->reason = entry.fatal_message;
		exit->remedy = entry.fatal_hint;
		exit->other_kind = entry.other_kind;
	}
	else if (cut == DF_CUT_LIMIT)
	{
		exit->result = DF_BODY_REFUSED;
		exit->sqlstate = ERRCODE_QUERY_CANCELED;
		exit->reason =
			psprintf("the body ran longer than dataflows.body_timeout (%d ms)", df_body_timeout);
	}
	else if (cut == DF_CUT_LEAVING)
		cut_short(run, exit);
	else if (entry.suspended)
	{
		exit->result = entry.next_input != NULL ? DF_BODY_CONTINUED : DF_BODY_SUSPENDED;
		exit->value = entry.next_input;
	}
}
