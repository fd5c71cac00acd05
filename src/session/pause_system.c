/*
 * session/pause_system.c
 *	  pause_system() and resume_system(): nothing is sent to a system, by hand.
 *
 * Runs in a user's session, in the caller's transaction.  The pause is an option of the
 * foreign server, so that it is dropped, renamed and dumped with it, outlasts restarts,
 * and is known to every worker with the invalidation that follows the commit.  It is
 * written as a superuser, after the caller was found to be a member of the server's
 * owner: the server may have options that only a superuser may set, and they are not
 * touched.  Never change any other option here.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_foreign_data_wrapper.h"
#include "catalog/pg_foreign_server.h"
#include "commands/defrem.h"
#include "compat.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "shared/as_role.h"
#include "shared/clock.h"
#include "shared/extension.h"
#include "shared/json.h"
#include "storage/lmgr.h"
#include "types/base.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(dataflows_pause_system);
PG_FUNCTION_INFO_V1(dataflows_resume_system);

#define OPTION "paused"
#define LONGEST_NOTE 1000

static ForeignServer *
find_server(const char *name)
{
	ForeignServer *server = GetForeignServerByName(name, true);
	ForeignDataWrapper *wrapper = NULL;

	if (server != NULL)
		wrapper = GetForeignDataWrapper(server->fdwid);
	if (wrapper == NULL || strcmp(wrapper->fdwname, "dataflows") != 0 ||
		!df_extension_has(ForeignDataWrapperRelationId, wrapper->fdwid))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("system \"%s\" does not exist", name),
				 errhint("The systems that you may use are in the view dataflows.systems.")));
	return server;
}

static void
require_owner(const ForeignServer *server, const char *what)
{
	if (object_ownercheck(ForeignServerRelationId, server->serverid, GetUserId()))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("permission denied to %s system \"%s\"", what, server->servername),
			 errdetail("Only members of the role that owns the server, and superusers, may."),
			 errhint("Ask a member of role \"%s\"; or hold your own workflows with "
					 "dataflows.pause().",
					 GetUserNameFromId(server->owner, true) != NULL
						 ? GetUserNameFromId(server->owner, true)
						 : "?")));
}

static bool
is_paused(const ForeignServer *server)
{
	ListCell *lc;

	foreach (lc, server->options)
		if (strcmp(lfirst_node(DefElem, lc)->defname, OPTION) == 0)
			return true;
	return false;
}

static char *
pause_text(const char *by, const char *note)
{
	DfJson json;

	df_json_begin(&json);
	df_json_text(&json, "by", by);
	df_json_int(&json, "at", (int64) timestamptz_to_time_t(df_now()));
	df_json_text(&json, "note", note);
	return df_json_end_text(&json);
}

/* pause: the option's value, NULL = to drop it */
static void
alter(const ForeignServer *server, char *pause)
{
	AlterForeignServerStmt *stmt = makeNode(AlterForeignServerStmt);
	DefElem *option = makeDefElem(pstrdup(OPTION), NULL, -1);
	DfAsRole before;

	if (pause != NULL)
		option->arg = (Node *) makeString(pause);
	option->defaction = pause != NULL ? DEFELEM_ADD : DEFELEM_DROP;
	stmt->servername = pstrdup(server->servername);
	stmt->options = list_make1(option);
	df_as_role_begin(&before, BOOTSTRAP_SUPERUSERID, false);
	(void) AlterForeignServer(stmt);
	df_as_role_end(&before);
	CommandCounterIncrement();
}

static bool
pause_or_resume(const char *name, bool pause, const char *note)
{
	const char *what = pause ? "pause" : "resume";
	char *by = GetUserNameFromId(GetUserId(), false);
	ForeignServer *server;

	PreventCommandIfReadOnly(pause ? "pause_system()" : "resume_system()");
	require_owner(find_server(name), what);
	/* one after the other, each seeing what the one before has done */
	LockDatabaseObject(ForeignServerRelationId, find_server(name)->serverid, 0,
					   ShareUpdateExclusiveLock);
	server = find_server(name);
	require_owner(server, what);
	if (is_paused(server) == pause)
		return false;
	alter(server, pause ? pause_text(by, note) : NULL);
	ereport(LOG,
			(errmsg("dataflows system \"%s\" was %sd by role \"%s\"", name, what, by),
			 note != NULL ? errdetail_log("%s", note) : 0));
	return true;
}

static char *
argument(FunctionCallInfo fcinfo, int arg)
{
	return PG_ARGISNULL(arg) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(arg));
}

static char *
system_argument(FunctionCallInfo fcinfo)
{
	char *name = argument(fcinfo, 0);

	if (name == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("the system must not be null"),
				 errhint("Name a system of the view dataflows.systems.")));
	return name;
}

Datum
dataflows_pause_system(PG_FUNCTION_ARGS)
{
	char *note = argument(fcinfo, 1);

	if (note != NULL && strlen(note) > LONGEST_NOTE)
		ereport(ERROR,
				(errcode(DF_ERR_LIMIT), errmsg("the note is too long"),
				 errdetail("It has %zu bytes; %d are allowed.", strlen(note), LONGEST_NOTE),
				 errhint("Shorten the note.")));
	PG_RETURN_BOOL(pause_or_resume(system_argument(fcinfo), true, note));
}

Datum
dataflows_resume_system(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(pause_or_resume(system_argument(fcinfo), false, NULL));
}
