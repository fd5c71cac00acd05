/*
 * shared/params.h
 *	  The parameters of a new process, in bgw_extra; bgw_main_arg is the index of its
 *	  slot.
 *
 * Plain data without pointers, since it is copied through shared memory.
 */
#ifndef DF_PARAMS_H
#define DF_PARAMS_H

#include "postmaster/bgworker.h"

typedef struct DfWorkerParams
{
	Oid database;
	Oid owner; /* role of the session; InvalidOid = a superuser, for a database check */
	uint32 generation; /* of the slot: a process that starts late must not claim a later use */
} DfWorkerParams;

StaticAssertDecl(sizeof(DfWorkerParams) <= BGW_EXTRALEN,
				 "DfWorkerParams does not fit into bgw_extra");

#endif /* DF_PARAMS_H */
