/*
 * fdw/policy.h
 *	  What the options of a system say about retry, key and settling.
 */
#ifndef DF_FDW_POLICY_H
#define DF_FDW_POLICY_H

#include "fdw/system.h"
#include "types/system_policy.h"

/* NULL = the system is unknown */
extern void df_policy_of(const DfSystem *system, DfSystemPolicy *policy);

#endif /* DF_FDW_POLICY_H */
