/*
 * http/collector.h
 *	  Collects headers and body of a response, within limits.
 */
#ifndef DF_HTTP_COLLECTOR_H
#define DF_HTTP_COLLECTOR_H

/* of all headers of one exchange, those of interim responses included */
#define DF_MAX_HEADER_BYTES (64 * 1024)

#define DF_MAX_RETRY_AFTER_MS INT64CONST(3600000)

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
	DfBuffer body; /* decoded */
	size_t max_body;
	size_t expected; /* from Content-Length; only a hint */
	size_t header_bytes; /* read in this exchange */
	int64 retry_after_ms; /* -1 = none */
	char content_type[128];
	bool too_large; /* the body was longer than max_body and was truncated */
	bool headers_too_large;
	bool head_complete; /* the empty line that ends the headers was read */
	bool out_of_memory;
} DfResponse;

extern void df_response_init(DfResponse *response, size_t max_body);
extern void df_response_free(DfResponse *response);

/* forgets the body, since another response follows; keeps status and headers until then */
extern void df_response_next(DfResponse *response);

/* libcurl's callbacks: CURLOPT_HEADERFUNCTION and CURLOPT_WRITEFUNCTION */
extern size_t df_response_header(char *data, size_t size, size_t count, void *response);
extern size_t df_response_body(char *data, size_t size, size_t count, void *response);

#endif /* DF_HTTP_COLLECTOR_H */
