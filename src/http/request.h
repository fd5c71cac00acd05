/*
 * http/request.h
 *	  One exchange: from a DfHttpRequest to a libcurl easy handle.
 */
#ifndef DF_HTTP_REQUEST_H
#define DF_HTTP_REQUEST_H

#include "http/exchange.h"

#ifndef DF_VERSION
#define DF_VERSION "0.1"
#endif

/* NULL if the request can be made, else a constant sentence that says why not */
extern const char *df_request_problem(const DfHttpRequest *request);

/* a malloc'd exchange with copies of all that is sent; NULL = no memory */
extern DfExchange *df_request_new(const DfHttpRequest *request);

/* sets the exchange's easy handle up; the paths and the URL are copied by libcurl */
extern CURLcode df_request_apply(DfExchange *exchange, const DfHttpRequest *request);

/* the method and the body alone, again after a redirect */
extern CURLcode df_request_apply_method(CURL *easy, const DfExchange *exchange);

#endif /* DF_HTTP_REQUEST_H */
