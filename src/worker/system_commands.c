/*
 * worker/system_commands.c
 *	  Commands after which the options of a system and of a user mapping may not go together.
 *
 * Runs in user sessions, in their transaction and role, after CREATE and ALTER USER MAPPING and
 * ALTER SERVER.  The validator sees the options of one object only.  What is wrong is a warning
 * and no error: options of the two are changed one after the other, in either order, and until
 * they fit nothing is sent.  Never quote an option's value.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_user_mapping.h"
#include "fdw/options.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"
#include "worker/system_commands.h"

static void
warn_of(const char *server, Oid serverid, Oid user)
{
	DfOptionProblem problem;

	/* which options another role has is not everybody's to know; as in pg_user_mappings */
	if (OidIsValid(user) && user != GetUserId() && !superuser())
		return;
	if (df_system_options_fit(serverid, user, &problem))
		return;
	ereport(WARNING,
			(errcode(problem.sqlstate),
			 errmsg("system \"%s\" cannot be used by %s%s%s: %s", server,
					OidIsValid(user) ? "role \"" : "PUBLIC",
					OidIsValid(user) ? GetUserNameFromId(user, true) : "",
					OidIsValid(user) ? "\"" : "", problem.message),
			 errdetail("Steps that call it are stuck until its options go together."),
			 errhint("%s", problem.hint)));
}

/* every role that has a mapping of its own */
static void
warn_of_mappings(const char *server, Oid serverid)
{
	Relation mappings = table_open(UserMappingRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple tuple;

	ScanKeyInit(&key, Anum_pg_user_mapping_umserver, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(serverid));
	scan = systable_beginscan(mappings, InvalidOid, false, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
		warn_of(server, serverid, ((Form_pg_user_mapping) GETSTRUCT(tuple))->umuser);
	systable_endscan(scan);
	table_close(mappings, AccessShareLock);
}

static Oid
role_of(RoleSpec *role)
{
	return role->roletype == ROLESPEC_PUBLIC ? InvalidOid : get_rolespec_oid(role, true);
}

void
df_system_command_done(Node *command)
{
	const char *server;
	RoleSpec *role = NULL;
	Oid serverid;

	switch (nodeTag(command))
	{
		case T_CreateUserMappingStmt:
			server = ((CreateUserMappingStmt *) command)->servername;
			role = ((CreateUserMappingStmt *) command)->user;
			break;
		case T_AlterUserMappingStmt:
			server = ((AlterUserMappingStmt *) command)->servername;
			role = ((AlterUserMappingStmt *) command)->user;
			break;
		case T_AlterForeignServerStmt:
			server = ((AlterForeignServerStmt *) command)->servername;
			break;
		default:
			return;
	}
	CommandCounterIncrement();
	serverid = get_foreign_server_oid(server, true);
	if (!OidIsValid(serverid))
		return;
	if (role == NULL)
		warn_of_mappings(server, serverid);
	else if (role->roletype == ROLESPEC_PUBLIC || OidIsValid(role_of(role)))
		warn_of(server, serverid, role_of(role));
}
