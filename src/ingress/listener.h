/*
 * ingress/listener.h
 *	  Receives HTTP requests, sends responses: the only user of libmicrohttpd.
 *
 * Returns complete requests and takes responses; in between the connection is suspended.
 * Never raises an error and never pallocs: all memory is malloc's, because callbacks of
 * libmicrohttpd must not call the server.
 */
#ifndef DF_LISTENER_H
#define DF_LISTENER_H

#include "ingress/stream.h"
#include "ingress/strict.h"

typedef struct DfField
{
	char *name; /* in lower case for headers */
	char *value;
} DfField;

typedef struct DfRequest
{
	struct DfRequest *next; /* in a queue of complete requests */
	struct MHD_Connection *connection;
	char *method;
	char *path;
	DfField *headers;
	int nheaders;
	DfField *arguments; /* of the query string, decoded */
	int narguments;
	char *body; /* with a NUL after its end */
	size_t body_len;
	size_t body_size;
	DfRequestLine line; /* in libmicrohttpd's memory, until the head was checked */
	bool begun; /* its head was checked */
	bool chunked; /* the body is sent in chunks */
	bool refused; /* answered by the listener itself */
	bool crowded; /* because there were too many requests */
	bool queued; /* handed to libmicrohttpd */

	/* the response */
	int status; /* 0 = none yet */
	const char *content_type; /* constant */
	char *answer; /* malloc'd */
	size_t answer_len;
	DfField *extra; /* further headers */
	int nextra;
	DfStream *stream; /* the response goes on (ingress/stream.c); NULL = it does not */
} DfRequest;

/*
 * Sets the response to a request.  Called in a transaction that can write, in a
 * subtransaction of its own, which an error rolls back.
 */
typedef void (*DfRouteHandler)(DfRequest *request);

typedef struct DfListenOptions
{
	const char *address; /* "host:port", "[v6]:port" */
	size_t max_body;
	int max_connections;
	int timeout_s; /* for a complete request, from its first byte */
} DfListenOptions;

/* false, with *why (static text or malloc'd, not to be freed) */
extern bool df_listener_start(const DfListenOptions *options, const char **why);
extern void df_listener_stop(void);
extern void df_listener_give_up(void); /* frees the address at once, because the process ends */
extern int df_listener_fd(void); /* pollable */
extern long df_listener_timeout_ms(void); /* -1 = none */
extern void df_listener_run(void); /* moves bytes; requests get whole */

/* the oldest complete request, or NULL; valid until it is answered */
extern DfRequest *df_listener_next(void);

/* requests that can wait are set aside, in a queue per kind */
typedef enum DfAside
{
	DF_ASIDE_PEOPLE, /* requests of people */
	DF_ASIDE_SLOW, /* deliveries whose handlers were slow */
	DF_ASIDE_KINDS
} DfAside;

extern void df_listener_set_aside(DfRequest *request, DfAside kind);
extern DfRequest *df_listener_next_aside(DfAside kind);

/* this request's response is complete: df_listener_run() sends it */
extern void df_listener_answer(DfRequest *request);

/* these copy their arguments; false = out of memory */
extern bool df_request_reply(DfRequest *request, int status, const char *content_type,
							 const char *body, size_t len);
/*
 * Makes the response a stream, which begins when the request is answered.  NULL = out of
 * memory.  Who gets it frees it, after the client has gone.
 */
extern DfStream *df_request_stream(DfRequest *request, const char *content_type);
extern bool df_request_add_header(DfRequest *request, const char *name, const char *value);
extern bool df_request_is_get(
	const DfRequest *request); /* or HEAD; the library sends that response without its body */
extern const char *df_request_header(const DfRequest *request, const char *name);
extern bool df_request_is_local(const DfRequest *request); /* its client is on this machine */
extern int df_listener_connections(void);
extern const char *df_request_argument(const DfRequest *request, const char *name);

#endif /* DF_LISTENER_H */
