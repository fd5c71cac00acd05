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
#include "types/answers.h"
#include "types/fate.h"
#include "types/http.h"

/* stands for a secret in what is recorded of a response */
#define DF_REDACTED "[redacted]"

typedef struct DfResponse
{
	DfFate fate;
	int status;
	const char *body;
	size_t body_len;
	DfBodyForm form; /* of the body */
	bool head_complete; /* of a response that broke off: status and headers are whole */
	const char *headers;
	const char *content_type;
	int64 retry_after_ms;
	int64 took_us;
	const char *error;
	const char *shown; /* the body without our secrets, as UTF-8; NULL = it holds none */
	size_t shown_len;
	const DfAnswer *said; /* simulated: what it means, whatever `answers` say; or NULL */
} DfResponse;

#endif /* DF_TYPES_RESPONSE_H */
