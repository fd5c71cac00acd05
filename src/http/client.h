/*
 * http/client.h
 *	  Sends HTTP requests and mails, returns their results.
 *
 * One multi handle per process.  Nothing here raises an error: a request that cannot be made
 * gives a result with DF_FATE_REFUSED.  All memory is malloc's, because callbacks of libcurl
 * must never call palloc or ereport.
 */
#ifndef DF_HTTP_CLIENT_H
#define DF_HTTP_CLIENT_H

#include "types/http.h"

extern bool df_http_init(void); /* once per process; false = libcurl refused */
extern void df_http_limit(int connections); /* that are kept, at most */
extern int df_http_fd(void); /* pollable: readable when perform has work */

/*
 * Milliseconds until df_http_perform() is to be called, -1 = no timer.  Call it right before
 * waiting: the time since the last df_http_perform() counts as time in which nobody read,
 * which extends deadlines.
 */
extern long df_http_timeout_ms(void);
extern void df_http_submit(const DfHttpRequest *request); /* copies all it needs */
extern void df_http_perform(void); /* move bytes, then judge deadlines */
extern DfHttpResult *df_http_next(void); /* the result of a finished exchange, or NULL */
extern void df_http_free(DfHttpResult *result);
extern int df_http_in_flight(void);
extern void df_http_shutdown(void);

#endif /* DF_HTTP_CLIENT_H */
