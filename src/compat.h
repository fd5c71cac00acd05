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
#include "catalog/pg_foreign_data_wrapper.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_proc.h"
#include "utils/acl.h"

/* 16 replaced the pg_xxx_aclcheck() family by one function */
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

#endif							/* DF_COMPAT_H */
