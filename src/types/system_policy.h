/*
 * types/system_policy.h
 *	  What a system's options say about retry, key and settling.
 *
 * The worker's: worker/dispatch.c takes it from the foreign server for each request,
 * the engine reads it.
 */
#ifndef DF_TYPES_SYSTEM_POLICY_H
#define DF_TYPES_SYSTEM_POLICY_H

#include "postgres.h"
#include "types/answers.h"
#include "types/retry.h"

typedef struct DfSystemPolicy
{
	bool key_trusted;
	const char *key_header; /* in which it is sent now, the system's or a copy; NULL = not known */
	int64 key_ttl_ms;
	DfRetry retry;
	int64 settle_ms;
	const DfAnswers *answers; /* of the system as it is in this transaction; NULL = none */
} DfSystemPolicy;

#endif /* DF_TYPES_SYSTEM_POLICY_H */
