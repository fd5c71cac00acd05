/*
 * http/redirect.h
 *	  Redirects: whether one is followed, and what goes along.
 */
#ifndef DF_HTTP_REDIRECT_H
#define DF_HTTP_REDIRECT_H

#include "http/exchange.h"

typedef enum DfRedirect
{
	DF_REDIRECT_NONE, /* the response is the result */
	DF_REDIRECT_FOLLOW, /* the handle is ready for the next address */
	DF_REDIRECT_REFUSED /* exchange->refusal says why */
} DfRedirect;

/* decides what to do with a complete response */
extern DfRedirect df_request_redirect(DfExchange *exchange);

#endif /* DF_HTTP_REDIRECT_H */
