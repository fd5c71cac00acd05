/*
 * types/retry.h
 *	  How often and how long something is tried again.
 *
 * The code that reads it from a workflow, a system or a step fills it; flow/retry.c
 * decides by it.
 */
#ifndef DF_TYPES_RETRY_H
#define DF_TYPES_RETRY_H

#include "postgres.h"

/* no system gets to put us off for longer than that at a time */
#define DF_MAX_ASKED_MS (INT64CONST(3600) * 1000)

typedef struct DfRetry
{
	int max_attempts; /* 0 = no limit */
	int64 initial_ms; /* first back-off */
	int64 max_ms; /* longest back-off */
	int64 for_ms; /* total time since the first attempt, 0 = no limit */
	bool own_attempts; /* max_attempts is the step's or the workflow's own */
	bool own_for; /* for_ms is */
} DfRetry;

#endif /* DF_TYPES_RETRY_H */
