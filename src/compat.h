/*
 * compat.h
 *	  What differs between PostgreSQL 14 and 18, and nothing else.
 *
 * Wrappers have the newest signature.  No project header is included here and
 * no other file looks at PG_VERSION_NUM.
 */
#ifndef DF_COMPAT_H
#define DF_COMPAT_H

#if PG_VERSION_NUM < 140000 || PG_VERSION_NUM >= 190000
#error "dataflows supports PostgreSQL 14 to 18"
#endif

#include "catalog/pg_database.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_foreign_data_wrapper.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_proc.h"
#include "miscadmin.h"
#include "nodes/plannodes.h"
#include "nodes/primnodes.h"
#include "nodes/parsenodes.h"
#include "postmaster/bgworker.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "utils/acl.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/wait_event.h"
#include "utils/regproc.h"

/* 16: VARSIZE() and its like have left postgres.h */
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

/* 15: a generator of the server's own, seeded in each process */
#if PG_VERSION_NUM >= 150000
#include "common/pg_prng.h"
#define df_compat_random() pg_prng_double(&pg_global_prng_state)
#else
#define df_compat_random() ((double) random() / ((double) MAX_RANDOM_VALUE + 1))
#endif

/* 18: noreturn stands before the function, as in C11 */
#if PG_VERSION_NUM < 180000
#define pg_noreturn pg_attribute_noreturn()
#endif

/* 16 replaced pg_class_aclcheck and its like by one function */
#if PG_VERSION_NUM < 160000
static inline AclResult
object_aclcheck(Oid classid, Oid objectid, Oid roleid, AclMode mode)
{
	switch (classid)
	{
		case ProcedureRelationId:
			return pg_proc_aclcheck(objectid, roleid, mode);
		case ForeignServerRelationId:
			return pg_foreign_server_aclcheck(objectid, roleid, mode);
		case ForeignDataWrapperRelationId:
			return pg_foreign_data_wrapper_aclcheck(objectid, roleid, mode);
		case DatabaseRelationId:
			return pg_database_aclcheck(objectid, roleid, mode);
		default:
			elog(ERROR, "unexpected object class %u", classid);
			return ACLCHECK_NO_PRIV;
	}
}
#endif

/* 15: shared memory is requested in a hook; in 14 in _PG_init itself */
#if PG_VERSION_NUM >= 150000
#define df_compat_request_shmem(previous, hook) \
	((previous) = shmem_request_hook, shmem_request_hook = (hook))
#else
typedef void (*shmem_request_hook_type)(void);
#define df_compat_request_shmem(previous, hook) \
	((previous) = NULL, (hook) ())
#endif

/* 15: MERGE, of which some actions may insert */
#if PG_VERSION_NUM >= 150000
static inline bool
df_compat_merge_inserts(const ModifyTable *modify)
{
	ListCell *lists;
	ListCell *actions;

	foreach (lists, modify->mergeActionLists)
		foreach (actions, (List *) lfirst(lists))
			if (((MergeAction *) lfirst(actions))->commandType == CMD_INSERT)
				return true;
	return false;
}
#else
static inline bool
df_compat_merge_inserts(const ModifyTable *modify)
{
	return false;
}
#endif

/* 15: placeholders of the prefix are refused, not only warned about */
#if PG_VERSION_NUM < 150000
#define MarkGUCPrefixReserved(prefix) EmitWarningsOnPlaceholders(prefix)
#endif

/* 16: one function for the ownership of any object */
#if PG_VERSION_NUM < 160000
static inline bool
object_ownercheck(Oid classid, Oid objectid, Oid roleid)
{
	switch (classid)
	{
		case DatabaseRelationId:
			return pg_database_ownercheck(objectid, roleid);
		case ExtensionRelationId:
			return pg_extension_ownercheck(objectid, roleid);
		case ForeignServerRelationId:
			return pg_foreign_server_ownercheck(objectid, roleid);
		default:
			elog(ERROR, "unexpected object class %u", classid);
			return false;
	}
}
#endif

/* 17: a background worker may be the session of a role without LOGIN */
#if PG_VERSION_NUM >= 170000
#define DF_ROLE_NEEDS_LOGIN false
#else
#define BGWORKER_BYPASS_ROLELOGINCHECK 0
#define DF_ROLE_NEEDS_LOGIN true
#endif

/* 17: a wait event set belongs to a resource owner; NULL = lives as long as the process */
#if PG_VERSION_NUM >= 170000
#define df_compat_wait_event_set(n) CreateWaitEventSet(NULL, n)
#else
#define df_compat_wait_event_set(n) CreateWaitEventSet(TopMemoryContext, n)
#endif

/* 17: this backend's transaction number has moved */
#if PG_VERSION_NUM >= 170000
#define df_compat_lxid() (MyProc->vxid.lxid)
#else
#define df_compat_lxid() (MyProc->lxid)
#endif

/* 17: extensions name their wait events */
#if PG_VERSION_NUM >= 170000
#define df_compat_wait_event(name) WaitEventExtensionNew(name)
#else
#define df_compat_wait_event(name) PG_WAIT_EXTENSION
#endif

/* 15: parse analysis has a query environment, which we do not use */
#if PG_VERSION_NUM >= 150000
#define df_compat_analyze_varparams(statement, sql, types, n) \
	parse_analyze_varparams(statement, sql, types, n, NULL)
#else
#define df_compat_analyze_varparams(statement, sql, types, n) \
	parse_analyze_varparams(statement, sql, types, n)
#endif

/* 16: the rights that are needed are beside the tables; raises, or returns true */
#if PG_VERSION_NUM >= 160000
#define df_compat_check_rights(query) \
	ExecCheckPermissions((query)->rtable, (query)->rteperminfos, true)
#else
#define df_compat_check_rights(query) ExecCheckRTPerms((query)->rtable, true)
#endif

/* 16: an error may be saved instead of raised */
#if PG_VERSION_NUM < 160000
#define stringToQualifiedNameList(string, escontext) stringToQualifiedNameList(string)
#endif

#endif /* DF_COMPAT_H */
