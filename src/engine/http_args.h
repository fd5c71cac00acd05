/*
 * engine/http_args.h
 *	  The arguments of http() and its short forms, where each is read.
 *
 * Inside bodies only.
 */
#ifndef DF_ENGINE_HTTP_ARGS_H
#define DF_ENGINE_HTTP_ARGS_H

#include "postgres.h"

#include "fmgr.h"
#include "shared/json.h"
#include "types/system_options.h"
#include "utils/jsonb.h"

/* the arguments that follow the path, in the order of the SQL declaration */
enum
{
	ARG_BODY = 1,
	ARG_QUERY,
	ARG_HEADERS,
	ARG_UNDO,
	ARG_UNDO_BODY,
	ARG_PROBE,
	ARG_PROBE_FOUND,
	ARG_PROBE_BODY,
	ARG_DOUBT,
	ARG_ACCEPT,
	ARG_UNTIL,
	ARG_EVERY,
	ARG_UNTIL_TIMEOUT,
	ARG_RETRY,
	ARG_TIMEOUT,
	ARG_WAIT,
	ARG_ANSWERS,
	ARG_OPTIONS
};

/* step_headers.c: the head of a request is short; raises DF006 naming `what` and the step */
extern void df_check_head_size(const char *what, size_t size, const char *step);

/*
 * step_headers.c: headers that can be sent, or 22023.  `what` is "headers" or those of an undo
 * or a probe; the values of a template may have fields.
 */
extern void df_check_headers(const Jsonb *headers, const char *what, bool is_template,
							 const DfSystem *system, const char *step);

/*
 * step_http.c: a path must not set a parameter that the user mapping adds, or 22023 naming `what`
 * ("undo"), which is recorded with its value.
 */
extern void df_check_secret_query(const DfSystem *system, const char *path, const char *what);

/* what undoes a step, or asks whether it was carried out: a request of its own */
typedef struct DfSideRequest
{
	const char *name; /* undo, probe: options and messages begin so */
	char *request;
	Jsonb *headers;
	Jsonb *body;
	Jsonb *answers;
	char *condition;
	bool slash_is_meant; /* at the end of its path */
} DfSideRequest;

/*
 * step_options.c: an argument that is 'METHOD /path', or an object with the request and what
 * belongs to it; false = NULL.  Then all but the request, checked, for the step's options.
 */
extern bool df_side_read(FunctionCallInfo fcinfo, int arg, int body_arg, DfSideRequest *side);
extern void df_side_write(DfJson *json, const DfSideRequest *side, const DfSystem *system,
						  const char *step);
extern bool df_side_needs_response(const DfSideRequest *side);

/* step_options.c: what the body asked for beyond the request, in cxt; NULL if nothing */
extern Jsonb *df_http_options(FunctionCallInfo fcinfo, int path_arg, const char *request,
							  const DfSystem *system, const DfBodyFormat *format, const char *step,
							  MemoryContext cxt);

#endif /* DF_ENGINE_HTTP_ARGS_H */
