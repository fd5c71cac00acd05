/*
 * http/collector.h
 *	  Collects headers and body of a response, within limits.
 */
#ifndef DF_HTTP_COLLECTOR_H
#define DF_HTTP_COLLECTOR_H

#include "http/inflate.h"
#include "types/http.h"

/* of the headers of one exchange, those of interim responses included: what is kept */
#define DF_KEPT_HEADER_BYTES (64 * 1024)
/* and what is read at all */
#define DF_MAX_HEADER_BYTES (256 * 1024)

typedef struct DfBuffer
{
	char *data; /* malloc'd, NUL-terminated unless NULL */
	size_t len;
	size_t room;
} DfBuffer;

typedef struct DfResponse
{
	int status;
	DfBuffer headers; /* of the last response, "name: value\n" */
	DfBuffer body; /* decoded, unless it is DF_BODY_CODED */
	size_t max_body;
	bool coded; /* a Content-Encoding was announced */
	bool deflate; /* deflate, in particular */
	bool coding_known; /* enough of the body has come to see how it is written */
	bool broken; /* it could not be decoded: the rest of it was dropped */
	DfInflate *inflate; /* it is being decoded */
	size_t expected; /* from Content-Length; only a hint */
	size_t header_bytes; /* read in this exchange */
	char content_type[DF_CONTENT_TYPE_ROOM];
	bool too_large; /* the body was longer than max_body and was truncated */
	bool headers_too_large; /* there was no end of them */
	bool head_complete; /* the empty line that ends the headers was read */
	bool out_of_memory;
} DfResponse;

extern void df_response_init(DfResponse *response, size_t max_body);
extern void df_response_free(DfResponse *response);

/* forgets the body, since another response follows; keeps status and headers until then */
extern void df_response_next(DfResponse *response);

/* it has ended: how its body is to be read */
extern DfBodyForm df_response_form(const DfResponse *response);

/* libcurl's callbacks: CURLOPT_HEADERFUNCTION and CURLOPT_WRITEFUNCTION */
extern size_t df_response_header(char *data, size_t size, size_t count, void *response);
extern size_t df_response_body(char *data, size_t size, size_t count, void *response);

#endif /* DF_HTTP_COLLECTOR_H */
