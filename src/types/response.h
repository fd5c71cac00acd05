/*
 * types/response.h
 *	  What came back for a request.
 *
 * The worker's, for as long as it is applied: worker/flight.c makes it, the engine
 * reads it.
 */
#ifndef DF_TYPES_RESPONSE_H
#define DF_TYPES_RESPONSE_H

#include "postgres.h"
#include "types/fate.h"

typedef struct DfResponse
{
	DfFate fate;
	int status;
	const char *body;
	size_t body_len;
	const char *headers;
	const char *content_type;
	int64 retry_after_ms;
	int64 took_us;
	const char *error;
	const char *shown; /* the body without our secrets, for errors; NULL = it holds none */
	size_t shown_len;
} DfResponse;

#endif /* DF_TYPES_RESPONSE_H */
