/*
 * engine/read_response.h
 *	  What is kept of a response beside its output: its headers, and what a refusal says.
 */
#ifndef DF_READ_RESPONSE_H
#define DF_READ_RESPONSE_H

#include "shared/json.h"
#include "types/response.h"

/* its headers say that a limit is used up: ...-Remaining: 0 */
extern bool df_response_limit_used_up(const DfResponse *response);

/* without those of the transport; NULL if there are no others */
extern Jsonb *df_response_headers(const DfResponse *response, MemoryContext cxt);

/*
 * Whether the response is no word of the system's: a page of a proxy says 404, too, and so
 * does whatever a wrong address leads to.  The system speaks JSON, or says nothing, or has
 * this content type, if it is known that it spoke so before.
 */
extern bool df_response_is_foreign(const DfResponse *response, const char *spoken);

/* the system's first response to the same key, once more; of a 2xx nobody asks */
extern bool df_response_is_replay(const DfResponse *response);

/* adds "body", without secrets, if there is one; whole: of an error that ends the step */
extern void df_response_put_body(DfJson *json, const DfResponse *response, bool whole);

/* what the system itself says is wrong, on one line without secrets; NULL if it does not say */
extern char *df_response_words(const DfResponse *response);

/*
 * What came, for a message: the status and the system's own words, on one line, or why
 * nothing came.
 */
extern char *df_response_what_came(const DfResponse *response);

#endif /* DF_READ_RESPONSE_H */
