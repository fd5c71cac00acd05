/*
 * ingress/routes.h
 *	  Which path is whose.
 */
#ifndef DF_ROUTES_H
#define DF_ROUTES_H

#include "ingress/listener.h"

/*
 * Sets the answer of a request.  In a transaction that can write, in a
 * subtransaction of the request's own, which is undone if it raises.
 */
typedef void (*DfRouteHandler)(DfRequest *request);

/* the handler of a request, or NULL if it was answered at once, without a transaction */
extern DfRouteHandler df_route(DfRequest *request);

/* a person or a scraper asks, who waits longer than a system that tells us something */
extern bool df_route_has_time(const DfRequest *request);

#endif /* DF_ROUTES_H */
