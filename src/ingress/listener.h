/*
 * ingress/listener.h
 *	  HTTP in: the only libmicrohttpd.
 *
 * Whole requests come out, answers go in; in between a connection is suspended.
 * Nothing here raises or pallocs: memory is malloc's, so that no callback of the
 * library's ever reaches the server's.
 */
#ifndef DF_LISTENER_H
#define DF_LISTENER_H

#include "ingress/strict.h"

typedef struct DfField
{
	char *name; /* of headers in lower case */
	char *value;
} DfField;

typedef struct DfRequest
{
	struct DfRequest *next; /* among those that are whole and not answered */
	struct MHD_Connection *connection;
	char *method;
	char *path;
	DfField *headers;
	int nheaders;
	DfField *arguments; /* of the query string, decoded */
	int narguments;
	char *body; /* NUL-terminated behind its end */
	size_t body_len;
	size_t body_size;
	DfRequestLine line; /* in libmicrohttpd's memory, until its head was looked at */
	bool begun; /* its head was looked at */
	bool chunked; /* the body comes in chunks */
	bool refused; /* answered by the listener itself */
	bool crowded; /* because there are too many others */
	bool queued; /* handed to libmicrohttpd */

	/* the answer */
	int status; /* 0 = none yet */
	const char *content_type; /* constant */
	char *answer; /* malloc'd */
	size_t answer_len;
	DfField *extra; /* further headers */
	int nextra;
} DfRequest;

typedef struct DfListenOptions
{
	const char *address; /* "host:port", "[v6]:port" */
	size_t max_body;
	int max_connections;
	int timeout_s; /* a whole request, from its first byte on */
} DfListenOptions;

/* false with *why (static text or malloc'd, not to be freed) */
extern bool df_listener_start(const DfListenOptions *options, const char **why);
extern void df_listener_stop(void);
extern void df_listener_give_up(void); /* the address alone, at once: the process ends */
extern int df_listener_fd(void); /* pollable */
extern long df_listener_timeout_ms(void); /* -1 = none */
extern void df_listener_run(void); /* moves bytes; requests get whole */

/* the oldest request that is whole, or NULL; it stays valid until it is answered */
extern DfRequest *df_listener_next(void);

/* a request that has time: it is kept until it is asked for, among its like */
typedef enum DfAside
{
	DF_ASIDE_PEOPLE, /* what people look at */
	DF_ASIDE_SLOW, /* deliveries whose handlers were slow */
	DF_ASIDE_KINDS
} DfAside;

extern void df_listener_set_aside(DfRequest *request, DfAside kind);
extern DfRequest *df_listener_next_aside(DfAside kind);

/* the answer of this request is set: it leaves with the next run */
extern void df_listener_answer(DfRequest *request);

/* for who fills in answers: copies; false = out of memory */
extern bool df_request_reply(DfRequest *request, int status, const char *content_type,
							 const char *body, size_t len);
extern bool df_request_add_header(DfRequest *request, const char *name, const char *value);
extern bool df_request_is_get(
	const DfRequest *request); /* or HEAD, whose answer the library sends without its body */
extern const char *df_request_header(const DfRequest *request, const char *name);
extern bool df_request_is_local(const DfRequest *request); /* its client is on this machine */
extern int df_listener_connections(void);
extern const char *df_request_argument(const DfRequest *request, const char *name);

#endif /* DF_LISTENER_H */
