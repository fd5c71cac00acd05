/*
 * session/pause.c
 *	  pause() and resume(): of a workflow, or of the whole database.
 *
 * Runs in a user's backend, in the caller's transaction: checks the caller's right, sets a mark
 * and inserts one row into the inbox, as the extension's owner.  Must never update or lock a
 * run or a step.
 */
#include "postgres.h"

#include "flow/flow.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "session/inbox_arguments.h"
#include "shared/wake.h"
#include "store/inbox_table.h"
#include "store/rights.h"
#include "store/store.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(dataflows_pause);
PG_FUNCTION_INFO_V1(dataflows_resume);

static bool
pause_workflow(const char *name, const DfPauseNote *note)
{
	DfStore store;
	DfWorkflowRow definition;
	Oid caller = GetUserId();
	bool changed;

	df_store_enter(&store);
	df_require_workflow(name, &definition, store.result_context);
	df_require_right(caller, &definition, DF_RIGHT_OPERATE, NULL,
					 df_message_kind_name(note->kind));
	changed = df_workflow_set_paused(name, note->kind == DF_MESSAGE_PAUSE);
	if (changed)
		df_inbox_note_paused(name, note);
	df_store_leave(&store);
	if (changed)
		df_wake_owner(definition.owner);
	return changed;
}

static bool
pause_database(const DfPauseNote *note)
{
	DfStore store;
	List *owners;
	ListCell *cell;
	bool changed;

	if (!df_may_own_extension(GetUserId()))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to %s the whole database",
						df_message_kind_name(note->kind)),
				 errhint("Name one of your workflows, or ask a member of the owner of extension "
						 "\"dataflows\".")));
	df_store_enter(&store);
	changed = df_installation_set_paused(note->kind == DF_MESSAGE_PAUSE);
	if (changed)
		df_inbox_note_paused(NULL, note);
	owners = df_inbox_owners(store.result_context);
	df_store_leave(&store);
	if (!changed)
		return false;
	foreach (cell, owners)
		df_wake_owner(lfirst_oid(cell));
	return true;
}

static Datum
pause_or_resume(FunctionCallInfo fcinfo, DfMessageKind kind)
{
	DfPauseNote note = {.kind = kind, .sent_by = GetUserNameFromId(GetUserId(), false)};

	note.note = df_note_argument(fcinfo, 1, false);
	note.on_behalf_of = df_behalf_argument(fcinfo, 2);
	df_require_writable(df_message_kind_name(kind));
	if (PG_ARGISNULL(0))
		PG_RETURN_BOOL(pause_database(&note));
	PG_RETURN_BOOL(pause_workflow(text_to_cstring(PG_GETARG_TEXT_PP(0)), &note));
}

Datum
dataflows_pause(PG_FUNCTION_ARGS)
{
	return pause_or_resume(fcinfo, DF_MESSAGE_PAUSE);
}

Datum
dataflows_resume(PG_FUNCTION_ARGS)
{
	return pause_or_resume(fcinfo, DF_MESSAGE_RESUME);
}
