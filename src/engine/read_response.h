/*
 * engine/read_response.h
 *	  What is kept of a response: its body as jsonb, its headers, the beginning of a refusal.
 */
#ifndef DF_READ_RESPONSE_H
#define DF_READ_RESPONSE_H

#include "types/response.h"
#include "utils/jsonb.h"

extern Jsonb *df_response_json(const DfResponse *response, MemoryContext cxt, bool *unusable);

/* without those of the transport; NULL if there are no others */
extern Jsonb *df_response_headers(const DfResponse *response, MemoryContext cxt);

/* the beginning of the body, without secrets; NULL if there is none */
extern char *df_response_excerpt(const DfResponse *response);

#endif /* DF_READ_RESPONSE_H */
