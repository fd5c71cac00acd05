/*
 * engine/read_body.h
 *	  What the body of a response says.
 */
#ifndef DF_READ_BODY_H
#define DF_READ_BODY_H

#include "types/response.h"
#include "utils/jsonb.h"

/*
 * The body as jsonb, NULL for none: an empty one, white space alone, or bytes that are no
 * text.  *unusable: it does not say what it was announced to; what is returned is then its
 * text, as a string, if it has one.
 */
extern Jsonb *df_response_json(const DfResponse *response, MemoryContext cxt, bool *unusable);

/* its text in the database's encoding, JSON or not; NULL if there is none */
extern char *df_response_text(const DfResponse *response);

/*
 * The body as UTF-8, if its bytes are of another charset: who searches it for a text needs
 * that.  NULL if they are UTF-8 already, or no text.
 */
extern char *df_response_utf8(const DfResponse *response);

/* why a body is unusable, for people */
extern const char *df_response_why_unusable(const DfResponse *response);

#endif /* DF_READ_BODY_H */
