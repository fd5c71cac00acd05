/*
 * shared/params.h
 *	  What a process is told when it is started, in bgw_extra; bgw_main_arg is
 *	  the index of its slot.
 *
 * Plain data, no pointers: it is copied byte by byte through shared memory.
 */
#ifndef DF_PARAMS_H
#define DF_PARAMS_H

#include "df_types.h"
#include "postmaster/bgworker.h"

typedef struct DfWorkerParams
{
	Oid database;
	Oid owner; /* role of the session; InvalidOid = probe, a superuser */
	uint32 generation; /* of the slot: a late starter must not take another's */
} DfWorkerParams;

StaticAssertDecl(sizeof(DfWorkerParams) <= BGW_EXTRALEN,
				 "DfWorkerParams does not fit into bgw_extra");

#endif /* DF_PARAMS_H */
