/*
 * engine/request_body.h
 *	  The body of a request: what is recorded of it, and the bytes that are sent.
 */
#ifndef DF_REQUEST_BODY_H
#define DF_REQUEST_BODY_H

#include "types/body_format.h"
#include "utils/jsonb.h"

/* JSON text; a form, with a[b] for nested keys and without nulls */
extern char *df_body_json(const Jsonb *body);
extern char *df_body_form(const Jsonb *body, DfFormArrays arrays);

/*
 * False: the bytes are a form.  A step that 0.1 recorded without any options does not say what
 * they are.  NULL may be anything.
 */
extern bool df_body_may_be_json(const char *recorded);

/* NULL if it can be written in that format, else what is wrong, and *hint */
extern char *df_body_problem(const DfBodyFormat *format, const Jsonb *body, char **hint);

/*
 * What is recorded: the bytes themselves, in the database's encoding; of a multipart body,
 * which need not be text, the JSON that it is made from.
 */
extern char *df_body_recorded(const DfBodyFormat *format, const Jsonb *body);
extern bool df_body_is_recorded_as_json(const DfBodyFormat *format);

typedef struct DfBodyBytes
{
	const char *data; /* NULL = there is no body */
	size_t len;
	const char *content_type;
} DfBodyBytes;

/* what is sent, from what was recorded; NULL = there is none */
extern DfBodyBytes df_body_bytes(const DfBodyFormat *format, const char *recorded);

#endif /* DF_REQUEST_BODY_H */
